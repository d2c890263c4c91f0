import Foundation
import GRDB
import ShoalClient
import ShoalServer
import ShoalSimulation
import ShoalStore
import Synchronization
import Testing

@Suite struct SimulatedDiskTests {
    /// Inserts, updates, deletes, large values, a vacuum: the pager's whole repertoire.
    private func work(_ path: String, journal: String) throws {
        let database = try PlainDatabase(path, journal: journal)
        for key in 0..<200 { try database.put(key, bytes: 50 + key * 37 % 6_000) }
        try database.queue.write { try $0.execute(sql: "DELETE FROM t WHERE k % 3 = 0") }
        try database.queue.writeWithoutTransaction { try $0.execute(sql: "VACUUM") }
        for key in 100..<300 { try database.put(key, bytes: 20 + key * 91 % 9_000) }
        do {
            try database.queue.write { database in
                try database.execute(sql: "DELETE FROM t")
                throw CancellationError()
            }
        } catch is CancellationError {}
        try database.queue.close()
    }

    @Test(arguments: ["WAL", "DELETE", "TRUNCATE", "PERSIST"])
    func aDatabaseHasTheSameBytesAsOnARealDisk(journal: String) throws {
        let disk = SimulatedDisk()
        try work(disk.directory + "/test.db", journal: journal)
        let directory = NSTemporaryDirectory() + "shoal-disk-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try work(directory + "/test.db", journal: journal)
        let real = try Data(contentsOf: URL(fileURLWithPath: directory + "/test.db"))
        let image = disk.snapshot()
        #expect(image["test.db"] == Array(real))
        #expect(try Set(image.names) == Set(FileManager.default.contentsOfDirectory(atPath: directory)))
    }

    @Test func nothingOfASimulatedDiskIsOnARealOne() throws {
        let disk = SimulatedDisk()
        try work(disk.directory + "/test.db", journal: "WAL")
        #expect(!FileManager.default.fileExists(atPath: "/simdisk"))
    }

    @Test func whatWasSyncedSurvivesEveryLossOfPower() async throws {
        for seed in UInt64(0)..<200 {
            await Task.yield()
            let disk = SimulatedDisk(DiskImage(sector: seed % 2 == 0 ? 512 : 4_096))
            let database = try PlainDatabase(disk.directory + "/test.db")
            for key in 0..<8 { try database.put(key, bytes: 3_000) }
            disk.crash(.power(seed: seed))
            let after = try PlainDatabase(disk.directory + "/test.db")
            #expect(try after.integrity == "ok")
            #expect(try after.keys == Array(0..<8), "seed \(seed)")
        }
    }

    @Test func whatWasNotSyncedMayVanishAndNeverInPart() async throws {
        var lengths: Set<Int> = []
        for seed in UInt64(0)..<200 {
            await Task.yield()
            let disk = SimulatedDisk()
            let database = try PlainDatabase(disk.directory + "/test.db")
            try database.put(0)
            try database.waitForDisk("NORMAL")
            for key in 1...8 { try database.put(key, bytes: 3_000) }
            #expect(disk.snapshot().unsynced > 0)
            disk.crash(.power(seed: seed))
            #expect(disk.snapshot().unsynced == 0)
            let after = try PlainDatabase(disk.directory + "/test.db")
            #expect(try after.integrity == "ok")
            let keys = try after.keys
            #expect(keys == Array(0..<keys.count) && keys.count >= 1, "seed \(seed)")
            lengths.insert(keys.count)
        }
        // All of it, nothing of it and something between.
        #expect(lengths.contains(1) && lengths.contains(9) && lengths.count > 3)
    }

    @Test func aDiskThatIsNotWaitedForLosesAndTears() async throws {
        // Without any sync a database is damaged by some losses of power: the disk is not kinder than real ones.
        var damaged = 0
        for seed in UInt64(0)..<100 {
            await Task.yield()
            let disk = SimulatedDisk()
            let database = try PlainDatabase(disk.directory + "/test.db", journal: "DELETE", synchronous: "OFF")
            for key in 0..<20 { try database.put(key, bytes: 3_000) }
            disk.crash(.power(seed: seed))
            let isWhole: Bool
            do { isWhole = try PlainDatabase(disk.directory + "/test.db").integrity == "ok" } catch { isWhole = false }
            if !isWhole { damaged += 1 }
        }
        #expect(damaged > 20)
    }

    @Test func aKilledProcessLeavesWhatItWrote() throws {
        let disk = SimulatedDisk()
        let database = try PlainDatabase(disk.directory + "/test.db")
        try database.waitForDisk("OFF")
        try database.put(1)
        disk.crash(.processes)
        #expect(throws: DatabaseError.self) { try database.put(2) }
        let second = try PlainDatabase(disk.directory + "/test.db")
        #expect(try second.keys == [1])
        // The old one is dead for good and disturbs nobody, not even when it closes.
        #expect(throws: DatabaseError.self) { try database.keys }
        try second.put(3)
        try? database.queue.close()
        try second.put(4)
        #expect(try second.keys == [1, 3, 4])
    }

    @Test func aMachineCanStopAtEveryEffect() async throws {
        var stops = 0
        for stop in 1... {
            await Task.yield()
            let disk = SimulatedDisk()
            disk.setHook { $0.number == stop ? .halt : .proceed }
            var stored = -1
            do {
                let database = try PlainDatabase(disk.directory + "/test.db")
                for key in 0..<5 {
                    try database.put(key)
                    stored = key
                }
                try database.checkpoint()
            } catch is DatabaseError {}
            guard disk.isHalted else { break }
            stops += 1
            disk.setHook(nil)
            #expect(throws: DatabaseError.self) { try PlainDatabase(disk.directory + "/test.db") }
            disk.crash(.power(seed: UInt64(stop)))
            let after = try PlainDatabase(disk.directory + "/test.db")
            #expect(try after.integrity == "ok")
            let keys = try after.keys
            #expect(keys == Array(0..<keys.count) && keys.count > stored, "stop \(stop)")
        }
        #expect(stops > 30)
    }

    @Test func aSnapshotIsAMomentAndTheMachineGoesOn() throws {
        let disk = SimulatedDisk()
        let database = try PlainDatabase(disk.directory + "/test.db")
        try database.put(1)
        let image = disk.snapshot()
        try database.put(2)
        let copies = [SimulatedDisk(image), SimulatedDisk(image)]
        for (index, copy) in copies.enumerated() {
            let other = try PlainDatabase(copy.directory + "/test.db")
            try other.put(10 + index)
            #expect(try other.keys == [1, 10 + index])
        }
        #expect(try database.keys == [1, 2])
        disk.restore(image)
        #expect(throws: DatabaseError.self) { try database.keys }
        #expect(try PlainDatabase(disk.directory + "/test.db").keys == [1])
    }

    @Test func callsFailAsPlanned() throws {
        let disk = SimulatedDisk()
        let database = try PlainDatabase(disk.directory + "/test.db")
        for (failure, code) in [(DiskFailure.inputOutput, ResultCode.SQLITE_IOERR), (.full, .SQLITE_FULL)] {
            disk.setFaults(DiskFaultPlan(failure, of: [.write], first: 2))
            let error = #expect(throws: DatabaseError.self) { try database.put(1) }
            #expect(error?.resultCode == code)
            #expect(try database.keys == [])
        }
        disk.setFaults(DiskFaultPlan(.short(10), of: [.write], first: 1, count: 3))
        #expect(throws: DatabaseError.self) { try database.put(1) }
        disk.setFaults(DiskFaultPlan(.inputOutput, of: [.sync], first: 1))
        #expect(throws: DatabaseError.self) { try database.put(1) }
        disk.setFaults(nil)
        try database.put(2)
        #expect(disk.counters.failures == 4)
        #expect(disk.counters.syncs > 0 && disk.counters.count(.write) > 10 && disk.counters.bytesWritten > 4_096)
    }

    @Test func aSecondSyncAfterAFailedOneLies() async throws {
        // As on Linux: what a failed fsync should have written is gone, though reads and later syncs know nothing of it.
        var lost = 0
        for seed in UInt64(0)..<50 {
            await Task.yield()
            let disk = SimulatedDisk()
            let database = try PlainDatabase(disk.directory + "/test.db")
            try database.put(1)
            try database.waitForDisk("NORMAL")
            try database.put(2, bytes: 9_000)
            try database.waitForDisk("FULL")
            disk.setFaults(DiskFaultPlan(.inputOutput, of: [.sync], first: 1))
            #expect(throws: DatabaseError.self) { try database.put(3) }
            try database.put(3)
            #expect(try database.keys == [1, 2, 3])
            disk.crash(.power(seed: seed))
            if try PlainDatabase(disk.directory + "/test.db").keys.last != 3 { lost += 1 }
        }
        #expect(lost > 0)
    }

    @Test func aDiskHoldsNoMoreThanItsCapacity() throws {
        let disk = SimulatedDisk(capacity: 300_000)
        let database = try PlainDatabase(disk.directory + "/test.db")
        var stored: [Int] = []
        let error = #expect(throws: DatabaseError.self) {
            for key in 0... {
                try database.put(key, bytes: 1_000)
                stored.append(key)
            }
        }
        #expect(error?.resultCode == .SQLITE_FULL)
        #expect(disk.used <= 300_000 && disk.used > 280_000)
        #expect(try database.keys == stored && stored.count > 10)
        disk.capacity = 400_000
        try database.put(-1)
        #expect(try database.keys == [-1] + stored)
    }

    @Test func readersAndAWriterWorkSideBySide() async throws {
        let disk = SimulatedDisk()
        let path = disk.directory + "/test.db"
        _ = try PlainDatabase(path)
        let pool = try DatabasePool(path: path)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for reader in 0..<4 {
                group.addTask {
                    for _ in 0..<200 {
                        let (count, sum) = try await pool.read { database in
                            (
                                try Int.fetchOne(database, sql: "SELECT count(*) FROM t") ?? 0,
                                try Int.fetchOne(database, sql: "SELECT sum(k) FROM t") ?? 0
                            )
                        }
                        // Each transaction adds n and -n: no reader sees half of one.
                        #expect(sum == 0 && count % 2 == 0, "reader \(reader)")
                    }
                }
            }
            group.addTask {
                for key in 1...300 {
                    try await pool.write { database in
                        try database.execute(
                            sql: "INSERT INTO t VALUES (?, zeroblob(500)), (?, zeroblob(500))", arguments: [key, -key])
                    }
                    if key % 50 == 0 { try await pool.writeWithoutTransaction { _ = try $0.checkpoint(.passive) } }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 600)
        try pool.close()
        #expect(disk.snapshot().names == ["test.db"])
    }

    @Test func twoWritersExcludeEachOther() throws {
        let disk = SimulatedDisk()
        let first = try PlainDatabase(disk.directory + "/test.db")
        let second = try PlainDatabase(disk.directory + "/test.db")
        try first.queue.inDatabase { database in
            try database.execute(sql: "BEGIN IMMEDIATE; INSERT INTO t VALUES (1, 'x')")
            let error = #expect(throws: DatabaseError.self) { try second.put(2) }
            #expect(error?.resultCode == .SQLITE_BUSY)
            try database.execute(sql: "COMMIT")
        }
        try second.put(2)
        #expect(try first.keys == [1, 2])
    }
}
