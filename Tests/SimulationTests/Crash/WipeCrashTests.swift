import ShoalProtocol
import ShoalServer
import ShoalSimulation
import ShoalStore
import Testing

@testable import ShoalClient

/// The power is lost at every effect while a home is locked and emptied: it ends empty, or is as before and locked at most.
@Suite struct WipeCrashTests {
    private static let canary = "CANARY-OF-A-CUSTOMER"

    private func enrolledHome(_ world: SeededWorld, _ server: ServerMachine) throws -> DiskImage {
        let disk = SimulatedDisk()
        let (enrolment, key) = try server.enrolment("Anna")
        let replica = try Replica.create(
            home: Replica.home(disk), server: "http://test", key: key, enrolment: enrolment,
            environment: world.client(disk))
        for number in 1...40 {
            let id = try replica.addCustomer(name: "\(Self.canary) \(number)")
            _ = try replica.addNote(to: id, "note of \(Self.canary)")
        }
        try replica.sync(server)
        try replica.drainTextIndex()
        _ = try replica.addCustomer(name: "unsent \(Self.canary)")
        try replica.close()
        return disk.snapshot()
    }

    private func holdsCanary(_ image: DiskImage) -> Bool {
        image.names.contains { name in
            let bytes = image[name] ?? []
            return String(decoding: bytes, as: UTF8.self).contains(Self.canary)
        }
    }

    /// Opens the home as a command does.
    private func lockout(_ disk: SimulatedDisk, _ world: SeededWorld) throws -> Lockout? {
        do {
            let replica = try Replica(home: Replica.home(disk), environment: world.client(disk))
            #expect(try replica.customers().count == 41)
            try replica.close()
            return nil
        } catch ReplicaError.locked(_, let lockout) { return lockout }
    }

    @Test(.timeLimit(.minutes(3))) func itEndsEmptyWhereverItWasInterrupted() async throws {
        let world = SeededWorld(seed: 3)
        let image = try enrolledHome(world, try ServerMachine(SimulatedDisk(), world))
        #expect(holdsCanary(image))
        var stops = 0
        var wentOn = 0
        for stop in 1... {
            await Task.yield()
            let disk = SimulatedDisk(image)
            let replica = try Replica(home: Replica.home(disk), environment: world.client(disk))
            let before = disk.counters.effects
            disk.setHook { $0.number == before + stop ? .halt : .proceed }
            var isLocked = false
            var isWiped = false
            do {
                try replica.lockOut(.revoked)
                isLocked = true
                try replica.wipe()
                isWiped = true
            } catch is StoreError {}
            guard disk.isHalted else { break }
            stops += 1
            disk.setHook(nil)
            disk.crash(stop % 3 == 0 ? .processes : .power(seed: UInt64(stop)))
            // Whoever opens it next goes on.
            let found = try lockout(disk, world)
            #expect(found != nil || !isLocked, "stop \(stop)")
            #expect(found?.stage == .wiped || !isWiped, "stop \(stop)")
            if found?.stage == .wiped {
                wentOn += 1
                #expect(!holdsCanary(disk.snapshot()), "stop \(stop)")
            } else {
                // Nothing is lost before the decision to remove it is durable.
                let replica = try Replica(home: Replica.home(disk), environment: world.client(disk), mayHandOver: true)
                #expect(try replica.pending() == 1, "stop \(stop)")
                try replica.lockOut(.revoked)
                try replica.wipe()
                #expect(!holdsCanary(disk.snapshot()), "stop \(stop)")
            }
        }
        #expect(stops > 50 && wentOn > 20)
        print("wipe stops=\(stops) went_on=\(wentOn)")
    }

    /// Nothing can be written any more from some effect on, be it the first: removing takes no room.
    @Test(.timeLimit(.minutes(3))) func itEndsEmptyWhereverTheDiskBecameFull() async throws {
        let world = SeededWorld(seed: 4)
        let image = try enrolledHome(world, try ServerMachine(SimulatedDisk(), world))
        var (unwritten, removed) = (0, 0)
        for stop in 1... {
            await Task.yield()
            let disk = SimulatedDisk(image)
            let replica = try Replica(home: Replica.home(disk), environment: world.client(disk))
            let before = disk.counters.effects
            disk.setHook { $0.kind == .write && $0.number >= before + stop ? .fail(.full) : .proceed }
            let lockout = try replica.lockOutMakingRoom(.revoked)
            if lockout != nil { unwritten += 1 }
            var isRemoved = false
            do { try replica.wipe(lockout) } catch ReplicaError.locked(_, let lockout) {
                isRemoved = true
                #expect(lockout.stage == .wiped && lockout.untaken == 1, "stop \(stop)")
            }
            #expect(!holdsCanary(disk.snapshot()), "stop \(stop)")
            disk.setHook(nil)
            if isRemoved {
                removed += 1
                let home = Replica.home(disk)
                #expect(throws: ReplicaError.notEnrolled(home: home)) {
                    try Replica(home: home, environment: world.client(disk))
                }
            } else {
                #expect(try self.lockout(disk, world)?.stage == .wiped, "stop \(stop)")
            }
            if disk.counters.effects < before + stop { break }
        }
        #expect(unwritten > 0 && removed > 20)
        print("wipe unwritten=\(unwritten) removed=\(removed)")
    }
}
