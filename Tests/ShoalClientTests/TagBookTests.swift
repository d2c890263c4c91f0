import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalClient

/// Tags that are renamed, merged, split and deleted, also by several at once.
@Suite struct TagBookTests {
    private let server = TinyServer()

    private func pair() throws -> (anna: Operator, bert: Operator) {
        (try Operator("Anna", server, seed: 1), try Operator("Bert", server, seed: 2))
    }

    private func settle(_ all: Operator...) throws {
        for _ in 0..<2 { for one in all { try one.replica.sync(server) } }
        for one in all { #expect(try one.replica.dumpLines == server.dump) }
    }

    private func names(_ one: Operator) throws -> [String] {
        try one.replica.tags().map { $0.group.isEmpty ? $0.name : "\($0.group)/\($0.name)" }
    }

    @Test func anAccountIsMeantByItsNameOrByTheOnlyOneLikeIt() throws {
        let names = ["Bob", "bob", "Eva"]
        let book = TagBook(
            groups: [], tags: [],
            accounts: names.enumerated().map {
                .init(id: RecordID(rawValue: Int64($0.offset) + 1), name: $0.element, role: "sales")
            },
            authors: [:])
        #expect(try book.account(named: "bob")?.name == "bob")
        #expect(try book.account(named: "ＥＶＡ")?.name == "Eva")
        #expect(try book.account(named: "Ben") == nil)
        #expect(throws: ReplicaError.ambiguousAccount("BOB", names: ["Bob", "bob"])) { try book.account(named: "BOB") }
    }

    @Test func aTagKeepsItsCustomersUnderItsNewName() throws {
        let (anna, bert) = try pair()
        let id = try anna.replica.addCustomer(name: "n")
        try anna.replica.editTags(of: [id], [.add("老客")])
        try settle(anna, bert)
        try anna.replica.renameTag("老客", to: "分层/复购")
        try bert.replica.editTags(of: [id], [.remove("老客")])
        let late = try bert.replica.addCustomer(name: "late")
        try bert.replica.editTags(of: [late], [.add("老客")])
        try settle(anna, bert)
        for one in [anna, bert] {
            #expect(try names(one) == ["分层/复购"])
            #expect(try one.replica.customers("tag:复购").map(\.id) == [late])
            #expect(throws: ReplicaError.unknownTag("老客", near: [])) { try one.replica.customers("tag:老客") }
        }
        // Only its spelling.
        try bert.replica.renameTag("复购", to: "复 购")
        #expect(try names(bert) == ["分层/复 购"])
    }

    @Test func aNameThatIsTakenAGroupThatIsLeftAndNoNameAreRefused() throws {
        let anna = try Operator("Anna", server)
        for tag in ["A/x", "A/y", "v"] { _ = try anna.replica.addTag(tag) }
        let pending = try anna.replica.status().pending
        for (tag, name) in [("x", "y"), ("v", "a/ Y"), ("x", "/x"), ("x", " "), ("x", "A/")] {
            #expect(throws: ReplicaError.self, "\(name)") { try anna.replica.renameTag(tag, to: name) }
        }
        #expect(throws: ReplicaError.unknownTag("none", near: [])) { try anna.replica.renameTag("none", to: "w") }
        // To the name that it has.
        try anna.replica.renameTag("x", to: "A/x")
        #expect(try anna.replica.status().pending == pending)
    }

    @Test func twoNamesAtOnceAreAConflictWhoseChoiceIsFoundByItsName() throws {
        let (anna, bert) = try pair()
        _ = try anna.replica.addTag("x")
        try settle(anna, bert)
        try anna.replica.renameTag("x", to: "anna")
        try bert.replica.renameTag("x", to: "bert")
        try settle(anna, bert)
        let conflict = try #require(try anna.replica.conflicts().first)
        #expect(try anna.replica.conflicts().count == 1)
        #expect(conflict.field == "name")
        let other = conflict.others[0].value
        try anna.replica.settle(conflict.record, field: nil, choice: 1)
        try settle(anna, bert)
        for one in [anna, bert] {
            #expect(try one.replica.conflicts().isEmpty)
            #expect(try names(one) == [other])
            #expect(try one.replica.customers("tag:\(other)").isEmpty)
            #expect(throws: ReplicaError.self) { try one.replica.customers("tag:\(conflict.shown.value)") }
        }
    }

    @Test func whatSomebodyStillGivesAMergedTagCountsForTheOneThatStays() throws {
        let (anna, bert) = try pair()
        let ids = try (0..<3).map { try anna.replica.addCustomer(name: "c\($0)") }
        try anna.replica.editTags(of: [ids[0]], [.add("油性")])
        try anna.replica.editTags(of: [ids[1]], [.add("肤质/油皮"), .add("油性")])
        try settle(anna, bert)
        try anna.replica.mergeTag("油性", into: "肤质/油皮")
        try bert.replica.editTags(of: [ids[2]], [.add("油性")])
        try settle(anna, bert)
        for one in [anna, bert] {
            let tags = try one.replica.tags()
            #expect(tags.map(\.name) == ["油皮"])
            #expect(tags[0].merged == ["油性"])
            #expect(tags[0].customers == 3)
            #expect(try one.replica.customers("tag:油皮").map(\.id) == ids)
            #expect(try one.replica.customer(ids[0]).tags.map(\.name) == ["油皮"])
            #expect(try one.replica.customer(ids[1]).tags.count == 1)
        }
        // Its former name stands for the one that stays; no second tag is made.
        let more = try bert.replica.addCustomer(name: "more")
        #expect(try bert.replica.editTags(of: [more], [.add("油性")]).isEmpty)
        #expect(try bert.replica.customer(more).tags.map(\.name) == ["油皮"])
        // Removing it takes every member.
        try bert.replica.editTags(of: [ids[0]], [.remove("油皮")])
        #expect(try bert.replica.customer(ids[0]).tags.isEmpty)
        // Split again: each has what was given under its name.
        try bert.replica.splitTag("油性")
        try settle(anna, bert)
        for one in [anna, bert] {
            #expect(try names(one) == ["油性", "肤质/油皮"])
            #expect(try one.replica.customers("tag:油性").map(\.id) == [ids[1], ids[2]])
            #expect(try one.replica.customers("tag:油皮").map(\.id) == [ids[1], more].sorted())
        }
        #expect(throws: ReplicaError.notMerged("油性")) { try anna.replica.splitTag("油性") }
    }

    @Test func mergesThatCrossMakeOneTagAndThoseThatPartMakeNoThird() throws {
        let (anna, bert) = try pair()
        let ids = try ["a", "b", "c"].map { tag in
            let id = try anna.replica.addCustomer(name: tag)
            try anna.replica.editTags(of: [id], [.add(tag)])
            return id
        }
        try settle(anna, bert)
        try anna.replica.mergeTag("a", into: "b")
        try bert.replica.mergeTag("b", into: "a")
        try settle(anna, bert)
        // A cycle: the smallest identifier stays.
        for one in [anna, bert] {
            #expect(try names(one) == ["a", "c"])
            #expect(try one.replica.customers("tag:a").map(\.id) == Array(ids[..<2]))
        }
        // Out of the cycle again by merging what stayed.
        try anna.replica.mergeTag("a", into: "c")
        try settle(anna, bert)
        #expect(try names(bert) == ["c"])
        #expect(try bert.replica.tags()[0].merged == ["a", "b"])

        // One tag into two at once: the two stay two.
        for tag in ["x", "y", "z"] { _ = try anna.replica.addTag(tag) }
        try settle(anna, bert)
        try anna.replica.mergeTag("z", into: "x")
        try bert.replica.mergeTag("z", into: "y")
        try settle(anna, bert)
        #expect(try names(anna) == ["c", "x", "y"])
        #expect(try names(bert) == ["c", "x", "y"])
    }

    @Test func aDeletedTagIsKeptWhereItIsAndGivenToNobody() throws {
        let (anna, bert) = try pair()
        let ids = try (0..<2).map { try anna.replica.addCustomer(name: "c\($0)") }
        try anna.replica.editTags(of: [ids[0]], [.add("A/x"), .add("unused")])
        try anna.replica.editTags(of: [ids[0]], [.remove("unused")])
        try settle(anna, bert)
        try anna.replica.deleteTag("x")
        try anna.replica.deleteTag("unused")
        try settle(anna, bert)
        #expect(try names(bert) == ["A/x"])
        #expect(try bert.replica.tags()[0].isArchived)
        #expect(try bert.replica.customer(ids[0]).tags[0].isArchived)
        // Where it is nothing is to do.
        try bert.replica.editTags(of: [ids[0]], [.add("x")])
        #expect(throws: ReplicaError.archivedTag("A/x")) { try bert.replica.editTags(of: ids, [.add("x")]) }
        #expect(try bert.replica.customer(ids[1]).tags.isEmpty)
        let id = try bert.replica.addTag("a/X")
        #expect(try bert.replica.tags().map(\.id) == [id])
        try bert.replica.editTags(of: ids, [.add("x")])
        try settle(anna, bert)
        #expect(try anna.replica.customers("tag:x").map(\.id) == ids)
    }
}
