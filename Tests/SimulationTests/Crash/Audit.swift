import GRDB
import ShoalCRDT
import ShoalClient
import ShoalSimulation
import ShoalStore

/// What must hold in a database file at any time, read by SQL alone.
struct Audit {
    /// One sentence each.
    var complaints: [String] = []

    private mutating func check(_ holds: Bool, _ complaint: @autoclosure () -> String) {
        if !holds { complaints.append(complaint()) }
    }

    static let derived = [
        "customer", "customer_tag", "follow", "note", "tag_group", "tag", "account", "author", "conflict",
    ]

    /// A replica's database. Nobody else may have it open.
    static func replica(_ disk: SimulatedDisk, isEncrypted: Bool = false) throws -> Audit {
        var audit = Audit()
        let queue = try open(disk, isEncrypted)
        try queue.inDatabase { database in
            try audit.checkIntegrity(database)
            try audit.checkLog(database)
        }
        try queue.close()
        return audit
    }

    private static func open(_ disk: SimulatedDisk, _ isEncrypted: Bool) throws -> DatabaseQueue {
        let cipher = isEncrypted ? try EncryptedHome.cipher() : nil
        return try DatabaseQueue(
            path: try StoreFile.name(HomeDirectory.databasePath(Replica.home(disk)), cipher: cipher))
    }

    private mutating func checkIntegrity(_ database: Database) throws {
        let answer = try String.fetchOne(database, sql: "PRAGMA integrity_check") ?? "nothing"
        check(answer == "ok", "integrity_check: \(answer)")
    }

    /// The log is dense and its hashes are a chain; what the tail and the refusals name is in it.
    private mutating func checkLog(_ database: Database) throws {
        var previous = OperationHash.start
        var expected: Int64 = 1
        let rows = try Row.fetchCursor(database, sql: "SELECT position, hash, operation FROM log ORDER BY position")
        while let row = try rows.next() {
            let position: Int64 = row["position"]
            check(position == expected, "the log has \(position) after \(expected - 1)")
            expected = position + 1
            let bytes: [UInt8] = try row.withUnsafeData(named: "operation") { data in data.map(Array.init) ?? [] }
            let hash = bytes.withUnsafeBytes { previous.extended(by: $0) }
            check(hash.rawValue == UInt64(bitPattern: row["hash"]), "the hash of \(position) does not continue")
            previous = hash
        }
        let strays =
            try Int.fetchOne(
                database,
                sql: """
                    SELECT (SELECT count(*) FROM tail WHERE position NOT IN (SELECT position FROM log))
                    + (SELECT count(*) FROM aside WHERE position NOT IN (SELECT position FROM log))
                    """) ?? 0
        check(strays == 0, "\(strays) operations of the tail are not in the log")
    }

    /// The rows of the derived tables, sorted.
    static func derivedRows(_ disk: SimulatedDisk, isEncrypted: Bool = false) throws -> [String: [String]] {
        let queue = try open(disk, isEncrypted)
        defer { try? queue.close() }
        return try queue.read { database in
            var all: [String: [String]] = [:]
            for table in derived {
                all[table] = try Row.fetchAll(database, sql: "SELECT * FROM \(table)").map { "\($0)" }.sorted()
            }
            return all
        }
    }

    /// A server's database. Nobody else may have it open.
    static func server(_ disk: SimulatedDisk) throws -> Audit {
        var audit = Audit()
        let queue = try DatabaseQueue(path: ServerMachine.path(disk))
        try queue.inDatabase { database in
            try audit.checkIntegrity(database)
            try audit.checkHashes(database)
            try audit.checkSequences(database)
        }
        try queue.close()
        return audit
    }

    /// Each log has as many hashes as operations, and ends with its own.
    private mutating func checkHashes(_ database: Database) throws {
        for row in try Row.fetchAll(database, sql: "SELECT replica, position, hash FROM log") {
            let replica: Int64 = row["replica"]
            var next: Int64 = 1
            var last = Int64(0)
            let pieces = try Row.fetchAll(
                database, sql: "SELECT first, hashes FROM log_hashes WHERE replica = ? ORDER BY first",
                arguments: [replica])
            for piece in pieces {
                check(piece["first"] == next, "log \(replica) has a gap before \(next)")
                let bytes: [UInt8] = try piece.withUnsafeData(named: "hashes") { data in data.map(Array.init) ?? [] }
                next += Int64(bytes.count / 8)
                last = bytes.suffix(8).reversed().reduce(0) { $0 << 8 | Int64($1) }
            }
            check(row["position"] == next - 1, "log \(replica) has \(next - 1) hashes for \(row["position"] as Int64)")
            check(row["hash"] == last, "log \(replica) does not end with its own hash")
        }
    }

    /// Each record has a current feed row, and the newest commit is above everything.
    private mutating func checkSequences(_ database: Database) throws {
        let newest = try Int64.fetchOne(database, sql: "SELECT max(sequence) FROM commit_tag") ?? -1
        let above =
            try Int.fetchOne(
                database,
                sql: """
                    SELECT (SELECT count(*) FROM feed WHERE sequence >= ?1) + (SELECT count(*) FROM record WHERE sequence >= ?1)
                    + (SELECT count(*) FROM detail WHERE sequence >= ?1) + (SELECT count(*) FROM log WHERE sequence > ?1)
                    """, arguments: [newest]) ?? 0
        check(above == 0, "\(above) rows are newer than the newest commit")
        let unfed =
            try Int.fetchOne(
                database,
                sql: """
                    SELECT count(*) FROM (SELECT id, sequence FROM record UNION ALL SELECT id, sequence FROM detail) AS r
                    WHERE NOT EXISTS (SELECT 1 FROM feed WHERE feed.sequence = r.sequence AND feed.record = r.id)
                    """) ?? 0
        check(unfed == 0, "\(unfed) records have no current feed row")
    }
}
