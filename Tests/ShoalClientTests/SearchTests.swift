import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalClient

@Suite struct SearchTests {
    let server = TinyServer()
    static let alphabet: [Character] = Array("王芳李娜面霜精华液aAbBcC019 -_.,，。ＡＢé①ßΣ\u{3000}カガ")

    private static func randomText(_ random: inout Seeded, _ longest: Int) -> String {
        String(
            (0..<Int.random(in: 1...longest, using: &random)).compactMap { _ in alphabet.randomElement(using: &random) }
        )
    }

    /// The rule itself: the folded needle is a substring of the folded text.
    private static func contains(_ text: String, _ needle: String) -> Bool {
        Folding.search(text).firstOccurrence(of: Folding.search(needle)) != nil
    }

    @Test(arguments: 1...6) func searchFindsWhatBruteForceFinds(seed: Int) throws {
        var random = Seeded(UInt64(seed))
        let anna = try Operator("Anna", server, seed: UInt64(seed))
        var texts: [RecordID: String] = [:]
        for _ in 0..<25 {
            let name = "n" + Self.randomText(&random, 6)
            let id = try anna.replica.addCustomer(name: name)
            texts[id] = name
            for _ in 0..<2 {
                let body = Self.randomText(&random, 40)
                texts[try anna.replica.addNote(to: id, body)] = body
            }
        }
        for round in 0..<3 {
            // First all waits in the queue, then part of it, then nothing.
            try anna.replica.drainTextIndex(limit: round * 40)
            for _ in 0..<60 {
                let needle = Self.randomText(&random, 3).filter { !$0.isWhitespace }
                if needle.isEmpty { continue }
                let found = Set(try anna.replica.search("\"\(needle)\"").map(\.id))
                let wanted = Set(texts.filter { Self.contains($0.value, needle) }.keys)
                #expect(found == wanted, "\(needle) round \(round)")
            }
            for id in texts.keys.sorted() where random.next() % 4 == 0 {
                guard (try? anna.replica.note(id)) != nil else { continue }
                let body = Self.randomText(&random, 40)
                try anna.replica.editNote(id, body)
                texts[id] = body
            }
        }
    }

    @Test func anyOneCharacterIsFoundWithAndWithoutTheIndex() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "王小芳", fields: [FieldValue("phone", "+86 139")])
        for _ in 0..<2 {
            for word in ["王", "芳", "小芳", "+", "9", "139", "86"] {
                #expect(try anna.replica.customers(word).map(\.id) == [id], "\(word)")
            }
            #expect(try anna.replica.customers("芳王").isEmpty)
            #expect(try anna.replica.drainTextIndex() == 0)
        }
    }

    @Test func aDeletedOrChangedTextIsNotFoundAnyMore() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "alpha")
        let note = try anna.replica.addNote(to: id, "beta")
        try anna.replica.drainTextIndex()
        try anna.replica.setFields(of: id, [FieldValue("name", "gamma")])
        try anna.replica.deleteNote(note)
        for _ in 0..<2 {
            #expect(try anna.replica.search("alpha").isEmpty)
            #expect(try anna.replica.search("beta").isEmpty)
            #expect(try anna.replica.search("gamma").map(\.id) == [id])
            try anna.replica.drainTextIndex()
        }
    }

    @Test func aMostlyDeadIndexIsRebuilt() throws {
        let anna = try Operator("Anna", server)
        let ids = try anna.replica.write { commands in try (0..<50).map { try commands.addCustomer(name: "n\($0)") } }
        for round in 0..<420 {
            try anna.replica.write { commands in
                for id in ids { try commands.set(id, .name, "r\(round)") }
            }
            while try anna.replica.drainTextIndex() > 0 {}
        }
        #expect(try anna.replica.search("r419").count == 50)
        #expect(try anna.replica.read { try $0.text.lastNumber() } < 5_000)
    }

    @Test func theQueryLanguage() throws {
        let anna = try Operator("Anna", server)
        anna.world.time = 1_767_225_600_000  // 2026-01-01
        func add(_ name: String, _ fields: [FieldValue], tags: [String] = []) throws -> RecordID {
            let id = try anna.replica.addCustomer(name: name, fields: fields)
            try anna.replica.editTags(of: [id], tags.map { .add($0) })
            return id
        }
        let a = try add("王芳", [FieldValue("birth_month", "5"), FieldValue("source", "抖音")], tags: ["肤质/油皮"])
        anna.world.time += 86_400_000
        let b = try add("李 娜", [FieldValue("birth_month", "05"), FieldValue("stage", "New")], tags: ["肤质/干皮", "VIP"])
        let note = try anna.replica.addNote(to: b, "喜欢面霜")
        func ids(_ query: String) throws -> [RecordID] { try anna.replica.customers(query).map(\.id) }
        #expect(try ids("") == [a, b])
        #expect(try ids("tag:油皮") == [a])
        #expect(try ids("tag:肤质/油皮") == [a])
        #expect(try ids("-tag:油皮") == [b])
        #expect(try ids("birth:5") == [a, b] && ids("birth:05") == [a, b] && ids("birth:6").isEmpty)
        #expect(try ids("source:抖音") == [a] && ids("stage:new") == [b])
        #expect(try ids("account:Anna") == [a, b])
        #expect(try ids("added:>2026-01-01") == [b] && ids("added:>=2026-01-01") == [a, b])
        #expect(
            try ids("added:<2026-01-02") == [a] && ids("added:2026-01-02") == [b] && ids("added:<=2026-01-01") == [a])
        #expect(try ids("面霜") == [b] && ids("面霜 tag:vip") == [b] && ids("面霜 tag:油皮").isEmpty)
        #expect(try ids("\"李 娜\"") == [b] && ids("李 娜") == [b])
        #expect(try anna.replica.search("面霜") == [SearchHit(kind: "note", id: note, customer: b, text: "喜欢面霜")])
        #expect(try anna.replica.search("tag:vip").map(\.id) == [b])
        #expect(throws: ReplicaError.unknownTag("油皮肤", near: ["肤质/油皮"])) { try ids("tag:油皮肤") }
        for bad in ["added:>yesterday", "added:2026-02-30", "\"open", "tag:"] {
            #expect(throws: ReplicaError.self, "\(bad)") { try ids(bad) }
        }
    }

    @Test(arguments: [
        ("ＶＩＰ 客户", "vip客户"), ("Straße", "STRASSE"), ("ﬁ", "FI"), ("é", "e\u{301}"), ("Σ", "ς"), ("①", "1"),
    ])
    func foldingTakesSpellingsForTheSame(a: String, b: String) {
        #expect(Array(Folding.fold(a).utf8) == Array(Folding.fold(b).utf8))
    }

    @Test(arguments: [
        ("1970-01-01", Int64(0)), ("2000-02-29", 951_782_400_000), ("2026-01-01", 1_767_225_600_000),
        ("1969-12-31", -86_400_000), ("2100-03-01", 4_107_542_400_000),
    ])
    func datesAreDaysOfTheGregorianCalendar(text: String, milliseconds: Int64) {
        #expect(CivilDate.milliseconds(text) == milliseconds)
    }
}
