import ShoalClient
import ShoalCRDT
import ShoalProtocol
import ShoalServer
import ShoalSimulation
import Testing

/// Copies of homes and servers that were set back, both at once: what was written before names operations by the places
/// that they had then.
struct EarlierPlaceTests {
    /// Anna's change was taken at a place at which her copy's work is pushed after the rollback. Zoe has seen Anna's and
    /// replaced it.
    @Test(arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]], [false, true])
    func aPlaceThatACopysWorkHasTaken(order: [Int], isTwice: Bool) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        let copy = try anna.copy()
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna"), FieldValue("source", "anna")])
        try anna.sync()
        try zoe.sync()
        try zoe.replica.setFields(of: id, [FieldValue("stage", "zoe")])
        try zoe.sync()
        // Never taken, but the copy cannot know.
        _ = try copy.replica.addCustomer(name: "of the copy")
        try copy.sync(loses: { $0 == 1 })
        try scene.restoreServer(backup)
        let machines = [anna, copy, zoe]
        for index in order { try machines[index].sync() }
        if isTwice {
            try scene.restoreServer(backup)
            for index in order.reversed() { try machines[index].sync() }
        }
        try scene.settle(machines)
        #expect(try zoe.names() == ["c", "of the copy"])
        #expect(try zoe.replica.conflicts().isEmpty)
        let fields = try zoe.replica.customer(id).fields
        #expect(fields.contains { $0.name == "stage" && $0.value == "zoe" })
        #expect(fields.contains { $0.name == "source" && $0.value == "anna" })
    }

    /// The same with a deletion.
    @Test(arguments: [[0, 1, 2], [1, 2, 0], [2, 1, 0]])
    func aDeletionThatNamesATakenPlace(order: [Int]) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        _ = try anna.replica.addCustomer(name: "first")
        try anna.sync()
        let backup = try scene.backup
        let copy = try anna.copy()
        let id = try anna.replica.addCustomer(name: "deleted")
        try anna.sync()
        try zoe.sync()
        try zoe.replica.deleteCustomer(id)
        try zoe.sync()
        _ = try copy.replica.addCustomer(name: "of the copy")
        try copy.sync(loses: { $0 == 1 })
        try scene.restoreServer(backup)
        let machines = [anna, copy, zoe]
        for index in order { try machines[index].sync() }
        try scene.settle(machines)
        #expect(try zoe.names() == ["first", "of the copy"])
    }

    /// The copy's work never was at Anna's place: she says that hers was acknowledged there. Zoe has replaced Anna's alone.
    @Test(arguments: [[0, 1, 2], [0, 2, 1], [2, 0, 1]])
    func aPlaceThatSurelyWasNotTheCopys(order: [Int]) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        let copy = try anna.copy()
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        try anna.sync()
        try zoe.sync()
        try zoe.replica.setFields(of: id, [FieldValue("stage", "zoe")])
        try zoe.sync()
        try copy.replica.setFields(of: id, [FieldValue("stage", "copy")])
        try scene.restoreServer(backup)
        let machines = [anna, copy, zoe]
        for index in order { try machines[index].sync() }
        try scene.settle(machines)
        let conflict = try #require(try zoe.replica.conflicts(of: id).first)
        #expect(Set([conflict.shown.value] + conflict.others.map(\.value)) == ["copy", "zoe"])
    }

    /// Two epochs acknowledged different operations at one place. Anna's came again from a copy that knows of no
    /// acknowledgement, and only then she says that it stood there.
    @Test func aPlaceThatIsProvenAfterItsOperationCame() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        let rival = try anna.copy()
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        let copy = try anna.copy()
        try anna.sync()
        try zoe.sync()
        try zoe.replica.setFields(of: id, [FieldValue("stage", "zoe")])
        try zoe.sync()
        _ = try rival.replica.addCustomer(name: "of the rival")
        try rival.sync(loses: { $0 == 1 })
        try scene.restoreServer(backup)
        try rival.sync()
        try copy.sync()
        try scene.restoreServer(backup)
        for machine in [zoe, rival, copy] { try machine.sync() }
        #expect(try copy.replica.conflicts(of: id).count == 1)
        try scene.settle([anna, zoe, rival, copy])
        #expect(try anna.names() == ["c", "of the rival"])
        #expect(try anna.replica.conflicts().isEmpty)
        #expect(try anna.replica.customer(id).fields.contains { $0.name == "stage" && $0.value == "zoe" })
    }

    /// What took Anna's place is refused there. Zoe's work, which names the place, is not refused with it.
    @Test(arguments: [[1, 0, 2], [1, 2, 0]])
    func aPlaceWhereAnotherOperationWasRefused(order: [Int]) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        let copy = try anna.copy()
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        try anna.sync()
        try zoe.sync()
        try zoe.replica.setFields(of: id, [FieldValue("stage", "zoe")])
        try zoe.sync()
        // Accounts are the server's to write.
        _ = try copy.replica.write { try $0.make(.account, scope: .workspace) }
        try copy.sync(loses: { $0 == 1 })
        try scene.restoreServer(backup)
        let machines = [anna, copy, zoe]
        for index in order { try machines[index].sync() }
        try scene.settle(machines)
        #expect(try copy.replica.refused().map(\.reason) == ["forbidden"])
        #expect(try zoe.replica.refused().isEmpty)
        #expect(try zoe.replica.conflicts().isEmpty)
        #expect(try zoe.replica.customer(id).fields.contains { $0.name == "stage" && $0.value == "zoe" })
    }

    /// Zoe relays a row that has Anna's change at the place that the copy's work has now.
    @Test(arguments: [true, false], [true, false])
    func aRelayThatSpeaksOfATakenPlace(isAnnaFirst: Bool, isReplaced: Bool) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        let bert = try scene.machine("bert")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        let copy = try anna.copy()
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        try anna.sync()
        try zoe.sync()
        _ = try copy.replica.addCustomer(name: "of the copy")
        try copy.sync(loses: { $0 == 1 })
        try scene.restoreServer(backup)
        try copy.sync()
        _ = try scene.server.store.beginRecovery()
        for machine in isAnnaFirst ? [anna] : [zoe, anna] { try machine.sync() }
        if isReplaced {
            try bert.sync()
            try bert.replica.setFields(of: id, [FieldValue("stage", "bert")])
            try bert.sync()
        }
        try scene.settle([zoe, anna, bert, copy])
        #expect(try bert.names() == ["c", "of the copy"])
        #expect(try bert.replica.conflicts().isEmpty)
        #expect(try bert.replica.customer(id).fields.contains { $0.value == (isReplaced ? "bert" : "anna") })
    }

    /// A copy has tried to send its work in vain; when the server was set back, a relay speaks of the place that it gave it.
    @Test(arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]], ["phone", "stage"])
    func aCopysWorkAtAPlaceOfWhichARelaySpeaks(order: [Int], field: String) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        let copy = try anna.copy()
        try anna.replica.setFields(of: id, [FieldValue("phone", "999")])
        try anna.sync()
        try zoe.sync()
        try copy.replica.setFields(of: id, [FieldValue(field, "888")])
        try copy.sync(loses: { $0 == 1 })
        try scene.restoreServer(backup)
        _ = try scene.server.store.beginRecovery()
        let machines = [zoe, copy, anna]
        for index in order { try machines[index].sync() }
        try scene.settle(machines)
        let fields = try zoe.replica.customer(id).fields
        let conflicts = try zoe.replica.conflicts(of: id).flatMap { [$0.shown.value] + $0.others.map(\.value) }
        #expect(Set(fields.map(\.value) + conflicts).isSuperset(of: ["888", "999"]))
        #expect(conflicts.isEmpty == (field == "stage"))
    }

    /// What is written after the rollback names what stands at the place now.
    @Test func laterWorkNamesPlacesOfNow() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        let copy = try anna.copy()
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        try anna.sync()
        try zoe.sync()
        try copy.replica.setFields(of: id, [FieldValue("stage", "copy")])
        try copy.sync(loses: { $0 == 1 })
        try scene.restoreServer(backup)
        try copy.sync()
        try zoe.sync()
        // Zoe sees the copy's value now, and replaces that; Anna's comes again and stays.
        try zoe.replica.setFields(of: id, [FieldValue("stage", "zoe")])
        try zoe.sync()
        try scene.settle([copy, zoe, anna])
        let conflict = try #require(try zoe.replica.conflicts(of: id).first)
        #expect(Set([conflict.shown.value] + conflict.others.map(\.value)) == ["anna", "zoe"])
    }

    /// A home that was set back does not know that it sent what the server took.
    @Test(arguments: [true, false])
    func aRestoredHomeThatSentMoreThanItKnows(isHomeFirst: Bool) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        let unsent = anna.image
        try anna.sync()
        try zoe.sync()
        try zoe.replica.setFields(of: id, [FieldValue("stage", "zoe")])
        try zoe.sync()
        try anna.restore(unsent)
        try scene.restoreServer(backup)
        try zoe.sync()
        try scene.settle(isHomeFirst ? [anna, zoe] : [zoe, anna])
        #expect(try anna.replica.conflicts().isEmpty)
        #expect(try anna.replica.customer(id).fields.contains { $0.value == "zoe" })
    }

    /// The same with work in a log that the server handed out and then lost, and that its home, which believes that nothing of
    /// it was ever sent, does not name any more.
    @Test(arguments: [true, false])
    func aRestoredHomeWhoseLogTheServerNeverHadInThisEpoch(isHomeFirst: Bool) throws {
        let scene = try LineageScene()
        let (anna, zoe, id, backup) = try Self.homeWithAnEmptyLog(scene)
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna"), FieldValue("source", "anna")])
        let unsent = anna.image
        try anna.sync()
        try zoe.sync()
        try zoe.replica.setFields(of: id, [FieldValue("stage", "zoe")])
        try zoe.sync()
        try anna.restore(unsent)
        try scene.restoreServer(backup)
        try scene.settle(isHomeFirst ? [anna, zoe] : [zoe, anna])
        #expect(try anna.replica.conflicts().isEmpty)
        let fields = try anna.replica.customer(id).fields
        #expect(fields.contains { $0.name == "stage" && $0.value == "zoe" })
        #expect(fields.contains { $0.name == "source" && $0.value == "anna" })
    }

    /// Anna's change stood at a place in a log that the server lost, and only Zoe's row has it still. A copy's work was at the
    /// same place of its home and never sent: the relay speaks of Anna's.
    @Test func aRelayOfAPlaceInALostLogThatACopyNames() throws {
        let scene = try LineageScene()
        let (anna, zoe, id, backup) = try Self.homeWithAnEmptyLog(scene)
        let copy = try anna.copy()
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        try anna.sync()
        try zoe.sync()
        try copy.replica.setFields(of: id, [FieldValue("stage", "copy")])
        try scene.restoreServer(backup)
        try copy.sync()
        _ = try scene.server.store.beginRecovery()
        try scene.settle([zoe, copy])
        let conflict = try #require(try zoe.replica.conflicts(of: id).first)
        #expect(Set([conflict.shown.value] + conflict.others.map(\.value)) == ["anna", "copy"])
    }

    /// Anna's home and Zoe's. Anna's goes on in a log that the server has handed out since the backup. Nothing stands in it yet,
    /// and what she wrote before goes first: the answer to that was lost.
    private static func homeWithAnEmptyLog(_ scene: LineageScene) throws -> (Machine, Machine, RecordID, DiskImage) {
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        try anna.replica.setFields(of: id, [FieldValue("gender", "f")])
        try anna.sync()
        try scene.restoreServer(backup)
        try anna.sync(loses: { $0 == 2 })
        return (anna, zoe, id, backup)
    }

    /// The same with more work than a request holds: the rest was never sent, as far as the home knows that was set back.
    @Test func aRestoredHomeThatSentMoreThanOneRequest() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let zoe = try scene.machine("zoe")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        let long = FieldValue("x-long", String(repeating: "长", count: 20_000))
        for index in 0..<18 { _ = try anna.replica.addCustomer(name: "long \(index)", fields: [long]) }
        try anna.replica.setFields(of: id, [FieldValue("stage", "anna")])
        let unsent = anna.image
        try anna.sync()
        try zoe.sync()
        try zoe.replica.setFields(of: id, [FieldValue("stage", "zoe")])
        try zoe.sync()
        try anna.restore(unsent)
        try scene.restoreServer(backup)
        try zoe.sync()
        try scene.settle([anna, zoe])
        #expect(try anna.replica.customers().count == 19)
        #expect(try anna.replica.conflicts().isEmpty)
        #expect(try anna.replica.customer(id).fields.contains { $0.value == "zoe" })
    }

    /// Two copies hold the same operations. The server took them in the log of one, which is gone when the server is set
    /// back.
    @Test func whatStoodInAnotherCopysLogComesFromHere() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        _ = try original.replica.addCustomer(name: "first")
        try original.sync()
        let backup = try scene.backup
        let copy = try original.copy()
        _ = try copy.replica.addCustomer(name: "common 1")
        _ = try copy.replica.addCustomer(name: "common 2")
        let second = try copy.copy()
        _ = try original.replica.addCustomer(name: "of the original")
        try original.sync()
        try copy.sync()
        _ = try second.replica.addCustomer(name: "of the second")
        try second.sync()
        try scene.restoreServer(backup)
        try scene.settle([second, original])
        #expect(try original.names() == ["common 1", "common 2", "first", "of the original", "of the second"])
        // The copy comes after all: nothing counts twice.
        _ = try copy.replica.addCustomer(name: "of the copy")
        try scene.settle([second, original, copy])
        #expect(
            try original.names()
                == ["common 1", "common 2", "first", "of the copy", "of the original", "of the second"])
    }

    /// A copy was made after its log was renumbered and before the record that it makes had to be renamed.
    @Test func aCopyLearnsWhatItsRecordIsCalledNow() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        _ = try original.replica.addCustomer(name: "first")
        try original.sync()
        let copy = try original.copy(leaps: false)
        for machine in [original, copy] {
            try machine.replica.write { commands in
                commands.time = 1_760_000_500_000
                _ = try commands.addCustomer(name: machine === original ? "of the original" : "of the copy")
            }
        }
        try original.sync()
        // Two requests until the log is renumbered; the third finds the identifier taken.
        try copy.sync(loses: { $0 == 3 })
        let second = try copy.copy()
        try copy.sync()
        let row = try #require(try second.replica.customers().first { $0.name == "of the copy" })
        _ = try second.replica.addNote(to: row.id, "note")
        // The third request is the first after the log is healed: what people see follows before any page comes.
        try second.sync(loses: { $0 == 3 })
        let name = try #require(try copy.replica.customers().first { $0.name == "of the copy" }).id
        #expect(name != row.id)
        #expect(try second.replica.customers().filter { $0.name == "of the copy" }.map(\.id) == [name])
        #expect(try second.replica.notes(of: name).map(\.body) == ["note"])
        try second.sync()
        try scene.settle([second, copy, original])
        for row in try original.replica.customers() {
            #expect(
                try original.replica.notes(of: row.id).map(\.body) == (row.name == "of the copy" ? ["note"] : []))
        }
    }

    /// A copy got an identifier for its log that the server does not remember having handed out.
    @Test func aHandedOutReplicaThatTheServerForgot() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        _ = try original.replica.addCustomer(name: "first")
        try original.sync()
        let copy = try original.copy()
        _ = try original.replica.addCustomer(name: "of the original")
        try original.sync()
        let backup = try scene.backup
        _ = try copy.replica.addCustomer(name: "of the copy")
        try copy.sync(loses: { $0 == 3 })
        try scene.restoreServer(backup)
        try copy.sync()
        try scene.settle([copy, original])
        #expect(try original.names() == ["first", "of the copy", "of the original"])
    }

    @Test func copiesWhoseClockStandsStillDrawDifferentIdentifiers() throws {
        let scene = try LineageScene()
        let original = try scene.machine("anna")
        _ = try original.replica.addCustomer(name: "first")
        try original.sync()
        let copies = [original, try original.copy(), try original.copy()]
        var ids: Set<RecordID> = []
        for copy in copies {
            try copy.replica.write { commands in
                commands.time = 0
                for _ in 0..<20 { ids.insert(try commands.addCustomer(name: "c")) }
            }
        }
        #expect(ids.count == 60)
        try scene.settle(copies)
        #expect(try original.replica.customers().count == 61)
    }
}
