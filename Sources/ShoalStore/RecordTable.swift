import CSQLite
import GRDB
import ShoalCRDT

// GRDB has a Record of its own.
import struct ShoalCRDT.Record

/// The table of packed records, one row a record: `record(id, sequence, cells)`. Client and server have the same.
public final class RecordTable {
    public static let schema = """
        CREATE TABLE record (
            id INTEGER PRIMARY KEY,
            sequence INTEGER NOT NULL,
            cells BLOB NOT NULL
        )
        """

    private let select: Statement
    private let upsert: Statement
    private let remove: Statement
    private let scanAfter: Statement
    private var scratch: [UInt8] = []

    public init(_ database: Database) throws(StoreError) {
        select = try Statement(database, "SELECT sequence, cells FROM record WHERE id = ?1")
        upsert = try Statement(
            database,
            """
            INSERT INTO record (id, sequence, cells) VALUES (?1, ?2, ?3)
            ON CONFLICT (id) DO UPDATE SET sequence = ?2, cells = ?3
            """)
        remove = try Statement(database, "DELETE FROM record WHERE id = ?1")
        scanAfter = try Statement(database, "SELECT id, sequence, cells FROM record WHERE id > ?1 ORDER BY id")
    }

    /// The record, or nil if there is none.
    ///
    /// - Throws: `StoreError.damaged` when the row cannot be read.
    public func read(_ id: RecordID) throws(StoreError) -> Record? {
        try select.bind(1, id.rawValue)
        defer { select.reset() }
        guard try select.step() else { return nil }
        return try Self.record(id, sequence: select.integer(0), packed: select.bytes(1))
    }

    static func record(_ id: RecordID, sequence: Int64, packed: UnsafeRawBufferPointer) throws(StoreError) -> Record {
        do throws(DecodingFailure) { return try Record(id: id, sequence: sequence, packed: packed) } catch {
            throw .damaged(path: "record \(id)", reason: error.description)
        }
    }

    /// Writes the record's row; `sequence` must be the record's own.
    public func write(_ record: borrowing Record, sequence: Int64) throws(StoreError) {
        scratch.removeAll(keepingCapacity: true)
        record.encode(sequence: sequence, into: &scratch)
        try upsert.bind(1, record.id.rawValue)
        try upsert.bind(2, sequence)
        try upsert.bind(3, scratch)
        try upsert.run()
    }

    public func delete(_ id: RecordID) throws(StoreError) {
        try remove.bind(1, id.rawValue)
        try remove.run()
    }

    /// Calls `body` with each record whose identifier is above `id`, ascending, until it returns false.
    public func scan(after id: RecordID, _ body: (Record, Int64) throws -> Bool) throws {
        try scanAfter.bind(1, id.rawValue)
        defer { scanAfter.reset() }
        while try scanAfter.step() {
            let sequence = scanAfter.integer(1)
            let record = try Self.record(
                RecordID(rawValue: scanAfter.integer(0)), sequence: sequence, packed: scanAfter.bytes(2))
            guard try body(record, sequence) else { return }
        }
    }
}
