import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has types of the same names.
import struct ShoalCRDT.Record
import class ShoalStore.Statement

/// The replica's rows as a digest needs them: the server's records as of the cursor, without the tail.
///
/// A row that cannot be read is passed over, so that the comparison finds it missing and fetches it.
final class RowDigest: DigestSource {
    private let select: Statement
    private var scratch: [UInt8] = []

    init(_ database: Database) throws { select = try Statement(database, RecordTable.selectRange) }

    func forEachFingerprint(
        in range: IdentifierRange, _ body: (RecordID, RecordFingerprint) throws -> Void
    ) throws {
        guard range.lower < range.upper, range.upper <= IdentifierRange.end else { return }
        try select.bind(1, Int64(bitPattern: range.lower))
        try select.bind(2, Int64(bitPattern: range.upper - 1))
        defer { select.reset() }
        while try select.step() {
            let id = RecordID(rawValue: select.integer(0))
            let record: Record
            do throws(StoreError) {
                record = try RecordTable.record(id, sequence: select.integer(1), packed: select.bytes(2))
            } catch {
                guard case .damagedRecord = error else { throw error }
                continue
            }
            if record.isPresent { try body(id, record.fingerprint(scratch: &scratch)) }
        }
    }
}
