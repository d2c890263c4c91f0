import class GRDB.DatabaseQueue
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalClient

import struct ShoalCRDT.Record

/// Notes are texts: several people edit one without having seen each other, and all edits stand.
@Suite struct NoteTextTests {
    let server = TinyServer()

    /// Two operators who both have a note.
    private func pair(_ body: String) throws -> (anna: Operator, bert: Operator, note: RecordID) {
        let anna = try Operator("Anna", server, seed: 1)
        let bert = try Operator("Bert", server, seed: 2)
        let note = try anna.replica.addNote(to: try anna.replica.addCustomer(name: "n"), body)
        try anna.replica.sync(server)
        try bert.replica.sync(server)
        bert.world.time += 10_000
        return (anna, bert, note)
    }

    /// Everybody syncs until all have all; then everybody holds what the server holds.
    private func settle(_ operators: Operator..., location: SourceLocation = #_sourceLocation) throws {
        for _ in 0..<2 { for one in operators { try one.replica.sync(server) } }
        for one in operators { #expect(try one.replica.dumpLines == server.dump, sourceLocation: location) }
    }

    private func edits(_ old: String, _ first: String, _ second: String) throws -> String {
        let (anna, bert, note) = try pair(old)
        try anna.replica.editNote(note, first)
        try bert.replica.editNote(note, second)
        try settle(anna, bert)
        let body = try anna.replica.note(note).body
        #expect(try bert.replica.note(note).body == body)
        #expect(try anna.replica.note(note).hasConflict == false)
        #expect(try anna.replica.conflicts().isEmpty)
        return body
    }

    @Test func editsOfTwoAtDifferentPlacesStand() throws {
        #expect(try edits("敏感肌,换季会过敏", "敏感肌,春天会过敏", "敏感肌,换季会过敏,用面霜") == "敏感肌,春天会过敏,用面霜")
        #expect(try edits("one two three", "two three", "one two four") == "two four")
    }

    @Test func editsOfTwoAtTheSamePlaceStandOneAfterTheOther() throws {
        let inserted = try edits("ab", "aMilk b", "aEggs b")
        #expect(["aMilk Eggs b", "aEggs Milk b"].contains(inserted))
        // Both replaced the same word: it is deleted once, and both words are there.
        let replaced = try edits("skin: dry", "skin: fat", "skin: 混合")
        #expect(["skin: fat混合", "skin: 混合fat"].contains(replaced))
        #expect(try edits("abcdef", "af", "abcXdef") == "aXf")
    }

    @Test func theFirstChangeByTwoAtOnceDoublesNothing() throws {
        #expect(try edits("first", "first of Anna", "Bert: first") == "Bert: first of Anna")
        #expect(try edits("same", "same!", "same!") == "same!!")
    }

    @Test func anEditInAnEditorStandsWithWhatArrivesMeanwhile() throws {
        let (anna, bert, note) = try pair("first line\nsecond line")
        // Once while nobody has changed the note as a text yet, and once afterwards.
        for (number, expected) in [(1, "0 first line 1\nsecond line"), (2, "0 0 first line 1 2\nsecond line")] {
            let draft = try anna.replica.draft(of: note)
            try bert.replica.editNote(note, "0 " + bert.replica.note(note).body)
            try settle(bert, anna)
            let lines = draft.text.split(separator: "\n")
            try anna.replica.editNote(draft, "\(lines[0]) \(number)\n\(lines[1])")
            #expect(try anna.replica.note(note).body == expected)
            try settle(anna, bert)
            #expect(try bert.replica.note(note).body == expected)
        }
    }

    @Test func anEditThatChangesNothingWritesNothing() throws {
        let (anna, _, note) = try pair("body")
        for _ in 0..<2 {
            let pending = try anna.replica.status().pending
            try anna.replica.editNote(note, anna.replica.note(note).body)
            #expect(try anna.replica.status().pending == pending)
            try anna.replica.editNote(note, "another body")
        }
    }

    @Test func aClearedNoteIsEmptyAndCanBeWrittenAgain() throws {
        let (anna, bert, note) = try pair("gone")
        try anna.replica.editNote(note, "")
        try settle(anna, bert)
        #expect(try bert.replica.note(note).body == "")
        #expect(try bert.replica.history(ofNote: note) == [])
        try bert.replica.editNote(note, "back")
        try settle(bert, anna)
        #expect(try anna.replica.note(note).body == "back")
        // Nothing that was deleted is kept.
        #expect(try anna.replica.dumpLines.allSatisfy { !$0.contains("gone") })
    }

    @Test func aNoteThatWasEmptyCanBeWrittenByTwo() throws {
        #expect(["AnnaBert", "BertAnna"].contains(try edits("", "Anna", "Bert")))
    }

    @Test func aVeryLongTextIsChangedInSeveralOperationsOfOneCommand() throws {
        let (anna, bert, note) = try pair(String(repeating: "旧文", count: 10_000))
        let new = String(repeating: "新的", count: Limits.text / 6)
        let pending = try anna.replica.status().pending
        try anna.replica.editNote(note, new)
        #expect(try anna.replica.status().pending > pending + 1)
        let operations = try anna.replica.nextRequest().operations
        #expect(
            operations.operations.map(\.continuesCommand) == [false]
                + operations.operations.dropFirst().map { _ in true })
        #expect(operations.edits.allSatisfy { $0.slice.count <= Limits.text })
        try settle(anna, bert)
        #expect(try bert.replica.note(note).body == new)
        #expect(throws: ReplicaError.self) { try anna.replica.editNote(note, new + "12345678") }
    }

    // MARK: What older clients write

    /// A note that is a text, into which an older client has written what it knew.
    private func besideARegister() throws -> (anna: Operator, bert: Operator, note: RecordID) {
        let (anna, bert, note) = try pair("first")
        try anna.replica.editNote(note, "first, changed")
        // Bert has not seen the change.
        try bert.replica.write { try $0.set(note, .body, "older client") }
        try settle(anna, bert)
        return (anna, bert, note)
    }

    @Test(arguments: [0, 1]) func whatAnOlderClientWritesIsAConflictBesideTheText(choice: Int) throws {
        let (anna, bert, note) = try besideARegister()
        for one in [anna, bert] {
            #expect(try one.replica.note(note).body == "first, changed")
            #expect(try one.replica.note(note).hasConflict)
            let conflict = try #require(try one.replica.conflicts().first)
            #expect(conflict.record == note && conflict.field == "body" && conflict.kind == "note")
            #expect(conflict.shown.value == "first, changed" && conflict.shown.by == "Anna")
            #expect(conflict.others.map(\.value) == ["older client"] && conflict.others.map(\.by) == ["Bert"])
            #expect(try one.replica.status().conflicts == 1)
        }
        try anna.replica.settle(note, choice: choice)
        try settle(anna, bert)
        for one in [anna, bert] {
            #expect(try one.replica.note(note).body == ["first, changed", "older client"][choice])
            #expect(try one.replica.conflicts().isEmpty && one.replica.status().conflicts == 0)
        }
        // It is a text still.
        try bert.replica.editNote(note, "Bert: " + bert.replica.note(note).body)
        try anna.replica.editNote(note, anna.replica.note(note).body + " (Anna)")
        try settle(anna, bert)
        #expect(try anna.replica.note(note).body == "Bert: \(["first, changed", "older client"][choice]) (Anna)")
    }

    @Test func editsBesideAConflictLeaveIt() throws {
        let (anna, bert, note) = try besideARegister()
        try anna.replica.editNote(note, "first, changed again")
        try settle(anna, bert)
        #expect(try bert.replica.conflicts().map { $0.others.map(\.value) } == [["older client"]])
        #expect(try bert.replica.note(note).body == "first, changed again")
        #expect(try bert.replica.search("older").map(\.id) == [note])
    }

    @Test func twoSettleAConflictDifferentlyAndNothingIsLost() throws {
        let (anna, bert, note) = try besideARegister()
        _ = try anna.replica.conflicts()
        _ = try bert.replica.conflicts()
        try anna.replica.settle(note, choice: 0)
        try bert.replica.settle(note, choice: 1)
        try settle(anna, bert)
        #expect(try anna.replica.conflicts().isEmpty)
        #expect(try anna.replica.note(note).body == bert.replica.note(note).body)
        #expect(try anna.replica.note(note).body.contains("older client"))
    }

    @Test func aRegisterInConflictKeepsTheOtherValueWhenItBecomesAText() throws {
        let (anna, bert, note) = try pair("first")
        try anna.replica.write { try $0.set(note, .body, "of Anna") }
        try bert.replica.write { try $0.set(note, .body, "of Bert") }
        try settle(anna, bert)
        let shown = try anna.replica.note(note).body
        #expect(try anna.replica.conflicts().first?.others.count == 1)
        try anna.replica.editNote(note, shown + "!")
        try settle(anna, bert)
        let conflict = try #require(try bert.replica.conflicts().first)
        #expect(conflict.shown.value == shown + "!")
        #expect(conflict.others.map(\.value) == [shown == "of Anna" ? "of Bert" : "of Anna"])
        #expect(try bert.replica.note(note).body == shown + "!")
    }

    // MARK: What people see of it

    @Test func searchFindsTheNewTextAndNotTheDeletedOne() throws {
        let (anna, bert, note) = try pair("alpha beta")
        try anna.replica.editNote(note, "alpha gamma")
        try settle(anna, bert)
        for one in [anna, bert] {
            for _ in 0..<2 {
                #expect(try one.replica.search("gamma").map(\.id) == [note])
                #expect(try one.replica.search("\"alpha gamma\"").map(\.text) == ["alpha gamma"])
                #expect(try one.replica.search("beta").isEmpty)
                try one.replica.drainTextIndex()
            }
        }
    }

    @Test func historyNamesWhoWroteWhichPart() throws {
        let (anna, bert, note) = try pair("她皮肤敏感")
        let made = try anna.replica.note(note).at
        server.time += 1_000
        try bert.replica.editNote(note, "她皮肤不敏感")
        try settle(bert, anna)
        server.time += 1_000
        try anna.replica.editNote(note, "她皮肤不敏感👍🏽")
        try settle(anna, bert)
        for one in [anna, bert] {
            let parts = try one.replica.history(ofNote: note)
            #expect(parts.map(\.text) == ["她皮肤", "不", "敏感", "👍🏽"])
            #expect(parts.map(\.by) == ["Anna", "Bert", "Anna", "Anna"])
            #expect(parts[0].at == made && parts[2].at == made && parts[1].at > made && parts[3].at > made)
            #expect(try one.replica.note(note).body == parts.map(\.text).joined())
        }
        // Of a note that nobody has changed too.
        let other = try anna.replica.addNote(to: try anna.replica.addCustomer(name: "m"), "only")
        #expect(try anna.replica.history(ofNote: other).map(\.text) == ["only"])
    }

    @Test func whoEditsANoteThatIsBeingDeletedWins() throws {
        let (anna, bert, note) = try pair("body")
        try anna.replica.editNote(note, "body 1")
        try settle(anna, bert)
        try anna.replica.deleteNote(note)
        try bert.replica.editNote(note, "body 1 2")
        try settle(anna, bert)
        for one in [anna, bert] { #expect(try one.replica.note(note).body == "body 1 2") }
        try bert.replica.deleteNote(note)
        try settle(bert, anna)
        #expect(throws: ReplicaError.unknownID(note.description)) { try anna.replica.note(note) }
        #expect(throws: ReplicaError.unknownID(note.description)) { try anna.replica.editNote(note, "x") }
    }

    @Test func aRefusedChangeIsSetAsideAndShown() throws {
        let (anna, bert, note) = try pair("one two")
        server.refuses = [note]
        server.reason = .unknownText
        try anna.replica.editNote(note, "ONE two three")
        try anna.replica.sync(server)
        #expect(try anna.replica.note(note).body == "one two")
        let refused = try #require(try anna.replica.refused().first)
        #expect(refused.record == note && refused.kind == "note" && refused.reason == "unknown-text")
        #expect(refused.values == [FieldValue("body", "ONE\n three")])
        #expect(try anna.replica.status().refused == 1)
        // Later edits are not touched by it.
        server.refuses = []
        try anna.replica.editNote(note, "one two, again")
        try settle(anna, bert)
        #expect(try bert.replica.note(note).body == "one two, again")
    }

    /// The derived tables of a home whose program took changes of texts for values that it did not know.
    @Test func aHomeOfAnOlderVersionSeesItsTexts() throws {
        let (anna, bert, note) = try besideARegister()
        try anna.replica.drainTextIndex()
        try anna.replica.close()
        let path = HomeDirectory.databasePath(anna.home.path)
        let queue = try DatabaseQueue(path: path)
        try queue.write { database in
            try database.execute(
                sql: """
                    DELETE FROM conflict; DROP TABLE underived;
                    DELETE FROM grdb_migrations WHERE identifier = '7 texts';
                    """)
        }
        try queue.close()
        let replica = try Replica(home: anna.home.path, environment: anna.world.environment)
        #expect(try replica.conflicts().count == 1 && replica.status().conflicts == 1)
        #expect(try replica.search("changed").map(\.id) == [note])
        #expect(try replica.examine() == [])
        #expect(try replica.dumpLines == bert.replica.dumpLines)
    }
}
