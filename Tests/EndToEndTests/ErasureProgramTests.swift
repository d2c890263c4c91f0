import Foundation
import Testing

/// Export and erasure of a person, with the real programs: canaries of personal data in all that a person has, looked for in
/// every byte of every file.
@Suite(.timeLimit(.minutes(5)))
struct ErasureProgramTests {
    /// Begins with two characters that nothing else has.
    private static let canary = "龘靐-canary"
    private static let pair = "龘靐"

    /// How often the canary stands in the files of a directory.
    private static func count(_ directory: String) throws -> Int {
        var count = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where !name.hasSuffix(".sock") {
            guard let data = FileManager.default.contents(atPath: "\(directory)/\(name)") else { continue }
            for text in [canary, pair] {
                var place = data.startIndex..<data.endIndex
                while let found = data.range(of: Data(text.utf8), in: place) {
                    count += 1
                    place = found.upperBound..<data.endIndex
                }
            }
        }
        return count
    }

    private static let fields = [
        "name", "gender", "type", "phone", "birth_year", "birth_month", "skin", "occupation", "unionid",
        "external_userid",
        "avatar", "wangwang", "source", "stage", "remark", "description", "remark_mobiles", "add_way", "state",
        "x-free",
    ]

    private static func values(_ what: String) -> [String] { fields.map { "\($0)=\(canary) \(what) \($0)" } }

    /// A person with everything that one can have: two who see it, one who saw it, notes that several edited, a conflict,
    /// refused work, and work that is not sent.
    private func makePerson(_ scene: Scene) async throws -> String {
        try await scene.enroll("a", as: "小王")
        try await scene.enroll("b", as: "小李", role: "expert")
        try await scene.enroll("c", as: "小张", role: "sales")
        let id = try await scene.ok("a", "customer", "add", Self.canary)
        _ = try await scene.shoal("a", ["customer", "set", id] + Self.values("a"))
        try await scene.ok("a", "tag", id, "+油皮")
        let note = try await scene.ok("a", "note", "add", id, "\(Self.canary) 一")
        try await scene.ok("a", "sync")
        for account in ["小李", "小张"] { try await scene.ok("a", "follow", id, "--account", account) }
        try await scene.ok("a", "sync")
        for home in ["b", "c"] { try await scene.ok(home, "sync") }
        // Both change the same field, and the same note.
        try await scene.ok("c", "note", "edit", note, "\(Self.canary) 一二三")
        try await scene.ok("c", "customer", "set", id, "phone=\(Self.canary) c")
        try await scene.ok("b", "customer", "set", id, "phone=\(Self.canary) b")
        // Together too much for one record: what comes second is refused.
        let long = "\(Self.canary)\(String(repeating: "x", count: 60_000))"
        for home in ["a", "b"] {
            for part in 0..<3 {
                let many = (0..<8).map { "x-\(home)\(part)\($0)=\(long)" }
                #expect(try await scene.shoal(home, ["customer", "set", id] + many).status == 0)
            }
        }
        for home in ["c", "a"] { try await scene.ok(home, "sync") }
        #expect(try await scene.shoal("b", "sync").status == 1)
        try await scene.ok("a", "unfollow", id, "--account", "小张")
        for home in ["a", "c", "b"] { _ = try await scene.shoal(home, "sync") }
        #expect(try await scene.json("c", "customer", "list").items.isEmpty)
        try await scene.ok("b", "note", "add", id, "\(Self.canary) unsent")
        try await scene.ok("b", "customer", "set", id, "stage=\(Self.canary) unsent")
        return id
    }

    @Test func aPersonIsExportedAndErasedEverywhereAndNothingBringsItBack() async throws {
        try await Scene.run { scene in
            let id = try await makePerson(scene)
            let homes = ["a", "b", "c", "copy"]
            let server = "\(scene.directory)/server"

            let file = "\(scene.directory)/export.json"
            try await scene.ok("b", "export", "--person", id, file)
            let text = try String(contentsOfFile: file, encoding: .utf8)
            for field in Self.fields where !field.hasPrefix("remark") && field != "phone" && field != "stage" {
                #expect(text.contains("\(Self.canary) a \(field)"), "\(field)")
            }
            for word in ["unsent", "二三", "too-large", "小张", "油皮", "conflict"] {
                #expect(text.contains(word), "\(word)")
            }
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(try await scene.fails("b", "export", "--person", id, file).contains("is there already"))
            unlink(file)

            // A copy of a home that will not have heard of anything, and a backup.
            try FileManager.default.copyItem(atPath: scene.home("b"), toPath: scene.home("copy"))
            // What shoal doctor keeps of a database that was damaged.
            let database = scene.home("a") + "/replica.db"
            try FileManager.default.copyItem(atPath: database, toPath: database + ".damaged-1")
            let backup = "\(scene.directory)/before.db"
            #expect(try await scene.shoald("backup", backup).status == 0)
            for home in homes { #expect(try Self.count(scene.home(home)) > 0, "\(home)") }
            #expect(try Self.count(server) > 0)

            #expect(try await scene.shoald("erase", "0000").status == 2)
            let plan = try await scene.shoald("erase", id, "--dry-run").text
            #expect(plan.contains("2 records would be erased; the replicas of 3 accounts would be told"), "\(plan)")
            let erased = try await scene.shoald("erase", id)
            #expect(erased.status == 0 && erased.text.contains("2 records are erased"), "\(erased.errors)")
            #expect(try Self.count(server) == 0)
            for home in homes { #expect(try await scene.shoal(home, "sync").status == 0, "\(home)") }
            var left = 0
            for home in homes { left += try Self.count(scene.home(home)) }
            left += try Self.count(server)
            #expect(left == 0)
            let sentence = try await scene.ok("b", "status")
            #expect(sentence.contains("everything about 1 person was erased for good, with"), "\(sentence)")
            #expect(try await scene.ok("b", "conflicts").contains("everything about 1 person was erased"))
            #expect(try await scene.json("b", "conflicts").items.isEmpty)
            #expect(try await scene.json("b", "status")["pending"] == 0)
            for home in homes {
                #expect(try await scene.json(home, "search", Self.pair).items.isEmpty)
                #expect(try await scene.shoal(home, "doctor").status == 0, "\(home)")
                try await scene.ok(home, "sync")
            }
            let after = "\(scene.directory)/after"
            try FileManager.default.createDirectory(atPath: after, withIntermediateDirectories: true)
            #expect(try await scene.shoald("backup", "\(after)/after.db").status == 0)
            #expect(try Self.count(after) == 0)
            var logs = scene.serverLog

            // The backup from before has it all again, until the server is started with it.
            func restore(_ moved: [String]) async throws {
                try await scene.stopServer()
                for name in moved { unlink("\(server)/\(name)") }
                #expect(try await scene.shoald("restore", backup).status == 0)
                #expect(try Self.count(server) > 0)
                try await scene.startServer()
            }
            try await restore(["shoald.db", "shoald.db-wal", "shoald.db-shm"])
            var restored = try Self.count(server)
            for home in homes { #expect(try await scene.shoal(home, "sync").status == 0, "\(home)") }
            for home in homes { restored += try Self.count(scene.home(home)) }
            restored += try Self.count(server)
            logs += scene.serverLog
            // Without its ledger it hears of it from the first replica that was told.
            try await restore(["shoald.db", "shoald.db-wal", "shoald.db-shm", "erasures"])
            #expect(try Self.count(server) > 0)
            for home in homes { #expect(try await scene.shoal(home, "sync").status == 0, "\(home)") }
            for home in homes { #expect(try await scene.shoal(home, "sync").status == 0, "\(home)") }
            for home in homes { restored += try Self.count(scene.home(home)) }
            restored += try Self.count(server)
            #expect(restored == 0)
            #expect(try await !scene.shoald("dump").text.contains(Self.pair))
            #expect(try await scene.shoald("check").status == 0)
            logs += scene.serverLog
            let inLogs = logs.components(separatedBy: Self.pair).count - 1
            #expect(inLogs == 0)
            print("in_logs=\(inLogs) after_erase=\(left) restored_then_erased=\(restored)")
        }
    }
}
