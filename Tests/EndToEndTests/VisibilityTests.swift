import Foundation
import Testing

/// Each account has its own customers, with the real programs.
@Suite(.timeLimit(.minutes(2)))
struct VisibilityTests {
    @Test func customersMoveBetweenHomesWithTheirFollowers() async throws {
        try await Scene.run { scene in
            try await scene.enroll("chief", as: "主管")
            try await scene.enroll("wang", as: "小王", role: "sales")
            try await scene.enroll("li", as: "小李", role: "expert")
            let id = try await scene.ok("wang", "customer", "add", "王小明", "--field", "phone=13800000000")
            try await scene.ok("wang", "note", "add", id, "换季泛红")
            try await syncAll(scene)
            #expect(try await names("wang", scene) == ["王小明"])
            #expect(try await names("chief", scene) == ["王小明"])
            #expect(try await names("li", scene).isEmpty)
            try await scene.fails("li", "customer", "show", id)
            try await scene.fails("li", "note", "add", id, "guessed")
            try await scene.fails("li", "follow", id, "--account", "小李")
            try await expectViews(scene)

            try await scene.ok("wang", "follow", id, "--account", "小李")
            try await syncAll(scene)
            let shown = try await scene.json("li", "customer", "show", id)
            #expect(shown["notes"].items.count == 1 && shown["followers"].items.count == 2)
            #expect(try await scene.fails("li", "unfollow", id, "--account", "小王").contains("小王"))

            // Written offline, before hearing that the customer is gone: delivered.
            try await scene.ok("li", "note", "add", id, "离线写的")
            try await scene.ok("chief", "unfollow", id, "--account", "小李")
            try await scene.ok("chief", "sync")
            try await syncAll(scene)
            #expect(try await names("li", scene).isEmpty)
            #expect(try await scene.json("li", "search", "离线").items.isEmpty)
            #expect(try await scene.json("wang", "customer", "show", id)["notes"].items.count == 2)
            try await expectViews(scene)
        }
    }

    @Test func allCustomersOfAnAccountAreHandedOver() async throws {
        try await Scene.run { scene in
            try await scene.enroll("wang", as: "小王", role: "sales")
            try await scene.enroll("li", as: "小李", role: "sales")
            try await scene.enroll("chief", as: "主管")
            for name in ["甲客户", "乙客户", "丙客户"] { try await scene.ok("wang", "customer", "add", name) }
            try await syncAll(scene)
            let dry = try await scene.shoald("account", "handover", "小王", "小李", "--dry-run", "--json")
            #expect(try JSON(dry.output)["customers"] == 3)
            try await syncAll(scene)
            #expect(try await names("wang", scene).count == 3)
            let done = try await scene.shoald("account", "handover", "小王", "小李")
            #expect(done.status == 0 && done.text.hasPrefix("3 customers are handed over"))
            try await syncAll(scene)
            #expect(try await names("wang", scene).isEmpty)
            #expect(try await names("li", scene).count == 3)
            try await expectViews(scene)
            for words in [["小王", "小王"], ["小王", "谁"], ["谁", "小王"]] {
                let outcome = try await scene.shoald("account", "handover", words[0], words[1])
                #expect(outcome.status == 1 && outcome.output.isEmpty && outcome.sentences.count == 1)
            }
            // Nobody but supervisors would see them.
            #expect(try await scene.shoald("account", "disable", "小王").status == 0)
            let back = try await scene.shoald("account", "handover", "小李", "小王")
            #expect(back.status == 1 && back.errors.contains("disabled"), "\(back.errors)")
        }
    }

    /// She is disabled and her customers are given away before her device has brought what it wrote.
    @Test func whatALeaversDeviceBringsAfterTheHandOverIsToldAndTaken() async throws {
        try await Scene.run { scene in
            try await scene.enroll("wang", as: "小王", role: "sales")
            try await scene.enroll("li", as: "小李", role: "sales")
            try await scene.enroll("chief", as: "主管")
            try await scene.enroll("chen", as: "小陈", role: "sales")
            let id = try await scene.ok("wang", "customer", "add", "甲客户")
            try await syncAll(scene)
            try await scene.ok("wang", "follow", id, "--account", "小陈")
            try await scene.ok("wang", "customer", "add", "乙客户")
            #expect(try await scene.shoald("account", "handover", "小王", "小李").text.hasPrefix("1 customer is"))
            #expect(try await scene.shoald("account", "disable", "小王").status == 0)
            #expect(try await scene.shoald("account", "list").text.contains("nobody else follows") == false)

            let sentence = try await scene.fails("wang", "sync")
            #expect(
                sentence.contains("its data was removed, with 1 change that it had refused"), "\(sentence)")
            try await scene.ok("li", "sync")
            #expect(try await names("li", scene) == ["甲客户"])
            let told = try await scene.json("li", "log", id)["entries"].items.filter {
                $0["action"] == "handover-refuse"
            }
            #expect(told.count == 1 && told.first?["by"] == "小王", "\(told)")
            let shown = try await scene.ok("li", "log", id)
            #expect(shown.contains("小陈") && shown.contains("forbidden"), "\(shown)")
            let listed = try await scene.shoald("account", "list")
            #expect(
                listed.text.contains("1 customer that nobody else follows: shoald account handover 小王 NAME"),
                "\(listed.text)")
            let again = try await scene.shoald("account", "handover", "小王", "小李")
            #expect(again.text.hasPrefix("1 customer is handed over"), "\(again.text)")
            try await scene.ok("li", "sync")
            #expect(try await names("li", scene) == ["乙客户", "甲客户"])
            #expect(try await scene.shoald("account", "list").text.contains("nobody else follows") == false)
        }
    }

    @Test func aRoleDecidesWhoSeesEverything() async throws {
        try await Scene.run { scene in
            try await scene.enroll("wang", as: "小王", role: "sales")
            try await scene.enroll("li", as: "小李", role: "sales")
            try await scene.enroll("chief", as: "主管")
            try await scene.ok("wang", "customer", "add", "甲客户")
            try await scene.ok("li", "customer", "add", "乙客户")
            try await syncAll(scene)
            #expect(try await scene.shoald("account", "role", "小李", "--role", "supervisor").status == 0)
            try await syncAll(scene)
            #expect(try await names("li", scene) == ["乙客户", "甲客户"])
            #expect(try await scene.shoald("account", "role", "小李", "--role", "sales").status == 0)
            try await syncAll(scene)
            #expect(try await names("li", scene) == ["乙客户"])
            try await expectViews(scene)
        }
    }

    // MARK: Helpers

    private func syncAll(_ scene: Scene) async throws {
        for _ in 0..<2 {
            for home in ["wang", "li", "chief"] { try await scene.ok(home, "sync") }
        }
    }

    private func names(_ home: String, _ scene: Scene) async throws -> [String] {
        try await scene.json(home, "customer", "list").items.compactMap(\.["name"].text).sorted()
    }

    private func expectViews(_ scene: Scene) async throws {
        for (home, account) in [("wang", "小王"), ("li", "小李"), ("chief", "主管")] {
            let theirs = try await scene.shoald("dump", "--account", account)
            #expect(try await scene.shoal(home, "dump").output == theirs.output, "\(account)")
        }
    }
}
