import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// Copies what can be read of a damaged database into a new one: first the log, which nobody else has.
///
/// Every row is asked for by itself, so that one damaged page costs no more than what lies on it. What the server has comes
/// from the server: the new database begins with an empty cursor, and its next pull is a fill that replaces.
struct Salvage {
    private let old: Database
    private let new: Database
    private let random: () -> UInt64
    private(set) var findings: [Finding] = []
    private var logs: [OwnLog] = []

    init(from old: Database, to new: Database, random: @escaping () -> UInt64) {
        self.old = old
        self.new = new
        self.random = random
    }

    /// - Throws: `StoreError.damaged` when not even who the replica is can be read.
    mutating func run() throws {
        try copyIdentity()
        let tail = rows("SELECT record, position FROM tail ORDER BY record, position") { row -> [Int64] in
            [try row.checked(0), try row.checked(1)]
        }
        try copyRecords()
        try copyLog(tail)
        try copyPlain("locked", ["id", "reason", "time", "account", "server", "stage"])
        try copyPlain("aside", ["position", "reason"])
        try copyPlain("aside_settled", ["position", "field", "element"])
        try copyPlain("renamed", ["record", "original"])
        try copyPlain("listed", ["record", "field", "token"])
        try copyPlain("healing", ["id", "time", "kind", "replica", "changes"])
        try copyPlain("quarantine", ["id", "source", "key", "bytes", "reason"])
        // What a server that lost something may still ask for: this may be the last place that has it.
        try copyPlain("stock", ["generation", "record", "cells", "is_too_large"])
        try copyPlain("stock_vector", ["generation", "replica", "number", "log_check"])
        try copyPlain("stock_open", ["record"])
        try copyPlain("reenrolment", ["id", "server", "code", "key"])
    }

    /// Runs a query as far as it goes, and passes over rows that do not hold what they must.
    private func rows<T>(_ sql: String, _ arguments: StatementArguments = [], _ make: (Row) throws -> T) -> [T] {
        var found: [T] = []
        do {
            let cursor = try Row.fetchCursor(old, sql: sql, arguments: arguments)
            while let row = try cursor.next() {
                do { found.append(try make(row)) } catch { continue }
            }
        } catch {
            // Damage: what came before it is what there is.
            return found
        }
        return found
    }

    private mutating func copyIdentity() throws {
        let identity = rows("SELECT server, code, key, account, name, role FROM identity") { $0.allValues }
        let standing = rows("SELECT epoch, acknowledgement, clock_offset, last_sync FROM standing") { $0.allValues }
        do { logs = try OwnLogStore.read(old) } catch { logs = [] }
        guard let identity = identity.first, !logs.isEmpty else {
            throw StoreError.damaged(
                path: "the replica", reason: "not even who it is can be read; the file was left as it is")
        }
        try new.execute(
            sql: "INSERT INTO identity (id, server, code, key, account, name, role) VALUES (1, ?, ?, ?, ?, ?, ?)",
            arguments: StatementArguments(identity))
        guard let standing = standing.first else {
            throw StoreError.damaged(
                path: "the replica", reason: "its epoch cannot be read; the file was left as it is")
        }
        try new.execute(
            sql: """
                INSERT INTO standing (id, epoch, cursor, acknowledgement, clock_offset, last_sync, fill)
                VALUES (1, ?, '', ?, ?, ?, 0)
                """, arguments: StatementArguments(standing))
        if let lease = rows("SELECT lease, contact, seen FROM standing", [], \.allValues).first {
            try new.execute(
                sql: "UPDATE standing SET lease = ?, contact = ?, seen = ?", arguments: StatementArguments(lease))
        }
        try OwnLogStore.write(logs, new)
    }

    // MARK: Records

    private mutating func copyRecords() throws {
        let table = try RecordTable(new)
        var copied = 0
        var damaged = 0
        for name in ["record", "detail"] {
            var seen: Set<Int64> = []
            // From both ends, so that a damaged page in the middle hides neither.
            for order in ["ASC", "DESC"] {
                do {
                    let cursor = try Row.fetchCursor(
                        old, sql: "SELECT id, sequence, cells FROM \(name) ORDER BY id \(order)")
                    while let row = try cursor.next() {
                        guard let number = Int64.fromDatabaseValue(row[0]) else { continue }
                        guard seen.insert(number).inserted else {
                            if order == "DESC" { break } else { continue }
                        }
                        let id = RecordID(rawValue: number)
                        let sequence = Int64.fromDatabaseValue(row[1]) ?? -1
                        let cells = Data.fromDatabaseValue(row[2]) ?? Data()
                        guard id.isValid, Examination.damage(id, sequence, cells) == nil else {
                            damaged += 1
                            try Examination.quarantine(new, "record", number, cells, "it cannot be read")
                            continue
                        }
                        let record = try cells.withUnsafeBytes {
                            try RecordTable.record(id, sequence: sequence, packed: $0)
                        }
                        try table.write(record, sequence: sequence)
                        copied += 1
                    }
                    break
                } catch let error as DatabaseError where error.resultCode == .SQLITE_CORRUPT { continue }
            }
        }
        let what = Wording.count(copied, "record", "records")
        findings.append(
            Finding(
                .rows, "\(what) could be read\(damaged > 0 ? ", \(damaged) not" : ""); the next sync fetches all anew",
                isMended: false))
    }

    // MARK: Log

    /// All rows of the log that can be read, and whether its end can.
    private func readLog() throws -> (rows: [Int64: LogRow], hasEnd: Bool) {
        var found: [Int64: LogRow] = [:]
        var after: Int64 = 0
        var missing: Int64 = 0
        // Behind each damage it goes on with the next position; the rows that are there bound how long.
        while missing < LogMend.mostMissing {
            do {
                let cursor = try Row.fetchCursor(
                    old.cachedStatement(
                        sql: """
                            SELECT position, hash, allocator, operation, state FROM log WHERE position > ? ORDER BY position
                            """), arguments: [after])
                while let row = try cursor.next() {
                    guard let row = LogRow(row), found[row.position] == nil else { continue }
                    // What lies beyond all bounds is damaged itself, and what follows may not be.
                    guard row.position - after <= LogMend.mostMissing else { break }
                    found[row.position] = row
                    after = max(after, row.position)
                }
                break
            } catch let error as DatabaseError where error.resultCode == .SQLITE_CORRUPT {
                after += 1
                missing += 1
            }
        }
        let last = rows("SELECT position FROM log ORDER BY position DESC LIMIT 1") { try $0.checked(0, as: Int64.self) }
        // From the other end, for what the search did not reach.
        let backwards =
            "SELECT position, hash, allocator, operation, state FROM log WHERE position > ? ORDER BY position DESC"
        for row in rows(backwards, [after], { LogRow($0) }) {
            if let row { found[row.position] = row }
        }
        let hasRows = rows("SELECT EXISTS (SELECT 1 FROM log)", [], { try $0.checked(0, as: Bool.self) }).first
        return (found, hasRows == false || !last.isEmpty)
    }

    private mutating func copyLog(_ tail: [[Int64]]) throws {
        var (found, hasEnd) = try readLog()
        let bound = LogMend.bound(found.keys)
        let sent = logs.last.map { $0.base + Int64($0.sent) } ?? 0
        let named = tail.map { $0[1] } + [sent]
        let last = max(
            found.keys.filter { $0 <= bound }.max() ?? 0, Examination.lastNamed(logs, upTo: bound),
            named.filter { $0 <= bound }.max() ?? 0)
        for (position, row) in found where position > last || position < 1 {
            try Examination.quarantine(new, "log", position, Data(row.operation), "no log is that long")
            found[position] = nil
        }
        logs = logs.map { $0.fitted(to: last) }
        try OwnLogStore.write(logs, new)
        if !hasEnd {
            findings.append(
                Finding(
                    .log, "the end of your log could not be read: what you did last may be missing", isMended: false))
        }
        guard last > 0 else { return }
        var records: [Int64: Int64] = [:]
        for row in tail where row[1] <= last { records[row[1]] = row[0] }
        for (position, record) in records {
            try new.execute(
                sql: "INSERT OR IGNORE INTO tail (record, position) VALUES (?, ?)", arguments: [record, position])
        }
        let mend = LogMend(
            found, positions: 1...last, logs: logs, stands: try Examination.standIns(new), draw: random)
        for row in mend.rows { try Examination.write(row, new) }
        try Examination.moveTail(mend, new)
        for position in mend.lost {
            guard let row = found[position] else { continue }
            try Examination.quarantine(new, "log", position, Data(row.operation), "it cannot be read")
        }
        let lost = Set(mend.lost)
        let kept = mend.rows.map(\.position).filter { !lost.contains($0) }
        let unsent = kept.filter { Examination.isPending($0, logs) }
        findings.append(
            Finding(
                .log,
                "\(Wording.count(kept.count, "change", "changes")) of yours in the log could be read, \(unsent.count) of them "
                    + "not sent yet", isMended: true))
        findings += Examination.findings(mend, logs)
    }

    /// - Throws: what is wrong with the new database, such as a full disk; the old one then stays as it is.
    private func copyPlain(_ table: String, _ columns: [String]) throws {
        let names = columns.joined(separator: ", ")
        let marks = columns.map { _ in "?" }.joined(separator: ", ")
        for values in rows("SELECT \(names) FROM \(table)", [], \.allValues) {
            do {
                try new.execute(
                    sql: "INSERT OR IGNORE INTO \(table) (\(names)) VALUES (\(marks))",
                    arguments: StatementArguments(values))
            } catch let error as DatabaseError
                where [.SQLITE_CONSTRAINT, .SQLITE_MISMATCH].contains(error.resultCode)
            {
                // A row that does not fit is one that was damaged.
                continue
            }
        }
    }
}

extension Row {
    /// All values, in the order of the columns.
    var allValues: [DatabaseValue] { Array(self.map(\.1)) }
}
