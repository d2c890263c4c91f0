import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer
import ShoalSimulation
import Testing

/// Homes that were copied, and homes that were put back: nothing is lost, nothing counts twice.
struct CopyTests {
    @Test func twoCopiesWithCommonUnsentWork() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        _ = try original.replica.addCustomer(name: "sent")
        try original.sync()
        let id = try original.replica.addCustomer(name: "common")
        _ = try original.replica.addNote(to: id, "common note")
        let copy = try original.copy()
        try original.replica.setFields(of: id, [FieldValue("stage", "original")])
        try copy.replica.setFields(of: id, [FieldValue("stage", "copy")])
        _ = try copy.replica.addCustomer(name: "of the copy")
        try original.sync()
        try copy.sync()
        try scene.settle([original, copy])
        #expect(try original.names() == ["common", "of the copy", "sent"])
        #expect(try original.replica.notes(of: id).map(\.body) == ["common note"])
        #expect(try original.id != copy.id)
        // Both wrote the stage without having seen the other.
        #expect(try original.replica.conflicts(of: id).map(\.others.count) == [1])
    }

    @Test(arguments: [0, 1, 2, 3, 4])
    func copiesOfCopiesInAnyOrder(rotation: Int) throws {
        let scene = try LineageScene(seed: UInt64(rotation))
        let first = try scene.machine("anna")
        var machines = [first]
        for index in 0..<4 {
            let last = machines[index]
            let id = try last.replica.addCustomer(name: "before \(index)")
            _ = try last.replica.editTags(of: [id], [.add("t\(index)")])
            machines.append(try last.copy())
            for (place, machine) in machines.enumerated() {
                _ = try machine.replica.addCustomer(name: "after \(index) on \(place)")
            }
        }
        var order = machines
        for _ in 0..<rotation { order.append(order.removeFirst()) }
        for machine in order { try machine.sync() }
        try scene.settle(order)
        let expected = (0..<4).flatMap { index in
            ["before \(index)"] + (0...index + 1).map { "after \(index) on \($0)" }
        }
        #expect(try first.names() == expected.sorted())
        #expect(Set(try machines.map { try $0.id }).count == machines.count)
    }

    /// The tail is asked about in parts of a request's size.
    @Test func aLongCommonTailInFrames() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        let ids = try original.replica.write { commands in
            try (0..<6_000).map { try commands.addCustomer(name: "c\($0)") }
        }
        let copy = try original.copy()
        try copy.replica.setFields(of: ids[5_999], [FieldValue("stage", "copy")])
        _ = try copy.replica.editTags(of: ids, [.add("x")])
        try original.sync()
        try copy.sync()
        try scene.settle([original, copy])
        #expect(try original.replica.customers().count == 6_000)
        #expect(try original.replica.customers("tag:x").count == 6_000)
    }

    @Test func aCopyWhoseOriginalConfirmedLongAgo() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        let id = try original.replica.addCustomer(name: "common")
        let copy = try original.copy()
        try original.sync()
        for index in 0..<50 {
            try original.replica.setFields(of: id, [FieldValue("stage", "\(index)")])
            try original.sync()
        }
        try copy.replica.setFields(of: id, [FieldValue("source", "copy")])
        try copy.sync()
        try scene.settle([copy, original])
        let fields = try copy.replica.customer(id).fields
        #expect(fields.contains { $0.value == "49" } && fields.contains { $0.value == "copy" })
        #expect(try copy.replica.conflicts(of: id).isEmpty)
    }

    /// Both draw the same identifiers: the clock stands, and they are one replica.
    @Test func twoCopiesThatWriteTheSameWithAFrozenClock() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        let customer = try original.replica.addCustomer(name: "known")
        try original.sync()
        let copy = try original.copy(leaps: false)
        for machine in [original, copy] {
            try machine.replica.write { commands in
                commands.time = 1_760_000_500_000
                let id = try commands.addCustomer(name: "same")
                try commands.editTags(of: [id, customer], [.add("组/新")])
                _ = try commands.addNote(to: id, "note")
            }
        }
        try original.sync()
        try copy.sync()
        try scene.settle([original, copy])
        #expect(try original.names() == ["known", "same", "same"])
        for row in try original.replica.customers() where row.name == "same" {
            #expect(try original.replica.notes(of: row.id).map(\.body) == ["note"])
            #expect(try original.replica.customer(row.id).tags.map(\.name) == ["新"])
        }
    }

    /// What names a record that gets another identifier follows it: a tag of the copy is not the original's of that identifier.
    @Test func aTagWhoseIdentifierIsTakenKeepsItsCustomers() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        let customers = try ["of the original", "of the copy"].map { try original.replica.addCustomer(name: $0) }
        try original.sync()
        let copy = try original.copy(leaps: false)
        for (machine, customer) in zip([original, copy], customers) {
            try machine.replica.write { commands in
                commands.time = 1_760_000_500_000
                _ = try commands.editTags(of: [customer], [.add(machine === original ? "原" : "副")])
            }
        }
        try original.sync()
        try copy.sync()
        try scene.settle([original, copy])
        #expect(try customers.map { try original.replica.customer($0).tags.map(\.name) } == [["原"], ["副"]])
    }

    /// The copy has nothing to say and hears what the original wrote. What it writes then has another place than that.
    @Test func aCopyThatHeardOfTheOriginalBeforeItWrote() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        let id = try original.replica.addCustomer(name: "c")
        try original.sync()
        let copy = try original.copy()
        try original.replica.setFields(of: id, [FieldValue("stage", "original")])
        try original.sync()
        try copy.sync()
        #expect(try copy.id != original.id)
        try copy.replica.setFields(of: id, [FieldValue("stage", "copy")])
        #expect(try copy.replica.customer(id).fields.contains { $0.value == "copy" })
        try scene.settle([copy, original])
        #expect(try original.replica.customer(id).fields.contains { $0.value == "copy" })
        #expect(try original.replica.conflicts(of: id).isEmpty)
    }

    /// After a rollback both go on under the same replica. One of them writes under it; the other must hear that before it sees what that
    /// one wrote, or it would take those places for its own.
    @Test func aCopyThatHeardOfTheOtherWhileItPushedAgain() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        let id = try original.replica.addCustomer(name: "c")
        try original.sync()
        let backup = try scene.backup
        try original.replica.setFields(of: id, [FieldValue("source", "after the backup")])
        try original.sync()
        let copy = try original.copy()
        try scene.restoreServer(backup)
        try copy.sync(loses: { $0 == 2 })
        try original.sync()
        #expect(try copy.id == original.id)
        try original.replica.setFields(of: id, [FieldValue("stage", "original")])
        try original.sync()
        try copy.sync()
        #expect(try copy.id != original.id)
        #expect(try copy.replica.customer(id).fields.contains { $0.value == "original" })
        try copy.replica.setFields(of: id, [FieldValue("stage", "copy")])
        try scene.settle([copy, original])
        #expect(try original.replica.customer(id).fields.contains { $0.value == "copy" })
        #expect(try copy.replica.refused().isEmpty)
        #expect(try original.replica.conflicts(of: id).isEmpty)
    }

    /// The copy replaces what it wrote itself: once it is renumbered, the place is the original's.
    @Test func aCopyThatReplacesWhatItWrote() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        let id = try original.replica.addCustomer(name: "c")
        try original.sync()
        let copy = try original.copy()
        try original.replica.setFields(of: id, [FieldValue("source", "original")])
        try copy.replica.setFields(of: id, [FieldValue("stage", "first")])
        try copy.replica.setFields(of: id, [FieldValue("stage", "second")])
        try original.sync()
        try copy.sync()
        try scene.settle([original, copy])
        let customer = try original.replica.customer(id)
        #expect(customer.fields.contains { $0.name == "stage" && $0.value == "second" })
        #expect(customer.fields.contains { $0.name == "source" && $0.value == "original" })
        #expect(try original.replica.conflicts(of: id).isEmpty)
    }

    @Test func aRestoredDeviceThatReusesNumbers() throws {
        let scene = try LineageScene()
        let machine = try scene.machine("anna")
        let other = try scene.machine("bert")
        _ = try machine.replica.addCustomer(name: "before")
        try machine.sync()
        let backup = machine.image
        for index in 0..<5 { _ = try machine.replica.addCustomer(name: "lost \(index)") }
        try machine.sync()
        try machine.restore(backup)
        for index in 0..<7 { _ = try machine.replica.addCustomer(name: "again \(index)") }
        try machine.sync()
        try scene.settle([machine, other])
        let expected = ["before"] + (0..<7).map { "again \($0)" } + (0..<5).map { "lost \($0)" }
        #expect(try other.names() == expected.sorted())
    }

    @Test func aRestoredDeviceThatWroteNothingYet() throws {
        let scene = try LineageScene()
        let machine = try scene.machine("anna")
        _ = try machine.replica.addCustomer(name: "before")
        try machine.sync()
        let backup = machine.image
        _ = try machine.replica.addCustomer(name: "later")
        try machine.sync()
        try machine.restore(backup)
        try machine.sync()
        #expect(try machine.names() == ["before", "later"])
        _ = try machine.replica.addCustomer(name: "new")
        try scene.settle([machine])
        #expect(try machine.names() == ["before", "later", "new"])
    }

    /// A lost answer is no copy: nothing is renumbered.
    @Test func lostAnswersWithARefusalInThem() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let id = try anna.replica.addCustomer(name: "first")
        try anna.sync()
        let before = try anna.id
        // Bigger than a record may be, by the tail of it that the client does not see yet.
        try anna.replica.setFields(of: id, [FieldValue("stage", "one")])
        for _ in 0..<3 { try anna.sync(loses: { $0 == 1 }) }
        try anna.replica.setFields(of: id, [FieldValue("stage", "two")])
        try anna.sync(loses: { $0 == 1 })
        try scene.settle([anna])
        #expect(try anna.id == before)
        #expect(try anna.replica.conflicts(of: id).isEmpty)
    }

    /// An operation that changes nothing on the server, so that its cell never comes back, still leaves the tail.
    @Test func anOperationWhoseCellNeverComesBack() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.replica.editTags(of: [id], [.add("x")])
        try anna.sync()
        try bert.sync()
        try anna.replica.deleteCustomer(id)
        try bert.replica.deleteCustomer(id)
        try anna.sync()
        try bert.sync()
        try scene.settle([anna, bert])
        #expect(try bert.names().isEmpty)
    }
}
