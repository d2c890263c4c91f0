import CSQLite
import Foundation
import Testing

/// Servers that lost something, with the real programs.
@Suite(.timeLimit(.minutes(2)))
struct RecoveryTests {
    private func dump(_ scene: Scene, _ home: String) async throws -> [Substring] {
        try await scene.ok(home, "dump").split(separator: "\n").filter { !$0.contains("\"kind\":\"account\"") }
    }

    private func newCode(_ scene: Scene, _ account: String) async throws -> String {
        let outcome = try await scene.shoald("account", "code", account)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return outcome.text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    @Test func aServerPutBackFromABackupGetsOwnWorkByItselfAndTheRestWhenAsked() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            try await scene.enroll("gone", as: "小李")
            try await scene.ok("a", "sync")
            try await scene.stopServer()
            let files = FileManager.default
            try files.copyItem(atPath: scene.home("server"), toPath: scene.home("backup"))
            try await scene.startServer()
            try await scene.ok("gone", "customer", "add", "王小明")
            try await scene.ok("gone", "sync")
            try await scene.ok("a", "sync")
            try await scene.ok("a", "customer", "add", "李小红")
            try await scene.ok("a", "sync")
            let before = try await dump(scene, "a")
            #expect(before.count == 2)
            try await scene.stopServer()
            try files.removeItem(atPath: scene.home("server"))
            try files.removeItem(atPath: scene.home("gone"))
            try files.copyItem(atPath: scene.home("backup"), toPath: scene.home("server"))
            try await scene.startServer()

            try await scene.ok("a", "sync")
            #expect(try await dump(scene, "a").filter { $0.contains("李小红") }.count == 1)
            #expect(try await scene.ok("a", "status").contains("set back"))
            let recovering = try await scene.shoald("recover")
            #expect(recovering.status == 0 && recovering.text.contains("recovery is on"), "\(recovering.errors)")
            #expect(try await scene.ok("a", "sync").contains("back to the server"))
            #expect(try await scene.ok("a", "status").contains("got back what this home held"))
            #expect(try await dump(scene, "a") == before)
            #expect(scene.serverLog.contains("a replica relayed what it held"))
            let finished = try await scene.shoald("recover", "--finish", "--json")
            #expect(finished.text.contains("\"isOn\":false"), "\(finished.errors)")
            try await scene.enroll("new", as: "小张", role: "supervisor")
            #expect(try await dump(scene, "new") == before)
        }
    }

    /// It keeps what proves that the server lost something, or the server would take its logs for others'.
    @Test func aHomeEnrolledAfterTheBackupEnrollsAgainAndItsWorkArrives() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let backup = scene.home("monday.db")
            #expect(try await scene.shoald("backup", backup).status == 0)
            try await scene.ok("b", "enroll", scene.url, newCode(scene, "小王"))
            try await scene.ok("b", "customer", "add", "张三")
            try await scene.ok("b", "sync")
            try await scene.ok("b", "customer", "add", "李四")
            try await scene.stopServer()
            for suffix in ["", "-wal", "-shm"] { unlink(scene.home("server") + "/shoald.db" + suffix) }
            #expect(try await scene.shoald("restore", backup).status == 0)
            try await scene.startServer()
            #expect(try await scene.fails("b", "sync").contains("enroll again"))
            try await scene.ok("b", "enroll", scene.url, newCode(scene, "小王"))
            try await scene.ok("b", "sync")
            let dump = try await scene.shoald("dump").text
            #expect(dump.contains("张三") && dump.contains("李四"))
        }
    }

    @Test func aServerThatLostEverythingIsRefilledByHomesThatEnrollAgain() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            try await scene.enroll("b", as: "小张", role: "supervisor")
            try await scene.enroll("gone", as: "小李")
            try await scene.ok("gone", "customer", "add", "王小明")
            try await scene.ok("gone", "sync")
            let own = try await scene.ok("a", "customer", "add", "李小红")
            try await scene.ok("a", "sync")
            try await scene.ok("b", "sync")
            try await scene.ok("a", "sync")
            let before = try await dump(scene, "a")
            // Not sent before the server is gone.
            try await scene.ok("a", "note", "add", String(own.suffix(13)), "未发送")
            let followers = try await scene.json("a", "customer", "show", String(own.suffix(13)))["followers"]
            try await scene.stopServer()
            try FileManager.default.removeItem(atPath: scene.home("server"))
            try await scene.startServer()
            #expect(try await scene.fails("a", "sync").contains("does not know this replica"))

            let code = try await scene.code("小王", role: "supervisor")
            // Nobody says that this server stands in for a lost one.
            #expect(try await scene.fails("a", "enroll", scene.url, code).contains("shoald recover"))
            #expect(try await scene.shoald("recover").status == 0)
            try await scene.ok("a", "enroll", scene.url, code)
            #expect(try await scene.json("a", "status")["pending"] == 0)
            // The first home has brought the other accounts.
            let listed = try await scene.shoald("account", "list")
            #expect(listed.text.split(separator: "\n").filter { $0.contains("no role") }.count == 2, "\(listed.text)")
            let refused = try await scene.shoald("account", "code", "小张")
            #expect(refused.status == 1 && refused.errors.contains("shoald account add 小张"), "\(refused.errors)")
            try await scene.ok("b", "enroll", scene.url, scene.code("小张", role: "supervisor"))
            try await scene.ok("b", "sync")
            try await scene.ok("a", "sync")
            let after = try await dump(scene, "a")
            #expect(after.filter { !$0.contains("未发送") } == before)
            #expect(after.count == before.count + 1)
            #expect(try await dump(scene, "b") == after)
            #expect(
                try await scene.json("b", "customer", "show", String(own.suffix(13)))["followers"] == followers)
            // The account of the one who is gone is there again, and can be enrolled.
            let enrolled = try await scene.code("小李", role: "supervisor")
            try await scene.ok("gone2", "enroll", scene.url, enrolled)
            #expect(try await dump(scene, "gone2") == after)
            // A home that its server knows stays with it.
            #expect(try await scene.fails("a", "enroll", scene.url, enrolled).contains("already"))
            try await scene.stopServer()
            #expect(try await scene.fails("a", "enroll", scene.url, enrolled).contains("already"))
        }
    }

    @Test func aHomeDoesNotBecomeSomebodyElsesByACodeOfTheirs() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王", role: "supervisor")
            try await scene.ok("a", "sync")
            try await scene.ok("a", "customer", "add", "未发送")
            try await scene.stopServer()
            try FileManager.default.removeItem(atPath: scene.home("server"))
            try await scene.startServer()
            let other = try await scene.code("小李")
            let own = try await scene.code("小王", role: "supervisor")
            #expect(try await scene.shoald("recover").status == 0)
            let sentence = try await scene.fails("a", "enroll", scene.url, other)
            #expect(sentence.contains("小王") && sentence.contains("小李"), "\(sentence)")
            let status = try await scene.json("a", "status")
            #expect(status["account"] == "小王" && status["pending"] == 1)
            // Nothing of the refused attempt remains: either code is good for its own account.
            try await scene.ok("a", "enroll", scene.url, own)
            try await scene.ok("b", "enroll", scene.url, other)
            #expect(try await scene.json("b", "status")["account"] == "小李")
            #expect(try await scene.ok("b", "dump").contains("未发送"))
        }
    }

    /// Everybody knows everybody's identifier: it takes a line to say that one was somebody else.
    @Test func nobodyTakesAColleaguesAccountWhileTheServerRecovers() async throws {
        try await Scene.run { scene in
            for (home, name) in [("wang", "小王"), ("li", "小李")] { try await scene.enroll(home, as: name, role: "sales") }
            try await scene.enroll("boss", as: "小周", role: "supervisor")
            try await scene.ok("li", "customer", "add", "李四")
            for home in ["li", "boss", "wang"] { try await scene.ok(home, "sync") }
            let files = FileManager.default
            try files.copyItem(atPath: scene.home("wang"), toPath: scene.home("thief"))
            try execute(
                "UPDATE identity SET account = (SELECT id FROM account WHERE name = '小李')",
                in: scene.home("thief") + "/replica.db")
            try await scene.stopServer()
            try files.removeItem(atPath: scene.home("server"))
            try await scene.startServer()
            let codes = (
                wang: try await scene.code("小王", role: "sales"), li: try await scene.code("小李", role: "sales"),
                boss: try await scene.code("小周", role: "supervisor")
            )
            let recovering = try await scene.shoald("recover")
            #expect(recovering.text.contains("roles do not come back"), "\(recovering.errors)")
            try await scene.ok("thief", "enroll", scene.url, codes.wang)
            #expect(try await scene.shoald("account", "list").text.contains("nobody else has said so"))
            try await scene.ok("boss", "enroll", scene.url, codes.boss)
            try await scene.ok("boss", "sync")
            // The truth has come: who was whom is what the others say.
            #expect(try await scene.fails("thief", "sync").contains("does not know this replica"))
            #expect(try await scene.shoald("audit").text.contains("account-take-back"))
            try await scene.ok("li", "enroll", scene.url, codes.li)
            try await scene.ok("li", "sync")
            #expect(try await scene.ok("li", "dump").contains("李四"))
            // Neither is 小王 locked out, in whichever home; her customers are in none of them.
            for home in ["wang", "thief"] {
                try await scene.ok(home, "enroll", scene.url, newCode(scene, "小王"))
                try await scene.ok(home, "customer", "add", "王五")
                try await scene.ok(home, "sync")
                let dump = try await scene.ok(home, "dump")
                #expect(!dump.contains("李四") && dump.contains("王五"))
            }
        }
    }

    private func execute(_ sql: String, in path: String) throws {
        var database: OpaquePointer?
        defer { sqlite3_close(database) }
        try #require(sqlite3_open(path, &database) == SQLITE_OK)
        try #require(sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK)
        try #require(sqlite3_changes(database) == 1)
    }
}
