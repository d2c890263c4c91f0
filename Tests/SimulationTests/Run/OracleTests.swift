import ShoalClient
import ShoalCRDT
import Testing

@testable import ShoalSimulation

/// What the oracle expects where identifiers change their records, and where the server forgets.
@Suite struct OracleTests {
    /// Two copies of a home that have drawn one identifier for a customer each, and a copy of the second that still calls
    /// its customer so when the others have heard of each other.
    private struct Namesakes {
        let cluster: Cluster
        let first: ClientMachine
        let second: ClientMachine
        let stale: ClientMachine
        /// The customer of the first, under the identifier that both had drawn.
        let customer: RecordID

        init() throws {
            cluster = try Cluster(.quiet(replicas: 2, lineage: true))
            first = cluster.machines[0]
            try cluster.settle()
            second = try cluster.copy(of: first)
            customer = try cluster.perform(first) { try $0.addCustomer(name: "of the first") }
            let other = try cluster.perform(second) { try $0.addCustomer(name: "of the second") }
            #expect(other == customer)
            stale = try cluster.copy(of: second)
            try cluster.sync(first)
            try cluster.sync(second)
        }

        /// The stale copy's log is read as it is, and then the second's.
        func readLogs() throws {
            try cluster.restart(stale, after: .processes)
            try cluster.sync(second)
        }
    }

    @Test func whatACopyWritesOfItsNamesakeIsNotOfItsOwnRecord() throws {
        let scene = try Namesakes()
        let (cluster, customer) = (scene.cluster, scene.customer)
        try cluster.perform(scene.second, on: customer) {
            try $0.setFields(of: customer, [FieldValue("stage", "by the second")])
        }
        try scene.readLogs()
        try cluster.settle()
        #expect(try cluster.verify().sentences == [])
    }

    @Test func aCustomerKeepsItsNotesWhenANamesakeIsRenamed() throws {
        let scene = try Namesakes()
        let (cluster, customer) = (scene.cluster, scene.customer)
        let note = try cluster.perform(scene.first, on: customer) { try $0.addNote(to: customer, "a note") }
        try scene.readLogs()
        #expect(cluster.oracle.notes[customer] == [note])
    }

    /// A copy's addition stands where another one stood when somebody deleted the record with that: nobody can tell whether it
    /// was meant.
    @Test func anAdditionThatStandsWhereADeletedOneStoodMayCountAsDeleted() throws {
        let cluster = try Cluster(.quiet(replicas: 2, lineage: true))
        let (original, other) = (cluster.machines[0], cluster.machines[1])
        let id = try cluster.perform(original) { try $0.addCustomer(name: "one") }
        try cluster.settle()
        let backup = cluster.server.disk.snapshot()
        let copy = try cluster.copy(of: original)
        for (machine, amount) in [(copy, 4), (original, 6)] as [(ClientMachine, Int64)] {
            try cluster.perform(machine, on: id) {
                try $0.write { try $0.add(amount, to: id, Field(rawValue: 3_000)) }
            }
        }
        try cluster.sync(original)
        try cluster.sync(other)
        try cluster.perform(other, on: id) { try $0.deleteCustomer(id) }
        try cluster.sync(other)
        try cluster.restoreServer(to: backup)
        try cluster.sync(copy)
        try cluster.settle()
        let record = try copy.opened().effectiveRecord(id)
        #expect(record.entries.count { $0.kind == .count && $0.isCovered } == 2)
        #expect(try cluster.verify().sentences == [])
    }

    /// Everybody has seen a removal; then it is collected, and somebody deletes its record, who has nothing to cover of it
    /// any more.
    @Test func aCollectedAbsenceDoesNotKeepARecordThatIsDeletedAfterwards() throws {
        let cluster = try Cluster(.quietWithCollection(replicas: 3))
        let (a, b, c) = (cluster.machines[0], cluster.machines[1], cluster.machines[2])
        let id = try cluster.perform(a) { try $0.addCustomer(name: "one", fields: [FieldValue("stage", "new")]) }
        try cluster.settle()
        try cluster.perform(b, on: id) { try $0.unfollow(id, account: b.account.name) }
        try cluster.settle()
        try cluster.perform(a, on: id) { try $0.setFields(of: id, [FieldValue("phone", "1")]) }
        try cluster.settle()
        try cluster.settle()
        #expect(try cluster.collect(limit: 100).cells == 1)
        try cluster.settle()
        try cluster.perform(c, on: id) { try $0.deleteCustomer(id) }
        try cluster.settle()
        #expect(try a.opened().customers().isEmpty)
        #expect(try cluster.verify().sentences == [])
    }

    /// A removal that nobody who deleted the record has seen keeps it, though absences are collected.
    @Test func anAbsenceThatCannotHaveBeenCollectedKeepsItsRecord() throws {
        let cluster = try Cluster(.quietWithCollection(replicas: 3))
        let (a, b, c) = (cluster.machines[0], cluster.machines[1], cluster.machines[2])
        let id = try cluster.perform(a) { try $0.addCustomer(name: "one") }
        try cluster.settle()
        try cluster.perform(b, on: id) { try $0.unfollow(id, account: b.account.name) }
        try cluster.perform(c, on: id) { try $0.deleteCustomer(id) }
        try cluster.settle()
        cluster.oracle.noteCollection()
        #expect(try a.opened().customers().map(\.id) == [id])
        #expect(try cluster.verify().sentences == [])
        // As if the server had forgotten the removal.
        let verification = try Verification(cluster)
        let absence = try #require(cluster.oracle.order.first { cluster.oracle.events[$0]?.machine == b.number })
        #expect(!verification.mayBeCollected(absence, of: id))
    }
}

extension Settings {
    fileprivate static func quietWithCollection(replicas: Int) -> Settings {
        var settings = quiet(replicas: replicas)
        settings.faults.collects = true
        return settings
    }
}
