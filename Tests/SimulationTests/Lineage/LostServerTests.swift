import ShoalClient
import ShoalSimulation
import Testing

/// Servers that were lost as a whole, with keys and accounts: homes enrol again, and everything comes from them.
@Suite struct LostServerTests {
    private func cluster(_ replicas: Int) throws -> Cluster {
        var settings = Settings.quiet(replicas: replicas, lineage: true)
        settings.faults.recovers = true
        let cluster = try Cluster(settings)
        try cluster.settle()
        return cluster
    }

    private func stage(_ cluster: Cluster, _ machine: ClientMachine, _ value: String) throws {
        let replica = try #require(machine.replica)
        let id = try #require(try replica.customers().first).id
        try cluster.perform(machine, on: id) { try $0.setFields(of: id, [FieldValue("stage", value)]) }
    }

    /// Everybody shows this value, and no other beside it.
    private func expect(_ cluster: Cluster, _ value: String, _ location: SourceLocation = #_sourceLocation) throws {
        try cluster.settle()
        for machine in cluster.machines {
            let replica = try #require(machine.replica)
            #expect(try replica.customers().map(\.stage) == [value], sourceLocation: location)
            #expect(try replica.conflicts().isEmpty, sourceLocation: location)
        }
        #expect(try cluster.verify().sentences == [], sourceLocation: location)
    }

    /// The author does not know that its operation was taken, so that it gets another place after a relay brought it
    /// under the first; what its author has replaced it by meanwhile names the new one.
    @Test func whatReplacesARelayedOperationThatGotAnotherPlaceFindsIt() throws {
        let cluster = try cluster(2)
        let (author, reader) = (cluster.machines[0], cluster.machines[1])
        try cluster.perform(author) { _ = try $0.addCustomer(name: "c", fields: [FieldValue("stage", "1")]) }
        // The answer is lost.
        var run = SyncRun(try #require(author.replica))
        guard case .send(let body) = try run.next() else {
            Issue.record("nothing is sent")
            return
        }
        _ = try cluster.server.answer(body, to: author)
        try cluster.sync(reader)
        try stage(cluster, author, "2")
        try cluster.wipeServer()
        try cluster.sync(reader)
        try cluster.sync(author)
        try expect(cluster, "2")
    }

    /// A backup of a server is put back that was wiped afterwards: its successor had taken more of the logs that it knows.
    @Test func aServerPutBackDoubtsItsLogsWhenItHearsOfItsSuccessor() throws {
        let cluster = try cluster(2)
        let (author, reader) = (cluster.machines[0], cluster.machines[1])
        try cluster.wipeServer()
        try cluster.settle()
        try cluster.perform(author) { _ = try $0.addCustomer(name: "c") }
        try cluster.settle()
        let backup = cluster.server.disk.snapshot()
        try stage(cluster, author, "1")
        try cluster.settle()
        try cluster.wipeServer()
        try cluster.settle()
        try stage(cluster, reader, "2")
        try cluster.settle()
        try cluster.restoreServer(to: backup)
        try cluster.beginRecovery()
        try cluster.sync(reader)
        try cluster.sync(author)
        try expect(cluster, "2")
    }
}
