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
            try await scene.ok("b", "enroll", scene.url, newCode(scene, "小张"))
            try await scene.ok("b", "sync")
            try await scene.ok("a", "sync")
            let after = try await dump(scene, "a")
            #expect(after.filter { !$0.contains("未发送") } == before)
            #expect(after.count == before.count + 1)
            #expect(try await dump(scene, "b") == after)
            #expect(
                try await scene.json("b", "customer", "show", String(own.suffix(13)))["followers"] == followers)
            // The account of the one who is gone is there again, and can be enrolled.
            let enrolled = try await newCode(scene, "小李")
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
}
