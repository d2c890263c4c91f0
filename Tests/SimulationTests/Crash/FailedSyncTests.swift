import ShoalClient
import ShoalServer
import ShoalSimulation
import ShoalStore
import Testing

/// After a sync that failed, the system goes on showing what the disk has not got, and syncing it again reports success. The
/// process that saw the failure stops; the next one must not build on what it sees.
@Suite struct FailedSyncTests {
    @Test(arguments: [true, false]) func aReplicaThatIsOpenedAfterAFailedSyncKeepsItsPromises(hasPulled: Bool) throws {
        let start = try FaultScene.Start()
        for seed in UInt64(0)..<40 {
            let scene = FaultScene(start, seed: seed)
            try scene.act(.openServer)
            try scene.act(.openClient)
            // A pull waits for no disk, so that there is something before the failed commit that is not synced either.
            if hasPulled { for act in [FaultScene.Act.write, .account, .sync] { try scene.act(act) } }
            scene.clientDisk.setFaults(DiskFaultPlan(.inputOutput, of: [.sync], first: 1))
            #expect(throws: StoreError.self) { try scene.act(.write) }
            scene.clientDisk.setFaults(nil)
            scene.crash(server: .processes, client: .processes)
            try scene.act(.openClient)
            try scene.act(.write)
            scene.crash(server: .processes, client: .power(seed: seed))
            try scene.audit()
            try scene.finish()
            #expect(scene.complaints.isEmpty, "seed \(seed)")
        }
    }

    @Test func aServerThatIsStartedAfterAFailedSyncKeepsItsPromises() throws {
        let start = try FaultScene.Start()
        for seed in UInt64(0)..<40 {
            let scene = FaultScene(start, seed: seed)
            try scene.act(.openServer)
            try scene.act(.openClient)
            try scene.act(.write)
            scene.serverDisk.setFaults(DiskFaultPlan(.inputOutput, of: [.sync], first: 1))
            #expect(throws: StoreError.self) { try scene.act(.sync) }
            scene.serverDisk.setFaults(nil)
            scene.crash(server: .processes, client: .processes)
            for act in [FaultScene.Act.openServer, .openClient, .sync] { try scene.act(act) }
            scene.crash(server: .power(seed: seed), client: .processes)
            try scene.audit()
            try scene.finish()
            #expect(scene.complaints.isEmpty, "seed \(seed)")
        }
    }

    @Test func aFailedCheckpointStopsTheProcessToo() throws {
        let start = try FaultScene.Start()
        let scene = FaultScene(start, seed: 1)
        for act in [FaultScene.Act.openServer, .openClient, .write, .sync] { try scene.act(act) }
        scene.serverDisk.setFaults(DiskFaultPlan(.inputOutput, of: [.sync], first: 2))
        #expect(throws: StoreError.self) { try scene.act(.checkpoint) }
        try scene.act(.write)
        #expect(throws: StoreError.self) { try scene.act(.sync) }
        #expect(throws: StoreError.self) { try scene.act(.account) }
        #expect(scene.server?.committer.isReady == false)
        scene.crash(server: .processes, client: .processes)
        try scene.audit()
        try scene.finish()
        #expect(scene.complaints.isEmpty)
    }

    @Test func anErrorThatComesThroughGRDBStopsTheServersWriterToo() throws {
        let scene = FaultScene(try FaultScene.Start(), seed: 1)
        try scene.act(.openServer)
        scene.serverDisk.setHook { $0.kind == .sync ? .fail(.inputOutput) : .proceed }
        #expect(throws: StoreError.self) { try scene.act(.account) }
        scene.serverDisk.setHook(nil)
        #expect(throws: StoreError.self) { try scene.act(.account) }
    }
}
