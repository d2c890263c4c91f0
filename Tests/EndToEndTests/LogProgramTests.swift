import Foundation
import Testing

/// Who changed what, with the real programs.
@Suite(.timeLimit(.minutes(3)))
struct LogProgramTests {
    @Test func theLogTellsWhoChangedWhatWithAndWithoutTheServer() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小美")
            let id = try #require(
                try await scene.json("a", "customer", "add", "张三", "--field", "stage=新客")["id"].text)
            try await scene.ok("a", "sync")
            try await scene.ok("a", "customer", "set", id, "stage=老客")
            try await scene.ok("a", "tag", id, "+肤质/油皮")
            try await scene.ok("a", "sync")
            try await scene.ok("a", "customer", "set", id, "phone=13800000000\u{1b}[31m")

            let whole = try await scene.json("a", "log", id)
            let entries = whole["entries"].items
            #expect(whole["whole"] == .bool(true))
            #expect(entries.first?["sent"] == .bool(false) && entries.first?["changes"][0]["field"] == "phone")
            #expect(entries.allSatisfy { $0["by"] == "小美" && $0["at"].isTime && $0["record"] == .string(id) })
            let changes = entries.flatMap(\.["changes"].items)
            #expect(
                changes.contains { $0["field"] == "stage" && $0["from"] == ["新客"] && $0["to"] == "老客" }, "\(changes)")
            #expect(changes.contains { $0["field"] == "tag" && $0["element"] == "肤质/油皮" }, "\(changes)")
            #expect(changes.contains { $0["field"] == "made" && $0["to"] == "customer" })
            let shown = try await scene.ok("a", "log", id)
            #expect(shown.contains("stage: 新客 → 老客") && shown.contains("not sent yet"), "\(shown)")
            #expect(!shown.unicodeScalars.contains("\u{1b}"))

            #expect(try await scene.shoald("audit", "--record", id).text.contains("stage: 新客 → 老客"))
            let all = try JSON(try await scene.shoald("audit", "--json").output).items
            #expect(all.first?["action"] == "fill" || all.contains { $0["action"] == "fill" })
            #expect(all.contains { $0["action"] == "account-add" } && all.contains { $0["action"] == "enroll" })
            #expect(try await scene.shoald("dump").status == 0)
            #expect(try await scene.shoald("audit", "--limit", "1").text.contains("  dump"))
            #expect(try await scene.shoald("audit", "--since", "yesterday").status == 2)
            #expect(try await scene.shoald("check").text.contains("the audit ends with "))

            try await scene.stopServer()
            let offline = try await scene.json("a", "log", id)
            #expect(offline["whole"] == .bool(false))
            #expect(offline["entries"].items.flatMap(\.["changes"].items).contains { $0["to"] == "老客" })
            #expect(try await scene.json("a", "log", id, "--offline") == offline)
            #expect(try await scene.shoald("audit", "--account", "小美").text.contains("小美"))
        }
    }

    @Test func whoBecomesASupervisorIsNotedWhenTheyFetchEverything() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小美")
            try await scene.enroll("b", as: "小李", role: "sales")
            try await scene.ok("a", "customer", "add", "张三")
            try await scene.ok("a", "sync")
            try await scene.ok("b", "sync")
            #expect(try await scene.shoald("account", "role", "小李", "--role", "supervisor").status == 0)
            try await scene.ok("b", "sync")
            #expect(try await scene.json("b", "customer", "list").items.count == 1)
            let entries = try JSON(try await scene.shoald("audit", "--json").output).items
            #expect(entries.contains { $0["action"] == "fill" && $0["by"] == "小李" }, "\(entries)")
        }
    }

    @Test func whatIsExportedWithoutANetworkIsInTheAuditOnceThereIsOne() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小美")
            let id = try #require(try await scene.json("a", "customer", "add", "张三")["id"].text)
            try await scene.ok("a", "sync")
            try await scene.stopServer()
            try await scene.ok("a", "export", scene.home("out.csv"))
            try await scene.ok("a", "export", "--person", id, scene.home("张三.json"))
            // What could not be written is not said to be there.
            _ = try await scene.fails("a", "export", scene.home("out.csv"))
            #expect(try await scene.json("a", "status")["pending"] == 2)
            try await scene.startServer()
            try await scene.ok("a", "sync")
            let entries = try JSON(try await scene.shoald("audit", "--json").output).items
            let exports = entries.filter { $0["changes"].items.contains { $0["to"] == "export" } }
            #expect(exports.count == 2 && exports.allSatisfy { $0["by"] == "小美" && $0["device"] != .null })
            let changes = exports.flatMap(\.["changes"].items)
            for (field, value) in [("form", "csv"), ("form", "person"), ("customers", "1"), ("person", id)] {
                #expect(changes.contains { $0["field"] == .string(field) && $0["to"] == .string(value) }, "\(changes)")
            }
        }
    }
}
