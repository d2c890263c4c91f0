import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record
import class ShoalStore.Statement

/// What is relayed in one request, to be dropped when it is acknowledged.
struct RelayBatch: Sendable {
    var generation: Int64
    var records: [RecordID]
}

/// The *stock*: what the server's rows were before the server lost something, as long as nobody has asked for it.
///
/// Each loss that is noticed makes a *generation* of it, with the version vector that its rows are the fold of. Rows that
/// turn out to be the server's again are dropped; see `Record.join` for why that loses nothing. Called inside a
/// transaction.
struct StockStore {
    private let database: Database
    private let records: RecordTable

    init(_ store: ReplicaStore) {
        database = store.database
        records = store.records
    }

    // MARK: Taking

    /// Makes a generation of the rows and empties the vector: what follows may be the fold of less. Without a vector, rows that
    /// the last generation has as they are have nothing to add.
    ///
    /// - Parameter fill: a fill under way. What it has brought so far is not the fold of any vector (the vector is empty
    ///   then), and what it has not replaced yet lies in the generation before.
    func take(fill: Standing.Fill) throws {
        let last = try newest()
        let generation = last + 1
        let hasVector = try Int.fetchOne(database, sql: "SELECT 1 FROM vector LIMIT 1") != nil
        let isSeen = fill == .replacing ? "id IN (SELECT record FROM fill_seen)" : "TRUE"
        for table in ["record", "detail"] {
            let isStock = """
                EXISTS (SELECT 1 FROM stock WHERE generation = ? AND record = id AND stock.cells = \(table).cells)
                """
            try database.execute(
                sql: """
                    INSERT INTO stock (generation, record, cells)
                    SELECT ?, id, cells FROM \(table) WHERE \(isSeen) AND (? OR NOT \(isStock))
                    """, arguments: [generation, hasVector, last])
        }
        try database.cachedStatement(
            sql: """
                INSERT INTO stock_vector (generation, replica, number, log_check)
                SELECT ?, replica, number, log_check FROM vector
                """
        ).execute(arguments: [generation])
        try database.execute(sql: "DELETE FROM vector")
        try dropEmpty()
    }

    /// Makes a generation, without a vector, of rows that are about to be removed, as far as anything is present in them.
    func keep(_ ids: [RecordID]) throws {
        let generation = try newest() + 1
        for id in ids {
            let row: Record?
            do throws(StoreError) { row = try records.read(id) } catch {
                // What nobody can read nobody can give back.
                guard case .damagedRecord = error else { throw error }
                continue
            }
            guard let record = row, record.isPresent else { continue }
            var cells: [UInt8] = []
            record.encode(sequence: 0, into: &cells)
            try database.cachedStatement(sql: "INSERT INTO stock (generation, record, cells) VALUES (?, ?, ?)")
                .execute(arguments: [generation, id.rawValue, Data(cells)])
        }
    }

    private func newest() throws -> Int64 {
        try Int64.fetchOne(
            database.cachedStatement(
                sql:
                    "SELECT max(generation) FROM (SELECT generation FROM stock UNION ALL SELECT generation FROM stock_vector)"
            )) ?? 0
    }

    // MARK: Comparing

    /// Remembers of the records of a page whether marks wait in them.
    func note(_ page: RecordPage) throws {
        for id in page.open {
            try database.cachedStatement(sql: "INSERT OR IGNORE INTO stock_open (record) VALUES (?)")
                .execute(arguments: [id.rawValue])
        }
        guard try Int.fetchOne(database.cachedStatement(sql: "SELECT 1 FROM stock_open LIMIT 1")) != nil else { return }
        let delete = try database.cachedStatement(sql: "DELETE FROM stock_open WHERE record = ?")
        for head in page.heads where !page.open.contains(head.id) { try delete.execute(arguments: [head.id.rawValue]) }
    }

    /// Drops what the server has again: rows with the same entries, in a record where nothing waits.
    func dropEqual() throws {
        guard try Int.fetchOne(database.cachedStatement(sql: "SELECT 1 FROM stock LIMIT 1")) != nil else {
            return try database.cachedStatement(sql: "DELETE FROM stock_open").execute()
        }
        for table in ["record", "detail"] {
            try database.execute(
                sql: """
                    DELETE FROM stock WHERE record NOT IN (SELECT record FROM stock_open) AND EXISTS (
                        SELECT 1 FROM \(table) WHERE \(table).id = stock.record AND \(table).cells = stock.cells)
                    """)
        }
        // Rows that differ in bytes may differ in times only.
        let rows = try Row.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT stock.rowid, record FROM stock
                    WHERE record NOT IN (SELECT record FROM stock_open)
                        AND record IN (SELECT id FROM record UNION ALL SELECT id FROM detail)
                    """))
        for row in rows {
            let id = RecordID(rawValue: row["record"])
            guard let now = try records.read(id), let held = try self.row(row["rowid"], of: id) else { continue }
            guard held.hasSameEntries(as: now) else { continue }
            try database.cachedStatement(sql: "DELETE FROM stock WHERE rowid = ?").execute(arguments: [row["rowid"]])
        }
        try dropEmpty()
    }

    private func row(_ rowid: Int64, of id: RecordID) throws -> Record? {
        guard
            let cells = try Row.fetchOne(
                database.cachedStatement(sql: "SELECT cells FROM stock WHERE rowid = ?"), arguments: [rowid])
        else { return nil }
        return try Self.record(id, cells.dataNoCopy(named: "cells").map { Array($0) } ?? [])
    }

    private static func record(_ id: RecordID, _ cells: [UInt8]) throws -> Record {
        let result = cells.withUnsafeBytes { bytes -> Result<Record, DecodingFailure> in
            do throws(DecodingFailure) {
                return .success(try Record(id: id, sequence: 0, packed: bytes))
            } catch { return .failure(error) }
        }
        do { return try result.get() } catch {
            throw StoreError.damaged(path: "stock of \(id)", reason: error.description)
        }
    }

    // MARK: Relaying

    /// The first rows of the oldest generation; nil when nothing is left.
    ///
    /// - Parameter weight: of the page at which no more are added.
    func next(epoch: UInt64, weight: Int) throws -> (request: RelayRequest, batch: RelayBatch)? {
        guard
            let generation = try Int64.fetchOne(
                database.cachedStatement(sql: "SELECT min(generation) FROM stock WHERE NOT is_too_large"))
        else { return nil }
        let (vector, checks) = try vector(generation)
        var request = RelayRequest(epoch: epoch, vector: vector, checks: checks, page: RecordPage())
        var batch = RelayBatch(generation: generation, records: [])
        let rows = try Row.fetchCursor(
            database.cachedStatement(
                sql: "SELECT record, cells FROM stock WHERE generation = ? AND NOT is_too_large ORDER BY record"),
            arguments: [generation])
        while let row = try rows.next() {
            let id = RecordID(rawValue: row["record"])
            let record = try Self.record(id, row.dataNoCopy(named: "cells").map { Array($0) } ?? [])
            batch.records.append(id)
            if record.isMade, !record.entries.isEmpty {
                request.page.begin(id, record.envelope)
                for entry in record.entries { request.page.append(entry, from: record.arena) }
            }
            if request.page.weight >= weight { break }
        }
        return (request, batch)
    }

    private func vector(_ generation: Int64) throws -> (VersionVector, [ReplicaID: LogCheck]) {
        var vector = VersionVector()
        var checks: [ReplicaID: LogCheck] = [:]
        let rows = try Row.fetchCursor(
            database.cachedStatement(sql: "SELECT replica, number, log_check FROM stock_vector WHERE generation = ?"),
            arguments: [generation])
        while let row = try rows.next() {
            let replica = ReplicaID(rawValue: UInt32(truncatingIfNeeded: row["replica"] as Int64))
            vector.advance(replica, to: UInt32(truncatingIfNeeded: row["number"] as Int64))
            checks[replica] = LogCheck(rawValue: UInt32(truncatingIfNeeded: row["log_check"] as Int64))
        }
        return (vector, checks)
    }

    /// Drops what was acknowledged.
    func drop(_ batch: RelayBatch) throws {
        let statement = try database.cachedStatement(sql: "DELETE FROM stock WHERE generation = ? AND record = ?")
        for id in batch.records { try statement.execute(arguments: [batch.generation, id.rawValue]) }
        try dropEmpty()
    }

    /// Notes for people how many records the server got back.
    func note(relayed count: Int, at time: Int64, replica: ReplicaID) throws {
        try database.cachedStatement(
            sql: "INSERT INTO healing (time, kind, replica, changes) VALUES (?, 'relayed', ?, ?)"
        ).execute(arguments: [time, Int64(replica.rawValue), count])
    }

    /// Keeps a row here that no request can carry.
    func passOver(_ batch: RelayBatch) throws {
        for id in batch.records {
            try database.cachedStatement(sql: "UPDATE stock SET is_too_large = 1 WHERE generation = ? AND record = ?")
                .execute(arguments: [batch.generation, id.rawValue])
        }
    }

    private func dropEmpty() throws {
        try database.cachedStatement(
            sql: "DELETE FROM stock_vector WHERE generation NOT IN (SELECT generation FROM stock)"
        ).execute()
    }

    /// All that a recovering server would be given if the home heard of a loss now: the stock, and what would become stock.
    ///
    /// - Parameter fill: as in `take`.
    /// - Returns: each row with the vector that it would come with.
    func held(fill: Standing.Fill) throws -> [(record: Record, vector: VersionVector)] {
        let isSeen = fill == .replacing ? "WHERE id IN (SELECT record FROM fill_seen)" : ""
        let sql = """
            SELECT generation, record, cells FROM stock UNION ALL SELECT 0, id, cells FROM record \(isSeen)
            UNION ALL SELECT 0, id, cells FROM detail \(isSeen)
            """
        var vectors = [Int64(0): VersionVector()]
        for row in try Row.fetchAll(database, sql: "SELECT replica, number FROM vector") {
            vectors[0]?.advance(
                ReplicaID(rawValue: UInt32(truncatingIfNeeded: row["replica"] as Int64)),
                to: UInt32(truncatingIfNeeded: row["number"] as Int64))
        }
        return try Row.fetchAll(database, sql: sql).compactMap { row in
            let generation: Int64 = row["generation"]
            if vectors[generation] == nil { vectors[generation] = try vector(generation).0 }
            let record = try Self.record(
                RecordID(rawValue: row["record"]), row.dataNoCopy(named: "cells").map { Array($0) } ?? [])
            return record.isMade ? (record, vectors[generation] ?? VersionVector()) : nil
        }
    }

    /// How many rows there are.
    static func count(_ database: Database) throws -> Int {
        try Int.fetchOne(database.cachedStatement(sql: "SELECT count(*) FROM stock")) ?? 0
    }
}
