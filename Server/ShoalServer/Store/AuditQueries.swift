import Crypto
import Foundation
import GRDB
import ShoalCRDT
import ShoalStore

import class ShoalStore.Statement

/// Appends to the audit, in the transaction under way; used only on the writer's queue.
final class AuditQueries {
    private let insertRow: Statement
    private let insertRecord: Statement
    private let updateHead: Statement
    private let updateSections: Statement
    private let selectNumbers: Statement
    private let selectSections: Statement
    /// Of which the salts are made. Known to this process alone and never written, so that nobody can make one again.
    private let secret: [UInt8]
    private var salts: UInt64 = 0

    init(_ database: Database, secret: [UInt8]) throws(StoreError) {
        self.secret = secret
        insertRow = try Statement(
            database,
            """
            INSERT INTO audit (number, count, time, account, replica, action, sections, hash)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            """)
        insertRecord = try Statement(database, "INSERT INTO audit_record (record, number) VALUES (?1, ?2)")
        updateHead = try Statement(database, "UPDATE server SET audit_number = ?1, audit_hash = ?2")
        updateSections = try Statement(database, "UPDATE audit SET sections = ?2 WHERE number = ?1")
        selectNumbers = try Statement(
            database, "SELECT number FROM audit_record WHERE record = ?1 AND number > ?2 ORDER BY number LIMIT 1")
        selectSections = try Statement(
            database, "SELECT number, sections FROM audit WHERE number <= ?1 ORDER BY number DESC LIMIT 1")
    }

    static func head(_ database: Database) throws -> AuditHead {
        guard let row = try Row.fetchOne(database, sql: "SELECT audit_number, audit_hash FROM server") else {
            throw StoreError.damaged(path: "server", reason: "the server's own row is missing")
        }
        return try AuditHead(number: row.checked(0), hash: Array(row.checked(1, as: Data.self)))
    }

    /// Begins the changes of an entry with a salt that no other has.
    func begin(_ bytes: inout [UInt8]) {
        bytes.removeAll(keepingCapacity: true)
        salts &+= 1
        var hasher = SHA256()
        hasher.update(data: secret)
        withUnsafeBytes(of: salts.littleEndian) { hasher.update(bufferPointer: $0) }
        hasher.finalize().withUnsafeBytes { bytes.append(contentsOf: $0.prefix(AuditCoding.saltLength)) }
    }

    /// Appends a row after `head`, and moves that.
    func append(_ sections: AuditSections, _ author: AuditAuthor, to head: inout AuditHead) throws(StoreError) {
        if sections.records.isEmpty { return }
        let first = head.number + 1
        let hash = sections.hash(after: head, author)
        try insertRow.bind(1, first)
        try insertRow.bind(2, Int64(sections.records.count))
        try insertRow.bind(3, author.time)
        try insertRow.bind(4, author.account.rawValue)
        try insertRow.bind(5, Int64(author.replica.rawValue))
        try insertRow.bind(6, author.action.rawValue)
        try insertRow.bind(8, hash)
        try insertRow.run(7, sections.bytes)
        for (index, record) in sections.records.enumerated() where record.rawValue != 0 {
            try insertRecord.bind(1, record.rawValue)
            try insertRecord.bind(2, first + Int64(index))
            try insertRecord.run()
        }
        head = AuditHead(number: head.number + Int64(sections.records.count), hash: hash)
    }

    func write(_ head: AuditHead) throws(StoreError) {
        try updateHead.bind(1, head.number)
        try updateHead.bind(2, head.hash)
        try updateHead.run()
    }

    /// Erases what all entries about a record say of values; who, when and what was changed stays.
    ///
    /// - Returns: how many entries it were.
    func erase(_ record: RecordID) throws -> Int {
        var erased = 0
        var place: Int64 = 0
        while let number = try number(of: record, after: place) {
            place = number
            guard let row = try row(of: number) else { continue }
            var isChanged = false
            var sections = AuditSections()
            try row.bytes.withUnsafeBytes { bytes in
                for section in try Self.sections(bytes, row.number) {
                    if section.isErased || section.record == record {
                        if !section.isErased { erased += 1 }
                        isChanged = isChanged || !section.isErased
                        sections.append(section.record, erased: section.digest(in: bytes))
                    } else {
                        sections.append(section.record, Array(bytes[section.body]))
                    }
                }
            }
            guard isChanged else { continue }
            try updateSections.bind(1, row.number)
            try updateSections.run(2, sections.bytes)
        }
        return erased
    }

    static func sections(_ bytes: UnsafeRawBufferPointer, _ number: Int64) throws -> [AuditSections.Section] {
        do throws(DecodingFailure) { return try AuditSections.read(bytes) } catch {
            throw StoreError.damaged(path: "audit \(number)", reason: error.description)
        }
    }

    private func number(of record: RecordID, after place: Int64) throws(StoreError) -> Int64? {
        try selectNumbers.bind(1, record.rawValue)
        try selectNumbers.bind(2, place)
        defer { selectNumbers.reset() }
        return try selectNumbers.step() ? selectNumbers.integer(0) : nil
    }

    private func row(of number: Int64) throws(StoreError) -> (number: Int64, bytes: [UInt8])? {
        try selectSections.bind(1, number)
        defer { selectSections.reset() }
        return try selectSections.step()
            ? (selectSections.integer(0), Array(selectSections.bytes(1))) : nil
    }
}
