import Foundation
import ShoalCRDT
import ShoalProtocol
import Testing

/// Nothing that customers, colleagues, servers or whoever typed an argument wrote acts on the terminal that shows it.
@Suite(.timeLimit(.minutes(5)))
struct EscapeTests {
    /// A command line, and whether it shows what was planted.
    private struct Line {
        var words: [String]
        var variables: [String: String] = [:]
        var shows = true
        var progress = false
    }

    @Test func noCommandSendsWhatItDidNotMakeItself() async throws {
        try await Scene.run { scene in
            let planted = try await plant(scene)
            var (commands, foreign, silent) = (0, 0, [String]())
            func look(_ program: String, _ line: Line) async throws {
                let terminal = try scene.terminal([program] + line.words, home: "a", variables: line.variables)
                let outcome = try await terminal.end()
                let name = line.words.map { String($0.prefix(24)).debugDescription }.joined(separator: " ")
                let found = TerminalBytes.foreign(outcome.output, progress: line.progress)
                commands += 1
                foreign += found.count
                #expect(found.isEmpty, "\(name): \(found.prefix(3))")
                let marks = ["\u{FFFD}", "␛", "␁", "\\u0", "\\u2", "\\u{"]
                if line.shows, !marks.contains(where: outcome.text.contains) {
                    silent.append("\(name): \(outcome.text.prefix(160))")
                }
            }
            for line in reads(planted) + writes(planted) + mistakes(planted) { try await look(Programs.shoal, line) }
            for line in administration(scene) { try await look(Programs.shoald, line) }
            #expect(TerminalBytes.foreign(Data(scene.serverLog.utf8)).isEmpty)
            try await scene.stopServer()
            for line in administration(scene) { try await look(Programs.shoald, line) }
            let answers = try ProblemServer(
                status: 403, title: Payloads.packed, detail: Payloads.packed,
                port: UInt16(scene.url.split(separator: ":")[2]) ?? 0)
            defer { answers.stop() }
            for line in [["sync"], ["sync", "--json"], ["doctor"], ["doctor", "--json"]] as [[String]] {
                try await look(Programs.shoal, Line(words: line, progress: true))
            }
            let home = scene.home("c")
            try await look(
                Programs.shoal, Line(words: ["enroll", scene.url, "7QWK-M9X2-4TBD", "--home", home], progress: true))
            print("payloads=\(Payloads.all.count) commands=\(commands) foreign=\(foreign)")
            #expect(Payloads.all.count >= 500 && commands >= 100)
            #expect(silent.isEmpty, "nothing planted was shown by: \(silent.joined(separator: "\n"))")
        }
    }

    private struct Planted {
        var customer: String
        var note: String
        var frame: String
        var directory: String
    }

    /// Puts all payloads into every field of two homes that changed the same without having seen each other.
    private func plant(_ scene: Scene) async throws -> Planted {
        let payload = Payloads.packed
        // What nobody sees and a name may hold all the same.
        try await scene.enroll("a", as: "小王\u{34F}\u{115F}\u{FE0F}", role: "supervisor")
        try await scene.enroll("b", as: "小李\u{34F}\u{1160}\u{E0100}", role: "supervisor")
        try await scene.ok("a", "sync")
        let names = [
            "gender", "type", "phone", "birth_year", "birth_month", "skin", "occupation", "unionid", "external_userid",
            "avatar",
            "wangwang", "source", "stage", "remark", "description", "remark_mobiles", "add_way", "state",
            "x-\(Payloads.name)",
        ]
        let fields = names.flatMap { ["--field", "\($0)=\(payload)"] }
        let made = try await scene.shoal("a", ["customer", "add", payload] + fields)
        try #require(made.status == 0, "\(made.errors)")
        let customer = made.text.trimmingCharacters(in: .whitespacesAndNewlines)
        try await scene.ok("a", "tag", customer, "+\(Payloads.name)/\(Payloads.name)")
        let note = try await scene.ok("a", "note", "add", customer, payload)
        try await scene.ok("a", "follow", customer, "--account", "小李\u{34F}\u{1160}\u{E0100}")
        try await scene.ok("a", "sync")
        try await scene.ok("b", "sync")
        for home in ["b", "a"] {
            let changes = (["name"] + names).filter { $0 != "remark" }.map { "\($0)=\(home)\(payload)" }
            let changed = try await scene.shoal(home, ["customer", "set", customer] + changes)
            try #require(changed.status == 0, "\(changed.errors)")
            try await scene.ok(home, "note", "edit", note, "\(home)\(payload)\n\(payload)")
            try await scene.ok(home, "sync")
        }
        var operations = Operations()
        let id = RecordID(milliseconds: 200_000_000_000, count: 1, sequence: 0)
        let replica = ReplicaID(epoch: 0x1A2B, count: 1)
        operations.begin(
            record: id, time: 1_777_777_777_777, creates: Envelope(kind: .customer, scope: .customer(id)), salt: 7)
        operations.edit(CellKey(.name), text: payload)
        let request = SyncRequest(
            epoch: 9, cursor: payload, acknowledgement: payload,
            logs: [LogPosition(replica: replica, position: 0, hash: .start, end: 1)], operations: operations)
        let frame = scene.home("frame")
        try Data(try request.encoded()).write(to: URL(fileURLWithPath: frame))
        return Planted(customer: customer, note: note, frame: frame, directory: scene.directory)
    }

    private func reads(_ planted: Planted) -> [Line] {
        let (customer, note) = (planted.customer, planted.note)
        let shown: [[String]] = [
            ["status"], ["customer", "list"], ["customer", "list", "P -tag:\(Payloads.name)"],
            ["customer", "show", customer],
            ["note", "list", customer], ["note", "show", note], ["note", "show", note, "--history"], ["tags", "list"],
            ["search", "a"], ["search", "P", "--limit", "3"], ["conflicts"], ["conflicts", "list"],
            ["conflicts", "show", customer], ["dump"], ["debug", "delta", planted.frame],
        ]
        let quiet: [[String]] = [
            ["sync"], ["doctor"], ["doctor", "--rebuild"], ["--version"], ["--help"], [], ["customer"],
            ["--generate-completion-script", "bash"], ["export", "\(planted.directory)/a.csv"],
            ["export", "\(planted.directory)/a.jsonl"],
        ]
        let helps = Self.commands.map { $0 + ["--help"] }
        return shown.flatMap { [Line(words: $0), Line(words: $0 + ["--json"])] }
            + quiet.map { Line(words: $0, shows: false, progress: true) } + helps.map { Line(words: $0, shows: false) }
    }

    private static let commands: [[String]] = [
        ["enroll"], ["status"], ["sync"], ["customer"], ["customer", "add"], ["customer", "set"], ["customer", "show"],
        ["customer", "list"], ["customer", "delete"], ["follow"], ["unfollow"], ["tag"], ["tags"], ["tags", "list"],
        ["tags", "add"], ["tags", "rename"], ["tags", "merge"], ["tags", "split"], ["tags", "delete"], ["note"],
        ["note", "add"], ["note", "edit"], ["note", "show"], ["note", "list"],
        ["note", "delete"], ["search"], ["conflicts"], ["conflicts", "list"], ["conflicts", "show"],
        ["conflicts", "settle"], ["export"], ["doctor"], ["dump"], ["debug"], ["debug", "delta"],
    ]

    private func writes(_ planted: Planted) -> [Line] {
        let (customer, name, text) = (planted.customer, Payloads.name, Payloads.packed)
        return [
            Line(words: ["tag", customer, "+\(name)/\(name)x"]),
            Line(words: ["tag", customer, "+new\(name)", "--json"]),
            Line(words: ["tags", "add", "g\(name)/\(name)"], shows: false),
            Line(words: ["tags", "add", "b\(name)"], shows: false),
            Line(words: ["tags", "merge", "b\(name)", "g\(name)/\(name)"], shows: false),
            Line(words: ["tags", "list"]), Line(words: ["tags", "split", "g\(name)/\(name)"]),
            Line(words: ["tags", "rename", "b\(name)", "\(name)/\(name)b"], shows: false),
            Line(words: ["tags", "delete", "g\(name)/\(name)"], shows: false),
            Line(words: ["customer", "add", text, "--json"], shows: false),
            Line(words: ["note", "add", customer, text], shows: false),
            Line(words: ["conflicts", "settle", customer, "--field", "stage", "--take", "1"], shows: false),
        ]
    }

    /// What is typed wrongly is said again in the sentence that refuses it.
    private func mistakes(_ planted: Planted) -> [Line] {
        let (customer, name, text) = (planted.customer, Payloads.name, Payloads.packed)
        let file = "\u{1B}[31m\u{202E}\u{9B}2J"
        let lines: [[String]] = [
            [text], ["customer", text], ["help", text], ["customer", "show", text],
            ["customer", "set", customer, "\(name)=1"], ["customer", "set", customer, text],
            ["customer", "set", customer, "x-\(name)=1", "x-\(name)=2"], ["customer", "list", "--limit", text],
            ["customer", "list", "added:\(text)"], ["customer", "list", "\"\(text)"], ["customer", "delete", text],
            ["tag", customer, "-\(name)zz"], ["tag", text, "+a"], ["tag", customer, "+a", "+\(name)", "-\(name)"],
            ["tags", "rename", "\(name)zz", "x"], ["tags", "merge", "\(name)zz", text], ["tags", "split", text],
            ["tags", "delete", text], ["tag", customer, "+a", text], ["tag", customer, "--\(name)"],
            ["tags", "add", "\(name)", "--single"],
            ["follow", customer, "--account", text], ["unfollow", customer, "--account", text], ["note", "show", text],
            ["note", "edit", text, "x"], ["search", "x", "--\(name)"], ["conflicts", "show", text],
            ["conflicts", text],
            ["conflicts", "settle", customer, "--field", text, "--take", "1"],
            ["conflicts", "settle", customer, "--take", text], ["conflicts", "settle", customer, "--take", "1"],
            ["export", "\(file).txt"], ["export", "/nowhere/\(file).csv"], ["debug", "delta", "/nowhere/\(file)"],
            ["status", "--home", "/nowhere/\(file)"], ["enroll", text, "CODE"],
            ["enroll", "http://127.0.0.1:1/\(name)", "C"],
            ["--generate-completion-script", text],
        ]
        return lines.map { Line(words: $0) }
            + lines.map { Line(words: $0 + ["--json"], shows: !$0[0].hasPrefix("--gen")) }
            + [Line(words: ["note", "edit", planted.note], variables: ["EDITOR": "false '\(name)'"])]
    }

    private func administration(_ scene: Scene) -> [Line] {
        let text = Payloads.short
        let file = "/no\u{1B}[31m\u{202E}\u{9B}2J/where"
        let data = ["--data", "\(scene.directory)/server"]
        let shown: [[String]] = [
            ["account", "list"], ["account", "code", text], ["account", "add", text, "--role", text],
            ["account", "add", "小王\u{34F}\u{115F}\u{FE0F}", "--role", "expert"], ["dump", "--account", text], ["dump"],
            ["backup", file], ["check", "--\(text)"], ["serve", "--lease", text], ["check", "--data", file],
        ]
        let quiet: [[String]] = [
            ["check"], ["account", "add", text, "--role", "expert"], ["recover"], ["recover", "--finish"], ["--help"],
            ["account", "--help"], ["serve", "--help"], ["check", "--help"], ["account", "list", "--json"],
            ["check", "--json"],
            [text], ["account", text], ["restore", file], ["check", "--mend", file], ["serve", "--listen", text],
        ]
        return shown.map { Line(words: $0 + ($0.contains("--data") ? [] : data)) }
            + quiet.map { Line(words: $0 + data, shows: false) }
    }
}
