import Foundation
import Testing

/// Accounts, devices and settings, with the real programs.
@Suite(.timeLimit(.minutes(3)))
struct AccountProgramTests {
    private static let canary = "柠檬糖-canary"

    /// The files of a home, and of its server, in which the text stands.
    private func holding(_ text: String, _ home: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: home).filter { name in
            try Data(contentsOf: URL(fileURLWithPath: "\(home)/\(name)")).range(of: Data(text.utf8)) != nil
        }
    }

    @Test func aDisabledAccountHandsOverIsEmptiedAndCanBeginAnew() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小美")
            try await scene.ok("a", "customer", "add", Self.canary)
            try await scene.ok("a", "sync")
            try await scene.ok("a", "customer", "add", "unsent \(Self.canary)")
            #expect(try !holding(Self.canary, scene.home("a")).isEmpty)

            #expect(try await scene.shoald("account", "disable", "小美").status == 0)
            let sentence = try await scene.fails("a", "sync")
            #expect(sentence.contains("小美 was disabled") && sentence.contains("removed"), "\(sentence)")
            #expect(try await scene.shoald("dump").text.contains("unsent \(Self.canary)"))
            #expect(try holding(Self.canary, scene.home("a")).isEmpty)
            for words in [
                ["status"], ["sync"], ["customer", "list"], ["customer", "add", "x"], ["dump"], ["devices"], ["doctor"],
                ["search", "x", "--json"],
            ] {
                let outcome = try await scene.shoal("a", words)
                #expect(outcome.status == 1 && outcome.output.isEmpty, "\(words)")
                #expect(outcome.errors.contains("was disabled on \(scene.url)"), "\(words): \(outcome.errors)")
            }
            #expect(try await scene.shoald("account", "code", "小美").status == 1)

            #expect(try await scene.shoald("account", "enable", "小美").status == 0)
            let code = try await scene.shoald("account", "code", "小美").text
            try await scene.ok("a", "enroll", scene.url, code.trimmingCharacters(in: .whitespacesAndNewlines))
            #expect(try await scene.ok("a", "customer", "list").contains("unsent \(Self.canary)"))
            let devices = try await scene.shoald("device", "list", "小美").text
            #expect(devices.contains("handed-over") && devices.contains("active"), "\(devices)")
        }
    }

    @Test func withoutAServerALockedHomeKeepsItsWorkUntilItIsHandedOver() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小美")
            try await scene.ok("a", "customer", "add", "unsent \(Self.canary)")
            let replica = try await scene.json("a", "status")["replica"].text ?? ""
            #expect(try await scene.shoald("device", "revoke", replica).status == 0)
            try await scene.stopServer()
            #expect(try await scene.fails("a", "sync").contains("reached"))
            // Nobody has told it yet.
            #expect(try await scene.ok("a", "customer", "list").contains(Self.canary))
            try await scene.startServer()
            #expect(try await scene.fails("a", "sync").contains("was revoked"))
            #expect(try await scene.shoald("dump").text.contains("unsent \(Self.canary)"))
            #expect(try holding(Self.canary, scene.home("a")).isEmpty)
        }
    }

    @Test func aBackupDoesNotLetARevokedDeviceInAgain() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小美")
            let code = try await scene.shoald("account", "code", "小美").text
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let backup = scene.home("monday.db")
            #expect(try await scene.shoald("backup", backup).status == 0)
            try await scene.ok("a", "customer", "add", "张三")
            let replica = try await scene.json("a", "status")["replica"].text ?? ""
            #expect(try await scene.shoald("device", "revoke", replica).status == 0)
            try await scene.ok("b", "enroll", scene.url, code)
            try await scene.stopServer()
            for suffix in ["", "-wal", "-shm"] { unlink(scene.home("server") + "/shoald.db" + suffix) }
            #expect(try await scene.shoald("restore", backup).status == 0)
            try await scene.startServer()
            #expect(try await scene.fails("a", "sync").contains("was revoked"))
            // What it had not sent is here all the same.
            #expect(try await scene.shoald("dump").text.contains("张三"))
            try await scene.fails("c", "enroll", scene.url, code)
            #expect(try await scene.shoald("check").status == 0)
        }
    }

    @Test func devicesAreListedNamedAndRevoked() async throws {
        try await Scene.run { scene in
            let code = try await scene.code("小美")
            try await scene.ok("a", "enroll", scene.url, code, "--device", "laptop")
            let other = try await scene.shoald("account", "code", "小美").text
            try await scene.ok("b", "enroll", scene.url, other.trimmingCharacters(in: .whitespacesAndNewlines))
            let listed = try await scene.ok("a", "devices")
            #expect(listed.contains("laptop") && listed.contains("(this one)"), "\(listed)")
            let replica = try await scene.json("b", "status")["replica"].text ?? ""
            #expect(try await scene.shoald("device", "name", replica, "tablet").status == 0)
            #expect(try await scene.ok("a", "devices").contains("tablet"))
            try await scene.ok("b", "customer", "add", "stolen \(Self.canary)")
            #expect(try await scene.shoald("device", "revoke", replica, "--discard").status == 0)
            #expect(try await scene.fails("b", "sync").contains("was revoked"))
            #expect(try await !scene.shoald("dump").text.contains(Self.canary))
            #expect(try holding(Self.canary, scene.home("b")).isEmpty)
            #expect(try await scene.ok("a", "devices").contains("discarded"))
            try await scene.ok("a", "sync")
            #expect(try await scene.shoald("device", "revoke", "12345678").errors.contains("no device"))
        }
    }

    @Test func everyCopyOfARevokedHomeHandsOverAndWhatIsRefusedIsKept() async throws {
        try await Scene.run { scene in
            try await scene.enroll("c", as: "主管")
            try await scene.enroll("a", as: "小王", role: "sales")
            let id = String(try await scene.ok("a", "customer", "add", "王小明").suffix(13))
            try await scene.ok("a", "tags", "add", "老客")
            try await scene.ok("a", "sync")
            let homes = ["a", "b", "d"]
            for copy in homes.dropFirst() {
                try FileManager.default.copyItem(atPath: scene.home("a"), toPath: scene.home(copy))
            }
            for home in homes { try await scene.ok(home, "note", "add", id, "在 \(home) 写的") }
            try await scene.ok("b", "note", "add", id, "在 b 又写的")
            try await scene.ok("d", "tags", "rename", "老客", "复购")
            #expect(try await scene.shoald("setting", "tag-editors", "supervisors").status == 0)
            #expect(try await scene.shoald("account", "disable", "小王").status == 0)
            for home in homes {
                let sentence = try await scene.fails(home, "sync")
                #expect(sentence.contains("was disabled") && sentence.contains("its data was removed"), "\(sentence)")
                #expect(sentence.contains("1 change that it had refused") == (home == "d"), "\(sentence)")
                #expect(!sentence.contains("no longer takes"), "\(sentence)")
            }
            try await scene.ok("c", "sync")
            let notes = try await scene.json("c", "note", "list", id).items.map { $0["body"].text }
            #expect(Set(notes) == ["在 a 写的", "在 b 写的", "在 d 写的", "在 b 又写的"])
            #expect(notes.count == 4)
            let audit = try await scene.shoald("audit").text
            #expect(
                audit.contains("handover-refuse") && audit.contains("复购") && audit.contains("forbidden"), "\(audit)")
            #expect(try await scene.json("c", "tags", "list").items.map(\.["name"]).isEmpty == false)
            #expect(try await scene.ok("c", "dump").contains("复购") == false)
            #expect(try await scene.shoald("check").status == 0)
        }
    }

    @Test func aNameSaysNothingThatTheProgramSays() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小美", role: "sales")
            let code = try await scene.shoald("account", "add", "b  supervisor", "--role", "sales").text
            let outcome = try await scene.shoal(
                "b",
                [
                    "enroll", scene.url, code.trimmingCharacters(in: .whitespacesAndNewlines), "--device",
                    "x) disabled since 2026 (1 device; \"y",
                ])
            #expect(outcome.status == 0, "\(outcome.errors)")
            let list = try await scene.shoald("account", "list").text
            #expect(list.contains("sales  \"b  supervisor\"  (1 device;"), "\(list)")
            #expect(list.contains(#""x) disabled since 2026 (1 device; \"y")"#), "\(list)")
            #expect(list.contains("sales  小美  (1 device;"))
        }
    }

    @Test func rolesCodesAndSettingsAreTheAdministrators() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小美", role: "sales")
            try await scene.ok("a", "tags", "add", "肤质/油皮")
            #expect(try await scene.shoald("setting", "tag-editors", "supervisors").status == 0)
            #expect(try await scene.shoald("setting").text.hasPrefix("tag-editors supervisors"))
            #expect(try await scene.shoald("setting", "tag-editors", "nobody").status == 1)
            try await scene.ok("a", "sync")
            #expect(try await scene.fails("a", "tags", "add", "肤质/干皮", "--single").contains("only supervisors"))
            #expect(try await scene.shoald("account", "role", "小美", "--role", "supervisor").status == 0)
            try await scene.ok("a", "sync")
            #expect(try await scene.json("a", "status")["role"] == "supervisor")
            try await scene.ok("a", "tags", "add", "肤质/干皮", "--single")

            let code = try await scene.shoald("account", "code", "小美").text
            #expect(try await scene.shoald("account", "list").text.contains("a code that can be used until"))
            #expect(try await scene.shoald("account", "code", "小美", "--cancel").text.hasPrefix("1 code"))
            let refused = try await scene.fails(
                "b", "enroll", scene.url, code.trimmingCharacters(in: .whitespacesAndNewlines))
            #expect(refused.contains("code"))
            // The same without a server.
            try await scene.stopServer()
            #expect(try await scene.shoald("account", "disable", "小美").status == 0)
            #expect(try await scene.shoald("account", "list").text.contains("disabled since"))
        }
    }
}
