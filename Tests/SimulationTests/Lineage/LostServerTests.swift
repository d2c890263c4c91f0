import ShoalCRDT
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

    /// The same where the author hears of no loss: its server was set back within the epoch and to what it had acknowledged.
    @Test func aDeletionFindsARelayedOperationThatGotAnotherPlaceWithoutAnotherEpoch() throws {
        let cluster = try cluster(2)
        let (author, reader) = (cluster.machines[0], cluster.machines[1])
        var note = RecordID(rawValue: 0)
        try cluster.perform(author) { note = try $0.addNote(to: $0.addCustomer(name: "c"), "a") }
        try cluster.settle()
        let backup = cluster.server.disk.snapshot()
        try cluster.perform(author, on: note) { try $0.editNote(note, "ab") }
        try stage(cluster, author, "1")
        // The answer is lost.
        var run = SyncRun(try #require(author.replica))
        guard case .send(let body) = try run.next() else {
            Issue.record("nothing is sent")
            return
        }
        _ = try cluster.server.answer(body, to: author)
        try cluster.sync(reader)
        try stage(cluster, reader, "2")
        try cluster.sync(reader)
        try cluster.wipeServer()
        try cluster.admit(reader)
        try cluster.restoreServer(to: backup)
        try cluster.beginRecovery()
        try cluster.admit(reader)
        try cluster.sync(reader)
        try cluster.perform(author, on: note) { try $0.deleteNote(note) }
        try cluster.settle()
        #expect(try cluster.verify().sentences == [])
        for machine in cluster.machines {
            let replica = try #require(machine.replica)
            #expect(try replica.notes(of: try #require(try replica.customers().first).id).isEmpty)
        }
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

    /// Two backups of a server are put back in turn. The first knows nothing of the epoch that the second began, and goes on from
    /// its own with what that had handed out; so the second may know less of its own logs than those who come from the first.
    ///
    /// - Parameter isLate: whether the second was made before everybody had their logs.
    @Test(arguments: [false, true])
    func aServerPutBackDoubtsItsLogsWhenAnEpochThatItKnewWentOnWithoutIt(isLate: Bool) throws {
        let cluster = try cluster(2)
        let (author, reader) = (cluster.machines[0], cluster.machines[1])
        try cluster.perform(author) { _ = try $0.addCustomer(name: "c") }
        try cluster.settle()
        try cluster.beginRecovery()
        let first = cluster.server.disk.snapshot()
        try stage(cluster, author, "0")
        try stage(cluster, reader, "0")
        try cluster.settle()
        try cluster.restoreServer(to: first)
        // Both write in logs of the second epoch.
        var second = cluster.server.disk.snapshot()
        for machine in [author, reader] {
            try cluster.sync(machine)
            try stage(cluster, machine, "1")
            try cluster.sync(machine)
            if machine === author || !isLate { second = cluster.server.disk.snapshot() }
        }
        try cluster.settle()
        try stage(cluster, author, "2")
        try cluster.settle()
        try cluster.restoreServer(to: first)
        try cluster.settle()
        try stage(cluster, reader, "3")
        try cluster.settle()
        try cluster.restoreServer(to: second)
        try cluster.sync(reader)
        try cluster.sync(author)
        try expect(cluster, "3")
    }

    /// Homes were enrolled elsewhere and come back without a token to a server that was put back in their epoch.
    @Test func aServerPutBackDoubtsItsLogsWhenAHomeHasMoreOfItsEpoch() throws {
        let cluster = try cluster(2)
        let (author, reader) = (cluster.machines[0], cluster.machines[1])
        try cluster.wipeServer()
        try cluster.settle()
        try cluster.perform(author) { _ = try $0.addCustomer(name: "c") }
        for machine in [author, reader] {
            try cluster.settle()
            try stage(cluster, machine, "1")
        }
        try cluster.settle()
        let backup = cluster.server.disk.snapshot()
        for (machine, value) in [(author, "2"), (reader, "3")] {
            try stage(cluster, machine, value)
            try cluster.settle()
        }
        try cluster.wipeServer()
        for machine in [author, reader] { try cluster.admit(machine) }
        try cluster.restoreServer(to: backup)
        try cluster.sync(reader)
        try cluster.sync(author)
        try expect(cluster, "3")
    }

    /// A home is enrolled with a new server, and before it syncs with that, with an earlier state of the one that it came from:
    /// nothing tells it that this has lost something, and what it held comes back all the same.
    @Test func aHomeThatWasEnrolledElsewhereHoldsWhatItsServerHad() throws {
        let cluster = try cluster(3)
        let (author, reader, gone) = (cluster.machines[0], cluster.machines[1], cluster.machines[2])
        try cluster.perform(author) { _ = try $0.addCustomer(name: "c", fields: [FieldValue("stage", "1")]) }
        try cluster.settle()
        let backup = cluster.server.disk.snapshot()
        try stage(cluster, gone, "2")
        try cluster.sync(gone)
        try cluster.sync(reader)
        try cluster.wipeServer()
        try cluster.admit(reader)
        try cluster.discard(gone)
        try cluster.restoreServer(to: backup)
        try cluster.beginRecovery()
        // The key that it has is the new server's, which is gone.
        try cluster.admit(reader)
        try expect(cluster, "2")
    }

    /// All of a log was renumbered, and the next server has to believe where it once stood: another one's row speaks of it. The
    /// record is not made twice; nobody can tell that the first stage is the one that was replaced.
    @Test func whoseLogWasRenumberedWholeIsBelievedAboutIt() throws {
        let cluster = try cluster(2)
        let (author, reader) = (cluster.machines[0], cluster.machines[1])
        try cluster.perform(author) { _ = try $0.addCustomer(name: "c", fields: [FieldValue("stage", "1")]) }
        try stage(cluster, author, "2")
        // The answer is lost.
        var run = SyncRun(try #require(author.replica))
        guard case .send(let body) = try run.next() else {
            Issue.record("nothing is sent")
            return
        }
        _ = try cluster.server.answer(body, to: author)
        try cluster.sync(reader)
        try stage(cluster, reader, "3")
        try cluster.sync(reader)
        try cluster.wipeServer()
        try cluster.sync(reader)
        let backup = cluster.server.disk.snapshot()
        try cluster.sync(author)
        try cluster.restoreServer(to: backup)
        try cluster.beginRecovery()
        try cluster.settle()
        for machine in cluster.machines {
            #expect(try #require(machine.replica).customers().map(\.name) == ["c"])
        }
        #expect(try cluster.verify().sentences == [])
    }
}
