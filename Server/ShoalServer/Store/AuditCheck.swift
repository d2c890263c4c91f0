import Foundation
import GRDB
import ShoalCRDT
import ShoalStore

/// Verifies the audit: that nothing in it was changed, removed, put in or moved since it was written.
struct AuditCheck {
    private let database: Database
    private var head = AuditHead()
    private var mentions: Int64 = 0

    init(_ database: Database) { self.database = database }

    /// - Parameter note: gets a sentence for what is wrong.
    /// - Returns: where the chain ends.
    mutating func run(_ note: (String) -> Void) throws -> AuditHead {
        let rows = try Row.fetchCursor(
            database,
            sql: "SELECT number, count, time, account, replica, action, sections, hash FROM audit ORDER BY number")
        while let row = try rows.next() {
            let number: Int64 = try row.checked(0)
            guard number == head.number + 1 else {
                note("the audit lacks entries from \(head.number + 1) on: the next one is \(number)")
                return head
            }
            if let problem = try problem(of: row, number) {
                note("the audit is not what it was from entry \(number) on: \(problem)")
                return head
            }
        }
        if head != (try AuditQueries.head(database)) {
            note("the audit does not end where it ended: after \(head.number)")
        }
        if try Int64.fetchOne(database, sql: "SELECT count(*) FROM audit_record") != mentions {
            note("the audit's list of records is not in step with its entries")
        }
        return head
    }

    /// Verifies a row and moves the head.
    private mutating func problem(of row: Row, _ number: Int64) throws -> String? {
        guard let action = AuditAction(rawValue: try row.checked(5)) else {
            return "its action is none of this version"
        }
        let author = try AuditAuthor(
            time: row.checked(2), account: RecordID(rawValue: row.checked(3)),
            replica: ReplicaID(rawValue: UInt32(truncatingIfNeeded: row.checked(4, as: Int64.self))), action: action)
        let bytes = Array(try row.checked(6, as: Data.self))
        var rebuilt = AuditSections()
        let problem: String? = try bytes.withUnsafeBytes { bytes in
            for (index, section) in try AuditQueries.sections(bytes, number).enumerated() {
                rebuilt.append(section.record, erased: section.digest(in: bytes))
                if section.record.rawValue != 0 {
                    mentions += 1
                    if try !isListed(section.record, number + Int64(index)) {
                        return "it is not listed under its record"
                    }
                }
                if section.isErased { continue }
                do throws(DecodingFailure) {
                    _ = try AuditCoding.changes(UnsafeRawBufferPointer(rebasing: bytes[section.body]))
                } catch { return "\(error)" }
            }
            return nil
        }
        if let problem { return problem }
        let hash = rebuilt.hash(after: head, author)
        if try hash != Array(row.checked(7, as: Data.self)) { return "its hash is another one" }
        let count = Int64(rebuilt.records.count)
        if try count == 0 || count != row.checked(1) { return "it has another number of entries" }
        head = AuditHead(number: head.number + count, hash: hash)
        return nil
    }

    private func isListed(_ record: RecordID, _ number: Int64) throws -> Bool {
        try Bool.fetchOne(
            database.cachedStatement(sql: "SELECT 1 FROM audit_record WHERE record = ? AND number = ?"),
            arguments: [record.rawValue, number]) ?? false
    }
}
