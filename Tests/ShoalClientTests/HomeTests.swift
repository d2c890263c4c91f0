import Foundation
import GRDB
import ShoalCRDT
import ShoalStore
import Testing

@testable import ShoalClient

@Suite struct HomeTests {
    let server = TinyServer()

    @Test func aHomeIsForItsOwnerOnly() throws {
        let anna = try Operator("Anna", server)
        _ = try anna.replica.addCustomer(name: "a")
        func mode(_ path: String) throws -> Int {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int ?? 0
        }
        #expect(try mode(anna.home.path) == 0o700)
        for name in try FileManager.default.contentsOfDirectory(atPath: anna.home.path) {
            #expect(try mode("\(anna.home.path)/\(name)") == 0o600, "\(name)")
        }
    }

    @Test func aHomeThatIsNotThereIsNotEnrolled() {
        let home = TemporaryHome()
        #expect(throws: ReplicaError.notEnrolled(home: home.path)) {
            try Replica(home: home.path, environment: TestWorld().environment)
        }
        #expect(!FileManager.default.fileExists(atPath: home.path))
    }

    @Test func twoWritersOfOneHomeBothSucceedAndSeeEachOther() async throws {
        let anna = try Operator("Anna", server)
        let second = try Replica(home: anna.home.path, environment: anna.world.environment)
        let first = anna.replica
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, replica) in [first, second].enumerated() {
                group.addTask {
                    for step in 0..<100 {
                        let id = try replica.addCustomer(name: "c\(index)-\(step)")
                        try replica.editTags(of: [id], [.add("G/t\(step % 5)")])
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try first.customers().count == 200 && second.customers().count == 200)
        #expect(try first.tags().count == 5)
        // One chain, without a gap or a number used twice: the server takes it as it is.
        #expect(try first.sync(server).pushed == second.status().pending + 200 + 200 + 5 + 1)
        #expect(try second.dumpLines == server.dump)
        #expect(try Set(first.customers().map(\.id)).count == 200)
    }

    @Test func whoeverWaitsInVainNamesTheHolder() throws {
        let anna = try Operator("Anna", server)
        let held = try FileLock(home: anna.home.path, name: HomeDirectory.transactionLock)
        #expect(held.tryAcquire())
        let other = try FileLock(home: anna.home.path, name: HomeDirectory.transactionLock)
        let ticks = Ticks()
        #expect(!other.acquire(waiting: 10_000_000_000, ticks: ticks.next))
        #expect(other.holder == getpid())
        held.release()
        #expect(other.acquire(waiting: 0, ticks: ticks.next))
        other.release()
        #expect(
            ReplicaError.busy(home: "/h", pid: 7).description
                == "/h is in use by process 7; try again when it has finished")
    }

    /// A clock on which every look is a second.
    final class Ticks {
        private var now: UInt64 = 0
        func next() -> UInt64 {
            now += 1_000_000_000
            return now
        }
    }

    @Test func whatWasWrittenIsThereAfterReopening() throws {
        let home = TemporaryHome()
        let world = TestWorld()
        let enrolment = server.enrolment("Anna")
        var ids: [RecordID] = []
        do {
            let replica = try Replica.create(
                home: home.path, server: "s", key: "k", enrolment: enrolment, environment: world.environment)
            ids = try (0..<5).map { try replica.addCustomer(name: "c\($0)") }
            try replica.close()
            #expect(throws: ReplicaError.self) { try replica.status() }
        }
        #expect(!FileManager.default.fileExists(atPath: home.path + "/replica.db-wal"))
        // The allocator of ids is part of what was written: it does not go back with the clock.
        world.time = 0
        let replica = try Replica(home: home.path, environment: world.environment)
        #expect(try replica.customers().map(\.id) == ids)
        let next = try replica.addCustomer(name: "next")
        #expect(try #require(ids.last) < next)
        #expect(try replica.sync(server).pushed == 6)
        #expect(try replica.dumpLines == server.dump)
    }

    @Test func makingAHomeThatIsOpenKeepsItsLocks() throws {
        let anna = try Operator("Anna", server)
        _ = try anna.replica.addCustomer(name: "a")
        let path = "\(anna.home.path)/\(HomeDirectory.database)"
        let number = try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int ?? 0
        func locks() throws -> Int {
            try String(contentsOfFile: "/proc/locks", encoding: .utf8).split(separator: "\n").count {
                $0.contains(":\(number) ")
            }
        }
        let before = try locks()
        try HomeDirectory().create(anna.home.path)
        #expect(try locks() == before)
    }

    @Test func aCommandWhoseUpkeepFailsHasNotFailed() throws {
        let anna = try Operator("Anna", server)
        let queue = try DatabaseQueue(path: anna.home.path + "/replica.db")
        try queue.write {
            try $0.execute(
                sql: """
                    CREATE TRIGGER full BEFORE DELETE ON text_queue BEGIN SELECT RAISE(ABORT, 'the disk is full'); END
                    """)
        }
        try queue.close()
        let open = try Replica(
            home: anna.home.path, environment: anna.world.environment, options: Replica.Options(textQueueBound: 0))
        let id = try open.addCustomer(name: "a")
        #expect(throws: (any Error).self) { try open.drainTextIndex() }
        #expect(try open.customers("a").map(\.id) == [id])
        _ = try open.addNote(to: id, "note")
        #expect(try open.sync(server).pushed == 2)
    }

    @Test func anIdentifierIsFoundAmongManyOfOtherKindsWithTheSameEnd() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "a")
        let end = String(id.description.suffix(4))
        #expect(throws: ReplicaError.wrongKind(id, is: "customer", wanted: "note")) {
            try anna.replica.resolve(end, kind: .note)
        }
        try anna.replica.write { commands in
            // Tags with smaller identifiers and the same last 20 bits.
            for step in 1...12 {
                let tag = id.rawValue - Int64(step) << 20
                try commands.store.database.execute(
                    sql: "INSERT INTO tag (id, name, folded, tag_group, archived) VALUES (?, 't', 't', 0, 0)",
                    arguments: [tag])
            }
        }
        #expect(try anna.replica.resolve(end, kind: .customer) == id)
    }

    @Test func aNewerDatabaseIsRefused() throws {
        let anna = try Operator("Anna", server)
        try anna.replica.close()
        let queue = try DatabaseQueue(path: anna.home.path + "/replica.db")
        try queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('9 from the future')") }
        try queue.close()
        #expect(throws: StoreError.newerVersion(path: anna.home.path + "/replica.db")) {
            try Replica(home: anna.home.path, environment: anna.world.environment)
        }
    }

    @Test func aFileThatIsNoDatabaseIsRefused() throws {
        let home = TemporaryHome()
        try FileManager.default.createDirectory(atPath: home.path, withIntermediateDirectories: true)
        try Data(String(repeating: "not a database ", count: 500).utf8).write(
            to: URL(fileURLWithPath: home.path + "/replica.db"))
        #expect(throws: StoreError.self) { try Replica(home: home.path, environment: TestWorld().environment) }
    }

    @Test func observersHearOfCommits() async throws {
        let anna = try Operator("Anna", server)
        var changes = anna.replica.changes().makeAsyncIterator()
        let id = try anna.replica.addCustomer(name: "a")
        let local = await changes.next()
        #expect(local?.records == [id] && local?.isRemote == false)
        try anna.replica.sync(server)
        let remote = await changes.next()
        #expect(remote?.isRemote == true && remote?.records.contains(id) == true)
    }

    @Test func migrationsAreFrozen() {
        let sql = ReplicaSchema.migrations.map { "\($0.name)\n\($0.sql)" }.joined(separator: "\n")
        let hash = Array(sql.utf8).withUnsafeBytes { SipHash.hash($0, key: (0, 0)) }
        #expect(
            ReplicaSchema.migrations.map(\.name)
                == [
                    "1 replica", "2 lineage", "4 quarantine", "5 relay", "6 earlier places", "7 texts", "8 visibility",
                    "8 lock and lease", "8 settled", "8 trust", "9 erasure", "10 renamed", "11 tag merges",
                    "12 lockout losses", "13 log checks",
                ])
        #expect(hash == 14_012_164_389_890_862_870, "a shipped migration is never edited; add another")
    }

    /// The hash of the tables saves comparing them at each opening.
    @Test func theTablesAreAsTheirHashSays() throws {
        let fresh = try DatabaseQueue()
        try ReplicaSchema.migrator.migrate(fresh)
        // Also where a library writes them in other words.
        try fresh.read { try SchemaShape(hash: 0) { ReplicaSchema.migrator }.refuseDamaged($0, path: "") }
        let hash = try fresh.read { try SchemaShape.hash(of: $0) }
        #expect(hash == 16_921_395_697_112_330_191)
    }
}
