import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has a Record of its own.
import struct ShoalCRDT.Record

/// Looks through a replica whose database file is sound, and mends in place what is derived or can be told from the log.
struct Examination {
    private let store: ReplicaStore
    private var database: Database { store.database }

    init(_ store: ReplicaStore) { self.store = store }

    func run(rebuilds: Bool) throws -> [Finding] {
        var findings: [Finding] = []
        try store.transaction {
            findings += try mendRows()
            let log = try mendLog()
            findings += log
            let tail = try mendTail()
            findings += tail
            store.forgetCached()
            if !findings.isEmpty || rebuilds { try store.rebuildProjections() }
        }
        if findings.isEmpty, !rebuilds {
            findings += try checkDerived()
            findings += try checkText()
        }
        return findings
    }

    // MARK: Rows

    /// Rows that cannot be read go into quarantine; the comparison with the server, or the next fill, brings them back.
    private func mendRows() throws -> [Finding] {
        var damaged: [RecordID] = []
        for table in ["record", "detail"] {
            let rows = try Row.fetchCursor(database, sql: "SELECT id, sequence, cells FROM \(table)")
            while let row = try rows.next() {
                let id = RecordID(rawValue: row[0])
                let cells = Data.fromDatabaseValue(row[2]) ?? Data()
                guard let reason = Self.damage(id, Int64.fromDatabaseValue(row[1]) ?? -1, cells) else { continue }
                try Self.quarantine(database, "record", id.rawValue, cells, reason)
                damaged.append(id)
            }
        }
        for id in damaged { try store.records.delete(id) }
        if damaged.isEmpty { return [] }
        let what = Wording.count(damaged.count, "record", "records")
        return [
            Finding(
                .rows, "\(what) could not be read and must come from the server again: \(Wording.list(damaged))",
                isMended: false)
        ]
    }

    /// Why a row cannot be read; nil if it can.
    static func damage(_ id: RecordID, _ sequence: Int64, _ cells: Data) -> String? {
        do {
            _ = try cells.withUnsafeBytes { try RecordTable.record(id, sequence: sequence, packed: $0) }
            return nil
        } catch { return "\(error)" }
    }

    static func quarantine(
        _ database: Database, _ source: String, _ key: Int64, _ bytes: Data, _ reason: String
    ) throws {
        try database.execute(
            sql: "INSERT INTO quarantine (source, key, bytes, reason) VALUES (?, ?, ?, ?)",
            arguments: [source, key, bytes, reason])
    }

    // MARK: Log

    private func mendLog() throws -> [Finding] {
        var found: [Int64: LogRow] = [:]
        let rows = try Row.fetchCursor(
            database, sql: "SELECT position, hash, allocator, operation, state FROM log ORDER BY position")
        while let row = try rows.next() {
            // A row that is none counts as missing.
            if let row = LogRow(row) { found[row.position] = row }
        }
        let bound = LogMend.bound(found.keys)
        let last = try max(
            found.keys.filter { $0 <= bound }.max() ?? 0, Self.lastNamed(database, store.log.logs, upTo: bound))
        let strays = found.keys.filter { $0 > last }.sorted()
        for position in strays {
            try Self.quarantine(
                database, "log", position, Data(found[position]?.operation ?? []), "no log is that long")
            found[position] = nil
        }
        try database.execute(sql: "DELETE FROM log WHERE position > ? OR position < 1", arguments: [last])
        let logs = store.log.logs.map { $0.fitted(to: last) }
        var findings: [Finding] = []
        if logs != store.log.logs || !strays.isEmpty {
            findings.append(
                Finding(.log, "numbers of operations in the log were none that it can have reached", isMended: true))
        }
        guard last > 0 else {
            if logs != store.log.logs { try store.setLogs(logs) }
            return findings
        }
        let stands = try Self.standIns(database)
        let mend = LogMend(
            found, positions: 1...last, logs: logs, stands: stands, draw: store.environment.random)
        for row in mend.rows where mend.changed.contains(row.position) {
            if let old = found[row.position] {
                try Self.quarantine(
                    database, "log", row.position, Data(old.operation), "the hash chain does not continue over it")
            }
            try Self.write(row, database)
        }
        try Self.moveTail(mend, database)
        if logs != store.log.logs { try store.setLogs(logs) }
        return findings + Self.findings(mend, logs)
    }

    /// The last position that anything else than the log itself names.
    ///
    /// - Parameter bound: no position beyond it is believed.
    static func lastNamed(_ database: Database, _ logs: [OwnLog], upTo bound: Int64) throws -> Int64 {
        let tail =
            try Int64.fetchOne(database, sql: "SELECT max(position) FROM tail WHERE position <= ?", arguments: [bound])
            ?? 0
        return max(tail, lastNamed(logs, upTo: bound))
    }

    /// The last position that the list of logs names. Of the log that is written now the end is stored nowhere else.
    static func lastNamed(_ logs: [OwnLog], upTo bound: Int64) -> Int64 {
        let known = logs.dropLast().map(\.endPosition) + logs.suffix(1).map(\.acknowledgedPosition)
        return known.filter { $0 <= bound }.max() ?? 0
    }

    /// Which record an empty operation can act on: the one that the lost one did, if the tail still says so, else any.
    static func standIns(_ database: Database) throws -> (Int64) -> RecordID {
        var records: [Int64: RecordID] = [:]
        let rows = try Row.fetchCursor(database, sql: "SELECT position, record FROM tail")
        while let row = try rows.next() { records[row[0]] = RecordID(rawValue: row[1]) }
        let any = try Int64.fetchOne(database, sql: "SELECT id FROM record ORDER BY id LIMIT 1") ?? 1
        let known = try Set(Int64.fetchAll(database, sql: "SELECT id FROM record UNION ALL SELECT id FROM detail"))
        return { position in
            guard let record = records[position], known.contains(record.rawValue) else {
                return RecordID(rawValue: any)
            }
            return record
        }
    }

    static func write(_ row: LogRow, _ database: Database) throws {
        try database.execute(
            sql: "REPLACE INTO log (position, hash, allocator, operation, state) VALUES (?, ?, ?, ?, ?)",
            arguments: [
                row.position, Int64(bitPattern: row.hash.rawValue), row.allocator, Data(row.operation),
                row.state.rawValue,
            ])
    }

    /// An operation that stands in for a lost one may act on another record.
    static func moveTail(_ mend: LogMend, _ database: Database) throws {
        let lost = Set(mend.lost)
        for row in mend.rows where lost.contains(row.position) {
            var batch = Operations()
            do { try row.operation.withUnsafeBytes { try batch.decode($0) } } catch { continue }
            try database.execute(
                sql: "UPDATE tail SET record = ? WHERE position = ?",
                arguments: [batch.operations[0].record.rawValue, row.position])
        }
    }

    /// Whether the server has not acknowledged the operation at a position.
    static func isPending(_ position: Int64, _ logs: [OwnLog]) -> Bool {
        logs.owner(of: position).map { $0.isOwn && position > $0.acknowledgedPosition } ?? true
    }

    static func findings(_ mend: LogMend, _ logs: [OwnLog]) -> [Finding] {
        var findings: [Finding] = []
        let unsent = mend.lost.filter { isPending($0, logs) }
        if !unsent.isEmpty {
            let what = Wording.count(unsent.count, "unsent change", "unsent changes")
            findings.append(
                Finding(
                    .log,
                    "\(what) of yours could not be read and cannot be sent (in the log from position \(unsent[0]))",
                    isMended: false))
        }
        if mend.lost.count > unsent.count {
            let what = Wording.count(mend.lost.count - unsent.count, "change", "changes")
            findings.append(
                Finding(.log, "\(what) in the log, which the server has, could not be read", isMended: true))
        }
        if mend.rehashed > 0 {
            let what = Wording.count(mend.rehashed, "change", "changes")
            findings.append(Finding(.log, "the hash of \(what) in the log was wrong", isMended: true))
        }
        return findings
    }

    // MARK: Tail

    /// The tail is what is not acknowledged and was not refused; acknowledged operations may still be in it.
    private func mendTail() throws -> [Finding] {
        var wanted: [Int64: Int64] = [:]
        var optional: [Int64: Int64] = [:]
        var batch = Operations()
        let rows = try Row.fetchCursor(database, sql: "SELECT position, operation, state FROM log")
        while let row = try rows.next() {
            let position = row[0] as Int64
            batch.removeAll()
            do { try row.checked(1, as: Data.self).withUnsafeBytes { try batch.decode($0) } } catch { continue }
            let record = batch.operations[0].record.rawValue
            let log = store.log.logs.owner(of: position)
            // What an earlier epoch acknowledged is sent again after a rollback, and stands in the rows until a fill.
            let isPending =
                log.map { log in
                    log.isOwn && position > log.acknowledgedPosition && position - log.base > Int64(log.vouched)
                } ?? false
            if LogStore.State(rawValue: row[2]).contains(.refused) { continue }
            if isPending { wanted[position] = record } else { optional[position] = record }
        }
        var stray: [(Int64, Int64)] = []
        let tail = try Row.fetchCursor(database, sql: "SELECT record, position FROM tail")
        while let row = try tail.next() {
            let (record, position) = (row[0] as Int64, row[1] as Int64)
            if wanted[position] == record {
                wanted[position] = nil
            } else if optional[position] != record {
                stray.append((record, position))
            }
        }
        if stray.isEmpty, wanted.isEmpty { return [] }
        for (record, position) in stray {
            try database.execute(
                sql: "DELETE FROM tail WHERE record = ? AND position = ?", arguments: [record, position])
        }
        for (position, record) in wanted {
            try database.execute(
                sql: "INSERT OR IGNORE INTO tail (record, position) VALUES (?, ?)", arguments: [record, position])
        }
        let what = Wording.count(stray.count + wanted.count, "unsent change", "unsent changes")
        return [Finding(.tail, "\(what) did not stand where the log says", isMended: true)]
    }

    // MARK: Derived tables

    private struct Same: Error {}

    /// Derives the tables anew and keeps them only if they were not what they should be.
    private func checkDerived() throws -> [Finding] {
        var wrong: [String] = []
        do {
            try store.transaction {
                let before = try derivedHashes()
                try store.rebuildProjections()
                try store.projection.settle(store.effective)
                let after = try derivedHashes()
                wrong = before.keys.filter { before[$0] != after[$0] }.sorted()
                if wrong.isEmpty { throw Same() }
            }
        } catch is Same { return [] }
        return [
            Finding(
                .derived, "derived tables were not what the records say: \(wrong.joined(separator: ", "))",
                isMended: true)
        ]
    }

    private func derivedHashes() throws -> [String: UInt64] {
        let orders = [
            "customer": "id", "customer_tag": "tag, customer", "follow": "account, customer", "note": "customer, id",
            "tag_group": "id", "tag": "id", "tag_merge": "tag, into_tag", "account": "id", "author": "replica",
            "conflict": "record, field, element",
        ]
        var hashes: [String: UInt64] = [:]
        for (table, order) in orders {
            var hash: UInt64 = 0
            let rows = try Row.fetchCursor(database, sql: "SELECT * FROM \(table) ORDER BY \(order)")
            while let row = try rows.next() {
                let text = row.databaseValues.map(\.description).joined(separator: "\u{1F}")
                hash = Array(text.utf8).withUnsafeBytes { SipHash.hash($0, key: (hash, 0)) }
            }
            hashes[table] = hash
        }
        return hashes
    }

    private func checkText() throws -> [Finding] {
        do {
            try database.execute(sql: "INSERT INTO text_index (text_index) VALUES ('integrity-check')")
            guard try store.text.isBehind() else { return [] }
            try store.transaction { try store.text.rebuild() }
            return [Finding(.text, "the text index was of an earlier time", isMended: true)]
        } catch let error as DatabaseError where error.resultCode == .SQLITE_CORRUPT {
            try store.transaction { try store.text.rebuild() }
            return [Finding(.text, "the text index was damaged", isMended: true)]
        }
    }
}
