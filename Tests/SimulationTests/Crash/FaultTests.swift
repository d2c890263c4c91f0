import ShoalClient
import ShoalServer
import ShoalSimulation
import ShoalStore
import Testing

/// Calls of the disk that fail, the Nth for every N until a run passes untouched: never a trap, never a lie.
@Suite struct FaultTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var failure: DiskFailure
        var kinds: Set<DiskEffect.Kind>
        var isServer: Bool
        /// Whether all later calls fail too.
        var lasts = false

        var testDescription: String {
            "\(isServer ? "server" : "client"), \(failure)\(lasts ? " for good" : "")"
                + ", \(kinds.map { "\($0)" }.sorted().joined(separator: " "))"
        }
    }

    static let changes: Set<DiskEffect.Kind> = [.write, .truncate, .sync, .create, .delete]
    static let cases: [Case] = [false, true].flatMap { isServer in
        [
            Case(failure: .inputOutput, kinds: changes, isServer: isServer),
            Case(failure: .inputOutput, kinds: changes, isServer: isServer, lasts: true),
            Case(failure: .inputOutput, kinds: [.sync], isServer: isServer),
            Case(failure: .inputOutput, kinds: [.read], isServer: isServer),
            Case(failure: .full, kinds: [.write], isServer: isServer),
            Case(failure: .full, kinds: [.write], isServer: isServer, lasts: true),
            Case(failure: .short(100), kinds: [.write], isServer: isServer),
        ]
    }

    @Test(arguments: cases) func everyCallMayFail(_ one: Case) throws {
        let start = try FaultScene.Start()
        var number = 0
        var faults = 0
        while true {
            number += 1
            let scene = FaultScene(start, seed: UInt64(number))
            let disk = one.isServer ? scene.serverDisk : scene.clientDisk
            disk.setFaults(
                DiskFaultPlan(one.failure, of: one.kinds, first: number, count: one.lasts ? Int.max / 2 : 1))
            let wasHit: Bool
            if one.failure == .inputOutput {
                wasHit = try stopAndRestart(scene, disk, one, number)
            } else {
                wasHit = try freeSpaceAndGoOn(scene, disk, one)
            }
            for complaint in scene.complaints { Issue.record("call \(number): \(complaint)") }
            faults += disk.counters.failures
            if !wasHit || scene.complaints.count > 20 { break }
        }
        print("\(one.testDescription): calls=\(number - 1) faults=\(faults)")
        #expect(number > 10)
    }

    /// A disk that fails: the program reports it and stops, and the next one finds everything.
    private func stopAndRestart(
        _ scene: FaultScene, _ disk: SimulatedDisk, _ one: Case, _ number: Int
    ) throws -> Bool {
        for act in FaultScene.script {
            let isWrite = one.isServer ? act == .sync || act == .account || act == .checkpoint : act == .write
            let before = disk.counters.failures
            do {
                try scene.act(act)
                // Only a process that was started since may go on.
                if isWrite, scene.mustStop { scene.complain("\(act) went on after the disk had failed") }
            } catch {
                check(error, .inputOutput, scene)
                if disk.counters.failures == before, !scene.mayFail {
                    scene.complain("\(act) failed without a fault: \(error)")
                }
            }
            let isNew =
                one.isServer ? [.openServer, .closeServer].contains(act) : [.openClient, .closeClient].contains(act)
            if isNew {
                (scene.mayFail, scene.mustStop) = (false, false)
            } else if disk.counters.failures > before {
                (scene.mayFail, scene.mustStop) = (true, one.kinds.contains(.sync))
            }
        }
        let wasHit = disk.counters.failures > 0
        disk.setFaults(nil)
        // First only the process ends, and what it wrote is still to be read though a failed sync may have lost it; what is
        // promised from then on must survive a loss of power.
        if number % 2 == 0 { scene.crash(server: .processes, client: .processes) } else { loosePower(scene, number) }
        try scene.audit()
        try scene.act(.write)
        try scene.act(.sync)
        loosePower(scene, number)
        try scene.audit()
        try scene.finish()
        return wasHit
    }

    private func loosePower(_ scene: FaultScene, _ number: Int) {
        scene.crash(
            server: .power(seed: UInt64(number)), client: .power(seed: UInt64(number) &+ 1_000))
    }

    /// A disk that is full: what was asked fails with a clear error, and goes on in the same process when there is space.
    private func freeSpaceAndGoOn(_ scene: FaultScene, _ disk: SimulatedDisk, _ one: Case) throws -> Bool {
        for act in FaultScene.script {
            do { try scene.act(act) } catch {
                check(error, .full, scene)
                disk.setFaults(nil)
                try scene.act(act)
            }
        }
        let wasHit = disk.counters.failures > 0
        disk.setFaults(nil)
        scene.crash(server: .processes, client: .processes)
        try scene.audit()
        try scene.finish()
        return wasHit
    }

    private func check(_ error: any Error, _ expected: DiskFailure, _ scene: FaultScene) {
        switch (error as? StoreError, expected) {
        case (.inputOutput, .inputOutput), (.cannotOpen, .inputOutput), (.full, .full): break
        default: scene.complain("not a clear error: \(error)")
        }
    }
}
