import Crypto
import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Synchronization
import Testing

@testable import ShoalServer

struct StoreTests {
    @Test func migrationsAreFrozen() {
        let frozen = [
            "1 records, feed, logs, accounts": "bd2eab147a9b6774",
            "2 epochs": "886e21df520e06d8",
            "3 collection": "31baa8c17727c078",
            "4 quarantine": "70ff032458680953",
            "5 relay": "23d697049ae51e97",
            "6 earlier places": "b6ca8c3835c4dc82",
            "7 visibility": "2ea2a192b7f0acd0",
            "7 devices": "c7b826090ae768d5",
            "9 audit": "78714afb3d961d52",
            "9 erasure": "cc78e2614901fc6e",
            "10 former members": "6ccbf2d8b753795a",
            "10 audit links": "115ed7042afc1d2b",
            "11 visibility without an index of scopes": "83eeee0858b11b4e",
            "10 relayed accounts": "1d6fae93a3aa2d1f", "12 handovers": "22cfb18738fd10cd",
            "13 log checks": "9f28a7311b94e617", "14 former lives": "2cefc0a3f4a38e49",
            "14 handovers begun": "62491247c51626cd",
            "15 former lives by record": "3db9857dee9d651b",
        ]
        for (name, sql) in ServerSchema.migrations {
            let text = name + "\n" + sql.joined(separator: "\n")
            let hash = SHA256.hash(data: Data(text.utf8)).prefix(8).map { String(format: "%02x", $0) }.joined()
            #expect(hash == frozen[name], "a shipped migration is never edited; add another one: \(name)")
        }
    }

    /// The hash of the tables saves comparing them at each opening.
    @Test func theTablesAreAsTheirHashSays() throws {
        let fresh = try DatabaseQueue()
        try ServerSchema.migrator.migrate(fresh)
        let hash = try fresh.read { try SchemaShape.hash(of: $0) }
        #expect(hash == 11_356_299_199_736_704_824)
    }

    /// A column that is called otherwise would end the program where it is asked for.
    @Test(arguments: ["disabled INTEGER", "refusals INTEGER", "tag INTEGER"])
    func aDamagedDescriptionOfTheTablesIsDamage(_ column: String) throws {
        let server = try TestServer()
        try server.store.close()
        var bytes = try Data(contentsOf: URL(fileURLWithPath: server.store.path))
        bytes[try #require(bytes.range(of: Data(column.utf8))).lowerBound] ^= 2
        try bytes.write(to: URL(fileURLWithPath: server.store.path))
        #expect {
            _ = try ServerStore(path: server.store.path, environment: server.environment)
        } throws: { error in
            guard case StoreError.damaged = error else { return false }
            return true
        }
        #expect(try DatabaseCheck.run(path: server.store.path).problems.count == 1)
        #expect(try Data(contentsOf: URL(fileURLWithPath: server.store.path)) == bytes)
    }

    @Test func aDatabaseOfANewerVersionIsRefusedAndLeftAsItIs() throws {
        let server = try TestServer()
        try server.store.close()
        let queue = try DatabaseQueue(path: server.store.path)
        try queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99 from the future')") }
        try queue.close()
        #expect(throws: StoreError.newerVersion(path: server.store.path)) {
            try ServerStore(path: server.store.path, environment: server.environment)
        }
    }

    @Test func aFileThatIsNoDatabaseIsRefused() throws {
        let server = try TestServer()
        let path = server.directory + "/other.db"
        try Data(repeating: 0x41, count: 8_192).write(to: URL(fileURLWithPath: path))
        #expect(throws: StoreError.self) { try ServerStore(path: path, environment: server.environment) }
    }

    @Test func aDirectoryThatIsNotThereIsRefused() throws {
        let server = try TestServer()
        #expect(throws: StoreError.self) {
            try ServerStore(path: server.directory + "/nowhere/shoald.db", environment: server.environment)
        }
    }

    /// A full disk, by way of SQLite's own bound on the file.
    @Test func aFullDiskStoresNothingAndLosesNothing() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        try replica.push(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        let dump = try server.dump()
        let pages = try server.store.withWriter { _, database in
            try Int.fetchOne(database, sql: "PRAGMA page_count") ?? 0
        }
        func bound(_ count: Int) throws {
            try server.store.withWriter { _, database in
                try database.execute(sql: "PRAGMA max_page_count = \(count)")
            }
        }
        try bound(pages)
        let large = Operations { operations in
            for index in 0..<100 {
                operations.makeCustomer(
                    replica.newID(), name: String(repeating: "满", count: 1_000), salt: UInt32(index))
            }
        }
        #expect(throws: StoreError.full(path: server.store.path)) { try replica.send(large) }
        #expect(try server.dump() == dump)
        try bound(1 << 20)
        #expect(try replica.push(large).upTo == 101)
    }

    @Test func concurrentPushesShareCommitsAndAllAreTaken() async throws {
        let server = try TestServer()
        let metrics = Metrics()
        let committer = Committer(store: server.store, limit: 4, metrics: metrics) { _ in }
        var pushes: [PreparedPush] = []
        for index in 0..<24 {
            let replica = try server.replica("a\(index)")
            let operations = Operations { $0.makeCustomer(replica.newID(), name: "客户\(index)") }
            pushes.append(try server.store.prepare(replica.push(of: replica.request(operations))))
        }
        let taken = try await withThrowingTaskGroup(of: UInt32?.self) { group in
            for push in pushes { group.addTask { try await committer.commit(push).answer.upTo } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(taken == Array(repeating: 1, count: 24))
        let sizes = metrics.groupSizes
        #expect(sizes.reduce(0) { $0 + $1.key * $1.value } == 24)
        #expect(sizes.keys.allSatisfy { (1...4).contains($0) })
        for index in 0..<24 { #expect(try server.dump().contains("客户\(index)\"")) }
    }

    /// The transaction of a failed disk is not tried again.
    @Test func afterTheDiskFailedNothingMoreIsTaken() throws {
        let server = try TestServer()
        let failure = StoreError.inputOutput(path: "x", reason: "injected")
        #expect(throws: failure) {
            try server.store.withWriter { writer, _ in try writer.transaction { throw failure } }
        }
        let reported = Mutex<[StoreError]>([])
        let committer = Committer(store: server.store, metrics: Metrics()) { error in
            reported.withLock { $0.append(error) }
        }
        let replica = TestReplica(
            server: server,
            enrolled: EnrollResponse(
                replica: ReplicaID(rawValue: 1), account: StoreWriter.serverAccount, name: "", role: .sales,
                epoch: server.store.epoch, time: 0), key: "")
        let push = try server.store.prepare(replica.push(of: replica.request(Operations())))
        for _ in 0..<2 {
            #expect(throws: StoreError.self) { try committer.commitAlone(push) }
        }
        #expect(!committer.isReady)
        #expect(reported.withLock { $0.count } == 1)
    }
}
