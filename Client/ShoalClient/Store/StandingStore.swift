import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// Who the replica is and where it stands with the server.
struct Standing: Sendable {
    var account = RecordID(rawValue: 0)
    var accountName = ""
    var role = Role.sales
    var server = ""
    var epoch: UInt64 = 0
    var cursor = ""
    var acknowledgement = ""
    /// The server's clock less this one's, in milliseconds.
    var clockOffset: Int64 = 0
    var lastSync: Int64?
    var fill = Fill.none
    /// The operations up to this position were written over what an earlier epoch had sent; all of them while rows of one
    /// are still here.
    var earlierEnd: Int64 = 0
    /// Whether the server knows, in this epoch, what this replica knows of places in earlier ones.
    var hasToldPlaces = true
    var lease = ContactLease()
    /// Why the home takes no commands; nil if it does.
    var lockout: Lockout?

    enum Fill: Int64 { case none = 0, initial = 1, replacing = 2 }

    /// Throws if the home is locked, or if the server must be asked before anything is shown.
    func admit(to home: String, needsContact: Bool = true, now: () -> Int64) throws {
        if let lockout { throw ReplicaError.locked(home: home, lockout) }
        guard needsContact, let days = lease.days else { return }
        if lease.isExpired(now: now(), offset: clockOffset) { throw ReplicaError.outOfContact(days: days) }
    }
}

/// Reads and writes identity, standing and the vector: rows that change once a sync.
enum StandingStore {
    static func isEnrolled(_ database: Database) throws -> Bool {
        try Bool.fetchOne(database, sql: "SELECT account IS NOT NULL FROM identity") ?? false
    }

    static func read(_ database: Database, home: String) throws -> Standing {
        guard
            let row = try Row.fetchOne(
                database.cachedStatement(sql: "SELECT * FROM identity, standing WHERE account IS NOT NULL"))
        else {
            if let lockout = try LockoutStore.read(database) { throw ReplicaError.locked(home: home, lockout) }
            if try isEnrolled(database) {
                throw StoreError.damaged(path: "standing", reason: "where the home stands with its server is lost")
            }
            throw ReplicaError.notEnrolled(home: home)
        }
        var standing = Standing()
        standing.account = try RecordID(rawValue: row.checked("account"))
        standing.accountName = try row.checked("name")
        standing.role = try role(of: standing.account, database) ?? Role(rawValue: row.checked("role")) ?? .least
        standing.server = try row.checked("server")
        standing.epoch = try UInt64(bitPattern: row.checked("epoch"))
        standing.cursor = try row.checked("cursor")
        standing.acknowledgement = try row.checked("acknowledgement")
        standing.clockOffset = try row.checked("clock_offset")
        standing.lastSync = try row.checked("last_sync")
        standing.fill = try Standing.Fill(rawValue: row.checked("fill")) ?? .none
        standing.earlierEnd = try row.checked("earlier_end")
        standing.hasToldPlaces = try row.checked("told")
        standing.lease = try ContactLease(
            days: row.checked("lease", as: Int64?.self).map { Int(clamping: $0) }, contact: row.checked("contact"),
            seen: row.checked("seen"))
        standing.lockout = try LockoutStore.read(database)
        return standing
    }

    /// What the account may do, as its record says; nil before the record is here.
    static func role(of account: RecordID, _ database: Database) throws -> Role? {
        try String.fetchOne(
            database.cachedStatement(sql: "SELECT role FROM account WHERE id = ?"), arguments: [account.rawValue]
        ).map { Role(rawValue: $0) ?? .least }
    }

    static func writeStanding(_ standing: Standing, _ database: Database) throws {
        try database.cachedStatement(
            sql: """
                UPDATE standing SET epoch = ?, cursor = ?, acknowledgement = ?, clock_offset = ?, last_sync = ?, fill = ?,
                    earlier_end = ?, told = ?, lease = ?, contact = ?, seen = ?
                """
        ).execute(arguments: [
            Int64(bitPattern: standing.epoch), standing.cursor, standing.acknowledgement, standing.clockOffset,
            standing.lastSync, standing.fill.rawValue, standing.earlierEnd, standing.hasToldPlaces,
            standing.lease.days, standing.lease.contact, standing.lease.seen,
        ])
    }

    /// - Parameter checks: one for each, or none.
    static func advanceVector(_ dots: [Dot], _ checks: [LogCheck], _ database: Database) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO vector (replica, number, log_check) VALUES (?1, ?2, ?3)
                ON CONFLICT (replica) DO UPDATE SET number = ?2, log_check = ?3 WHERE number <= ?2
                """)
        for (index, dot) in dots.enumerated() {
            let check = index < checks.count ? checks[index] : .unknown
            try statement.execute(
                arguments: [Int64(dot.replica.rawValue), Int64(dot.number), Int64(check.rawValue)])
        }
    }

    // MARK: Enrolment

    /// Remembers an enrolment before it is sent; one with the same server and code, however spelled, keeps its key.
    static func begin(
        server: String, code: String, key: String, _ database: Database, home: String
    ) throws -> String {
        try refuseEnrolled(database, home: home)
        let code = meant(code)
        let kept = try String.fetchOne(
            database, sql: "SELECT key FROM identity WHERE server = ? AND code = ?", arguments: [server, code])
        if let kept { return kept }
        try database.execute(
            sql: "REPLACE INTO identity (id, server, code, key) VALUES (1, ?, ?, ?)", arguments: [server, code, key])
        return key
    }

    /// A code as the server reads it: case, separators and look-alikes (I, L, O) do not matter.
    static func meant(_ code: String) -> String {
        String(
            code.uppercased().compactMap { character in
                switch character {
                case "-", " ": nil
                case "I", "L": "1"
                case "O": "0"
                default: character
                }
            })
    }

    private static func refuseEnrolled(_ database: Database, home: String) throws {
        if let known = try credential(database) {
            throw ReplicaError.alreadyEnrolled(home: home, server: known.server)
        }
    }

    /// Takes the answer to the enrolment that sent `key`: another that began meanwhile has a key of its own, and the
    /// replica of this answer is not the one that the server knows by it.
    static func finish(
        _ answer: EnrollResponse, key: String, now: Int64, _ database: Database, home: String
    ) throws {
        try database.execute(
            sql: "UPDATE identity SET account = ?, name = ?, role = ?, code = '' WHERE key = ? AND account IS NULL",
            arguments: [answer.account.rawValue, answer.name, answer.role.rawValue, key])
        if database.changesCount == 0 {
            try refuseEnrolled(database, home: home)
            throw ReplicaError.home(home, reason: "another enrolment of it has begun meanwhile")
        }
        try database.execute(
            sql: """
                REPLACE INTO standing (
                    id, epoch, cursor, acknowledgement, clock_offset, fill, lease, contact, seen
                ) VALUES (1, ?1, '', '', ?2, 0, ?3, ?4, ?4)
                """,
            arguments: [Int64(bitPattern: answer.epoch), answer.time &- now, answer.lease, answer.time])
        // A home that was locked and emptied begins anew.
        try LockoutStore.unlock(database)
        try database.execute(
            sql: "INSERT INTO own_log (ordinal, replica, base, acknowledged, hash) VALUES (1, ?, 0, 0, ?)",
            arguments: [Int64(answer.replica.rawValue), Int64(bitPattern: OperationHash.start.rawValue)])
    }

    /// Gives a copy of a replica that never wrote an identity of its own. Cursors are the account's, so there is none.
    static func adopt(_ answer: EnrollResponse, key: String, now: Int64, _ database: Database) throws {
        guard try Int.fetchOne(database, sql: "SELECT count(*) FROM log") == 0 else { throw ReplicaError.logFull }
        try database.execute(
            sql: "UPDATE identity SET key = ?, account = ?, name = ?, role = ?",
            arguments: [key, answer.account.rawValue, answer.name, answer.role.rawValue])
        try database.execute(
            sql: "UPDATE standing SET epoch = ?, cursor = '', acknowledgement = '', clock_offset = ?, fill = 0",
            arguments: [Int64(bitPattern: answer.epoch), answer.time &- now])
        try database.execute(sql: "DELETE FROM fill_seen")
        try database.execute(sql: "UPDATE own_log SET replica = ?", arguments: [Int64(answer.replica.rawValue)])
    }

    static func credential(_ database: Database) throws -> (server: String, key: String)? {
        try Row.fetchOne(database.cachedStatement(sql: "SELECT server, key FROM identity WHERE account IS NOT NULL"))
            .map {
                (server: $0["server"], key: $0["key"])
            }
    }
}
