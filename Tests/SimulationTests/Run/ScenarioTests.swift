import ShoalClient
import ShoalSimulation
import Synchronization
import Testing

@Suite struct ScenarioTests {
    /// The next sync of a file never happens: the program is killed between writing and waiting.
    private static func killAtNextSync(_ disk: SimulatedDisk) {
        disk.setHook { $0.kind == .sync ? .halt : .proceed }
    }

    /// Nobody may acknowledge what a killed program left in the cache of the system: a loss of power takes it back.
    @Test(arguments: 0..<8 as Range<UInt64>)
    func whatAKilledServerLeftUnsyncedIsSyncedBeforeItIsAcknowledged(loss: UInt64) throws {
        let cluster = try Cluster(.quiet(replicas: 2))
        let (a, b) = (cluster.machines[0], cluster.machines[1])
        try cluster.settle()
        let id = try cluster.perform(a) { try $0.addCustomer(name: "one") }
        Self.killAtNextSync(cluster.server.disk)
        #expect(throws: (any Error).self) { try cluster.sync(a) }
        try cluster.restartServer(after: .processes)
        try cluster.sync(a)
        #expect(try a.replica?.status().pending == 0)
        try cluster.restartServer(after: .power(seed: loss))
        try cluster.sync(b)
        #expect(try b.replica?.customers().map(\.id) == [id])
        try cluster.settle()
        #expect(try cluster.verify().sentences == [])
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func whatAKilledClientLeftUnsyncedIsSyncedBeforeItIsSent(loss: UInt64) throws {
        let cluster = try Cluster(.quiet(replicas: 1))
        let machine = cluster.machines[0]
        Self.killAtNextSync(machine.disk)
        #expect(throws: (any Error).self) { try cluster.perform(machine) { try $0.addCustomer(name: "one") } }
        try cluster.restart(machine, after: .processes)
        #expect(try machine.replica?.status().pending == 1)
        try cluster.restart(machine, after: .power(seed: loss))
        #expect(try machine.replica?.customers().count == 1)
        try cluster.settle()
        #expect(try cluster.verify().sentences == [])
    }
}
