import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalClient

import struct ShoalCRDT.Record

/// What the server refused is listed with its values until somebody has decided on it.
@Suite struct RefusedWorkTests {
    let server = TinyServer()

    /// A customer that the server knows; from now on it refuses what is written to it.
    private func customer(_ anna: Operator) throws -> RecordID {
        let id = try anna.replica.addCustomer(name: "c", fields: [FieldValue("stage", "before")])
        try anna.replica.sync(server)
        server.refuses = [id]
        return id
    }

    private func refuse(_ anna: Operator, _ reason: RefusalReason = .forbidden) throws {
        server.reason = reason
        try anna.replica.sync(server)
        server.refuses = []
    }

    private func only(_ anna: Operator) throws -> Conflict {
        let conflicts = try anna.replica.conflicts()
        #expect(conflicts.count == 1, "\(conflicts)")
        return try #require(conflicts.first)
    }

    private func expectNothingLeft(_ anna: Operator) throws {
        #expect(try anna.replica.conflicts().isEmpty)
        #expect(try anna.replica.refused().isEmpty)
        let status = try anna.replica.status()
        #expect(status.conflicts == 0 && status.refused == 0)
    }

    private func stage(_ anna: Operator, _ id: RecordID) throws -> String? {
        try anna.replica.customer(id).fields.first { $0.name == "stage" }?.value
    }

    @Test func aRefusedEditIsListedBesideWhatIsShownAndCanBeDismissed() throws {
        let anna = try Operator("Anna", server)
        let id = try customer(anna)
        try anna.replica.setFields(of: id, [FieldValue("stage", "mine"), FieldValue("phone", "138")])
        try refuse(anna)
        let listed = try anna.replica.conflicts(of: id)
        #expect(listed.map(\.field) == ["phone", "stage"] && listed.map(\.refused) == ["forbidden", "forbidden"])
        #expect(listed.map(\.shown.value) == ["", "before"] && listed.map(\.kind) == ["customer", "customer"])
        #expect(listed.map { $0.others.map(\.value) } == [["138"], ["mine"]])
        #expect(listed[0].shown.isNothing && listed[1].shown.by == "Anna" && listed[1].others[0].by == "Anna")
        #expect(try anna.replica.status().conflicts == 2)
        #expect(try anna.replica.customer(id).conflicts.isEmpty, "nobody disagrees on what is shown")
        #expect(throws: ReplicaError.severalConflicts(id, fields: ["phone", "stage"])) {
            try anna.replica.settle(id, choice: 0)
        }
        #expect(throws: ReplicaError.noSuchChoice(2, count: 1)) {
            try anna.replica.settle(id, field: "stage", choice: 2)
        }
        try anna.replica.settle(id, field: "stage", choice: 0)
        #expect(try only(anna).field == "phone", "the other field of the operation still waits")
        #expect(try anna.replica.status().conflicts == 1 && anna.replica.status().refused == 1)
        try anna.replica.settle(id, field: "phone", choice: 0)
        try expectNothingLeft(anna)
        #expect(try anna.replica.status().pending == 0 && stage(anna, id) == "before")
    }

    /// What is too long for one operation is one decision, and comes back in its order.
    @Test(arguments: [true, false])
    func aLongRefusedTextIsOneChoiceAndIsWrittenAgainWhole(_ fits: Bool) throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        let note = try anna.replica.addNote(to: id, "开头")
        try anna.replica.sync(server)
        server.refuses = [note]
        let pasted = (0..<30_000).map { String($0 % 10) }.joined() + String(repeating: "长", count: 10_000)
        try anna.replica.editNote(note, "开头" + pasted)
        #expect(try anna.replica.status().pending > 2)
        try refuse(anna, .tooLarge)
        // Where nothing is left of what it hung on it stands at the end.
        if !fits { try anna.replica.editNote(note, "别的") }
        let conflict = try only(anna)
        #expect(conflict.others.map(\.value) == [pasted] && conflict.refused == "too-large")
        try anna.replica.settle(note, choice: 1)
        try expectNothingLeft(anna)
        let text = try #require(try anna.replica.customer(id).notes.first).body
        #expect(text.hasSuffix(pasted) && text.hasPrefix(fits ? "开头" : "别的"))
    }

    @Test func aRefusedEditCanBeWrittenAgain() throws {
        let anna = try Operator("Anna", server)
        let id = try customer(anna)
        try anna.replica.setFields(of: id, [FieldValue("stage", "mine")])
        try refuse(anna)
        #expect(try stage(anna, id) == "before")
        try anna.replica.settle(id, choice: 1)
        #expect(try anna.replica.status().pending == 1 && stage(anna, id) == "mine")
        try expectNothingLeft(anna)
        try anna.replica.sync(server)
        #expect(try anna.replica.dumpLines == server.dump && stage(anna, id) == "mine")
    }

    /// Of several refused values of a field one is taken, and the newest comes first.
    @Test func severalRefusedValuesOfAFieldAreOneDecision() throws {
        let anna = try Operator("Anna", server)
        let id = try customer(anna)
        for value in ["1", "2"] { try anna.replica.setFields(of: id, [FieldValue("stage", value)]) }
        try refuse(anna)
        #expect(try only(anna).others.map(\.value) == ["2", "1"])
        #expect(try anna.replica.status().conflicts == 1)
        try anna.replica.settle(id, choice: 2)
        #expect(try stage(anna, id) == "1")
        try expectNothingLeft(anna)
    }

    /// The field is in conflict besides: the numbers of what was refused go on behind the conflict's.
    @Test func aFieldMayBeInConflictAndRefused() throws {
        let (anna, bert) = (try Operator("Anna", server), try Operator("Bert", server, seed: 2))
        let id = try anna.replica.addCustomer(name: "c")
        for one in [anna, bert] { try one.replica.sync(server) }
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        try bert.replica.setFields(of: id, [FieldValue("stage", "bert")])
        for one in [anna, bert, anna] { try one.replica.sync(server) }
        server.refuses = [id]
        try anna.replica.setFields(of: id, [FieldValue("stage", "refused")])
        try refuse(anna)
        let listed = try anna.replica.conflicts()
        #expect(listed.map(\.field) == ["stage", "stage"] && listed.map(\.refused) == [nil, "forbidden"])
        #expect(listed.map(\.firstNumber) == [1, 2] && listed[0].token == listed[1].token)
        #expect(try anna.replica.status().conflicts == 1, "one field waits")
        #expect(throws: ReplicaError.noSuchChoice(3, count: 2)) { try anna.replica.settle(id, choice: 3) }
        let other = listed[0].others[0].value
        try anna.replica.settle(id, choice: 1)
        #expect(try stage(anna, id) == other)
        #expect(try only(anna).others.map(\.value) == ["refused"])
        try anna.replica.settle(id, choice: 1)
        #expect(try stage(anna, id) == "refused")
        try expectNothingLeft(anna)
    }

    @Test func whatIsShownChangedSinceTheListing() throws {
        let anna = try Operator("Anna", server)
        let id = try customer(anna)
        try anna.replica.setFields(of: id, [FieldValue("stage", "mine")])
        try refuse(anna)
        _ = try anna.replica.conflicts()
        try anna.replica.setFields(of: id, [FieldValue("stage", "another")])
        #expect(throws: ReplicaError.conflictChanged(id, field: "stage")) { try anna.replica.settle(id, choice: 1) }
        _ = try anna.replica.conflicts()
        try anna.replica.settle(id, choice: 0)
        #expect(try stage(anna, id) == "another")
    }

    @Test func aRefusedNoteIsListedWithItsBodyAndMadeAgain() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        try anna.replica.sync(server)
        let note = try anna.replica.addNote(to: id, "what she said")
        server.refuses = [note]
        try refuse(anna)
        let listed = try only(anna)
        #expect(listed.record == note && listed.kind == "note" && listed.field == "created")
        #expect(listed.others.map(\.value) == ["what she said"] && listed.shown.isNothing)
        // It is nowhere, and found all the same.
        let text = note.description
        #expect(throws: ReplicaError.unknownID(text)) { try anna.replica.resolve(text) }
        #expect(try anna.replica.resolveConflict(String(text.suffix(8))) == note)
        try anna.replica.settle(note, field: "created", choice: 1)
        #expect(try anna.replica.note(note).body == "what she said")
        try expectNothingLeft(anna)
        try anna.replica.sync(server)
        #expect(try anna.replica.dumpLines == server.dump)
        #expect(try anna.replica.notes(of: id).map(\.body) == ["what she said"])
    }

    @Test func aRefusedCustomerIsListedWithItsFields() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "new", fields: [FieldValue("phone", "138")])
        server.refuses = [id]
        try refuse(anna, .tooLarge)
        let listed = try only(anna)
        #expect(listed.refused == "too-large" && listed.others[0].value == "name=new phone=138 follow=yes")
        try anna.replica.settle(id, choice: 1)
        try anna.replica.sync(server)
        #expect(try anna.replica.customers().map(\.name) == ["new"] && anna.replica.dumpLines == server.dump)
        try expectNothingLeft(anna)
    }

    @Test func removalsAndDeletionsAreSaidInWords() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        let note = try anna.replica.addNote(to: id, "body")
        _ = try anna.replica.editTags(of: [id], [.add("skin/oily")])
        try anna.replica.sync(server)
        server.refuses = [id, note]
        try anna.replica.editTags(of: [id], [.remove("oily"), .add("new")])
        try refuse(anna)
        var listed = try anna.replica.conflicts(of: id)
        #expect(listed.map(\.field) == ["tag@new", "tag@skin/oily"])
        #expect(listed.map { $0.others.map(\.value) } == [["yes"], ["removed"]])
        #expect(listed.map(\.shown.value) == ["", "yes"])
        try anna.replica.settle(id, field: "tag@new", choice: 1)
        try anna.replica.settle(id, field: "tag@skin/oily", choice: 1)
        #expect(try anna.replica.customer(id).tags.map(\.name) == ["new"])
        try anna.replica.sync(server)
        server.refuses = [id, note]
        // One decision for the customer and its notes.
        try anna.replica.deleteCustomer(id)
        try refuse(anna)
        listed = try anna.replica.conflicts()
        #expect(listed.map(\.record) == [id] && listed.map(\.field) == ["deleted"])
        #expect(listed[0].others.map(\.value) == ["deleted"] && listed[0].shown.value == "c")
        #expect(try anna.replica.status().conflicts == 1)
        try anna.replica.settle(id, choice: 1)
        #expect(try anna.replica.customers().isEmpty)
        #expect(throws: ReplicaError.unknownID(note.description)) { try anna.replica.note(note) }
        try expectNothingLeft(anna)
        try anna.replica.sync(server)
        #expect(try anna.replica.dumpLines == server.dump)
    }

    @Test func aDismissedDeletionTakesItsNotesAlong() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        let note = try anna.replica.addNote(to: id, "body")
        try anna.replica.sync(server)
        server.refuses = [id, note]
        try anna.replica.deleteCustomer(id)
        try refuse(anna)
        try anna.replica.settle(id, choice: 0)
        try expectNothingLeft(anna)
        #expect(try anna.replica.note(note).body == "body")
    }

    @Test(arguments: [true, false])
    func aRefusedChangeOfATextSaysWhatWasTyped(isText: Bool) throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        let note = try anna.replica.addNote(to: id, "one two")
        if isText { try anna.replica.editNote(note, "one two.") }
        try anna.replica.sync(server)
        server.refuses = [note]
        let text = try anna.replica.note(note).body
        try anna.replica.editNote(note, "ONE\(text.dropFirst(3))")
        try anna.replica.editNote(note, "ONE\(text.dropFirst(3)) three")
        try refuse(anna)
        let listed = try only(anna)
        #expect(listed.field == "body" && listed.shown.value == text)
        #expect(listed.others.map(\.value) == [" three", "ONE"])
        // Each change stands for itself; what the second typed hangs on a text that is there.
        try anna.replica.settle(note, choice: 2)
        #expect(try anna.replica.note(note).body == "ONE\(text.dropFirst(3))")
        _ = try only(anna)
        try anna.replica.settle(note, choice: 1)
        #expect(try anna.replica.note(note).body == "ONE\(text.dropFirst(3)) three")
        try expectNothingLeft(anna)
        try anna.replica.sync(server)
        #expect(try anna.replica.dumpLines == server.dump)
    }

    /// The refused change hangs on characters that are nowhere any more.
    @Test func whatCannotBePlacedInATextIsWrittenAtItsEnd() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        let note = try anna.replica.addNote(to: id, "one")
        try anna.replica.editNote(note, "one.")
        try anna.replica.sync(server)
        server.refuses = [note]
        try anna.replica.editNote(note, "one. two")
        try anna.replica.editNote(note, "one. two, three")
        try refuse(anna, .unknownText)
        try anna.replica.settle(note, choice: 1)
        #expect(try anna.replica.note(note).body == "one.\n, three")
        #expect(try only(anna).others.map(\.value) == [" two"])
    }

    @Test func aRefusedCountIsAddedAgain() throws {
        let anna = try Operator("Anna", server)
        let id = try customer(anna)
        let counter = Field(rawValue: 3_000)
        try anna.replica.write { try $0.add(3, to: id, counter) }
        try anna.replica.write { try $0.add(4, to: id, counter) }
        try refuse(anna)
        #expect(try only(anna).others.map(\.value) == ["+4", "+3"])
        try anna.replica.settle(id, choice: 2)
        #expect(try only(anna).others.map(\.value) == ["+4"] && only(anna).shown.value == "3")
        try anna.replica.settle(id, choice: 1)
        let record = try anna.replica.read { try $0.effective(id) }
        #expect(record.sum(in: record.range(of: CellKey(counter))) == 7)
    }

    /// The account may not see the customer any more: its rows are gone, and the log alone has the values.
    @Test func whatWasRefusedOfARecordThatIsNotHereIsListedAndCannotBeWritten() throws {
        let anna = try Operator("Anna", server)
        let id = try customer(anna)
        let note = try anna.replica.addNote(to: id, "the only copy")
        try anna.replica.setFields(of: id, [FieldValue("stage", "mine")])
        try anna.replica.deleteCustomer(id)
        server.refuses = [id, note]
        try refuse(anna)
        try anna.replica.forget([id])
        #expect(try anna.replica.customers().isEmpty)
        let listed = try anna.replica.conflicts()
        #expect(listed.filter { $0.record == id }.map(\.field) == ["deleted", "stage"])
        #expect(listed.filter { $0.record == id }.map(\.kind) == ["record", "customer"])
        #expect(listed.allSatisfy { $0.shown.isNothing })
        #expect(listed.first { $0.record == note }?.others.map(\.value) == ["the only copy"])
        #expect(try anna.replica.resolveConflict(id.description) == id)
        #expect(throws: ReplicaError.cannotWriteAgain(id, kind: "record")) {
            try anna.replica.settle(id, field: "stage", choice: 1)
        }
        #expect(throws: ReplicaError.cannotWriteAgain(id, kind: "customer")) {
            try anna.replica.settle(note, choice: 1)
        }
        #expect(try anna.replica.conflicts() == listed, "what failed has decided nothing")
        for one in listed { try anna.replica.settle(one.record, field: one.field, choice: 0) }
        try expectNothingLeft(anna)
    }

    /// A rollback names what was refused, dismissed or not.
    @Test func whatIsDismissedIsStillKnownToBeRefused() throws {
        let anna = try Operator("Anna", server)
        let id = try customer(anna)
        try anna.replica.setFields(of: id, [FieldValue("stage", "mine")])
        try refuse(anna)
        let rows = { try anna.replica.read { try $0.asideRows().map(\.reason) } }
        try anna.replica.settle(id, choice: 0)
        #expect(try rows() == ["forbidden"])
        // The verdict comes again with every answer and asks nobody again.
        try anna.replica.sync(server)
        try expectNothingLeft(anna)
    }
}
