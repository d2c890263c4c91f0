import Foundation
import Glibc
import Testing

/// Encrypted homes, as people and scripts use them.
@Suite(.timeLimit(.minutes(3)))
struct EncryptionProgramTests {
    private let right = ["SHOAL_PASSPHRASE": "correct horse 电池"]
    private static let canary = "Canary-王小明"

    /// The files of a home in which a text stands.
    private func files(_ scene: Scene, _ home: String, holding text: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: scene.home(home)).filter {
            try Data(contentsOf: URL(fileURLWithPath: "\(scene.home(home))/\($0)")).range(of: Data(text.utf8)) != nil
        }
    }

    private func ok(_ scene: Scene, _ words: String..., variables: [String: String]? = nil) async throws -> String {
        let outcome = try await scene.shoal("a", words, variables: variables ?? right)
        try #require(outcome.status == 0, "\(words): \(outcome.errors)")
        return outcome.text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func fails(_ scene: Scene, _ words: String..., variables: [String: String]) async throws -> String {
        let outcome = try await scene.shoal("a", words, variables: variables)
        #expect(
            outcome.status == 1 && outcome.output.isEmpty && outcome.sentences.count == 1, "\(words): \(outcome.errors)"
        )
        return outcome.errors
    }

    @Test func anEncryptedHomeWorksWithItsPassphraseAndHoldsNoContents() async throws {
        try await Scene.run { scene in
            _ = try await ok(scene, "enroll", scene.url, try await scene.code("小王", role: "supervisor"), "--encrypt")
            let id = try await ok(scene, "customer", "add", Self.canary, "--field", "phone=138-canary")
            _ = try await ok(scene, "note", "add", id, "a note with a canary")
            #expect(try await ok(scene, "customer", "show", id).contains(Self.canary))
            _ = try await ok(scene, "sync")
            for text in [Self.canary, "138-canary", "with a canary", "SQLite format"] {
                #expect(try files(scene, "a", holding: text) == [])
            }
            // A wrong one, and none where nobody can be asked.
            let database = URL(fileURLWithPath: scene.home("a") + "/replica.db")
            let before = try Data(contentsOf: database)
            let wrong = try await fails(scene, "customer", "list", variables: ["SHOAL_PASSPHRASE": "incorrect horse"])
            #expect(wrong.contains("not the passphrase"))
            #expect(
                try await fails(scene, "doctor", variables: ["SHOAL_PASSPHRASE": "x"]).contains("not the passphrase"))
            #expect(try Data(contentsOf: database) == before)
            let file = scene.home("passphrase")
            try Data("correct horse 电池\n".utf8).write(to: URL(fileURLWithPath: file))
            #expect(try await ok(scene, "status", "--passphrase-file", file, variables: [:]).contains("小王"))
            #expect(try await ok(scene, "--passphrase-file=\(file)", "doctor", variables: [:]).contains("all is well"))
            #expect(
                try await fails(scene, "status", "--passphrase-file", "/nowhere", variables: right).contains(
                    "cannot be read"))
        }
    }

    @Test func aHomeIsEncryptedChangedAndDecrypted() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            let id = try await scene.ok("a", "customer", "add", Self.canary)
            #expect(try !files(scene, "a", holding: Self.canary).isEmpty)
            let dump = try await scene.ok("a", "dump")
            #expect(try await fails(scene, "encrypt", variables: ["SHOAL_PASSPHRASE": "short"]).contains("at least 8"))
            // Somebody may need what is in them, so they are not removed; and they would stay readable.
            for name in ["replica.db.damaged-1", "note-0-\(id)-x.txt"] {
                let path = scene.home("a") + "/" + name
                try Data(Self.canary.utf8).write(to: URL(fileURLWithPath: path))
                let refused = try await fails(scene, "encrypt", variables: right)
                #expect(refused.contains("\(name) would stay readable"), "\(refused)")
                try FileManager.default.removeItem(atPath: path)
            }
            #expect(try await ok(scene, "encrypt") == "")
            #expect(try files(scene, "a", holding: Self.canary) == [])
            #expect(try await ok(scene, "dump") == dump)
            #expect(try await fails(scene, "encrypt", variables: right).contains("encrypted already"))
            let file = scene.home("new")
            try Data("another passphrase".utf8).write(to: URL(fileURLWithPath: file))
            #expect(try await ok(scene, "encrypt", "--change", "--new-passphrase-file", file, "--json") == "{}")
            #expect(try await fails(scene, "dump", variables: right).contains("not the passphrase"))
            let changed = ["SHOAL_PASSPHRASE": "another passphrase"]
            #expect(try await ok(scene, "customer", "set", id, "stage=老客", variables: changed) == "")
            // What an editor works on does not lie beside it.
            let note = try await ok(scene, "note", "add", id, "secret text", variables: changed)
            let kept = scene.home("kept")
            let edited = try await scene.shoal(
                "a", ["note", "edit", note], variables: changed.merging(["EDITOR": "echo \"$1\" >\(kept); true"]) { $1 }
            )
            #expect(edited.status == 0, "\(edited.errors)")
            let place = try String(contentsOfFile: kept, encoding: .utf8)
            #expect(place.hasPrefix("/") && !place.hasPrefix(scene.home("a")), "\(place)")
            _ = try await ok(scene, "decrypt", variables: changed)
            #expect(try await scene.ok("a", "customer", "show", id).contains("老客"))
            #expect(!FileManager.default.fileExists(atPath: scene.home("a") + "/key"))
            #expect(try await fails(scene, "decrypt", variables: right).contains("not encrypted"))
        }
    }

    @Test func aHomeThatAnotherProcessHasOpenIsNotEncrypted() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            let watcher = try scene.begin("a", ["sync", "--watch"])
            let deadline = ContinuousClock.now + .seconds(10)
            while !FileManager.default.fileExists(atPath: scene.home("a") + "/replica.db-shm"),
                ContinuousClock.now < deadline
            {
                try await Task.sleep(for: .milliseconds(10))
            }
            // It may be syncing just now.
            var refusal = ""
            while !refusal.contains("in use"), ContinuousClock.now < deadline {
                refusal = try await fails(scene, "encrypt", variables: right)
            }
            #expect(refusal.contains("in use") && !FileManager.default.fileExists(atPath: scene.home("a") + "/key"))
            try await watcher.interrupt()
            let watched = try await watcher.end()
            #expect(watched.status == 0, "\(watched.errors)")
            _ = try await ok(scene, "encrypt")
            #expect(try await ok(scene, "status").contains("小王"))
        }
    }

    @Test func aPassphraseIsTypedUnseen() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            let first = try scene.terminal([Programs.shoal, "encrypt"], home: "a")
            try await first.expect("New passphrase of")
            first.type("a typing mistaje\u{7F}\u{7F}ke\r")
            try await first.expect("The same again: ")
            first.type("a typing mistake\r")
            let made = try await first.end()
            #expect(made.status == 0, "\(made.text)")
            #expect(!made.text.contains("typing") && !made.text.contains("ke\n"))
            let second = try scene.terminal([Programs.shoal, "status"], home: "a")
            try await second.expect("Passphrase of")
            second.type("a typing mistake\r")
            let shown = try await second.end()
            #expect(shown.status == 0 && shown.text.contains("小王") && !shown.text.contains("typing"))
            #expect(TerminalBytes.foreign(shown.output).isEmpty)
            let third = try scene.terminal([Programs.shoal, "status"], home: "a")
            try await third.expect("Passphrase of")
            third.type("a typ\u{3}")
            let interrupted = try await third.end()
            #expect(interrupted.status == 1 && interrupted.text.contains("interrupted"))
            let fourth = try scene.terminal([Programs.shoal, "decrypt"], home: "a")
            try await fourth.expect("Passphrase of")
            fourth.type("another one\r")
            #expect(try await fourth.end().status == 1)
        }
    }

    /// Every command says what is missing and where it belongs, and none takes it for damage or touches anything.
    @Test func aHomeWhoseKeyFileIsGoneWaitsForIt() async throws {
        try await Scene.run { scene in
            _ = try await ok(scene, "enroll", scene.url, try await scene.code("小王", role: "supervisor"), "--encrypt")
            _ = try await ok(scene, "customer", "add", Self.canary)
            let (home, key) = (scene.home("a"), scene.home("a") + "/key")
            let copy = try Data(contentsOf: URL(fileURLWithPath: key))
            try FileManager.default.removeItem(atPath: key)
            // As a program that was killed leaves one.
            try Data(repeating: 7, count: 4_180).write(to: URL(fileURLWithPath: "\(home)/replica.db-wal"))
            func contents() throws -> [String: Data] {
                var contents: [String: Data] = [:]
                for name in try FileManager.default.contentsOfDirectory(atPath: home) where !name.hasSuffix("lock") {
                    contents[name] = try Data(contentsOf: URL(fileURLWithPath: "\(home)/\(name)"))
                }
                return contents
            }
            let before = try contents()
            for words in [
                ["status"], ["customer", "list"], ["sync"], ["sync", "--watch"], ["doctor"], ["doctor", "--rebuild"],
                ["dump"], ["encrypt"], ["encrypt", "--change"], ["decrypt"], ["customer", "add", "x"],
                ["enroll", scene.url, "AAAA-AAAA-AAAA"], ["export", "\(home).csv"],
            ] {
                let outcome = try await scene.shoal("a", words, variables: right)
                #expect(outcome.status == 1 && outcome.sentences.count == 1, "\(words): \(outcome.errors)")
                #expect(outcome.errors.contains("the file key beside it is gone"), "\(words): \(outcome.errors)")
                #expect(try contents() == before, "\(words)")
            }
            try copy.write(to: URL(fileURLWithPath: key))
            #expect(try await ok(scene, "customer", "list").contains(Self.canary))
            // A plain home whose first page is damaged is what it was: damaged.
            try await scene.enroll("b", as: "小李", role: "supervisor")
            let database = scene.home("b") + "/replica.db"
            var bytes = try Data(contentsOf: URL(fileURLWithPath: database))
            bytes.replaceSubrange(0..<4_096, with: (0..<4_096).map { _ in UInt8.random(in: 0...255) })
            try bytes.write(to: URL(fileURLWithPath: database))
            #expect(try await scene.fails("b", "status").contains("damaged"))
            #expect(try await scene.ok("b", "doctor").contains("mended"))
        }
    }

    /// What is meant for one person is not left open to others in silence; a pipe is nobody else's.
    @Test func aPassphraseFileThatOthersMayReadIsSpokenOf() async throws {
        try await Scene.run { scene in
            _ = try await ok(scene, "enroll", scene.url, try await scene.code("小王", role: "supervisor"), "--encrypt")
            let file = scene.home("passphrase")
            try Data("correct horse 电池\n".utf8).write(to: URL(fileURLWithPath: file))
            for (mode, warns) in [(0o644, true), (0o640, true), (0o604, true), (0o600, false), (0o400, false)] {
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
                let outcome = try await scene.shoal("a", ["status", "--passphrase-file", file])
                #expect(outcome.status == 0 && outcome.text.contains("小王"))
                #expect(outcome.sentences.count == (warns ? 1 : 0), "\(mode): \(outcome.errors)")
                #expect(outcome.errors.contains("chmod 600") == warns)
            }
            let piped = try await scene.shoal(
                "a", ["status", "--passphrase-file", "-"], input: Data("correct horse 电池".utf8))
            #expect(piped.status == 0 && piped.errors.isEmpty)
        }
    }

    @Test func theSystemsKeyringKeepsTheKey() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            #expect(try await fails(scene, "encrypt", "--keyring", variables: [:]).contains("secret-tool"))
            #expect(try await scene.ok("a", "status").contains("小王"))
            // Stands in for the keyring's own program.
            let tools = scene.home("tools")
            try FileManager.default.createDirectory(atPath: tools, withIntermediateDirectories: true)
            let script = """
                #!/bin/sh
                [ "$1" = store ] && exec cat > "\(tools)/$7"
                [ "$1" = lookup ] && exec cat "\(tools)/$5"
                exit 1
                """
            // Written by a child: what other tests start meanwhile would inherit a file that is being written here, and no
            // such file can be run.
            let installed = try await Child(
                ["/usr/bin/install", "-m", "700", "/dev/stdin", tools + "/secret-tool"], input: Data(script.utf8),
                environment: [:], scratch: scene.directory
            ).end()
            try #require(installed.status == 0, "\(installed.errors)")
            let path = ["PATH": "\(tools):/usr/bin:/bin"]
            _ = try await ok(scene, "encrypt", "--keyring", variables: path)
            #expect(try await ok(scene, "status", variables: path).contains("小王"))
            #expect(try files(scene, "a", holding: "SQLite format") == [])
            let items = try FileManager.default.contentsOfDirectory(atPath: tools).filter { $0 != "secret-tool" }
            try #require(items.count == 1)
            try Data(String(repeating: "ab", count: 32).utf8).write(to: URL(fileURLWithPath: "\(tools)/\(items[0])"))
            #expect(try await fails(scene, "status", variables: path).contains("nothing was changed"))
            try FileManager.default.removeItem(atPath: "\(tools)/\(items[0])")
            #expect(try await fails(scene, "status", variables: path).contains("the keyring does not have its key"))
        }
    }
}
