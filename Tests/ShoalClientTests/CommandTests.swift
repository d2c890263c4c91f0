import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalClient

@Suite struct CommandTests {
    let server = TinyServer()

    @Test func aCustomerShowsWhatWasTyped() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(
            name: "王芳",
            fields: [
                FieldValue("stage", "new"), FieldValue("remark", "VIP-抖音-tb123-王芳"), FieldValue("x-size", "M"),
                FieldValue("description", "likes masks"),
            ])
        let view = try anna.replica.customer(id)
        #expect(
            view.fields == [
                FieldValue("name", "王芳"), FieldValue("stage", "new"), FieldValue("remark", "VIP-抖音-tb123-王芳"),
                FieldValue("description", "likes masks"), FieldValue("x-size", "M"),
            ])
        #expect(view.followers == ["Anna"])
        try anna.replica.setFields(of: id, [FieldValue("stage", ""), FieldValue("x-size", "")])
        #expect(try !anna.replica.customer(id).fields.contains { $0.name == "stage" || $0.name == "x-size" })
    }

    @Test func anUnknownFieldNamesTheNearOnes() throws {
        let anna = try Operator("Anna", server)
        #expect(throws: ReplicaError.unknownField("phoen", near: ["phone"])) {
            try anna.replica.addCustomer(name: "a", fields: [FieldValue("phoen", "1")])
        }
        #expect(try anna.replica.status().pending == 0)
    }

    @Test(arguments: [
        ("a-b-c-d", ["a", "b", "c", "d"], ""), ("a--c-", ["a", "", "c", ""], ""), ("a-b-c", ["", "", "", ""], "a-b-c"),
        ("a-b-c-d-e", ["", "", "", ""], "a-b-c-d-e"), ("---", ["", "", "", ""], "---"), ("", ["", "", "", ""], ""),
    ])
    func aRemarkHasFourPartsOrIsKeptAsItIs(text: String, parts: [String], unparsed: String) {
        let remark = Remark(text)
        #expect(remark.parts == parts)
        #expect(remark.unparsed == unparsed)
        #expect(remark.text == text)
    }

    @Test func aRemarkChangesFormAndClears() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "n", fields: [FieldValue("remark", "a-b-c-d")])
        for text in ["free text", "w-x-y-z", "w-x2-y-z"] {
            try anna.replica.setFields(of: id, [FieldValue("remark", text)])
            #expect(
                try anna.replica.customer(id).fields.filter { $0.name.hasPrefix("remark") } == [
                    FieldValue("remark", text)
                ])
        }
        try anna.replica.setFields(of: id, [FieldValue("remark", "")])
        #expect(try anna.replica.customer(id).fields == [FieldValue("name", "n")])
    }

    @Test func setAgainTheSameWritesNothing() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "n", fields: [FieldValue("stage", "s")])
        let pending = try anna.replica.status().pending
        try anna.replica.setFields(of: id, [FieldValue("stage", "s"), FieldValue("phone", "")])
        #expect(try anna.replica.status().pending == pending)
    }

    @Test func tagsThatAreEqualWhenFoldedAreOne() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "n")
        let made = try anna.replica.editTags(of: [id], [.add("Skin/Oily"), .add("VIP")])
        #expect(made.map(\.name) == ["Skin/Oily", "VIP"])
        #expect(try anna.replica.editTags(of: [id], [.add("ＶＩＰ"), .add("skin/ oily")]).isEmpty)
        #expect(try anna.replica.customer(id).tags.map(\.name) == ["VIP", "Oily"])
        #expect(try anna.replica.addTag("vip") == made[1].id)
        try anna.replica.editTags(of: [id], [.remove("v i p")])
        #expect(try anna.replica.customer(id).tags.map(\.name) == ["Oily"])
    }

    @Test func twoOperatorsWhoMakeTheSameTagShareIt() throws {
        let anna = try Operator("Anna", server, seed: 1)
        let bert = try Operator("Bert", server, seed: 2)
        let a = try anna.replica.addCustomer(name: "a")
        let b = try bert.replica.addCustomer(name: "b")
        try anna.replica.editTags(of: [a], [.add("G/Dry")])
        try bert.replica.editTags(of: [b], [.add("g/dry")])
        for _ in 0..<2 { for one in [anna, bert] { try one.replica.sync(server) } }
        for one in [anna, bert] {
            let tags = try one.replica.tags()
            #expect(tags.count == 1)
            #expect(tags[0].customers == 2)
            #expect(try one.replica.customers("tag:dry").map(\.id) == [a, b].sorted())
        }
        #expect(try anna.replica.dumpLines == bert.replica.dumpLines)
        #expect(try anna.replica.dumpLines == server.dump)
        // Removing takes every member away.
        try anna.replica.editTags(of: [a, b], [.remove("Dry")])
        #expect(try anna.replica.customers("tag:dry").isEmpty)
    }

    @Test func aTagInTwoGroupsMustBeNamedWithItsGroup() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "n")
        try anna.replica.editTags(of: [id], [.add("A/x"), .add("B/x")])
        #expect(throws: ReplicaError.ambiguousTag("x", groups: ["A", "B"])) {
            try anna.replica.editTags(of: [id], [.remove("x")])
        }
        #expect(throws: ReplicaError.unknownTag("A/y", near: ["A/x"])) {
            try anna.replica.editTags(of: [id], [.add("new"), .remove("A/y")])
        }
        // All or nothing: the new tag was not made.
        #expect(try anna.replica.tags().map(\.name) == ["x", "x"])
    }

    @Test func aSingleChoiceReplacesTheOthers() throws {
        let anna = try Operator("Anna", server, seed: 1)
        let bert = try Operator("Bert", server, seed: 2)
        _ = try anna.replica.addTag("Skin/Dry", single: true)
        _ = try anna.replica.addTag("Skin/Oily")
        let id = try anna.replica.addCustomer(name: "n")
        try anna.replica.editTags(of: [id], [.add("Dry")])
        try anna.replica.editTags(of: [id], [.add("Oily")])
        #expect(try anna.replica.customer(id).tags.map(\.name) == ["Oily"])
        #expect(throws: ReplicaError.self) { try anna.replica.editTags(of: [id], [.add("Dry"), .add("Oily")]) }

        // Two who choose at once are a conflict, until one settles it.
        try anna.replica.sync(server)
        try bert.replica.sync(server)
        try anna.replica.editTags(of: [id], [.add("Skin/Dry")])
        bert.world.time += 5_000
        try bert.replica.editTags(of: [id], [.add("Skin/Mixed")])
        for one in [anna, bert, anna] { try one.replica.sync(server) }
        let conflicts = try anna.replica.conflicts()
        #expect(conflicts.map(\.field) == ["tag:Skin"])
        #expect(conflicts.first?.shown.value == "Mixed")
        #expect(conflicts.first?.others.map(\.by) == ["Anna"])
        #expect(try anna.replica.status().conflicts == 1)
        try anna.replica.settle(id, choice: 1)
        #expect(try anna.replica.customer(id).tags.map(\.name) == ["Dry"])
        for one in [anna, bert] { try one.replica.sync(server) }
        #expect(try bert.replica.status().conflicts == 0)
        #expect(try bert.replica.dumpLines == server.dump)
    }

    /// Two operators resolve one conflict differently at once: both choices stay, as a conflict again.
    @Test(arguments: [true, false]) func aGroupThatTwoSettleDifferentlyIsAConflictAgain(bySettling: Bool) throws {
        let anna = try Operator("Anna", server, seed: 1)
        let bert = try Operator("Bert", server, seed: 2)
        _ = try anna.replica.addTag("Skin/Dry", single: true)
        _ = try anna.replica.addTag("Skin/Oily")
        let id = try anna.replica.addCustomer(name: "n")
        for one in [anna, bert] { try one.replica.sync(server) }
        try anna.replica.editTags(of: [id], [.add("Dry")])
        try bert.replica.editTags(of: [id], [.add("Oily")])
        for one in [anna, bert, anna] { try one.replica.sync(server) }
        for (one, tag) in [(anna, "Dry"), (bert, "Oily")] {
            if bySettling {
                let conflict = try #require(try one.replica.conflicts(of: id).first)
                let values = [conflict.shown.value] + conflict.others.map(\.value)
                try one.replica.settle(id, choice: try #require(values.firstIndex(of: tag)))
            } else {
                try one.replica.editTags(of: [id], [.add(tag)])
            }
            #expect(try one.replica.customer(id).tags.map(\.name) == [tag])
            let pending = try one.replica.status().pending
            try one.replica.editTags(of: [id], [.add(tag)])
            #expect(try one.replica.status().pending == pending)
        }
        for one in [anna, bert, anna] { try one.replica.sync(server) }
        for one in [anna, bert] {
            #expect(try one.replica.customer(id).tags.map(\.name) == ["Dry", "Oily"])
            #expect(try one.replica.conflicts(of: id).map(\.field) == ["tag:Skin"])
            #expect(try one.replica.dumpLines == server.dump)
        }
    }

    @Test func concurrentEditsAreAConflictUntilSettled() throws {
        let anna = try Operator("Anna", server, seed: 1)
        let bert = try Operator("Bert", server, seed: 2)
        let id = try anna.replica.addCustomer(name: "n")
        for one in [anna, bert] { try one.replica.sync(server) }
        try anna.replica.setFields(of: id, [FieldValue("stage", "old")])
        bert.world.time += 1_000
        try bert.replica.setFields(of: id, [FieldValue("stage", "new")])
        for one in [anna, bert, anna] { try one.replica.sync(server) }
        let listed = try anna.replica.conflicts()
        #expect(listed.map(\.field) == ["stage"])
        #expect(listed[0].shown.value == "new" && listed[0].shown.by == "Bert")
        #expect(listed[0].others.map(\.value) == ["old"] && listed[0].others.map(\.by) == ["Anna"])
        #expect(throws: ReplicaError.noSuchChoice(2, count: 1)) { try anna.replica.settle(id, choice: 2) }
        // Bert writes again: what Anna listed is no longer what is there.
        try bert.replica.setFields(of: id, [FieldValue("stage", "newer")])
        let third = try Operator("Cora", server, seed: 3)
        try third.replica.sync(server)
        try third.replica.setFields(of: id, [FieldValue("stage", "other")])
        for one in [bert, third, anna] { try one.replica.sync(server) }
        #expect(throws: ReplicaError.conflictChanged(id, field: "stage")) { try anna.replica.settle(id, choice: 1) }
        _ = try anna.replica.conflicts(of: id)
        try anna.replica.settle(id, choice: 0)
        #expect(try anna.replica.conflicts().isEmpty)
        #expect(throws: ReplicaError.noConflict(id, field: nil)) { try anna.replica.settle(id, choice: 0) }
    }

    @Test func settlingAValueOfAnUnknownKindKeepsItsKind() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "n")
        try anna.replica.sync(server)
        for (count, json) in [(100, #"{"new":1}"#), (101, #"["b"]"#)] {
            var batch = Operations()
            batch.begin(record: id, time: server.time)
            let slice = batch.store(json.utf8)
            batch.edit(CellKey(.stage), .json, slice: slice)
            server.sequence += 1
            let dot = Dot(ReplicaID(epoch: 7, count: UInt16(count)), 1)
            server.records[id]?.apply(0, of: batch, dot: dot, time: server.time, sequence: server.sequence)
        }
        try anna.replica.sync(server)
        let conflict = try #require(try anna.replica.conflicts(of: id).first)
        try anna.replica.settle(id, choice: 1)
        try anna.replica.sync(server)
        let record = try anna.replica.read { try $0.effective(id) }
        let shown = try #require(record.shown(in: record.range(of: CellKey(.stage))))
        #expect(shown.kind == .json && record.display(shown) == conflict.others[0].value)
        #expect(try anna.replica.dumpLines == server.dump)
    }

    @Test func aFreeFieldOfAnotherProgramIsNotListedAsAFieldOfTheCustomer() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "n")
        try anna.replica.write { commands in
            try commands.write([CellEdit(.free, .text("name"), .text("other"))], to: try commands.store.effective(id))
        }
        #expect(try anna.replica.customer(id).fields == [FieldValue("name", "n")])
    }

    @Test(arguments: ["", " ", "\u{3000}\t"]) func aCustomerNeedsAName(name: String) throws {
        let anna = try Operator("Anna", server)
        #expect(throws: ReplicaError.invalidValue(field: "name", reason: "a customer needs a name")) {
            try anna.replica.addCustomer(name: name)
        }
    }

    @Test func anUnknownTagNamesThoseThatContainItFirst() throws {
        let anna = try Operator("Anna", server)
        for tag in ["肤质/混合偏油", "肤质/油性", "干"] { _ = try anna.replica.addTag(tag) }
        #expect(throws: ReplicaError.unknownTag("油", near: ["肤质/油性", "肤质/混合偏油", "干"])) {
            try anna.replica.customers("tag:油")
        }
    }

    @Test func deletingACustomerTakesItsNotesAlong() throws {
        let anna = try Operator("Anna", server, seed: 1)
        let bert = try Operator("Bert", server, seed: 2)
        let id = try anna.replica.addCustomer(name: "n")
        let note = try anna.replica.addNote(to: id, "hello")
        for one in [anna, bert] { try one.replica.sync(server) }
        try anna.replica.deleteCustomer(id)
        #expect(try anna.replica.customers().isEmpty)
        #expect(throws: ReplicaError.unknownID(note.description)) { try anna.replica.note(note) }
        // A note that was added meanwhile brings the customer back, with all its values.
        _ = try bert.replica.addNote(to: id, "meanwhile")
        for one in [anna, bert, anna] { try one.replica.sync(server) }
        for one in [anna, bert] {
            #expect(try one.replica.customer(id).fields == [FieldValue("name", "n")])
            #expect(try one.replica.notes(of: id).map(\.body) == ["meanwhile"])
        }
        try bert.replica.deleteCustomer(id)
        for one in [bert, anna] { try one.replica.sync(server) }
        #expect(try anna.replica.customers().isEmpty)
        #expect(try anna.replica.dumpLines == bert.replica.dumpLines)
    }

    @Test func followersFollowTheRules() throws {
        let anna = try Operator("Anna", server, seed: 1)
        let bert = try Operator("Bert", server, seed: 2)
        let chief = try Operator("Chief", server, role: .supervisor, seed: 3)
        let id = try anna.replica.addCustomer(name: "n")
        for one in [anna, bert, chief] { try one.replica.sync(server) }
        #expect(throws: ReplicaError.mayNotFollow(id)) { try bert.replica.follow(id, account: "Chief") }
        try anna.replica.sync(server)
        try anna.replica.follow(id, account: "Bert")
        #expect(try anna.replica.customer(id).followers == ["Anna", "Bert"])
        #expect(try anna.replica.customers("account:Bert").map(\.id) == [id])
        #expect(throws: ReplicaError.mayNotUnfollow(account: "Bert")) { try anna.replica.unfollow(id, account: "Bert") }
        #expect(throws: ReplicaError.unknownAccount("Bret", near: ["Bert"])) {
            try anna.replica.follow(id, account: "Bret")
        }
        for one in [anna, chief] { try one.replica.sync(server) }
        try chief.replica.unfollow(id, account: "Bert")
        try chief.replica.unfollow(id, account: "Bert")
        #expect(try chief.replica.customer(id).followers == ["Anna"])
    }

    @Test func idsAreFoundByTheirBeginningAndTheirEnd() throws {
        let anna = try Operator("Anna", server)
        let a = try anna.replica.addCustomer(name: "a")
        anna.world.time += 50_000_000_000
        let b = try anna.replica.addCustomer(name: "b")
        let note = try anna.replica.addNote(to: b, "n")
        let text = a.description
        #expect(try anna.replica.resolve(text) == a)
        #expect(try anna.replica.resolve(text.lowercased()) == a)
        #expect(try anna.replica.resolve(String(text.prefix(8))) == a)
        #expect(try anna.replica.resolve(String(b.description.suffix(6))) == b)
        #expect(throws: ReplicaError.idTooShort("ABC")) { try anna.replica.resolve("ABC") }
        #expect(throws: ReplicaError.unknownID("ZZZZZZ")) { try anna.replica.resolve("ZZZZZZ") }
        #expect(throws: ReplicaError.unknownID("王王王王")) { try anna.replica.resolve("王王王王") }
        #expect(throws: ReplicaError.wrongKind(note, is: "note", wanted: "customer")) {
            try anna.replica.resolve(note.description, kind: .customer)
        }
        let shared = zip(b.description, note.description).prefix { $0 == $1 }.count
        #expect(throws: ReplicaError.ambiguousID(String(b.description.prefix(shared)), [b, note].sorted())) {
            try anna.replica.resolve(String(b.description.prefix(shared)))
        }
        #expect(try anna.replica.resolve(String(b.description.prefix(shared)), kind: .customer) == b)
    }

    @Test func aCommandsOperationsBelongTogetherAndTheFirstIsSalted() throws {
        let anna = try Operator("Anna", server)
        try anna.replica.write { commands in
            let id = try commands.addCustomer(name: "a")
            _ = try commands.editTags(of: [id], [.add("G/x")])
        }
        let operations = try anna.replica.nextRequest().operations.operations
        #expect(operations.map(\.continuesCommand) == [false, false, true, true])
        #expect(operations.map { $0.salt != nil } == [true, false, false, false])
    }

    @Test func aFailedTransactionLeavesNothing() throws {
        let anna = try Operator("Anna", server)
        struct Stop: Error {}
        #expect(throws: Stop.self) {
            try anna.replica.write { commands in
                _ = try commands.addCustomer(name: "gone")
                throw Stop()
            }
        }
        #expect(try anna.replica.customers().isEmpty)
        #expect(try anna.replica.status().pending == 0)
        _ = try anna.replica.addCustomer(name: "stays")
        #expect(try anna.replica.nextRequest().operations.count == 1)
    }
}
