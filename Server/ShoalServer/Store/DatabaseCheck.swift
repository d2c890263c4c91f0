import CSQLite
import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has a Record of its own.
import struct ShoalCRDT.Record

/// What a check of a server's database found.
public struct CheckReport: Codable, Sendable, Equatable {
    public struct Quarantined: Codable, Sendable, Equatable {
        /// 13 characters.
        public var record: String
        public var reason: String
    }
    /// A sentence each; the first fifty.
    public var problems: [String] = []
    /// Records set aside because their row is damaged.
    public var quarantined: [Quarantined] = []
    /// How many of the problems are records whose row cannot be read, and which nobody has set aside yet.
    public var unreadable = 0
    public var records = 0
    public var logs = 0
    public var operations = 0
    public var accounts = 0
    /// How many entries the audit has, and the hash of the last, in hexadecimal: whoever keeps it elsewhere can tell later that
    /// what was before it is what it was.
    public var audit: Int64 = 0
    public var auditHash = ""

    public var isSound: Bool { problems.isEmpty && quarantined.isEmpty }
    /// Whether a server can go on with it: nothing is damaged but records, each by itself.
    var isUsable: Bool { problems.isEmpty || unreadable < DatabaseCheck.mostProblems && problems.count == unreadable }
    /// How many records are damaged.
    public var damagedRecords: Int { quarantined.count + unreadable }
}

extension ServerStore {
    /// Verifies the whole database from one snapshot; everybody else goes on meanwhile.
    public func check() throws -> CheckReport {
        try StoreError.mapping(path: path) {
            // A transaction of our own: the pool's would be reported as failed once a page of it could not be read.
            try pool.unsafeRead { try DatabaseCheck.inSnapshot($0) }
        }
    }
}

extension ServerStore {
    /// The records whose rows cannot be read.
    static func unreadable(_ database: Database) throws -> [RecordID] {
        var damaged: [RecordID] = []
        for table in ["record", "detail"] {
            let rows = try Row.fetchCursor(database, sql: "SELECT id, sequence, cells FROM \(table)")
            while let row = try rows.next() {
                let id = try RecordID(rawValue: row.checked(0))
                if try damage(id, row.checked(1), row.checked(2)) != nil { damaged.append(id) }
            }
        }
        return damaged
    }
}

/// Verifies a server's database, changing nothing.
public struct DatabaseCheck {
    static let mostProblems = 50
    private let database: Database
    private var report = CheckReport()
    /// The last number taken of each log.
    private var positions: [ReplicaID: UInt32] = [:]
    /// The logs of epochs that ended, of which the server may have less than there was.
    private var earlier: Set<ReplicaID> = []
    private var hasEarlierEpochs = false
    /// Up to where others have relayed what they held.
    private var relayed: [VersionVector] = []
    private var newest: Int64 = 0

    init(_ database: Database) { self.database = database }

    /// Of connections that leave the file as it is.
    static var configuration: Configuration {
        var configuration = StoreFile.configuration(label: "check")
        configuration.prepareDatabase { database in
            if let connection = database.sqliteConnection { shoal_sqlite_keep_log(connection) }
        }
        return configuration
    }

    /// Verifies a database that no server has open, however damaged it is.
    ///
    /// - Throws: `StoreError.newerVersion`; damage is in the report.
    public static func run(path: String) throws -> CheckReport {
        do {
            return try StoreError.mapping(path: path) {
                let queue = try DatabaseQueue(path: path, configuration: configuration)
                defer { try? queue.close() }
                return try queue.inDatabase { database in
                    // A replica's database has migrations too, of which a server knows none.
                    if try database.tableExists("grdb_migrations"), try !database.tableExists("commit_tag") {
                        throw StoreError.damaged(path: path, reason: noServers)
                    }
                    try StoreFile.refuseNewer(ServerSchema.migrator, database, path: path)
                    guard try ServerSchema.migrator.hasCompletedMigrations(database) else {
                        throw StoreError.damaged(
                            path: path, reason: "it is not the database of a server, or of one that never started")
                    }
                    try ServerSchema.shape.refuseDamaged(database, path: path)
                    return try inSnapshot(database)
                }
            }
        } catch StoreError.damaged(_, let reason) {
            var report = CheckReport()
            report.problems = [isDatabase(path) ? reason : noServers]
            return report
        }
    }

    private static let noServers = "it is not a server's database"

    /// Whether a file begins as SQLite's do, or is empty, as a new one is.
    private static func isDatabase(_ path: String) -> Bool {
        guard let file = FileHandle(forReadingAtPath: path) else { return true }
        defer { try? file.close() }
        guard let head = try? file.read(upToCount: 16) else { return true }
        return head.isEmpty || head == Data("SQLite format 3\0".utf8)
    }

    static func inSnapshot(_ database: Database) throws -> CheckReport {
        var report = CheckReport()
        try database.inTransaction(.deferred) {
            var check = DatabaseCheck(database)
            report = check.run()
            return .rollback
        }
        return report
    }

    mutating func run() -> CheckReport {
        part("the file") { check in
            for line in try String.fetchAll(check.database, sql: "PRAGMA integrity_check(20)") where line != "ok" {
                check.note("the file: \(line)")
            }
        }
        part("commits") { try $0.checkCommits() }
        part("logs") { try $0.checkLogs() }
        part("records") { try $0.checkRecords() }
        part("the feed") { try $0.checkFeed() }
        part("accounts") { try $0.checkAccounts() }
        part("the audit") { check in
            var problems: [String] = []
            var audit = AuditCheck(check.database)
            let head = try audit.run { problems.append($0) }
            for problem in problems { check.note(problem) }
            check.report.audit = head.number
            check.report.auditHash = head.hash.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }
                .joined()
        }
        part("erasures") { try $0.checkErasures() }
        part("quarantine") { try $0.readQuarantine() }
        return report
    }

    /// Damage in one part does not keep the others from being looked at.
    private mutating func part(_ name: String, _ body: (inout DatabaseCheck) throws -> Void) {
        do { try body(&self) } catch { note("\(name) cannot be read: \(error)") }
    }

    private mutating func note(_ problem: String) {
        if report.problems.count < Self.mostProblems { report.problems.append(problem) }
    }

    private mutating func checkCommits() throws {
        guard let mark = try ServerStore.newestCommit(database) else { return note("there is no commit") }
        newest = mark.sequence
        let server = try Row.fetchOne(database, sql: "SELECT length(seal) FROM server")
        if server?[0] as Int? != Seal.keyLength { note("the server's own row is not in form") }
    }

    private mutating func checkLogs() throws {
        let rows = try Row.fetchAll(database, sql: "SELECT replica, position, hash, refusals, sequence FROM log")
        for row in rows {
            let replica = try ReplicaID(rawValue: UInt32(truncatingIfNeeded: row.checked(0, as: Int64.self)))
            let name = "the log \(replica.rawValue)"
            guard let position = try UInt32(exactly: row.checked(1, as: Int64.self)) else {
                note("\(name): its position is no number")
                continue
            }
            positions[replica] = position
            report.logs += 1
            report.operations += Int(position)
            if try row.checked("sequence", as: Int64.self) > newest {
                note("\(name) moved in a commit that is not there")
            }
            try checkHashes(replica, name, position: Int64(position), hash: row.checked("hash"))
            let verdicts = try Row.fetchOne(
                database, sql: "SELECT count(*), coalesce(max(number), 0) FROM verdict WHERE replica = ?",
                arguments: [Int64(replica.rawValue)])
            if let verdicts, verdicts[1] as Int64 > Int64(position) {
                note("\(name) has a verdict on an operation that was never taken")
            }
            let refusals = try row.checked("refusals", as: Int64.self)
            if let verdicts, verdicts[0] as Int64 != refusals {
                note("\(name) has \(verdicts[0] as Int64) verdicts instead of \(refusals)")
            }
        }
    }

    /// Hashes stand without a gap up to the position, whose hash is the log's. The oldest may be gone.
    private mutating func checkHashes(_ replica: ReplicaID, _ name: String, position: Int64, hash: Int64) throws {
        if position == 0 { return }
        var end: Int64?
        var last: UInt64?
        let rows = try Row.fetchCursor(
            database, sql: "SELECT first, hashes FROM log_hashes WHERE replica = ? ORDER BY first",
            arguments: [Int64(replica.rawValue)])
        while let row = try rows.next() {
            let bytes = try row.checked(1, as: Data.self)
            let first = try row.checked(0, as: Int64.self)
            if bytes.isEmpty || bytes.count % 8 != 0 { return note("\(name): its hashes are not in form") }
            if let end, end + 1 != first { return note("\(name): hashes after number \(end) are missing") }
            end = first + Int64(bytes.count / 8) - 1
            last = bytes.suffix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        if end != position { return note("\(name): its hashes end at \(end ?? 0) instead of \(position)") }
        if last != UInt64(bitPattern: hash) { note("\(name): its last hash is another one") }
    }

    private mutating func checkRecords() throws {
        relayed = Array(try RelayQueries(database).sources().values.map(\.vector))
        earlier = Set(
            try Int64.fetchAll(database, sql: "SELECT replica FROM earlier_log").map {
                ReplicaID(rawValue: UInt32(truncatingIfNeeded: $0))
            })
        let ended = try Bool.fetchOne(
            database,
            sql: """
                SELECT EXISTS (SELECT 1 FROM former_epoch) OR EXISTS (SELECT 1 FROM relay_record)
                    OR EXISTS (SELECT 1 FROM server WHERE recovers <> 0)
                """)
        hasEarlierEpochs = ended == true || !earlier.isEmpty
        for table in ["record", "detail"] {
            let rows = try Row.fetchCursor(database, sql: "SELECT id, sequence, cells FROM \(table)")
            while let row = try rows.next() {
                let id = try RecordID(rawValue: row.checked(0))
                let sequence = try row.checked(1, as: Int64.self)
                let record: Record
                do {
                    record = try row.checked(2, as: Data.self).withUnsafeBytes {
                        try RecordTable.record(id, sequence: sequence, packed: $0)
                    }
                } catch StoreError.damagedRecord(_, let reason) {
                    note("the record \(id) is damaged: \(reason)")
                    report.unreadable += 1
                    continue
                }
                report.records += 1
                check(record, sequence, table)
            }
        }
    }

    private mutating func check(_ record: Record, _ sequence: Int64, _ table: String) {
        let id = record.id
        if !id.isValid { note("the record \(id.rawValue) has no identifier") }
        if record.isMade, RecordTable.isDetail(id, record.envelope) != (table == "detail") {
            note("the record \(id) lies in the wrong table")
        }
        if sequence > newest { note("the record \(id) changed in a commit that is not there") }
        for entry in record.entries {
            if entry.sequence > sequence {
                note("the record \(id) has a cell that is newer than itself")
                return
            }
            guard !entry.kind.isMarker else { continue }
            // What came by a relay is there before its log brings it, or without.
            if relayed.contains(where: { $0.contains(entry.dot) }) { continue }
            let position = positions[entry.dot.replica]
            // What was relayed may know more than its vector says, so of a log of an epoch that ended nothing follows.
            if earlier.contains(entry.dot.replica) || position == nil && hasEarlierEpochs { continue }
            guard let position, entry.dot.number <= position else {
                note("the record \(id) has an operation that was never taken: \(entry.dot)")
                return
            }
        }
    }

    /// Every change since the feed begins is in it, and each record is as its last change in it left it.
    private mutating func checkFeed() throws {
        guard let first = try Int64.fetchOne(database, sql: "SELECT min(sequence) FROM feed") else { return }
        if let last = try Int64.fetchOne(database, sql: "SELECT max(sequence) FROM feed"), last > newest {
            note("the feed goes beyond the newest commit")
        }
        for table in ["record", "detail"] {
            let missing = try Int64.fetchAll(
                database,
                sql: """
                    SELECT id FROM \(table) WHERE sequence >= ? AND NOT EXISTS
                        (SELECT 1 FROM feed WHERE feed.sequence = \(table).sequence AND feed.record = \(table).id)
                    LIMIT 20
                    """, arguments: [first])
            for id in missing { note("the change of the record \(RecordID(rawValue: id)) is not in the feed") }
        }
        let stale = try Int64.fetchAll(
            database,
            sql: """
                SELECT record FROM (SELECT record, max(sequence) AS newest FROM feed GROUP BY record)
                WHERE NOT EXISTS (SELECT 1 FROM record AS r WHERE r.id = record AND r.sequence >= newest)
                    AND NOT EXISTS (SELECT 1 FROM detail AS d WHERE d.id = record AND d.sequence >= newest)
                    AND record NOT IN (
                        SELECT record FROM erasure UNION ALL SELECT record FROM collected UNION ALL SELECT record FROM quarantine)
                LIMIT 20
                """)
        for id in stale { note("the record \(RecordID(rawValue: id)) is not as its last change left it") }
    }

    private mutating func checkAccounts() throws {
        let rows = try Row.fetchAll(database, sql: "SELECT id, name, role FROM account")
        report.accounts = rows.count
        for row in rows where Role(rawValue: try row.checked("role")) == nil {
            note("the account \(try row.checked("name", as: String.self)) has a role that is none of this version")
        }
        let strays = try Int.fetchOne(
            database,
            sql: """
                SELECT count(*) FROM credential
                WHERE account NOT IN (SELECT id FROM account) OR replica NOT IN (SELECT replica FROM log)
                """)
        if let strays, strays > 0 { note("\(strays) keys belong to no account or no log") }
    }

    /// Nothing is left of what was erased.
    private mutating func checkErasures() throws {
        let left = try Int64.fetchAll(
            database,
            sql: """
                SELECT record FROM erasure WHERE record IN (SELECT id FROM record) OR record IN (SELECT id FROM detail)
                    OR record IN (SELECT record FROM quarantine) LIMIT 20
                """)
        for id in left { note("the record \(RecordID(rawValue: id)) was erased and is still here") }
    }

    private mutating func readQuarantine() throws {
        report.quarantined = try Row.fetchAll(
            database, sql: "SELECT record, reason FROM quarantine ORDER BY record"
        ).map { .init(record: RecordID(rawValue: $0[0]).description, reason: $0[1]) }
    }
}
