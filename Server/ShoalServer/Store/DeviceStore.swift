import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// What becomes of accounts and their devices after they are there. Who sends a request is read from these tables each time,
// so that the next request after a commit here is judged by it.
extension ServerStore {
    static func enabledAccount(_ database: Database, named name: String) throws -> RecordID {
        guard let account = try account(database, named: name) else { throw AccountProblem.unknownAccount(name) }
        let isDisabled = try Bool.fetchOne(
            database.cachedStatement(sql: "SELECT disabled IS NOT NULL FROM account WHERE id = ?"),
            arguments: [account.rawValue])
        if isDisabled == true { throw AccountProblem.disabled }
        return account
    }

    /// Where the room is that is kept for changes of accounts and devices.
    public static func reserve(of database: String) -> String { database + ".reserve" }

    /// Runs `body` in one durable transaction; on a full disk once more, in the room that is kept for it.
    private func changing<T>(_ body: (StoreWriter, Database) throws -> T) throws -> T {
        func run() throws -> T {
            try withWriter { writer, database in try writer.transaction { try body(writer, database) } }
        }
        do { return try run() } catch StoreError.full where DiskReserve(path: Self.reserve(of: path)).release() {
            return try run()
        }
    }

    /// Runs `body` on the account of that name in one durable transaction.
    private func changing<T>(
        account name: String, _ body: (StoreWriter, Database, RecordID) throws -> T
    ) throws -> T {
        try changing { writer, database in
            guard let account = try Self.account(database, named: name) else {
                throw AccountProblem.unknownAccount(name)
            }
            return try body(writer, database, account)
        }
    }

    /// Disables an account, revokes its devices and takes back its codes. What was disabled before stays so since then.
    func disable(_ name: String, time: Int64) throws {
        try changing(account: name) { writer, database, account in
            try writer.note(AuditEvent(action: .accountDisable, subject: account, time: time))
            let devices = try Int64.fetchAll(
                database, sql: "SELECT replica FROM credential WHERE account = ? AND revoked IS NULL",
                arguments: [account.rawValue])
            try revocations?.append(
                devices.map { .device(Self.replica($0), isDiscarded: false) } + Self.unusedCodes(database, of: account),
                time: time)
            try database.execute(
                sql: "UPDATE account SET disabled = coalesce(disabled, ?) WHERE id = ?",
                arguments: [time, account.rawValue])
            try database.execute(
                sql: "UPDATE credential SET revoked = ? WHERE account = ? AND revoked IS NULL",
                arguments: [time, account.rawValue])
            try database.execute(
                sql: "DELETE FROM enrolment WHERE key IS NULL AND account = ?", arguments: [account.rawValue])
        }
    }

    /// Lets new devices of the account be enrolled; the old ones stay revoked.
    func enable(_ name: String, time: Int64) throws {
        try changing(account: name) { writer, database, account in
            try writer.note(AuditEvent(action: .accountEnable, subject: account, time: time))
            try database.execute(sql: "UPDATE account SET disabled = NULL WHERE id = ?", arguments: [account.rawValue])
        }
    }

    func setRole(_ role: Role, of name: String, salt: UInt32, time: Int64) throws {
        try changing(account: name) { writer, database, account in
            let former = writer.state.roles[account]
            if former == role { return }
            try writer.note(
                AuditEvent(
                    action: .accountRole, subject: account,
                    values: [.init("role", from: former?.rawValue, to: role.rawValue)], time: time))
            let record = try writer.stored(account)
            try writer.writeOwn(time: time) { operations in
                operations.begin(record: account, time: time, salt: salt)
                operations.edit(
                    CellKey(.accountRole), text: role.rawValue,
                    supersedes: record.map { $0.liveDots(in: $0.range(of: CellKey(.accountRole))) } ?? [])
            }
            try RelayedAccountQueries(database: database).setRole(role, of: account)
            writer.state.roles[account] = role
        }
    }

    // MARK: Codes

    func cancelCodes(of name: String, time: Int64) throws -> Int {
        try changing(account: name) { writer, database, account in
            let open = try Self.openCodes(database, of: account.rawValue, at: time).count
            try revocations?.append(Self.unusedCodes(database, of: account), time: time)
            try database.execute(
                sql: "DELETE FROM enrolment WHERE account = ? AND key IS NULL", arguments: [account.rawValue])
            if open > 0 {
                try writer.note(
                    AuditEvent(
                        action: .codesCancel, subject: account, values: [.init("codes", to: String(open))], time: time))
            }
            return open
        }
    }

    private static func unusedCodes(_ database: Database, of account: RecordID) throws -> [RevocationLedger.Entry] {
        try Data.fetchAll(
            database, sql: "SELECT code FROM enrolment WHERE account = ? AND key IS NULL", arguments: [account.rawValue]
        ).map { .code(Array($0)) }
    }

    /// When the codes of an account expire that were not used and still can be.
    static func openCodes(_ database: Database, of account: Int64, at time: Int64) throws -> [Int64] {
        try Int64.fetchAll(
            database.cachedStatement(
                sql: "SELECT expires FROM enrolment WHERE account = ? AND key IS NULL AND expires > ? ORDER BY expires"),
            arguments: [account, time])
    }

    // MARK: Devices

    /// The devices of an account, or of all, in the order in which they were enrolled.
    func devices(of name: String?) throws -> [Device] {
        try StoreError.mapping(path: path) {
            try pool.read { database in
                guard let name else { return try Self.devices(database, of: nil) }
                guard let account = try Self.account(database, named: name) else {
                    throw AccountProblem.unknownAccount(name)
                }
                return try Self.devices(database, of: account)
            }
        }
    }

    /// The devices of an account.
    func devices(of account: RecordID) throws -> [Device] {
        try StoreError.mapping(path: path) { try pool.read { try Self.devices($0, of: account) } }
    }

    static func devices(_ database: Database, of account: RecordID?) throws -> [Device] {
        let rows = try Row.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT replica, name, created, revoked, discarded, handed_over FROM credential
                    WHERE ?1 IS NULL OR account = ?1 ORDER BY created, replica
                    """), arguments: [account?.rawValue])
        let replicas = try database.cachedStatement(
            sql: "SELECT replica FROM device_replica WHERE device = ? ORDER BY rowid")
        return try rows.map { row in
            let number: Int64 = row["replica"]
            let all = try Int64.fetchAll(replicas, arguments: [number]).filter { $0 != number }
            let state: Device.State =
                row["revoked"] as Int64? == nil
                ? .active
                : row["discarded"] ? .discarded : row["handed_over"] as Int64? == nil ? .revoked : .handedOver
            return Device(
                replica: text(number), name: row["name"], enrolled: PlainTime.text(row["created"]),
                replicas: [text(number)] + all.map(text), state: state,
                revoked: (row["revoked"] as Int64?).map(PlainTime.text))
        }
    }

    private static func replica(_ number: Int64) -> ReplicaID {
        ReplicaID(rawValue: UInt32(truncatingIfNeeded: number))
    }
    private static func text(_ number: Int64) -> String { replica(number).text }

    static func isRevoked(_ database: Database, _ device: ReplicaID) throws -> Bool {
        try Bool.fetchOne(
            database.cachedStatement(sql: "SELECT revoked IS NOT NULL FROM credential WHERE replica = ?"),
            arguments: [Int64(device.rawValue)]) ?? false
    }

    /// Runs `body` on the device that has or had the replica, in one durable transaction.
    private func changing(
        device text: String, _ body: (StoreWriter, Database, Int64, _ name: String, RecordID) throws -> Void
    ) throws {
        guard let replica = ReplicaID(text: text) else { throw AccountProblem.unknownDevice(text) }
        try changing { writer, database in
            let row = try Row.fetchOne(
                database.cachedStatement(
                    sql: """
                        SELECT device, credential.name, credential.account FROM device_replica
                        JOIN credential ON credential.replica = device WHERE device_replica.replica = ?
                        """),
                arguments: [Int64(replica.rawValue)])
            guard let row else { throw AccountProblem.unknownDevice(text) }
            try body(writer, database, row[0], row[1], RecordID(rawValue: row[2]))
        }
    }

    func rename(device text: String, to name: String, time: Int64) throws {
        try changing(device: text) { writer, database, device, former, account in
            try writer.note(
                AuditEvent(
                    action: .deviceName, subject: account, replica: Self.replica(device),
                    values: [.init("name", from: former, to: name)], time: time))
            try database.execute(sql: "UPDATE credential SET name = ? WHERE replica = ?", arguments: [name, device])
        }
    }

    func revoke(device text: String, discards: Bool, time: Int64) throws {
        try changing(device: text) { writer, database, device, _, account in
            try writer.note(
                AuditEvent(
                    action: .deviceRevoke, subject: account, replica: Self.replica(device),
                    values: [.init("unsent work", to: discards ? "discarded" : "taken")], time: time))
            try revocations?.append([.device(Self.replica(device), isDiscarded: discards)], time: time)
            try Self.revoke(device, discards: discards, time: time, database)
        }
    }

    // MARK: Handing over

    /// Whether all that these logs are said to have is here, and they are the account's.
    func hasTaken(_ logs: [LogPosition], of account: RecordID) throws -> Bool {
        try withWriter { writer, _ in
            logs.allSatisfy { log in
                guard let state = writer.state.logs[log.replica] else { return false }
                return state.account == account && state.position >= log.end
            }
        }
    }

    /// A revoked device, or a copy of it, is about to hand over what these logs are said to have. A home that is locked writes
    /// nothing more, so that this stays the same until its end.
    ///
    /// - Throws: `AccountProblem.handoverClosed` if that was begun too long ago, or too many others were.
    func beginHandover(of device: ReplicaID, _ logs: [LogPosition], time: Int64) throws {
        guard let log = logs.last else { return }
        let id: [Int64] = [Int64(device.rawValue), Int64(log.replica.rawValue), Int64(log.end)]
        try withWriter { writer, database in
            // The lease clock goes on while the server is there to be reached.
            writer.leases.look(at: time)
            let now = writer.leases.clock
            let began = try Int64.fetchOne(
                database, sql: "SELECT began FROM handover WHERE device = ? AND replica = ? AND length = ?",
                arguments: StatementArguments(id))
            if let began {
                if now - began > writer.leases.length / 3 { throw AccountProblem.handoverClosed }
                return
            }
            let count = try Int.fetchOne(
                database, sql: "SELECT count(*) FROM handover WHERE device = ?", arguments: [id[0]])
            if count ?? 0 >= Limits.handoversBegun { throw AccountProblem.handoverClosed }
            try writer.transaction {
                try database.execute(
                    sql: "INSERT INTO handover (device, replica, length, began) VALUES (?, ?, ?, ?)",
                    arguments: StatementArguments(id + [now]))
            }
        }
    }

    /// The work of a revoked device, or of a copy of it, was taken to the end.
    func noteHandedOver(_ device: ReplicaID, of account: RecordID, time: Int64) throws {
        try withWriter { writer, database in
            try writer.transaction {
                try writer.note(
                    AuditEvent(
                        action: .deviceHandover, subject: account, account: account, replica: device, time: time))
                try database.execute(
                    sql: """
                        UPDATE credential SET handed_over = coalesce(handed_over, ?), handovers = handovers + 1
                        WHERE replica = ?
                        """,
                    arguments: [time, Int64(device.rawValue)])
            }
        }
    }
}
