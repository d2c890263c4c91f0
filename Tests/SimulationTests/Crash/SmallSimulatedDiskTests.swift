import ShoalClient
import ShoalServer
import ShoalSimulation
import ShoalStore
import Testing

/// Disks of 256 KB to 8 MB: a clear error, nothing lost, and with more space everything goes on.
@Suite struct SmallSimulatedDiskTests {
    static let capacities = [256, 384, 512, 1_024, 2_048, 4_096, 8_192].map { $0 << 10 }

    /// Works until an act fails, which must be for want of space.
    private func repeatUntilFull(_ scene: FaultScene, _ acts: [FaultScene.Act]) async {
        do {
            while true {
                for act in acts { try scene.act(act) }
                await Task.yield()
            }
        } catch StoreError.full {} catch { Issue.record("\(error)") }
    }

    @Test(arguments: capacities) func aFullClientLosesNothingAndGoesOn(capacity: Int) async throws {
        let scene = FaultScene(try FaultScene.Start(), seed: UInt64(capacity), bytes: min(capacity / 100, 60_000))
        for act in [FaultScene.Act.openServer, .openClient, .sync] { try scene.act(act) }
        scene.clientDisk.capacity = capacity
        await repeatUntilFull(scene, [.write])
        // It still answers, and opens.
        #expect(try scene.replica?.customers().isEmpty == false)
        scene.crash(server: .processes, client: .processes)
        try scene.act(.openServer)
        try scene.act(.openClient)
        await repeatUntilFull(scene, [.write])
        scene.clientDisk.capacity = 64 << 20
        try scene.act(.write)
        try scene.act(.sync)
        scene.crash(server: .processes, client: .power(seed: 1))
        try scene.audit()
        try scene.finish()
        #expect(scene.complaints.isEmpty)
    }

    @Test(arguments: capacities) func aFullServerLosesNothingAndGoesOn(capacity: Int) async throws {
        let scene = FaultScene(try FaultScene.Start(), seed: UInt64(capacity), bytes: min(capacity / 100, 60_000))
        for act in [FaultScene.Act.openServer, .openClient] { try scene.act(act) }
        scene.serverDisk.capacity = capacity
        await repeatUntilFull(scene, [.write, .sync])
        #expect(scene.server?.committer.isReady == true)
        scene.serverDisk.capacity = 64 << 20
        try scene.act(.sync)
        scene.crash(server: .power(seed: 1), client: .processes)
        try scene.audit()
        try scene.finish()
        #expect(scene.complaints.isEmpty)
    }

    @Test func anEnrolmentThatDoesNotFitIsMadeAgainWhenThereIsSpace() async throws {
        let world = SeededWorld(seed: 3)
        let server = try ServerMachine(SimulatedDisk(), world)
        let (enrolment, key) = try server.enrolment("Anna")
        for capacity in stride(from: 0, through: 600_000, by: 50_000) {
            await Task.yield()
            let disk = SimulatedDisk(capacity: capacity)
            func create() throws -> Replica {
                try Replica.create(
                    home: Replica.home(disk), server: "http://test", key: key, enrolment: enrolment,
                    environment: world.client(disk))
            }
            do { _ = try create().addCustomer(name: "first") } catch StoreError.full {
                disk.capacity = nil
                let replica: Replica
                do { replica = try create() } catch ReplicaError.alreadyEnrolled {
                    replica = try Replica(home: Replica.home(disk), environment: world.client(disk))
                }
                _ = try replica.addCustomer(name: "first")
                #expect(try replica.customers().count == 1)
            }
        }
    }
}
