import CSQLite
import GRDB
import ShoalCRDT

// GRDB has a Record of its own.
import struct ShoalCRDT.Record

/// The packed records, one row a record: `(id, sequence, cells)`. Client and server have the same.
///
/// They lie in two tables. `detail` has the records that belong to another record (notes now; events and orders are of
/// that kind): many, long, and seldom changed. `record` has all others, which change all day: apart from the details they
/// are dense, so that a merge touches a quarter of the pages. The scope is immutable, so a row never moves.
public final class RecordTable {
    /// Makes both tables; for migrations.
    public static let schema = create("record") + ";\n" + create("detail")

    private static func create(_ table: String) -> String {
        """
        CREATE TABLE \(table) (
            id INTEGER PRIMARY KEY,
            sequence INTEGER NOT NULL,
            cells BLOB NOT NULL
        )
        """
    }

    /// The row of the record `?1`, from whichever table has it.
    public static let selectOne = """
        SELECT sequence, cells FROM record WHERE id = ?1 UNION ALL SELECT sequence, cells FROM detail WHERE id = ?1
        """

    /// All rows after the record `?1`, by identifier.
    public static let selectAfter = """
        SELECT id, sequence, cells FROM record WHERE id > ?1
        UNION ALL SELECT id, sequence, cells FROM detail WHERE id > ?1 ORDER BY 1
        """

    /// The rows from the record `?1` to the record `?2`, by identifier.
    public static let selectRange = """
        SELECT id, sequence, cells FROM record WHERE id BETWEEN ?1 AND ?2
        UNION ALL SELECT id, sequence, cells FROM detail WHERE id BETWEEN ?1 AND ?2 ORDER BY 1
        """

    /// The table that a record with this envelope lies in.
    public static func isDetail(_ id: RecordID, _ envelope: Envelope) -> Bool {
        switch envelope.scope {
        case .workspace: false
        case .customer(let customer): customer != id
        case .account, .pair: true
        }
    }

    private let select: Statement
    private let upsertRecord: Statement
    private let upsertDetail: Statement
    private let removeRecord: Statement
    private let removeDetail: Statement
    private let scanAfter: Statement
    private var scratch: [UInt8] = []

    public init(_ database: Database) throws(StoreError) {
        func upsert(_ table: String) throws(StoreError) -> Statement {
            try Statement(
                database,
                """
                INSERT INTO \(table) (id, sequence, cells) VALUES (?1, ?2, ?3)
                ON CONFLICT (id) DO UPDATE SET sequence = ?2, cells = ?3
                """)
        }
        select = try Statement(database, Self.selectOne)
        upsertRecord = try upsert("record")
        upsertDetail = try upsert("detail")
        removeRecord = try Statement(database, "DELETE FROM record WHERE id = ?1")
        removeDetail = try Statement(database, "DELETE FROM detail WHERE id = ?1")
        scanAfter = try Statement(database, Self.selectAfter)
    }

    /// The record, or nil if there is none.
    ///
    /// - Throws: `StoreError.damagedRecord` when the row cannot be read.
    public func read(_ id: RecordID) throws(StoreError) -> Record? {
        try select.bind(1, id.rawValue)
        defer { select.reset() }
        guard try select.step() else { return nil }
        return try Self.record(id, sequence: select.integer(0), packed: select.bytes(1))
    }

    /// Whether there is a row of this record.
    public func has(_ id: RecordID) throws(StoreError) -> Bool {
        try select.bind(1, id.rawValue)
        defer { select.reset() }
        return try select.step()
    }

    /// - Throws: `StoreError.damagedRecord`.
    public static func record(_ id: RecordID, sequence: Int64, packed: UnsafeRawBufferPointer) throws(StoreError)
        -> Record
    {
        do throws(DecodingFailure) { return try Record(id: id, sequence: sequence, packed: packed) } catch {
            throw .damagedRecord(id, reason: error.description)
        }
    }

    /// Writes the record's row; `sequence` must be the record's own.
    public func write(_ record: borrowing Record, sequence: Int64) throws(StoreError) {
        scratch.removeAll(keepingCapacity: true)
        record.encode(sequence: sequence, into: &scratch)
        let upsert = Self.isDetail(record.id, record.envelope) ? upsertDetail : upsertRecord
        try upsert.bind(1, record.id.rawValue)
        try upsert.bind(2, sequence)
        try upsert.run(3, scratch)
    }

    public func delete(_ id: RecordID) throws(StoreError) {
        for remove in [removeRecord, removeDetail] {
            try remove.bind(1, id.rawValue)
            try remove.run()
        }
    }

    /// Calls `body` with each record whose identifier is above `id`, ascending, until it returns false.
    ///
    /// - Parameter onDamage: called for each row that cannot be read, which is then passed over; without it such a row
    ///   ends the scan with an error.
    public func scan(
        after id: RecordID, onDamage: ((RecordID, String) throws -> Void)? = nil,
        _ body: (Record, Int64) throws -> Bool
    ) throws {
        try scanAfter.bind(1, id.rawValue)
        defer { scanAfter.reset() }
        while try scanAfter.step() {
            let id = RecordID(rawValue: scanAfter.integer(0))
            let sequence = scanAfter.integer(1)
            let record: Record
            do throws(StoreError) {
                record = try Self.record(id, sequence: sequence, packed: scanAfter.bytes(2))
            } catch {
                guard case .damagedRecord(let id, let reason) = error, let onDamage else { throw error }
                try onDamage(id, reason)
                continue
            }
            guard try body(record, sequence) else { return }
        }
    }
}
