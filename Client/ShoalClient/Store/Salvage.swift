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

    /// Beyond the last position that is named anywhere so many are looked for.
    private static let probes: Int64 = 10_000

    init(from old: Database, to new: Database, random: @escaping () -> UInt64) {
        self.old = old
        self.new = new
        self.random = random
    }

    /// - Throws: `StoreError.damaged` when not even who the replica is can be read.
    mutating func run() throws {
        try copyIdentity()
        let tail = rows("SELECT record, position FROM tail ORDER BY record, position") { row -> [Int64] in
            [row[0], row[1]]
        }
        try copyRecords()
        try copyLog(tail)
        try copyPlain("aside", ["position", "reason"])
        try copyPlain("listed", ["record", "field", "token"])
        try copyPlain("healing", ["id", "time", "kind", "replica", "changes"])
        try copyPlain("quarantine", ["id", "source", "key", "bytes", "reason"])
        // What a server that lost something may still ask for: this may be the last place that has it.
        try copyPlain("stock", ["generation", "record", "cells", "is_too_large"])
        try copyPlain("stock_vector", ["generation", "replica", "number"])
        try copyPlain("stock_open", ["record"])
        try copyPlain("reenrolment", ["id", "server", "code", "key"])
    }

    /// Runs a query as far as it goes.
    private func rows<T>(_ sql: String, _ arguments: StatementArguments = [], _ make: (Row) -> T) -> [T] {
        var found: [T] = []
        do {
            let cursor = try Row.fetchCursor(old, sql: sql, arguments: arguments)
            while let row = try cursor.next() { found.append(make(row)) }
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
                        guard seen.insert(row[0]).inserted else {
                            if order == "DESC" { break } else { continue }
                        }
                        let id = RecordID(rawValue: row[0])
                        let cells = row[2] as Data
                        guard id.isValid, Examination.damage(id, row[1], cells) == nil else {
                            damaged += 1
                            try Examination.quarantine(new, "record", row[0], cells, "it cannot be read")
                            continue
                        }
                        let record = try cells.withUnsafeBytes {
                            try RecordTable.record(id, sequence: row[1], packed: $0)
                        }
                        try table.write(record, sequence: row[1])
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

    private mutating func copyLog(_ tail: [[Int64]]) throws {
        var last = logs.dropLast().map(\.endPosition).max() ?? 0
        last = max(last, logs.last?.acknowledgedPosition ?? 0, logs.last.map { $0.base + Int64($0.sent) } ?? 0)
        last = max(last, tail.map { $0[1] }.max() ?? 0)
        let greatest = rows("SELECT max(position) FROM log") { $0[0] as Int64? ?? 0 }.first
        let end = max(last, greatest ?? (last + Self.probes))
        var found: [Int64: LogRow] = [:]
        for position in stride(from: Int64(1), through: end, by: 1) {
            let row = rows("SELECT hash, allocator, operation, state FROM log WHERE position = ?", [position]) { row in
                LogRow(
                    position: position, hash: OperationHash(rawValue: UInt64(bitPattern: row[0])), allocator: row[1],
                    operation: Array(row[2] as Data), state: LogStore.State(rawValue: row[3]))
            }.first
            if let row { found[position] = row }
        }
        last = max(last, found.keys.max() ?? 0)
        guard last > 0 else { return }
        var records: [Int64: Int64] = [:]
        for row in tail { records[row[1]] = row[0] }
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
        let kept = mend.rows.count - mend.lost.count
        findings.append(
            Finding(
                .log, "\(Wording.count(kept, "change", "changes")) of yours in the log could be read", isMended: true))
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
