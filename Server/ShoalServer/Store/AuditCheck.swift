import Foundation
import GRDB
import ShoalCRDT
import ShoalStore

/// Verifies the audit: that nothing in it was changed, removed, put in or moved since it was written.
struct AuditCheck {
    private let database: Database
    private var head = AuditHead()
    /// How many entries must be listed.
    private var listed = 0
    /// The sum over all links of what they lead from less what they lead to. All that lies between ends of chains cancels out,
    /// and what is left is the sum of the heads.
    private var ends: UInt64 = 0

    init(_ database: Database) { self.database = database }

    /// - Parameter note: gets a sentence for what is wrong.
    /// - Returns: where the chain ends.
    mutating func run(_ note: (String) -> Void) throws -> AuditHead {
        let rows = try Row.fetchCursor(
            database, sql: "SELECT \(AuditRow.columns), count, hash FROM audit ORDER BY number")
        while let row = try rows.next() {
            let number: Int64 = try row.checked(0)
            guard number == head.number + 1 else {
                note("the audit lacks entries from \(head.number + 1) on: the next one is \(number)")
                return head
            }
            if let problem = try problem(of: row) {
                note("the audit is not what it was from entry \(number) on: \(problem)")
                return head
            }
        }
        if head != (try AuditQueries.head(database)) {
            note("the audit does not end where it ended: after \(head.number)")
        }
        if try Int.fetchOne(database, sql: "SELECT count(*) FROM audit_record") != listed {
            note("the audit's list of records is not in step with its entries")
        }
        if try heads() != ends { note("the audit's entries are not linked to their records as they were") }
        return head
    }

    /// Verifies a row and moves the head.
    private mutating func problem(of stored: Row) throws -> String? {
        let row = try AuditRow(stored)
        var leaves = AuditLeaves()
        for section in try row.sections() {
            let failure = row.bytes.withUnsafeBytes { bytes -> DecodingFailure? in
                section.digest(in: bytes, row.form).withUnsafeBytes { leaves.append(section.record, $0) }
                if section.isErased { return nil }
                do throws(DecodingFailure) {
                    _ = try AuditCoding.changes(of: section, in: bytes, row.form)
                    return nil
                } catch { return error }
            }
            if let failure { return failure.description }
            if section.record.rawValue == 0 { continue }
            if row.form.isFirst {
                listed += 1
                if try !isListed(section.record, row.number &+ Int64(section.index)) {
                    return "it is not listed under its record"
                }
            } else {
                follow(section, of: row)
            }
        }
        let hash = leaves.hash(after: head, row.author, isFirstForm: row.form.isFirst)
        if try hash != Array(stored.checked(9, as: Data.self)) { return "its hash is another one" }
        let count = Int64(leaves.count)
        if try count == 0 || count != stored.checked(8) { return "it has another number of entries" }
        head = AuditHead(number: head.number + count, hash: hash)
        return nil
    }

    private func isListed(_ record: RecordID, _ number: Int64) throws -> Bool {
        try Bool.fetchOne(
            database.cachedStatement(sql: "SELECT 1 FROM audit_record WHERE record = ? AND number = ?"),
            arguments: [record.rawValue, number]) ?? false
    }

    // MARK: Links

    private mutating func follow(_ section: AuditSection, of row: AuditRow) {
        ends &+= Self.mixed(section.record, row.mark)
        if section.link > 0 { ends &-= Self.mixed(section.record, row.mark &- section.link &+ 1) }
    }

    private func heads() throws -> UInt64 {
        let rows = try Row.fetchCursor(
            database,
            sql: """
                SELECT id, audit FROM record WHERE audit > 0 UNION ALL SELECT id, audit FROM detail WHERE audit > 0
                UNION ALL SELECT record, mark FROM audit_head WHERE NOT EXISTS (
                    SELECT 1 FROM record WHERE id = audit_head.record AND audit > 0
                    UNION ALL SELECT 1 FROM detail WHERE id = audit_head.record AND audit > 0)
                """)
        var sum: UInt64 = 0
        while let row = try rows.next() {
            sum &+= Self.mixed(RecordID(rawValue: try row.checked(0)), try row.checked(1))
        }
        return sum
    }

    /// A number that hardly another pair of record and mark has: the steps of SplitMix64.
    private static func mixed(_ record: RecordID, _ mark: Int64) -> UInt64 {
        var value = UInt64(bitPattern: record.rawValue)
        for addend in [UInt64(bitPattern: mark), 0x9E37_79B9_7F4A_7C15] {
            value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
            value = (value ^ (value >> 31)) &+ addend
        }
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        return value ^ (value >> 31)
    }
}
