import Foundation
import GRDB
import ShoalCRDT

// Whoever was revoked stays so when the database is replaced by a backup.
extension ServerStore {
    /// Brings database and ledger together, before anything is served: what the ledger has and a backup that was restored does
    /// not is revoked again.
    func applyRevocations(time: Int64) throws {
        guard let revocations else { return }
        let kept = try revocations.entries()
        try withWriter { writer, database in
            try writer.transaction {
                for entry in kept {
                    switch entry {
                    case .device(let replica, let isDiscarded):
                        try Self.revokeAgain(replica, discards: isDiscarded, time: time, writer, database)
                    case .code(let hash): try Self.takeBack(hash, time: time, writer, database)
                    }
                }
            }
            try revocations.append(try Self.revoked(database), time: time)
        }
    }

    private static func revokeAgain(
        _ replica: ReplicaID, discards: Bool, time: Int64, _ writer: StoreWriter, _ database: Database
    ) throws {
        let device = Int64(replica.rawValue)
        let account = try Int64.fetchOne(
            database.cachedStatement(
                sql: "SELECT account FROM credential WHERE replica = ? AND (revoked IS NULL OR discarded < ?)"),
            arguments: [device, discards])
        guard let account else { return }
        try revoke(device, discards: discards, time: time, database)
        try writer.note(
            AuditEvent(
                action: .deviceRevoke, subject: RecordID(rawValue: account), replica: replica,
                values: [.init("unsent work", to: discards ? "discarded" : "taken")], time: time))
    }

    private static func takeBack(_ code: [UInt8], time: Int64, _ writer: StoreWriter, _ database: Database) throws {
        let account = try Int64.fetchOne(
            database.cachedStatement(sql: "DELETE FROM enrolment WHERE code = ? AND key IS NULL RETURNING account"),
            arguments: [Data(code)])
        guard let account else { return }
        try writer.note(
            AuditEvent(
                action: .codesCancel, subject: RecordID(rawValue: account), values: [.init("codes", to: "1")],
                time: time)
        )
    }

    /// Revokes a device; what was revoked before stays so since then.
    static func revoke(_ device: Int64, discards: Bool, time: Int64, _ database: Database) throws {
        try database.cachedStatement(
            sql: """
                UPDATE credential SET revoked = coalesce(revoked, ?), discarded = max(discarded, ?) WHERE replica = ?
                """
        ).execute(arguments: [time, discards, device])
    }

    /// What the database knows not to let in.
    private static func revoked(_ database: Database) throws -> [RevocationLedger.Entry] {
        let devices = try Row.fetchAll(
            database, sql: "SELECT replica, discarded FROM credential WHERE revoked IS NOT NULL")
        let codes = try Data.fetchAll(database, sql: "SELECT code FROM enrolment WHERE key IS NOT NULL")
        return devices.map {
            .device(ReplicaID(rawValue: UInt32(truncatingIfNeeded: $0[0] as Int64)), isDiscarded: $0[1])
        }
            + codes.map { .code(Array($0)) }
    }

    /// Notes that a code was used, on the writer's queue like everything that writes the ledger. If that fails, the store does it when it is opened: the database has it.
    func noteUsed(_ code: [UInt8], time: Int64) { try? revocations?.append([.code(code)], time: time) }
}
