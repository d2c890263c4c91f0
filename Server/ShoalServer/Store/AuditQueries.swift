import Crypto
import Foundation
import GRDB
import ShoalCRDT
import ShoalStore

import class ShoalStore.Statement

/// Appends to the audit, in the transaction under way; used only on the writer's queue.
final class AuditQueries {
    private let insertRow: Statement
    private let updateServer: Statement
    private let updateSections: Statement
    private let selectHead: Statement
    private let selectRowless: Statement
    /// Each moves the mark of a record that lies in its table.
    private let updateHeads: [Statement]
    private let insertHead: Statement
    private let database: Database
    /// Of which the salts are made. Known to this process alone and never written, so that nobody can make one again.
    private let secret: [UInt8]
    private var salts: UInt64 = 0

    init(_ database: Database, secret: [UInt8]) throws(StoreError) {
        self.database = database
        self.secret = secret
        insertRow = try Statement(
            database,
            """
            INSERT INTO audit (number, count, time, account, replica, action, sections, hash, mark, salt)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
            """)
        updateServer = try Statement(database, "UPDATE server SET audit_number = ?1, audit_hash = ?2")
        updateSections = try Statement(database, "UPDATE audit SET sections = ?2, salt = ?3 WHERE number = ?1")
        selectHead = try Statement(database, AuditSchema.selectHead)
        selectRowless = try Statement(database, "SELECT mark FROM audit_head WHERE record = ?1")
        updateHeads = [
            try Statement(database, "UPDATE record SET audit = ?2 WHERE id = ?1"),
            try Statement(database, "UPDATE detail SET audit = ?2 WHERE id = ?1"),
        ]
        insertHead = try Statement(database, "INSERT OR REPLACE INTO audit_head (record, mark) VALUES (?1, ?2)")
    }

    static func head(_ database: Database) throws -> AuditHead {
        guard let row = try Row.fetchOne(database, sql: "SELECT audit_number, audit_hash FROM server") else {
            throw StoreError.damaged(path: "server", reason: "the server's own row is missing")
        }
        return try AuditHead(number: row.checked(0), hash: Array(row.checked(1, as: Data.self)))
    }

    func lastMark() throws -> Int64 { try Int64.fetchOne(database, sql: "SELECT max(mark) FROM audit") ?? 0 }

    /// A salt that no other row has.
    func drawSalt() -> AuditSalt {
        salts &+= 1
        let digest = withUnsafeBytes(of: salts.littleEndian) { AuditHash.of(secret, $0) }
        return AuditSalt(digest)
    }

    // MARK: Rows

    /// Appends a row after `head`, and moves that.
    func append(
        _ sections: AuditSections, _ author: AuditAuthor, mark: Int64, to head: inout AuditHead
    ) throws(StoreError) {
        let count = Int64(sections.leaves.count)
        let hash = sections.leaves.hash(after: head, author, isFirstForm: false)
        try insertRow.bind(1, head.number + 1)
        try insertRow.bind(2, count)
        try insertRow.bind(3, author.time)
        try insertRow.bind(4, author.account.rawValue)
        try insertRow.bind(5, Int64(author.replica.rawValue))
        try insertRow.bind(6, author.action.rawValue)
        try insertRow.bind(8, hash)
        try insertRow.bind(9, mark)
        try insertRow.bind(10, sections.salt.bytes)
        try insertRow.run(7, sections.bytes)
        head = AuditHead(number: head.number + count, hash: hash)
    }

    func write(_ head: AuditHead) throws(StoreError) {
        try updateServer.bind(1, head.number)
        try updateServer.bind(2, head.hash)
        try updateServer.run()
    }

    /// Erases what all entries about a record, or those up to a number, say of values; who, when and what was changed stays.
    ///
    /// - Returns: how many entries it were.
    func erase(_ record: RecordID, upTo number: Int64 = .max) throws -> Int {
        var erased = 0
        var next = try AuditRow.newest(of: record, database)
        while var row = next {
            next = try row.place(before: record, try row.sections()).flatMap {
                try AuditRow.read(database, of: record, at: $0)
            }
            if row.number > number { continue }
            let count = try row.erase(record)
            if count == 0 { continue }
            erased += count
            try updateSections.bind(1, row.number)
            if row.form.isFirst { try updateSections.bindNull(3) } else { try updateSections.bind(3, []) }
            try updateSections.run(2, row.bytes)
        }
        return erased
    }

    // MARK: Heads

    /// The mark of the last row that mentions a record, or 0.
    func head(of record: RecordID) throws(StoreError) -> Int64 { try mark(of: record, selectHead) }

    /// The same of a record in whose row there is none.
    func rowlessHead(of record: RecordID) throws(StoreError) -> Int64 { try mark(of: record, selectRowless) }

    private func mark(of record: RecordID, _ select: Statement) throws(StoreError) -> Int64 {
        try select.bind(1, record.rawValue)
        defer { select.reset() }
        return try select.step() ? select.integer(0) : 0
    }

    /// Notes that the row with this mark mentions a record.
    func moveHead(of record: RecordID, to mark: Int64) throws(StoreError) {
        for statement in updateHeads + [insertHead] {
            try statement.bind(1, record.rawValue)
            try statement.bind(2, mark)
            try statement.run()
            if database.changedRows > 0 { return }
        }
    }
}
