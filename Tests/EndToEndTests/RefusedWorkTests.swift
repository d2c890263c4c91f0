import Testing

/// What the server refused, through the real programs.
@Suite struct RefusedWorkTests {
    /// Two who both make a record large: what comes second fits no page any more.
    @Test func refusedWorkIsListedAndWrittenAgainOrDismissed() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            try await scene.enroll("b", as: "小李", role: "supervisor")
            let id = try await scene.ok("a", "customer", "add", "王小明", "--field", "stage=before")
            try await scene.ok("a", "sync")
            try await scene.ok("b", "sync")
            let long = String(repeating: "x", count: 60_000)
            for home in ["a", "b"] {
                for part in 0..<3 {
                    let fields = (0..<8).map { "x-\(home)\(part)\($0)=\(long)" }
                    #expect(try await scene.shoal(home, ["customer", "set", id] + fields).status == 0)
                }
            }
            try await scene.ok("b", "customer", "set", id, "stage=after")
            try await scene.ok("a", "sync")
            let sync = try await scene.shoal("b", "sync")
            #expect(sync.status == 1 && sync.errors.contains("shoal conflicts"))

            let conflicts = try await scene.json("b", "conflicts")
            let refused = conflicts.items.filter { $0["refused"] == "too-large" }
            #expect(refused.count >= 8 && refused.count == conflicts.items.count)
            let one = try #require(refused.first)
            #expect(one.keys == ["record", "kind", "field", "shown", "others", "refused"])
            #expect(one["record"].text == id && one["kind"] == "customer")
            #expect(one["shown"]["value"] == "" && one["others"][0]["value"].text == long)
            #expect(one["others"][0]["by"] == "小李" && one["others"][0]["at"].isTime)
            #expect(try await scene.json("b", "status")["conflicts"].number == refused.count)
            #expect(try await scene.ok("b", "status").contains("refused by the server: see shoal conflicts"))
            #expect(try await scene.ok("b", "conflicts", "show", id).contains("refused: too-large"))

            try await scene.fails("b", "conflicts", "settle", id, "--take", "0", status: 2)
            for entry in refused.dropFirst() {
                let field = try #require(entry["field"].text)
                try await scene.ok("b", "conflicts", "settle", id, "--field", field, "--take", "0")
            }
            #expect(try await scene.json("b", "conflicts").items.count == 1)
            // The room is there by now, and the value is written as any other.
            let first = try #require(one["field"].text)
            for part in 0..<3 {
                let cleared = (0..<8).map { "x-a\(part)\($0)=" }
                #expect(try await scene.shoal("a", ["customer", "set", id] + cleared).status == 0)
            }
            try await scene.ok("a", "sync")
            try await scene.ok("b", "sync")
            #expect(try await scene.json("b", "conflicts").items.count == 1)
            try await scene.ok("b", "conflicts", "settle", id, "--field", first, "--take", "1")
            #expect(try await scene.json("b", "conflicts").items.isEmpty)
            #expect(try await scene.json("b", "status")["pending"] == 1)
            try await scene.ok("b", "sync")
            #expect(try await scene.json("b", "customer", "show", id)["fields"][first].text == long)
        }
    }
}
