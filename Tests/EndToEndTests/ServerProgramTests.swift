import Foundation
import Testing

/// What `shoald` says and does as a program.
@Suite(.timeLimit(.minutes(3)))
struct ServerProgramTests {
    @Test func theServerAndAdministrationStartTogether() async throws {
        for round in 0..<6 {
            try await Scene.run(server: false) { scene in
                // The server begins before the commands or after them; each finds the others or waits for them.
                let serve = ["serve", "--listen", "127.0.0.1:0"]
                if round.isMultiple(of: 2) { _ = try scene.beginShoald(serve) }
                let additions = try ["小王", "小李", "小美"].map {
                    try scene.beginShoald(["account", "add", $0, "--role", "sales"])
                }
                let last = round.isMultiple(of: 2) ? nil : try scene.beginShoald(serve)
                for addition in additions {
                    let outcome = try await addition.end()
                    #expect(outcome.status == 0, "\(outcome.errors)")
                    #expect(!outcome.text.isEmpty)
                }
                let list = try await scene.shoald("account", "list")
                #expect(list.text.split(separator: "\n").count == 3)
                if let last { #expect(!last.errorsSoFar().contains("shoald:"), "\(last.errorsSoFar())") }
            }
        }
    }

    @Test func aSecondServerOnTheSameDataIsRefused() async throws {
        try await Scene.run { scene in
            let outcome = try await scene.shoald("serve", "--listen", "127.0.0.1:0")
            #expect(outcome.status == 1)
            #expect(outcome.sentences.count == 1)
            #expect(outcome.errors.contains("already"))
        }
    }

    /// SQLite would remove the log of a database that is empty, or made anew.
    @Test(arguments: [true, false]) func aLogWithoutItsDatabaseStays(isThere: Bool) async throws {
        try await Scene.run(server: false) { scene in
            let directory = scene.directory + "/server"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            if isThere { try Data().write(to: URL(fileURLWithPath: directory + "/shoald.db")) }
            let log = URL(fileURLWithPath: directory + "/shoald.db-wal")
            try Data(repeating: 7, count: 8_192).write(to: log)
            for words in [
                ["serve", "--listen", "127.0.0.1:0"], ["check"], ["account", "add", "小王", "--role", "sales"],
            ] {
                let outcome = try await scene.beginShoald(words).end()
                #expect(outcome.status == 1, "\(words)")
                #expect(outcome.sentences.count == 1, "\(outcome.errors)")
            }
            #expect(try Data(contentsOf: log).count == 8_192)
        }
    }

    @Test func readingADirectoryWithoutADatabaseMakesNone() async throws {
        try await Scene.run(server: false) { scene in
            for words in [["account", "list"], ["account", "code", "小王"], ["dump"]] {
                let outcome = try await scene.beginShoald(words).end()
                #expect(outcome.status == 1, "\(words)")
                #expect(outcome.sentences.count == 1)
                #expect(outcome.errors.contains("no database"))
                #expect(!FileManager.default.fileExists(atPath: scene.directory + "/server"))
            }
            let unnamed = try await scene.beginShoald(["account", "list"], data: "").end()
            #expect(unnamed.status == 2, "\(unnamed.errors)")
        }
    }

    @Test func aServerThatCannotListenSaysWhyInOneSentence() async throws {
        try await Scene.run { scene in
            let taken = String(scene.url.dropFirst("http://".count))
            for (listen, reason) in [
                (taken, "\(taken) is in use"), ("no-such-host.invalid:0", "not known"),
                ("192.0.2.1:0", "not an address of this machine"),
            ] {
                let outcome = try await scene.beginShoald(
                    ["serve", "--plaintext", "--listen", listen], data: "other"
                ).end()
                #expect(outcome.status == 1)
                #expect(outcome.output.isEmpty)
                #expect(outcome.sentences.count == 1, "\(outcome.errors)")
                #expect(outcome.errors.contains(reason), "\(outcome.errors)")
            }
        }
    }

    @Test func whatIsPrintedCannotActOnTheTerminal() async throws {
        try await Scene.run(server: false) { scene in
            for name in ["a\u{1B}[2Jb", "a\u{202E}b", "a\u{E0041}b"] {
                let refused = try await scene.shoald("account", "add", name, "--role", "sales")
                #expect(refused.status == 1)
                #expect(refused.errors.contains("no control characters"))
                let unknown = try await scene.shoald("account", "code", name)
                #expect(unknown.status == 1)
                #expect(
                    unknown.errors.unicodeScalars.allSatisfy { $0 == "\n" || $0.properties.generalCategory != .control }
                )
                #expect(unknown.errors.unicodeScalars.allSatisfy { $0.properties.generalCategory != .format })
            }
        }
    }

    @Test func aBackupIntoAFolderThatIsNotThereSaysSo() async throws {
        try await Scene.run { scene in
            let path = scene.home("nowhere") + "/monday.db"
            let running = try await scene.shoald("backup", path)
            try await scene.stopServer()
            let alone = try await scene.shoald("backup", path)
            for outcome in [running, alone] {
                #expect(outcome.status == 1 && outcome.sentences.count == 1)
                #expect(
                    outcome.errors.contains("the folder \(scene.home("nowhere")) does not exist"), "\(outcome.errors)")
            }
        }
    }

    @Test func whatIsNoServersDatabaseIsNotRestoredAndLeavesNothing() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            try await scene.stopServer()
            try FileManager.default.removeItem(atPath: scene.home("server"))
            try Data("hello".utf8).write(to: URL(fileURLWithPath: scene.home("text")))
            for file in [scene.home("a") + "/replica.db", scene.home("text")] {
                let outcome = try await scene.shoald("restore", file)
                #expect(outcome.status == 1 && outcome.sentences.count == 1)
                #expect(outcome.errors.contains("not a server's database"), "\(outcome.errors)")
                let left = try FileManager.default.contentsOfDirectory(atPath: scene.home("server"))
                #expect(left.filter { $0 != "lock" } == [], "\(left)")
            }
        }
    }
}
