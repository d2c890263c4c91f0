import Foundation
import Glibc
import Testing

@Suite(.timeLimit(.minutes(2)))
struct ConvergenceTests {
    @Test func twoHomesAndTheServerHoldTheSameBytes() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            try await scene.enroll("b", as: "专家李")
            let id = try await scene.ok("a", "customer", "add", "王小明", "--field", "phone=13800000000")
            try await scene.ok("a", "tag", id, "+肤质/油皮", "+新客")
            try await scene.ok("a", "note", "add", id, "敏感肌 👩‍👩‍👧")
            try await scene.ok("a", "sync")
            try await scene.ok("b", "sync")
            let shown = try await scene.json("a", "customer", "show", id)
            #expect(shown["tags"].items.count == 2)
            #expect(try await scene.json("b", "customer", "show", id) == shown)

            try await scene.ok("b", "tag", id, "-新客")
            try await scene.ok("b", "sync")
            try await scene.ok("a", "sync")
            #expect(try await scene.json("a", "customer", "show", id)["tags"].items.map(\.["name"]) == ["油皮"])
            try await expectSameDumps(scene)
        }
    }

    @Test func concurrentEditsAreAConflictUntilSomebodySettlesIt() async throws {
        try await Scene.run { scene in
            let id = try await shared(scene)
            try await scene.ok("a", "customer", "set", id, "stage=老客", "source=直播")
            try await scene.ok("b", "customer", "set", id, "stage=老铁")
            try await syncAll(scene)

            let conflicts = try await scene.json("a", "conflicts")
            #expect(try await scene.json("b", "conflicts", "list") == conflicts)
            #expect(try await scene.json("b", "conflicts", "show", id) == conflicts)
            #expect(conflicts.items.count == 1)
            #expect(conflicts[0].keys == ["record", "kind", "field", "shown", "others"])
            #expect(conflicts[0]["record"].text == id)
            #expect(conflicts[0]["kind"] == "customer")
            #expect(conflicts[0]["field"] == "stage")
            #expect(conflicts[0]["shown"].keys == ["value", "by", "at"])
            #expect(conflicts[0]["shown"]["at"].isTime)
            #expect(conflicts[0]["others"].items.count == 1)
            let other = conflicts[0]["others"][0]
            #expect(other.keys == ["n", "value", "by", "at"])
            #expect(other["n"] == 1)
            #expect(try await scene.json("a", "status")["conflicts"] == 1)
            #expect(try await scene.json("a", "customer", "show", id)["conflicts"] == ["stage"])

            try await scene.fails("a", "conflicts", "settle", id, "--take", "7")
            #expect(try await scene.json("a", "conflicts", "settle", id, "--take", "1").keys.isEmpty)
            try await scene.fails("a", "conflicts", "settle", id, "--take", "1")
            try await syncAll(scene)
            for home in ["a", "b"] {
                #expect(try await scene.json(home, "conflicts").items.isEmpty)
                #expect(try await scene.json(home, "customer", "show", id)["fields"]["stage"] == other["value"])
                #expect(try await scene.json(home, "customer", "show", id)["fields"]["source"] == "直播")
            }
            try await expectSameDumps(scene)
        }
    }

    @Test func settlingSaysWhichFieldIfThereAreSeveralAndNothingIfTheyChanged() async throws {
        try await Scene.run { scene in
            let id = try await shared(scene)
            try await scene.ok("a", "customer", "set", id, "stage=1", "skin=1")
            try await scene.ok("b", "customer", "set", id, "stage=2", "skin=2")
            try await syncAll(scene)
            _ = try await scene.json("a", "conflicts")
            try await scene.fails("a", "conflicts", "settle", id, "--take", "1", status: 2)
            try await scene.ok("b", "customer", "set", id, "stage=3")
            try await scene.ok("b", "sync")
            try await scene.ok("a", "sync")
            try await scene.fails("a", "conflicts", "settle", id, "--field", "stage", "--take", "1")
            try await scene.ok("a", "conflicts", "settle", id, "--field", "skin", "--take", "0")
        }
    }

    @Test func tagsThatAreEqualWhenFoldedAreOneTag() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            try await scene.enroll("b", as: "小李")
            let one = try await scene.ok("a", "customer", "add", "一")
            let two = try await scene.ok("b", "customer", "add", "二")
            try await scene.ok("a", "tag", one, "+VIP客户")
            try await scene.ok("b", "tag", two, "+ｖｉｐ 客户")
            try await syncAll(scene)
            for home in ["a", "b"] {
                let tags = try await scene.json(home, "tags", "list")
                #expect(tags.items.count == 1)
                #expect(tags[0]["customers"] == 2)
                let listed = try await scene.json(home, "customer", "list", "tag:vip客户")
                #expect(Set(listed.items.map(\.["id"].text)) == [one, two])
            }
            // Removing it by one's own spelling removes it from the colleague's customer too.
            try await scene.ok("a", "tag", two, "-VIP客户")
            try await syncAll(scene)
            #expect(try await scene.json("b", "customer", "show", two)["tags"].items.isEmpty)
            try await expectSameDumps(scene)
        }
    }

    @Test func aDeletionDoesNotWinOverAnEditThatItHasNotSeen() async throws {
        try await Scene.run { scene in
            let id = try await shared(scene)
            try await scene.ok("a", "customer", "delete", id)
            try await scene.fails("a", "customer", "show", id)
            try await scene.ok("b", "note", "add", id, "还在")
            try await scene.ok("b", "customer", "set", id, "stage=老客")
            try await syncAll(scene)
            #expect(try await scene.json("a", "customer", "show", id)["fields"]["name"] == "王小明")
            try await expectSameDumps(scene)
        }
    }

    @Test func anImmediateSecondSyncMovesNothing() async throws {
        try await Scene.run { scene in
            let id = try await shared(scene)
            try await scene.ok("a", "tag", id, "+新客")
            let first = try await scene.json("a", "sync")
            #expect(first["pushed"].number ?? 0 > 0)
            let second = try await scene.json("a", "sync")
            #expect(second["pushed"] == 0)
            #expect(second["pulled"] == 0)
            #expect(second["refused"].items.isEmpty)
        }
    }

    @Test func aKilledServerKeepsWhatItAcknowledged() async throws {
        try await Scene.run { scene in
            let id = try await shared(scene)
            try await scene.ok("a", "note", "add", id, "断电之前")
            try await scene.ok("a", "sync")
            #expect(try await scene.stopServer(with: SIGKILL) != 0)
            try await scene.ok("a", "note", "add", id, "断电之后")
            try await scene.fails("a", "sync")
            #expect(try await scene.json("a", "status")["pending"].number ?? 0 > 0)
            try await scene.startServer()
            try await syncAll(scene)
            #expect(
                try await scene.json("b", "note", "list", id).items.map(\.["body"]) == ["断电之前", "断电之后"])
            try await expectSameDumps(scene)
            #expect(try await scene.stopServer() == 0)
        }
    }

    @Test func watchingSyncsByItselfAndEndsOnASignal() async throws {
        try await Scene.run { scene in
            let id = try await shared(scene)
            let watch = try scene.begin("b", ["sync", "--watch", "--json"])
            try await scene.ok("a", "customer", "set", id, "stage=老客")
            try await scene.ok("a", "sync")
            var stage: JSON = .null
            for _ in 0..<200 where stage == .null {
                try await Task.sleep(for: .milliseconds(100))
                stage = try await scene.json("b", "customer", "show", id)["fields"]["stage"]
            }
            #expect(stage == "老客")
            try await watch.interrupt()
            #expect(try await watch.end().status == 0)
        }
    }

    // MARK: -

    /// Two homes that hold one customer.
    private func shared(_ scene: Scene) async throws -> String {
        try await scene.enroll("a", as: "小王")
        try await scene.enroll("b", as: "小李")
        let id = try await scene.ok("a", "customer", "add", "王小明")
        try await syncAll(scene)
        return id
    }

    private func syncAll(_ scene: Scene) async throws {
        for home in ["a", "b", "a"] { try await scene.ok(home, "sync") }
    }

    private func expectSameDumps(_ scene: Scene) async throws {
        let a = try await scene.shoal("a", "dump").output
        #expect(!a.isEmpty)
        #expect(try await scene.shoal("b", "dump").output == a)
        let account = try #require(await scene.json("a", "status")["account"].text)
        #expect(try await scene.shoald("dump", "--account", account).output == a)
    }
}
