import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// What a hand-over (离职继承) moved, or would.
public struct HandoverReport: Codable, Sendable, Equatable {
    /// Customers that the one account followed.
    public var customers = 0
    /// Of those, the ones that the other follows too.
    public var shared = 0
    /// Whether nothing was changed.
    public var isDryRun: Bool
}

extension ServerStore {
    /// Gives all customers of one account to another, which follows them from now on in its place. Replicas of both learn it
    /// like any other change. Interrupted, it goes on when it is called again.
    ///
    /// - Parameter time: milliseconds since 1970.
    /// - Throws: `AccountProblem.unknownAccount`, `.sameAccount`, `.disabled` when the taker is; `StoreError`.
    public func handover(from: String, to: String, isDryRun: Bool, time: Int64) throws -> HandoverReport {
        // What an account had before a loss may stand under an identifier that nobody has any more.
        guard let giver = try account(named: from) ?? RecordID(text: from) else {
            throw AccountProblem.unknownAccount(from)
        }
        let taker = try withWriter { _, database in try Self.enabledAccount(database, named: to) }
        guard giver != taker else { throw AccountProblem.sameAccount(from) }
        var report = HandoverReport(isDryRun: isDryRun)
        var place = RecordID(rawValue: 0)
        while true {
            let scopes = try withWriter { writer, _ in
                try writer.visibility.scopes(of: giver, after: place, limit: Self.handoverStep)
            }
            guard let last = scopes.last else { return report }
            place = last
            let counts = try withWriter { writer, _ in
                try writer.transaction {
                    try writer.handOver(scopes, from: giver, to: taker, isDryRun: isDryRun, time: time)
                }
            }
            report.customers += counts.customers
            report.shared += counts.shared
        }
    }

    /// How many customers of an account nobody follows whose account is enabled. What a leaver's device brings after the
    /// hand-over is among them.
    static func leftAlone(_ database: Database, by account: RecordID) throws -> Int {
        let rows = try Row.fetchCursor(
            database.cachedStatement(
                sql: """
                    SELECT id, record.sequence, cells FROM visibility AS own JOIN record ON record.id = own.scope
                    WHERE own.account = ?1 AND own.state > 0 AND NOT EXISTS (
                        SELECT 1 FROM account CROSS JOIN visibility AS other
                        WHERE account.disabled IS NULL AND other.account = account.id AND other.scope = own.scope
                            AND other.state > 0)
                    """), arguments: [account.rawValue])
        var count = 0
        while let row = try rows.next() {
            let id = try RecordID(rawValue: row.checked(0))
            let packed = try row.checked(2, as: Data.self)
            // What cannot be read is set aside when it is met; a deleted one needs nobody.
            let record = try? packed.withUnsafeBytes {
                try RecordTable.record(id, sequence: row.checked(1), packed: $0)
            }
            if record?.isPresent == true { count += 1 }
        }
        return count
    }

    /// So many customers move in one transaction.
    fileprivate static let handoverStep = 4_000
}

extension StoreWriter {
    /// Moves all customers of an account, in the transaction under way.
    func handOverAll(from giver: RecordID, to taker: RecordID, time: Int64) throws {
        var place: RecordID? = RecordID(rawValue: 0)
        while let after = place {
            let scopes = try visibility.scopes(of: giver, after: after, limit: ServerStore.handoverStep)
            place = scopes.last
            _ = try handOver(scopes, from: giver, to: taker, isDryRun: false, time: time)
        }
    }

    /// Moves some customers, in the transaction under way.
    fileprivate func handOver(
        _ scopes: [RecordID], from giver: RecordID, to taker: RecordID, isDryRun: Bool, time: Int64
    ) throws -> (customers: Int, shared: Int) {
        var (customers, shared) = (0, 0)
        var operations = Operations()
        var salts = random(4 * scopes.count)[...]
        for scope in scopes {
            guard let record = try stored(scope) else { continue }
            let followers = viewers(of: record).followers
            guard followers.contains(giver) else { continue }
            customers += 1
            if followers.contains(taker) { shared += 1 }
            if isDryRun { continue }
            operations.begin(
                record: record.id, time: time, salt: salts.prefix(4).reduce(0) { $0 << 8 | UInt32($1) })
            salts = salts.dropFirst(4)
            for (account, value) in [(giver, ValueKind.absent), (taker, .present)].sorted(by: { $0.0 < $1.0 }) {
                let key = CellKey(.follow, id: account)
                operations.edit(key, value, supersedes: record.liveDots(in: record.range(of: key)))
            }
            let way = CellKey(.addWay, id: taker)
            if record.shown(in: record.range(of: way)) == nil { operations.edit(way, text: Self.assigned) }
        }
        if operations.isEmpty { return (customers, shared) }
        try note(
            AuditEvent(
                action: .accountHandover, subject: giver,
                values: [.init("to", to: taker.description), .init("customers", to: String(customers))], time: time))
        try writeOwn(time: time) { $0 = operations }
        return (customers, shared)
    }

    /// The field's word for a customer that came by a hand-over.
    private static let assigned = "202"
}
