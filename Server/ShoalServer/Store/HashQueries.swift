import Foundation
import GRDB
import ShoalCRDT
import ShoalStore

// GRDB has a type of the same name.
import class ShoalStore.Statement

/// Keeps the hashes of the logs small: short rows are joined, and those that nobody can name any more go.
final class HashQueries {
    /// Hashes a row, at most, where rows are joined.
    static let rowLength = 512
    private let database: Database
    private let selectShort: Statement
    private let deleteRow: Statement
    private let insertRow: Statement

    init(_ database: Database) throws(StoreError) {
        self.database = database
        selectShort = try Statement(
            database,
            "SELECT first, hashes FROM log_hashes WHERE replica = ?1 AND first >= ?2 ORDER BY first")
        deleteRow = try Statement(database, "DELETE FROM log_hashes WHERE replica = ?1 AND first = ?2")
        insertRow = try Statement(database, "INSERT INTO log_hashes (replica, first, hashes) VALUES (?1, ?2, ?3)")
    }

    // MARK: Marks

    /// The reading of the lease clock of the newest mark; nil if there is none.
    func newestMark() throws -> Int64? {
        try Int64.fetchOne(database.cachedStatement(sql: "SELECT max(clock) FROM lease_mark"))
    }

    /// Notes where the sequence and all logs stand.
    func mark(clock: Int64, sequence: Int64) throws {
        try database.cachedStatement(sql: "INSERT OR REPLACE INTO lease_mark (clock, sequence) VALUES (?, ?)").execute(
            arguments: [clock, sequence])
        try database.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO log_mark (clock, replica, position)
                SELECT ?, replica, position FROM log WHERE position > 0
                """
        ).execute(arguments: [clock])
    }

    /// The newest mark that was made at `clock` or before, and where the logs stood; older marks are forgotten.
    func marks(upTo clock: Int64) throws -> (sequence: Int64, positions: [ReplicaID: UInt32])? {
        guard
            let row = try Row.fetchOne(
                database.cachedStatement(
                    sql: "SELECT clock, sequence FROM lease_mark WHERE clock <= ? ORDER BY clock DESC LIMIT 1"),
                arguments: [clock])
        else { return nil }
        let found = row["clock"] as Int64
        try database.cachedStatement(sql: "DELETE FROM lease_mark WHERE clock < ?").execute(arguments: [found])
        try database.cachedStatement(sql: "DELETE FROM log_mark WHERE clock < ?").execute(arguments: [found])
        var positions: [ReplicaID: UInt32] = [:]
        let rows = try Row.fetchCursor(
            database.cachedStatement(sql: "SELECT replica, position FROM log_mark WHERE clock = ?"), arguments: [found])
        while let row = try rows.next() {
            positions[ReplicaID(rawValue: UInt32(truncatingIfNeeded: row["replica"] as Int64))] =
                UInt32(truncatingIfNeeded: row["position"] as Int64)
        }
        return (row["sequence"], positions)
    }

    // MARK: Rows

    /// Deletes the hashes and verdicts of a log's numbers below `number`.
    ///
    /// - Returns: how many rows of hashes became shorter or went.
    func delete(_ replica: ReplicaID, below number: UInt32) throws -> Int {
        let rows = try Row.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT first, length(hashes) / 8 AS count, substr(hashes, 1 + 8 * (?2 - first)) AS kept
                    FROM log_hashes WHERE replica = ?1 AND first < ?2 ORDER BY first
                    """), arguments: [Int64(replica.rawValue), Int64(number)])
        for row in rows {
            try deleteRow.bind(1, Int64(replica.rawValue))
            try deleteRow.bind(2, row["first"] as Int64)
            try deleteRow.run()
            if (row["first"] as Int64) + (row["count"] as Int64) > Int64(number) {
                try insertRow.bind(1, Int64(replica.rawValue))
                try insertRow.bind(2, Int64(number))
                try insertRow.bind(3, Array(row["kept"] as Data))
                try insertRow.run()
            }
        }
        if !rows.isEmpty {
            try database.cachedStatement(sql: "DELETE FROM verdict WHERE replica = ? AND number < ?").execute(
                arguments: [Int64(replica.rawValue), Int64(number)])
        }
        return rows.count
    }

    /// Whether hashes of one of an account's logs are gone.
    func hasLost(account: RecordID) throws -> Bool {
        try Bool.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT EXISTS (SELECT 1 FROM log WHERE account = ? AND position > 0 AND coalesce(
                        (SELECT min(first) FROM log_hashes WHERE log_hashes.replica = log.replica), 2) > 1)
                    """), arguments: [account.rawValue]) ?? false
    }

    /// Joins short rows of a log that follow each other, from number `first` on.
    ///
    /// - Parameter limit: how many rows are looked at; at least 2.
    /// - Returns: from where to go on; nil at the end.
    func join(_ replica: ReplicaID, from first: Int64, limit: Int) throws -> Int64? {
        try selectShort.bind(1, Int64(replica.rawValue))
        try selectShort.bind(2, first)
        var rows: [(first: Int64, bytes: [UInt8])] = []
        while rows.count < limit, try selectShort.step() {
            rows.append((selectShort.integer(0), Array(selectShort.bytes(1))))
        }
        selectShort.reset()
        var start = 0
        var next = first
        while start < rows.count {
            var end = start + 1
            var bytes = rows[start].bytes
            while end < rows.count, rows[end].first == rows[start].first + Int64(bytes.count / 8),
                bytes.count + rows[end].bytes.count <= Self.rowLength * 8
            {
                bytes += rows[end].bytes
                end += 1
            }
            next = rows[start].first
            if end - start > 1 { try replace(replica, rows[start..<end].map(\.first), bytes) }
            start = end
        }
        // The last row may still grow by those that follow it.
        return rows.count < limit ? nil : next
    }

    private func replace(_ replica: ReplicaID, _ firsts: [Int64], _ bytes: [UInt8]) throws {
        for first in firsts {
            try deleteRow.bind(1, Int64(replica.rawValue))
            try deleteRow.bind(2, first)
            try deleteRow.run()
        }
        try insertRow.bind(1, Int64(replica.rawValue))
        try insertRow.bind(2, firsts[0])
        try insertRow.bind(3, bytes)
        try insertRow.run()
    }
}
