import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer
import ShoalSimulation
import Testing

/// Servers that were set back: everybody's own work comes back by itself, once.
struct RollbackTests {
    @Test func aServerRestoredFromABackupGetsEverybodysOwnWorkBack() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        let id = try anna.replica.addCustomer(name: "old")
        try anna.sync()
        try bert.sync()
        let backup = try scene.backup
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        _ = try anna.replica.addCustomer(name: "lost by the server")
        try anna.sync()
        try bert.sync()
        try bert.replica.setFields(of: id, [FieldValue("stage", "bert, having seen anna's")])
        _ = try bert.replica.addNote(to: id, "note")
        try bert.sync()
        let dump = try scene.server.dump
        let epoch = scene.server.store.epoch
        try scene.restoreServer(backup)
        // Bert's operations supersede what has not come back yet.
        try bert.sync()
        #expect(scene.server.store.epoch != epoch)
        #expect(try bert.replica.status().pending == 0)
        try scene.settle([bert, anna])
        // What was there is there again, dot for dot; the accounts name new replicas.
        let kept = { (lines: [String]) in lines.filter { !$0.contains(#""kind":"account""#) } }
        #expect(try kept(scene.server.dump) == kept(dump))
        #expect(try anna.replica.conflicts().isEmpty)
    }

    @Test func neverSentOperationsAndNewOnesGoOnUnderAnotherReplica() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let id = try anna.replica.addCustomer(name: "old")
        try anna.sync()
        let backup = try scene.backup
        try anna.replica.setFields(of: id, [FieldValue("stage", "1")])
        try anna.sync()
        let before = try anna.id
        try anna.replica.setFields(of: id, [FieldValue("stage", "2")])
        _ = try anna.replica.addCustomer(name: "unsent")
        try scene.restoreServer(backup)
        try anna.sync()
        #expect(try anna.id != before)
        try anna.replica.setFields(of: id, [FieldValue("stage", "3")])
        try scene.settle([anna])
        #expect(try anna.names() == ["old", "unsent"])
        #expect(try anna.replica.customer(id).fields.contains { $0.value == "3" })
        #expect(try anna.replica.conflicts().isEmpty)
    }

    /// Sent and taken, but the answer was lost, then the server lost it: the same number, the same effect.
    @Test func aLostAnswerBeforeTheRollbackIsNoConflict() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        try bert.sync()
        let backup = try scene.backup
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        try anna.sync(loses: { $0 == 1 })
        try bert.sync()
        try bert.replica.setFields(of: id, [FieldValue("stage", "bert")])
        try bert.sync()
        let sent = try #require(try anna.replica.logged().places.last)
        try scene.restoreServer(backup)
        try bert.sync()
        try scene.settle([bert, anna])
        #expect(try anna.replica.logged().places.contains { $0.hash == sent.hash && $0.dot == sent.dot })
        #expect(try bert.replica.customer(id).fields.contains { $0.value == "bert" })
        #expect(try bert.replica.conflicts().isEmpty)
    }

    /// Another copy has pushed their common log again and found the identifier of a record in it taken.
    @Test func aCopyLearnsWhatItsRecordIsCalledSinceTheRollback() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        try original.sync()
        let image = original.image
        _ = try original.replica.addCustomer(name: "first")
        try original.sync()
        let backup = try scene.backup
        func addCustomer(_ name: String, _ machine: Machine) throws -> RecordID {
            try machine.replica.write { commands in
                commands.time = 1_760_000_500_000
                return try commands.addCustomer(name: name)
            }
        }
        let id = try addCustomer("theirs", original)
        try original.sync()
        let copy = try original.copy()
        try copy.sync()
        try scene.restoreServer(backup)
        // A home put back to before it drew the identifier draws it again, and is the first to come.
        let early = try scene.copy(image, leaps: false)
        try #require(try addCustomer("another", early) == id)
        try early.sync()
        try scene.settle([early, original])
        try copy.replica.setFields(of: id, [FieldValue("stage", "the copy's")])
        _ = try copy.replica.addNote(to: id, "note")
        try scene.settle([early, original, copy])
        #expect(try copy.names() == ["another", "first", "theirs"])
        for row in try copy.replica.customers() {
            let isTheirs = row.name == "theirs"
            #expect(try copy.replica.customer(row.id).fields.contains { $0.value == "the copy's" } == isTheirs)
            #expect(try copy.replica.notes(of: row.id).map(\.body) == (isTheirs ? ["note"] : []))
        }
    }

    /// Others have worked with the restored server before somebody comes who can tell.
    @Test func aRollbackThatIsNoticedLate() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        try bert.sync()
        let backup = try scene.backup
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        try anna.sync()
        try scene.restoreServer(backup)
        let cara = try scene.machine("cara")
        _ = try bert.replica.addCustomer(name: "bert's")
        try bert.replica.setFields(of: id, [FieldValue("stage", "bert")])
        try bert.sync()
        _ = try cara.replica.addCustomer(name: "cara's")
        try cara.sync()
        try anna.sync()
        try scene.settle([anna, bert, cara])
        #expect(try anna.names() == ["bert's", "c", "cara's"])
        #expect(try anna.replica.conflicts(of: id).map(\.others.count) == [1])
    }

    @Test func aRollbackTwice() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        _ = try anna.replica.addCustomer(name: "1")
        try anna.sync()
        let backup = try scene.backup
        for round in 2...4 {
            _ = try anna.replica.addCustomer(name: "\(round)")
            _ = try bert.replica.addCustomer(name: "b\(round)")
            try anna.sync()
            try bert.sync()
            _ = try bert.replica.addCustomer(name: "unsent \(round)")
            try scene.restoreServer(backup)
            if round.isMultiple(of: 2) { try bert.sync() }
        }
        try scene.settle([anna, bert])
        let expected = ["1", "2", "3", "4", "b2", "b3", "b4", "unsent 2", "unsent 3", "unsent 4"]
        #expect(try anna.names() == expected.sorted())
        #expect(try anna.replica.conflicts().isEmpty)
    }

    @Test func aReplicaHandedOutAfterTheBackupIsNotHandedOutAgain() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        _ = try anna.replica.addCustomer(name: "a")
        try anna.sync()
        let backup = try scene.backup
        let copy = try anna.copy()
        _ = try anna.replica.addCustomer(name: "b")
        _ = try copy.replica.addCustomer(name: "c")
        try anna.sync()
        try copy.sync()
        let forked = try copy.id
        try scene.restoreServer(backup)
        let bert = try scene.machine("bert")
        #expect(try bert.id != forked)
        _ = try bert.replica.addCustomer(name: "d")
        try bert.sync()
        try copy.sync()
        try scene.settle([copy, anna, bert])
        #expect(try bert.names() == ["a", "b", "c", "d"])
    }

    /// What an earlier epoch refused stays refused when the log is sent again.
    @Test func whatWasRefusedStaysSetAside() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        try bert.sync()
        let backup = try scene.backup
        // Together more than a record may have; each client checks only what it sees.
        let text = String(repeating: "字", count: 20_000)
        for index in 0..<20 {
            try anna.replica.setFields(of: id, [FieldValue("x-a\(index)", text)])
            try bert.replica.setFields(of: id, [FieldValue("x-b\(index)", text)])
        }
        try anna.sync()
        try bert.sync()
        let refused = try bert.replica.refused().count
        #expect(refused > 0)
        try scene.settle([anna, bert])
        let dump = try scene.server.dump.filter { $0.contains(#""kind":"customer""#) }
        try scene.restoreServer(backup)
        // In the other order there would be room for all that was refused, and none for what was taken.
        try bert.sync()
        try scene.settle([bert, anna])
        #expect(try scene.server.dump.filter { $0.contains(#""kind":"customer""#) } == dump)
        #expect(try bert.replica.refused().count == refused)
        #expect(try anna.replica.refused().isEmpty)
    }

    /// The backup is of a server that had been set back itself: it stays in its epoch, but not all that was written of the logs
    /// that it handed out there is known to it.
    @Test func aServerIsSetBackWithinAnEpochThatARollbackBegan() throws {
        let scene = try LineageScene()
        let (anna, ben) = (try scene.machine("anna"), try scene.machine("ben"))
        let id = try anna.replica.addCustomer(name: "c")
        let first = try scene.backup
        try scene.settle([anna, ben])
        try scene.restoreServer(first)
        try scene.settle([anna, ben])
        let second = try scene.backup
        try anna.replica.setFields(of: id, [FieldValue("stage", "old")])
        try scene.settle([anna, ben])
        try scene.restoreServer(first)
        try scene.settle([anna, ben])
        try ben.replica.setFields(of: id, [FieldValue("stage", "new")])
        try scene.restoreServer(second)
        try ben.sync()
        try scene.settle([anna, ben])
        #expect(try anna.replica.customer(id).fields.filter { $0.name == "stage" }.map(\.value) == ["new"])
        #expect(try anna.replica.conflicts(of: id).isEmpty)
    }
}
