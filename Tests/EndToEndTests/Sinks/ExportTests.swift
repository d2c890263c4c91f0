import Foundation
import Glibc
import Testing

/// `shoal export`: what a spreadsheet and what a program gets.
@Suite(.timeLimit(.minutes(2)))
struct ExportTests {
    /// Takes a file of comma-separated values apart as RFC 4180 says; nil if it is none.
    private func parse(_ data: Data) -> [[String]]? {
        guard var rest = String(validating: data, as: UTF8.self)?.unicodeScalars[...], rest.popFirst() == "\u{FEFF}"
        else {
            return nil
        }
        var (rows, row) = ([[String]](), [String]())
        while let quote = rest.popFirst() {
            guard quote == "\"" else { return nil }
            var field = String.UnicodeScalarView()
            while let scalar = rest.popFirst() {
                if scalar != "\"" {
                    field.append(scalar)
                } else if rest.first == "\"" {
                    field.append(scalar)
                    rest.removeFirst()
                } else {
                    break
                }
            }
            row.append(String(field))
            if rest.first == "," {
                rest.removeFirst()
            } else {
                guard rest.popFirst() == "\r", rest.popFirst() == "\n" else { return nil }
                rows.append(row)
                row = []
            }
        }
        return row.isEmpty ? rows : nil
    }

    @Test func aSpreadsheetGetsTextAndNoFormulas() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            let formulas = ["=1+1", "+86 138", "-1", "@x", "＝1", " =1", "\t=1", "\r=1", "\"=1", "'=1", "''", "a\n=1"]
            var ids: [String] = []
            for text in formulas + Payloads.all.map({ "n\($0)" }) {
                if ids.count < formulas.count || ids.count % 20 == 0 {
                    ids.append(
                        try await scene.ok(
                            "a", "customer", "add", "--field", "stage=\(text)", "--field", "x-b=\(text)", "--", text))
                } else {
                    ids.append("")
                }
            }
            let first = try #require(ids.first)
            try await scene.ok("a", "customer", "set", first, "x-@a=formula", "x-b=")
            try await scene.ok("a", "tag", first, "+肤质/油皮", "+=tag")
            try await scene.ok("a", "note", "add", first, "-")
            let file = scene.home("out.csv")
            #expect(
                try await scene.ok("a", "export", file) == "\(ids.filter { !$0.isEmpty }.count) customers in \(file)")
            let rows = try #require(parse(try Data(contentsOf: URL(fileURLWithPath: file))))
            let head = rows[0]
            #expect(head.prefix(3) == ["id", "added", "name"] && head.suffix(3) == ["tags", "followers", "notes"])
            #expect(head.filter { $0.hasPrefix("x-") } == ["x-@a", "x-b"])
            #expect(rows.dropFirst().map { $0[0] } == ids.filter { !$0.isEmpty }.sorted())
            for row in rows.dropFirst() {
                try #require(row.count == head.count)
                for field in row {
                    let begins = field.unicodeScalars.first { !$0.properties.isWhitespace && $0 != "\"" }
                    #expect(!"=+-@＝＋－＠".unicodeScalars.contains(begins ?? "x"), "\(field)")
                    #expect(!field.unicodeScalars.contains { $0.properties.generalCategory == .control }, "\(field)")
                }
            }
            let names = rows.dropFirst().prefix(formulas.count).map { $0[2] }
            #expect(names.allSatisfy { $0.first == "'" || $0.hasPrefix("a␊") }, "\(names)")
            let tagged = try #require(rows.first { $0[0] == first })
            #expect(tagged.suffix(3) == ["'=tag, 肤质/油皮", "小王", "1"])
        }
    }

    @Test func aProgramGetsWhatIsStored() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            let id = try await scene.ok("a", "customer", "add", Payloads.packed, "--field", "phone==1\n2")
            try await scene.ok("a", "tag", id, "+肤质/油皮")
            let file = scene.home("out.jsonl")
            #expect(try await scene.json("a", "export", file)["customers"] == 1)
            let lines = try Data(contentsOf: URL(fileURLWithPath: file)).split(separator: UInt8(ascii: "\n"))
            try #require(lines.count == 1)
            let customer = try JSON(lines[0])
            #expect(customer.keys == ["id", "added", "fields", "tags", "followers", "notes"])
            #expect(customer["id"].text == id && customer["added"].isTime && customer["notes"] == 0)
            #expect(
                customer["fields"]["name"].text?.unicodeScalars.elementsEqual(Payloads.packed.unicodeScalars) == true)
            #expect(customer["fields"]["phone"] == "=1\n2" && customer["tags"] == ["肤质/油皮"])
            #expect(TerminalBytes.foreign(lines[0]).isEmpty)
        }
    }

    @Test func aFileIsNotReplacedUnasked() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            let file = scene.home("out.csv")
            try Data("mine".utf8).write(to: URL(fileURLWithPath: file))
            #expect(try await scene.fails("a", "export", file).contains("is there already"))
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "mine")
            // A name that leads elsewhere is replaced itself.
            let elsewhere = scene.home("elsewhere")
            try FileManager.default.moveItem(atPath: file, toPath: elsewhere)
            try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: elsewhere)
            try await scene.fails("a", "export", file)
            try await scene.ok("a", "export", file, "--force")
            #expect(try String(contentsOfFile: elsewhere, encoding: .utf8) == "mine")
            var status = stat()
            #expect(lstat(file, &status) == 0 && status.st_mode & 0o7777 == 0o600 && status.st_mode & S_IFMT == S_IFREG)
            try await scene.fails("a", "export", scene.home("out.txt"), status: 2)
            try await scene.fails("a", "export", scene.home("nowhere/out.csv"))
            let left = try FileManager.default.contentsOfDirectory(atPath: scene.directory).filter {
                $0.hasPrefix("out")
            }
            #expect(left == ["out.csv"])
        }
    }

    /// What an export that was killed had written is nowhere, or goes with the next.
    @Test func anExportThatIsKilledLeavesNothing() async throws {
        guard SystemCallOrderTests.mayTrace else {
            print("skipped: strace is not there or may not trace (apt-get install strace)")
            return
        }
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            try await scene.ok("a", "customer", "add", "Canary")
            let directory = scene.home("exports")
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            let (file, draft) = (directory + "/list.csv", directory + "/.list.csv.shoal-draft")
            func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: directory).sorted() }
            func export(_ words: String..., under strace: [String]) async throws -> Child.Outcome {
                try await scene.begin(
                    "a", ["export", file] + words, under: ["/usr/bin/strace", "-f", "-o", "/dev/null"] + strace
                ).end()
            }
            let killed = ["-e", "trace=fsync,rename", "-e", "inject=fsync:signal=KILL:when=1"]
            #expect(try await export(under: killed).status != 0)
            #expect(try names() == [])
            #expect(try await export(under: []).status == 0)
            #expect(try names() == ["list.csv"])

            // Something that has the place of another has a name for a moment.
            let early = ["-e", "trace=rename", "-e", "inject=rename:signal=KILL:when=1"]
            try Data("before".utf8).write(to: URL(fileURLWithPath: file))
            #expect(try await export("--force", under: early).status != 0)
            #expect(try names() == [".list.csv.shoal-draft", "list.csv"])
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "before")
            #expect(try await export("--force", under: []).status == 0)
            #expect(try names() == ["list.csv"])
            #expect(try String(contentsOfFile: file, encoding: .utf8).contains("Canary"))
            #expect(try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600)

            // A file system that has no files without a name.
            let named = ["-P", directory + "/", "-e", "trace=openat", "-e", "inject=openat:error=EOPNOTSUPP"]
            try FileManager.default.removeItem(atPath: file)
            try Data("left".utf8).write(to: URL(fileURLWithPath: draft))
            #expect(try await export(under: named).status == 0)
            #expect(try names() == ["list.csv"])
            #expect(try await export("--force", under: named).status == 0)
            #expect(try await export(under: named).errors.contains("is there already"))
            #expect(try names() == ["list.csv"])

            // Another command may be at work, and what is somebody else's stays.
            try Data("left".utf8).write(to: URL(fileURLWithPath: draft))
            let descriptor = open(draft, O_RDONLY | O_CLOEXEC)
            flock(descriptor, LOCK_EX)
            #expect(try await scene.fails("a", "export", file, "--force").contains("another command"))
            close(descriptor)
            unlink(draft)
            symlink("/etc/hostname", draft)
            #expect(try await scene.fails("a", "export", file, "--force").contains("is in the way"))
            #expect(try names().count == 2)
        }
    }
}
