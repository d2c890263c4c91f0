import Foundation
import GRDB
import ShoalCRDT
import ShoalStore

/// Finding the rows of the audit.
extension AuditRow {
    static let columns = "number, mark, salt, sections, time, account, replica, action"

    /// - Parameter row: begins with `columns`.
    /// - Throws: `StoreError.damaged`.
    init(_ row: Row) throws {
        number = try row.checked(0)
        mark = try row.checked(1)
        bytes = Array(try row.checked(3, as: Data.self))
        let salt: DatabaseValue = try row.checked(2)
        guard let form = AuditForm(salt: salt.isNull ? nil : Array(try row.checked(2, as: Data.self))) else {
            throw StoreError.damaged(path: "audit \(number)", reason: "its salt is none")
        }
        self.form = form
        guard let action = AuditAction(rawValue: try row.checked(7)) else {
            throw StoreError.damaged(path: "audit \(number)", reason: "its action is none of this version")
        }
        author = try AuditAuthor(
            time: row.checked(4), account: RecordID(rawValue: row.checked(5)),
            replica: ReplicaID(rawValue: UInt32(truncatingIfNeeded: row.checked(6, as: Int64.self))), action: action)
    }

    /// - Throws: `StoreError.damaged`.
    func sections() throws -> [AuditSection] {
        let result = bytes.withUnsafeBytes { bytes -> Result<[AuditSection], DecodingFailure> in
            do throws(DecodingFailure) { return .success(try AuditSection.read(bytes, form)) } catch {
                return .failure(error)
            }
        }
        do throws(DecodingFailure) { return try result.get() } catch {
            throw StoreError.damaged(path: "audit \(number)", reason: error.description)
        }
    }

    /// The row with the greatest number up to `number`.
    static func read(_ database: Database, upTo number: Int64) throws -> AuditRow? {
        try Row.fetchOne(
            database.cachedStatement(
                sql: "SELECT \(columns) FROM audit WHERE number <= ? ORDER BY number DESC LIMIT 1"),
            arguments: [number]
        ).map(AuditRow.init)
    }

    /// The last row that mentions a record.
    static func newest(of record: RecordID, _ database: Database) throws -> AuditRow? {
        let mark = try Int64.fetchOne(
            database.cachedStatement(sql: AuditSchema.selectHead), arguments: [record.rawValue])
        return try read(database, of: record, at: mark.map { .row(mark: $0) } ?? .listed(before: .max))
    }

    /// The row at a place in the chain of a record.
    static func read(_ database: Database, of record: RecordID, at place: Place) throws -> AuditRow? {
        switch place {
        case .row(let mark):
            return try Row.fetchOne(
                database.cachedStatement(sql: "SELECT \(columns) FROM audit WHERE mark = ?"), arguments: [mark]
            ).map(AuditRow.init)
        case .listed(let number):
            let listed = try Int64.fetchOne(
                database.cachedStatement(sql: AuditSchema.selectListed), arguments: [record.rawValue, number])
            return try listed.flatMap { try read(database, upTo: $0) }
        }
    }
}
