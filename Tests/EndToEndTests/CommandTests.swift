import Foundation
import Testing

@Suite(.timeLimit(.minutes(2)))
struct CommandTests {
    /// Nothing is cut that a program reads, and one long name does not fill up all other lines.
    @Test func aLongNameWidensItsOwnLineOnly() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let long = String(repeating: "长", count: 300)
            let wide = String(repeating: "w", count: 38)
            for name in ["short", long, wide] { try await scene.ok("a", "customer", "add", name) }
            let lines = try await scene.ok("a", "customer", "list").split(separator: "\n").map(String.init)
            try #require(lines.count == 4)
            #expect(lines.contains { $0.contains(long + "  2") })
            // The identifier, the name in 40 columns, the day, and what is between them.
            #expect(lines.filter { !$0.contains(long) }.allSatisfy { $0.count <= 13 + 2 + 40 + 2 + 10 }, "\(lines)")
            let places = lines.filter { !$0.contains(long) }.map {
                $0.split(separator: " ").last?.startIndex.utf16Offset(in: $0)
            }
            #expect(Set(places) == [13 + 2 + 40 + 2], "\(lines)")
        }
    }

    @Test func documentsHaveExactlyTheKeysOfTheContract() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let made = try await scene.json("a", "customer", "add", "王小明", "--field", "x-city=杭州")
            #expect(made.keys == ["id"])
            #expect(made["id"].isID)
            let id = try #require(made["id"].text)
            #expect(try await scene.json("a", "tag", id, "+肤质/油皮").keys.isEmpty)
            #expect(try await scene.json("a", "note", "add", id, "第一次来").keys == ["id"])
            #expect(try await scene.json("a", "tags", "add", "老客").keys == ["id"])
            #expect(try await scene.json("a", "customer", "set", id, "stage=老客", "description=好").keys.isEmpty)

            let customer = try await scene.json("a", "customer", "show", id)
            #expect(customer.keys == ["id", "fields", "tags", "notes", "followers", "conflicts"])
            #expect(customer["fields"].keys == ["name", "x-city", "stage", "description"])
            #expect(customer["tags"][0].keys == ["id", "group", "name", "by", "at"])
            #expect(customer["tags"][0]["at"].isTime)
            #expect(customer["tags"][0]["by"] == "小王")
            #expect(customer["notes"][0].keys == ["id", "body", "by", "at"])
            #expect(customer["followers"] == ["小王"])
            #expect(customer["conflicts"] == [])

            let status = try await scene.json("a", "status")
            #expect(
                status.keys == ["account", "role", "replica", "server", "pending", "cursor", "lastSync", "conflicts"])
            let sync = try await scene.json("a", "sync")
            #expect(sync.keys == ["pushed", "pulled", "refused", "bytesUp", "bytesDown", "milliseconds"])
            let hits = try await scene.json("a", "search", "第一次")
            #expect(hits.items.count == 1)
            #expect(hits[0].keys == ["kind", "id", "customer", "text"])
            let list = try await scene.json("a", "customer", "list")
            #expect(list[0].keys.isSuperset(of: ["id", "name"]))
            #expect(try await scene.json("a", "conflicts").items.isEmpty)
            #expect(try await scene.json("a", "customer", "set", id, "stage=").keys.isEmpty)
            #expect(try await scene.json("a", "customer", "show", id)["fields"]["stage"] == .null)
            #expect(
                try await scene.json("a", "dump").items.count
                    == (try await scene.ok("a", "dump")).split(separator: "\n").count)
        }
    }

    @Test func notesComeFromStandardInputAsTheyAre() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let id = try await scene.ok("a", "customer", "add", "王小明")
            let texts = ["中文", "👩‍👩‍👧 e\u{301} ﷽", "-dash", "two\nlines\n", "tab\there", "a\r\nb", "\n", ""]
            for text in texts {
                let outcome = try await scene.shoal("a", ["note", "add", id, "-"], input: Data("\(text)\n".utf8))
                #expect(outcome.status == 0, "\(outcome.errors)")
            }
            try await scene.ok("a", "note", "add", id, "--", "-20% 优惠")
            let bodies = try await scene.json("a", "note", "list", id).items.map(\.["body"].text)
            #expect(bodies == texts + ["-20% 优惠"])
            try await scene.fails("a", "note", "add", id, "-20%", status: 2)
            // GBK, as a file from elsewhere may be.
            let gbk = try await scene.shoal("a", ["note", "add", id, "-"], input: Data([0xC4, 0xE3, 0x0A]))
            #expect(gbk.status == 1 && gbk.output.isEmpty && gbk.sentences.count == 1)
        }
    }

    @Test func aNoteIsEditedInTheEditor() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let id = try await scene.ok("a", "customer", "add", "王小明")
            let note = try await scene.ok("a", "note", "add", id, "原文")
            func edit(_ editor: String) async throws -> Child.Outcome {
                try await scene.shoal("a", ["note", "edit", note], variables: ["EDITOR": editor])
            }
            #expect(try await edit("sed -i s/原/新/").status == 0)
            #expect(try await scene.json("a", "note", "show", note)["body"] == "新文")
            #expect(try await edit("false").status == 1)
            #expect(try await edit("true").status == 0)
            #expect(try await scene.json("a", "note", "show", note)["body"] == "新文")
            try await scene.fails("a", "note", "edit", note)
            try await scene.ok("a", "note", "delete", note)
            try await scene.fails("a", "note", "show", note)
        }
    }

    @Test func failuresPrintOneSentenceAndNothingElse() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let id = try await scene.ok("a", "customer", "add", "王小明")
            #expect(try await scene.fails("a", "custmer", status: 2).contains("shoal customer"))
            #expect(try await scene.fails("a", "customer", "lst", status: 2).contains("list"))
            #expect(try await scene.fails("a", "customer", "set", id, "stge=1", status: 2).contains("stage"))
            try await scene.fails("a", "customer", status: 2)
            try await scene.fails("a", "customer", "add", status: 2)
            try await scene.fails("a", "customer", "set", id, "stage", status: 2)
            try await scene.fails("a", "status", "--nonsense", status: 2)
            try await scene.fails("a", "tag", id, status: 2)
            try await scene.fails("a", "tag", id, "--word", status: 2)
            try await scene.fails("a", "tag", id, "-没有")
            try await scene.fails("a", "customer", "show", "ZZZZZZZZ")
            try await scene.fails("a", "customer", "show", "0C")
            try await scene.fails("a", "follow", id, "--account", "没有")
            try await scene.fails("a", "conflicts", "settle", id, "--take", "0")
            try await scene.fails("a", "sync", "--watch", "--take", status: 2)
            try await scene.fails("a", "debug", "delta", scene.home("nothing"))
            for absent in ["link", "split", "duplicates", "import", "undo"] {
                try await scene.fails("a", absent, status: 2)
            }
            try await scene.stopServer()
            try await scene.fails("a", "sync")
            try await scene.fails("a", "sync", "--json")
        }
    }

    @Test func globalOptionsStandBeforeOrAfterTheCommand() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let home = scene.home("a")
            for words in [
                ["--home", home, "--json", "status"], ["status", "--json", "--home", home],
                ["--json", "status", "--home=\(home)"],
            ] {
                let outcome = try await scene.shoal("elsewhere", words)
                #expect(outcome.status == 0, "\(outcome.errors)")
                #expect(try JSON(outcome.output)["account"] == "小王")
            }
            // What follows a bare -- is never an option.
            let id = try await scene.ok("a", "customer", "add", "--", "--json")
            #expect(try await scene.json("a", "customer", "show", id)["fields"]["name"] == "--json")
        }
    }

    @Test func anyPartOfAnIdFromEitherEndWillDo() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let id = try await scene.ok("a", "customer", "add", "王小明")
            for part in [id, String(id.suffix(8)), id.lowercased()] {
                #expect(try await scene.json("a", "customer", "show", part)["id"].text == id)
            }
            let note = try await scene.ok("a", "note", "add", id, "x")
            #expect(try await scene.fails("a", "customer", "show", note).contains("note"))
        }
    }

    @Test func tagsAreAllOrNothing() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let one = try await scene.ok("a", "customer", "add", "一")
            let two = try await scene.ok("a", "customer", "add", "二")
            let made = try await scene.shoal("a", "tag", one, two, "+油皮")
            #expect(made.status == 0 && made.errors.contains("油皮"))
            try await scene.fails("a", "tag", one, two, "+新客", "-没有")
            #expect(try await scene.json("a", "tags", "list").items.count == 1)
            let near = try await scene.shoal("a", "tag", one, "+油皮肤")
            #expect(near.status == 0 && near.errors.contains("\"油皮\""))
            try await scene.ok("a", "tag", one, "-油皮", "+油皮肤")
            try await scene.ok("a", "tag", one, "-油皮")
            try await scene.ok("a", "tag", two, "--", "+--odd", "-油皮")
            #expect(try await scene.json("a", "customer", "show", two)["tags"].items.map(\.["name"]) == ["--odd"])
            try await scene.ok("a", "tags", "add", "甲/同名")
            try await scene.ok("a", "tags", "add", "乙/同名")
            try await scene.fails("a", "tag", one, "+同名")
            #expect(try await scene.json("a", "customer", "list", "-tag:油皮").items.count == 2)
        }
    }

    @Test func manyCommandsAtOnceAllSucceed() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let id = try await scene.ok("a", "customer", "add", "王小明")
            let children = try (0..<8).map { try scene.begin("a", ["note", "add", id, "第 \($0) 条"]) }
            let syncs = try (0..<2).map { _ in try scene.begin("a", ["sync"]) }
            for child in children + syncs {
                let outcome = try await child.end()
                #expect(outcome.status == 0, "\(outcome.errors)")
            }
            #expect(try await scene.json("a", "note", "list", id).items.count == 8)
        }
    }

    @Test func textOfCustomersCannotActOnATerminal() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let name = "evil\u{1B}[31m\u{7F}\u{85}\u{202E}\u{2066}\u{E0041}\r\n王"
            let id = try await scene.ok("a", "customer", "add", name)
            try await scene.ok("a", "note", "add", id, name)
            for words in [["customer", "show", id], ["customer", "list"], ["search", "evil"], ["note", "list", id]] {
                let text = try await scene.shoal("a", words).text
                #expect(text.contains("evil") && text.contains("王"))
                for scalar in text.unicodeScalars where scalar != "\n" {
                    #expect(scalar.properties.generalCategory != .control, "\(words)")
                    #expect(!["\u{202E}", "\u{2066}", "\u{E0041}"].contains(scalar), "\(words)")
                }
            }
            let shown = try await scene.shoal("a", "customer", "show", id, "--json")
            #expect(!shown.text.unicodeScalars.contains("\u{202E}"))
            #expect(try JSON(shown.output)["fields"]["name"].text == name)
        }
    }

    @Test func theTagBookIsPutInOrder() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            try await scene.enroll("b", as: "小李", role: "sales")
            let id = String(try await scene.ok("a", "customer", "add", "王小明").suffix(13))
            try await scene.ok("a", "tag", id, "+油性", "+老客")
            try await scene.ok("a", "tags", "add", "肤质/油皮")
            try await scene.ok("a", "tags", "merge", "油性", "肤质/油皮")
            try await scene.ok("a", "tags", "rename", "老客", "复购")
            for home in ["a", "b"] { try await scene.ok(home, "sync") }
            let tags = try await scene.json("b", "tags", "list").items
            #expect(tags.map(\.["name"]) == ["复购", "油皮"])
            #expect(tags[1]["merged"] == ["油性"])
            #expect(try await scene.ok("b", "tags", "list").contains("also 油性"))
            try await scene.ok("b", "tags", "delete", "复购")
            #expect(try await scene.fails("b", "tags", "merge", "没有", "复购").contains("没有"))
            #expect(try await scene.fails("b", "tags", "split", "复购").contains("was not merged"))
            for home in ["b", "a"] { try await scene.ok(home, "sync") }
            #expect(try await scene.ok("a", "tags", "list").contains("archived"))
            let other = String(try await scene.ok("a", "customer", "add", "李四").suffix(13))
            #expect(try await scene.fails("a", "tag", other, "+复购").contains("was deleted"))
            try await scene.ok("a", "tags", "split", "油性")
            try await scene.ok("a", "tags", "add", "复购")
            try await scene.ok("a", "tag", other, "+复购")
            #expect(try await scene.shoald("setting", "tag-editors", "supervisors").status == 0)
            for home in ["a", "b"] { try await scene.ok(home, "sync") }
            for words in [["rename", "油性", "x"], ["merge", "油性", "复购"], ["delete", "油性"]] {
                let outcome = try await scene.shoal("b", ["tags"] + words)
                #expect(outcome.status == 1 && outcome.errors.contains("only supervisors"), "\(words)")
            }
            // Nobody's own customers, but everybody's book.
            for home in ["a", "b"] {
                let tags = try await scene.json(home, "tags", "list").items
                #expect(tags.map(\.["name"]) == ["复购", "油性", "油皮"])
                #expect(tags.allSatisfy { $0["merged"] == [] })
            }
        }
    }

    @Test func helpTeachesAndSucceeds() async throws {
        try await Scene.run(server: false) { scene in
            #expect(try await scene.ok("a").contains("SUBCOMMANDS"))
            for words in [
                ["enroll"], ["status"], ["sync"], ["customer", "add"], ["customer", "set"], ["customer", "show"],
                ["customer", "list"], ["customer", "delete"], ["follow"], ["unfollow"], ["tag"], ["tags", "list"],
                ["tags", "add"], ["tags", "rename"], ["tags", "merge"], ["tags", "split"], ["tags", "delete"],
                ["note", "add"], ["note", "edit"], ["note", "show"], ["note", "list"],
                ["note", "delete"],
                ["search"], ["conflicts", "list"], ["conflicts", "show"], ["conflicts", "settle"], ["dump"],
                ["debug", "delta"],
            ] {
                let outcome = try await scene.shoal("a", words + ["--help"])
                #expect(outcome.status == 0 && outcome.text.contains("EXAMPLES:"), "\(words)")
            }
            for shell in ["bash", "zsh", "fish"] {
                let script = try await scene.ok("a", "--generate-completion-script", shell)
                #expect(script.contains("customer"))
            }
        }
    }

    @Test func aFieldGivenTwiceAndATermThatIsNoneAreWrongUsage() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let id = try await scene.ok("a", "customer", "add", "王小明")
            #expect(
                try await scene.fails("a", "customer", "set", id, "phone=1", "phone=2", status: 2).contains("twice"))
            try await scene.fails("a", "customer", "add", "x", "--field", "phone=1", "--field", "phone=2", status: 2)
            for command in [["customer", "list"], ["search"]] {
                for term in ["nope:1", "-source:抖音"] {
                    let outcome = try await scene.shoal("a", command + [term])
                    #expect(outcome.status == 2, "\(outcome.errors)")
                    #expect(outcome.errors.contains("birth:"))
                }
                for word in ["12:30", "\"nope:1\"", "地址：杭州"] {
                    #expect(try await scene.shoal("a", command + [word]).status == 0, "\(word)")
                }
            }
        }
    }

    /// A file system that was mounted to be read, as a backup is.
    @Test func aHomeThatCannotBeWrittenIsRead() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            let id = String(try await scene.ok("a", "customer", "add", "王小明").suffix(13))
            try await scene.ok("a", "note", "add", id, "第一")
            let home = scene.home("a")
            let mount = "mount --make-rprivate / && mount --bind \(home) \(home) && mount -o remount,ro,bind \(home)"
            let wrapper = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", "\(mount) && exec \"$0\" \"$@\""]
            let may = try await scene.begin("a", ["--version"], under: wrapper).end()
            // Only whoever may mount can see it.
            guard may.status == 0 else { return }
            for words in [
                ["status"], ["customer", "list"], ["customer", "show", id], ["note", "list", id], ["search", "第一"],
                ["dump"],
                ["tags", "list"], ["conflicts"],
            ] {
                let plain = try await scene.begin("a", words).end()
                let outcome = try await scene.begin("a", words, under: wrapper).end()
                #expect(outcome.status == 0, "\(words): \(outcome.errors)")
                #expect(outcome.text == plain.text, "\(words)")
            }
            for words in [["customer", "add", "x"], ["sync"], ["doctor"]] {
                let outcome = try await scene.begin("a", words, under: wrapper).end()
                #expect(outcome.status == 1 && outcome.output.isEmpty, "\(words): \(outcome.text)")
                #expect(
                    outcome.sentences.count == 1 && outcome.errors.contains("cannot be written"), "\(outcome.errors)")
            }
        }
    }
}
