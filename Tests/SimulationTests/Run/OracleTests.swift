import ShoalClient
import ShoalCRDT
import Testing

@testable import ShoalSimulation

/// What the oracle expects where identifiers change their records.
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
}
