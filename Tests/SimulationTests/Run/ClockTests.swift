import ShoalClient
import ShoalCRDT
import ShoalSimulation
import Testing

/// No clock, however wrong, on a device or on the server, makes a write fail, lose, or win for good (I4).
@Suite struct ClockTests {
    private static let year: Int64 = 31_557_600_000

    private static func name(_ machine: ClientMachine, _ id: RecordID) throws -> String? {
        try machine.replica?.customer(id).fields.first { $0.name == "name" }?.value
    }

    private static func set(_ cluster: Cluster, _ machine: ClientMachine, _ id: RecordID, _ name: String) throws {
        cluster.world.advance(to: cluster.world.now + 60_000)
        try cluster.perform(machine, on: id) { try $0.setFields(of: id, [FieldValue("name", name)]) }
    }

    @Test func aServerWhoseClockWasAYearAheadAndWasCorrectedShowsWhatIsWrittenLater() throws {
        let cluster = try Cluster(.quiet(replicas: 3))
        let (a, b, c) = (cluster.machines[0], cluster.machines[1], cluster.machines[2])
        cluster.server.clock.set(ClockFault(offset: Self.year))
        let id = try cluster.perform(a) { try $0.addCustomer(name: "first") }
        try cluster.settle()
        try Self.set(cluster, a, id, "ahead")
        try cluster.sync(a)
        cluster.server.clock.set(ClockFault())
        // Neither has seen the other's.
        try Self.set(cluster, b, id, "later")
        try cluster.sync(b)
        try cluster.settle()
        for machine in [a, b, c] {
            #expect(try Self.name(machine, id) == "later")
            let conflict = try machine.replica?.conflicts().first
            #expect(conflict?.others.map(\.value) == ["ahead"])
            #expect(try #require(conflict?.others.first?.at) < cluster.world.now)
        }
        // Whoever has seen it replaces it, whatever its time.
        try Self.set(cluster, c, id, "last")
        try cluster.settle()
        for machine in [a, b, c] { #expect(try Self.name(machine, id) == "last") }
        #expect(try cluster.verify().sentences == [])
    }

    @Test(arguments: [
        ClockFault(offset: 300 * year), ClockFault(offset: -300 * year), ClockFault(offset: 62 * year),
        ClockFault(offset: -20 * year, isFrozen: true), ClockFault(offset: 3_600_000, drift: 90_000),
    ])
    func noClockMakesAWriteFail(fault: ClockFault) throws {
        let cluster = try Cluster(.quiet(replicas: 2))
        let (a, b) = (cluster.machines[0], cluster.machines[1])
        try cluster.settle()
        // Off the network for a while, then back, with the clock wrong in between.
        for machine in [a, b] { machine.clock.set(fault) }
        cluster.server.clock.set(fault)
        var made: Set<RecordID> = []
        for number in 0..<100 { made.insert(try cluster.perform(a) { try $0.addCustomer(name: "\(number)") }) }
        for machine in [a, b] { machine.clock.set(ClockFault()) }
        for number in 0..<100 { made.insert(try cluster.perform(a) { try $0.addCustomer(name: "again \(number)") }) }
        try cluster.settle()
        cluster.server.clock.set(ClockFault())
        for number in 0..<10 { made.insert(try cluster.perform(b) { try $0.addCustomer(name: "later \(number)") }) }
        try cluster.settle()
        #expect(made.count == 210)
        #expect(try cluster.verify().sentences == [])
    }

    /// What is shown as the time of a write is wrong by no more than half a round trip after one contact.
    @Test(arguments: [0, 3 * year, -40 * year, 300 * year])
    func oneContactCorrectsTheTimesThatPeopleSee(offset: Int64) throws {
        let cluster = try Cluster(.quiet(replicas: 1))
        let machine = cluster.machines[0]
        machine.clock.set(ClockFault(offset: offset))
        var run = SyncRun(try #require(machine.replica))
        // Answers that take 100 ms, then 3 s: the first says more.
        for trip in [100, 3_000] as [Int64] {
            guard case .send(let body) = try run.next() else { break }
            run.sending(body)
            cluster.world.advance(to: cluster.world.now + trip / 2)
            let answer = try cluster.server.answer(body, to: machine)
            cluster.world.advance(to: cluster.world.now + trip / 2)
            try run.received(answer)
        }
        while case .send(let body) = try run.next() {
            run.sending(body)
            cluster.world.advance(to: cluster.world.now + 3_000)
            try run.received(try cluster.server.answer(body, to: machine))
        }
        let id = try cluster.perform(machine) { try $0.addCustomer(name: "one") }
        let added = try #require(try machine.replica?.customers().first { $0.id == id }?.added)
        // The way there took as long as the way back.
        #expect(abs(added - cluster.world.now) <= 1, "wrong by \(added - cluster.world.now) ms")
        let last = try #require(try machine.replica?.status().lastSync)
        #expect(abs(last - cluster.world.now) <= 6_100)
    }

    /// A clock that is set in the middle of a sync makes what was learned before worthless.
    @Test func aClockThatIsSetDuringASyncCountsFromThenOn() throws {
        let cluster = try Cluster(.quiet(replicas: 1))
        let machine = cluster.machines[0]
        _ = try cluster.perform(machine) { try $0.addCustomer(name: "zero") }
        var run = SyncRun(try #require(machine.replica))
        var trip: Int64 = 10
        while case .send(let body) = try run.next() {
            run.sending(body)
            // Somebody writes meanwhile, so that there is another exchange.
            if trip == 10 { _ = try cluster.perform(machine) { try $0.addCustomer(name: "meanwhile") } }
            cluster.world.advance(to: cluster.world.now + trip)
            try run.received(try cluster.server.answer(body, to: machine))
            if trip == 10 { machine.clock.set(ClockFault(offset: -Self.year)) }
            trip += 500
        }
        let id = try cluster.perform(machine) { try $0.addCustomer(name: "one") }
        let added = try #require(try machine.replica?.customers().first { $0.id == id }?.added)
        #expect(abs(added - cluster.world.now) <= 1_000)
    }
}
