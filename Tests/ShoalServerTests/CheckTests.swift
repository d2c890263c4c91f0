import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Testing

@testable import ShoalServer

/// What `shoald check`, `backup` and `restore` promise.
struct CheckTests {
    private func filled() throws -> (server: TestServer, replica: TestReplica, ids: [RecordID]) {
        let server = try TestServer()
        let replica = try server.replica("anna")
        let ids = (0..<20).map { _ in replica.newID() }
        for (number, id) in ids.enumerated() {
            try replica.push(Operations { $0.makeCustomer(id, name: "Name-\(number)-end") })
        }
        // Refused: its record was never made.
        try replica.push(Operations { $0.rename(replica.newID(), "nobody") })
        return (server, replica, ids)
    }

    @Test func aSoundDatabaseIsSound() throws {
        let (server, _, _) = try filled()
        let report = try server.store.check()
        #expect(report.isSound, "\(report.problems)")
        #expect(report.records == 21 && report.accounts == 1)
        #expect(report.operations == 23 && report.logs == 2)
        try server.store.close()
        #expect(try DatabaseCheck.run(path: server.store.path) == report)
    }

    /// Each tampering, and what the report says of it.
    static let tamperings = [
        ("UPDATE log SET hash = hash + 1 WHERE position = 21", "its last hash is another one"),
        ("DELETE FROM log_hashes WHERE first = 9", "hashes after number 8 are missing"),
        ("UPDATE log SET position = 30 WHERE position = 21", "its hashes end at 21 instead of 30"),
        ("UPDATE log SET position = 20 WHERE position = 21", "an operation that was never taken"),
        ("DELETE FROM verdict", "has 0 verdicts instead of 1"),
        ("UPDATE verdict SET number = 99", "a verdict on an operation that was never taken"),
        ("DELETE FROM feed WHERE sequence = 13", "is not in the feed"),
        ("DELETE FROM record WHERE sequence = 13", "is not as its last change left it"),
        ("DELETE FROM commit_tag WHERE sequence > 20", "in a commit that is not there"),
        ("DELETE FROM commit_tag", "there is no commit"),
        ("INSERT INTO detail SELECT * FROM record WHERE sequence = 13", "lies in the wrong table"),
        ("UPDATE record SET sequence = sequence - 1 WHERE sequence = 13", "is damaged: at byte 5: checksum"),
        ("UPDATE record SET cells = substr(cells, 1, 9) WHERE sequence = 13", "checksum"),
        ("UPDATE record SET id = id + 100000000 WHERE sequence = 13", "checksum"),
        ("UPDATE account SET role = 'king'", "has a role that is none of this version"),
        ("DELETE FROM account", "keys belong to no account"),
        ("UPDATE server SET seal = x'00'", "the server's own row is not in form"),
    ]

    @Test(arguments: tamperings) func tamperingIsFound(_ sql: String, _ sentence: String) throws {
        let (server, _, _) = try filled()
        try server.store.execute(sql)
        let report = try server.store.check()
        #expect(report.problems.contains { $0.contains(sentence) }, "\(report.problems)")
    }

    @Test(arguments: Damage.allCases) func damageOfTheFileIsFound(_ damage: Damage) throws {
        let (server, _, _) = try filled()
        try server.store.close()
        #expect(try damage.strike(server.store.path, at: "Name-7-end"))
        let report = try DatabaseCheck.run(path: server.store.path)
        #expect(!report.isSound)
        // One record by itself is set aside.
        if damage == .flipped {
            #expect(try ServerStore.restore(server.store.path, to: server.directory + "/new.db") == 1)
            return
        }
        #expect(throws: BackupProblem.self) {
            try ServerStore.restore(server.store.path, to: server.directory + "/new.db")
        }
        #expect(!FileManager.default.fileExists(atPath: server.directory + "/new.db"))
    }

    @Test func aFileThatIsNoServersIsNoBackup() throws {
        let server = try TestServer()
        let path = server.directory + "/other.db"
        for content in [Data(), Data(repeating: 0x41, count: 8_192)] {
            try content.write(to: URL(fileURLWithPath: path))
            #expect(try !DatabaseCheck.run(path: path).isSound)
            #expect(throws: BackupProblem.self) { try ServerStore.restore(path, to: server.directory + "/new.db") }
        }
        #expect(throws: BackupProblem.self) {
            try ServerStore.restore(server.directory + "/nothing.db", to: server.directory + "/new.db")
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: server.directory)
        #expect(!left.contains { $0.contains("part") || $0.hasPrefix("new") }, "\(left)")
    }

    @Test func aBackupIsTheDatabaseAsOfACommitWhileOthersWrite() async throws {
        let (server, replica, _) = try filled()
        let before = try server.dump()
        let path = server.directory + "/backup.db"
        try server.store.backup(to: path)
        try replica.push(Operations { $0.makeCustomer(replica.newID(), name: "Later") })
        #expect(throws: BackupProblem.exists(path)) { try server.store.backup(to: path) }
        let restored = server.directory + "/restored.db"
        try ServerStore.restore(path, to: restored)
        #expect(throws: BackupProblem.exists(restored)) { try ServerStore.restore(path, to: restored) }
        let store = try ServerStore(path: restored, environment: server.environment)
        defer { try? store.close() }
        #expect(try store.dumpText() == before)
        #expect(try store.check().isSound)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    /// Whatever stands in an index stands in its table too.
    @Test func aBackupThatCannotBeRestoredSaysSo() throws {
        let (server, _, _) = try filled()
        try server.store.execute("UPDATE audit SET hash = x'00' WHERE number = (SELECT min(number) FROM audit)")
        let file = server.directory + "/copy.db"
        let report = try server.store.backup(to: file)
        #expect(report.problem?.contains("audit") == true && report.damagedRecords == 0)
        #expect(throws: BackupProblem.self) { try ServerStore.restore(file, to: server.directory + "/new.db") }
    }

    /// A backup of it is worth more than none, and says so.
    @Test(arguments: [false, true])
    func aBackupWithDamagedRecordsCanBeRestoredAndSaysSo(_ isSetAside: Bool) throws {
        let server = try TestServer()
        let anna = try server.replica("anna")
        let (one, other) = (anna.newID(), anna.newID())
        try anna.push(
            Operations {
                $0.makeCustomer(one, name: "张三")
                $0.makeCustomer(other, name: "李四")
            })
        let (good, bad) = (server.directory + "/good.db", server.directory + "/bad.db")
        #expect(try server.store.backup(to: good, time: server.clock.now) == BackupReport())
        try server.store.withWriter { _, database in
            try database.execute(
                sql: "UPDATE record SET cells = substr(cells, 1, length(cells) - 1) || x'FF' WHERE id = ?",
                arguments: [one.rawValue])
        }
        if isSetAside { _ = try server.dump() }
        #expect(try server.store.backup(to: bad, time: server.clock.now) == BackupReport(damagedRecords: 1))
        try server.store.close()
        for suffix in ["", "-wal", "-shm"] { unlink(server.store.path + suffix) }
        #expect(try ServerStore.restore(bad, to: server.store.path) == 1)
        let store = try ServerStore(path: server.store.path, environment: server.environment)
        defer { try? store.close() }
        // Also before somebody has met it.
        #expect(try store.mend(from: good) == [one])
        let dump = try store.dumpText(account: nil)
        #expect(try store.check().isSound && dump.contains("张三") && dump.contains("李四"))
    }

    @Test func aBackupIsWholeWhereOnlyIndexesAreDamaged() throws {
        let (server, _, _) = try filled()
        let before = try server.dump()
        try server.store.close()
        let path = server.store.path
        let queue = try DatabaseQueue(path: path)
        let roots = try queue.read {
            try Row.fetchAll($0, sql: "SELECT type, name, rootpage FROM sqlite_schema WHERE rootpage > 0")
        }
        try queue.close()
        let tables = Set(roots.filter { $0["type"] == "table" }.map { $0["rootpage"] as Int })
        let sound = try Data(contentsOf: URL(fileURLWithPath: path))
        func damage(_ page: Int) throws {
            var bytes = sound
            bytes.replaceSubrange((page - 1) * 4_096..<page * 4_096, with: Data(count: 4_096))
            try bytes.write(to: URL(fileURLWithPath: path))
        }
        var copied = 0
        for row in roots {
            let file = server.directory + "/\(copied).backup"
            let name: String = row["name"]
            try damage(row["rootpage"])
            // The tree of a table that is sorted by its key is called an index too.
            guard row["type"] == "index", !tables.contains(row["rootpage"]) else {
                // A table is whole or there is no backup.
                if name.hasPrefix("sqlite_") { continue }
                #expect(throws: StoreError.self, "\(name)") {
                    try ServerStore.backup(damaged: path, reason: "x", to: file)
                }
                #expect(
                    !FileManager.default.fileExists(atPath: file)
                        && !FileManager.default.fileExists(atPath: file + ".part"))
                continue
            }
            copied += 1
            // Also by a server that still runs.
            if let store = try? ServerStore(path: path, environment: server.environment) {
                #expect(try store.backup(to: file + "2", time: 0).damage != nil, "\(name)")
                try store.close()
                #expect(try DatabaseCheck.run(path: file + "2").problems == [], "\(name)")
                try damage(row["rootpage"])
            }
            try ServerStore.backup(damaged: path, reason: "x", to: file)
            #expect(try DatabaseCheck.run(path: file).problems == [], "\(name)")
            let restored = server.directory + "/\(copied).db"
            try ServerStore.restore(file, to: restored)
            let store = try ServerStore(path: restored, environment: server.environment)
            #expect(try store.dumpText() == before, "\(name)")
            try store.close()
        }
        #expect(copied > 5)
    }

    /// As after a write of an index that the disk lost.
    @Test func aBackupIsWholeWhereAnIndexIsOfAnEarlierTime() throws {
        let (server, replica, ids) = try filled()
        try server.store.truncateLog()
        let path = server.store.path
        let root = try server.store.pool.read {
            try Int.fetchOne($0, sql: "SELECT rootpage FROM sqlite_schema WHERE name = 'log_sequence'")
        }
        let page = try #require(root)
        func bytes() throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }
        let range = (page - 1) * 4_096..<page * 4_096
        let earlier = try bytes()[range]
        try replica.push(Operations { $0.rename(ids[0], "Renamed") })
        let before = try server.dump()
        try server.store.close()
        var damaged = try bytes()
        #expect(damaged[range] != earlier)
        damaged.replaceSubrange(range, with: earlier)
        try damaged.write(to: URL(fileURLWithPath: path))
        let file = server.directory + "/backup.db"
        let store = try ServerStore(path: path, environment: server.environment)
        #expect(try store.backup(to: file, time: 0).damage?.contains("log_sequence") == true)
        try store.close()
        #expect(try DatabaseCheck.run(path: file).isSound)
        let restored = server.directory + "/restored.db"
        try ServerStore.restore(file, to: restored)
        let again = try ServerStore(path: restored, environment: server.environment)
        #expect(try again.dumpText() == before)
        try again.close()
    }

    @Test func aBackupThatCannotBeWrittenLeavesNothing() throws {
        let (server, _, _) = try filled()
        let path = server.directory + "/nowhere/backup.db"
        #expect(throws: (any Error).self) { try server.store.backup(to: path) }
        #expect(!FileManager.default.fileExists(atPath: server.directory + "/nowhere"))
    }

    /// Without its write-ahead log the file is the state of the last checkpoint: sound, and replicas prove that it is
    /// earlier. With one from another time it is neither.
    @Test func aMissingOrStaleWriteAheadLogIsAnEarlierStateOrFound() throws {
        let (server, replica, ids) = try filled()
        let path = server.store.path
        try server.store.truncateLog()
        let before = try server.dump()
        for id in ids { try replica.push(Operations { $0.rename(id, "Renamed") }) }
        func copy(_ from: String, _ to: String) throws { try FileManager.default.copyItem(atPath: from, toPath: to) }
        let missing = server.directory + "/missing.db"
        try copy(path, missing)
        #expect(try DatabaseCheck.run(path: missing).isSound)
        let store = try ServerStore(path: missing, environment: server.environment)
        #expect(try store.dumpText() == before)
        #expect(try store.commit(group: [replica.push(of: replica.request(Operations()))])[0].answer.isRollback)
        try store.close()
        // The log of then beside the file of now.
        let stale = server.directory + "/stale.db"
        try copy(path + "-wal", stale + "-wal")
        for number in 0..<40 {
            try replica.push(Operations { $0.makeCustomer(replica.newID(), name: "Later-\(number)") })
        }
        try server.store.truncateLog()
        try copy(path, stale)
        let report = try DatabaseCheck.run(path: stale)
        if report.isSound { #expect(report.records == 21, "it is the state of then, whole") }
    }
}
