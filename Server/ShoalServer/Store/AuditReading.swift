import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has a Record of its own.
import struct ShoalCRDT.Record

extension ServerStore {
    /// Some entries of the audit, newest first, from one snapshot.
    ///
    /// - Parameter viewer: whose view it is: of what an account does not see it is told nothing, and of accounts, devices and the
    ///   server only supervisors are told. Nil for everything.
    /// - Throws: `AccountProblem.unknownAccount`, `.badQuery`; `StoreError`.
    public func audit(_ query: AuditQuery, viewer: RecordID? = nil) throws -> AuditPage {
        try StoreError.mapping(path: path) {
            try pool.read { database in
                var reading = try AuditReading(database, query, viewer: viewer)
                try reading.run()
                return reading.page
            }
        }
    }
}

/// Reads a page of the audit.
private struct AuditReading {
    /// So many entries are looked at for a page, and so many bytes of rows are read, one row at least.
    private static let mostExamined = 2_000
    private static let mostBytes = 4 << 20

    let database: Database
    let view: AccountView?
    let record: RecordID?
    let author: RecordID?
    let since: Int64
    let limit: Int
    private(set) var page = AuditPage()
    private var before: Int64
    private var seen: [RecordID: Bool] = [:]
    private var names: [RecordID: String] = [:]
    private var devices: [ReplicaID: String] = [:]

    init(_ database: Database, _ query: AuditQuery, viewer: RecordID?) throws {
        self.database = database
        view = try viewer.map { try AccountView($0, database) }
        record = try query.record.map {
            guard let id = RecordID(text: $0) else { throw AccountProblem.badQuery("the record is no identifier") }
            return id
        }
        author = try query.account.map {
            guard let account = try ServerStore.account(database, named: $0) else {
                throw AccountProblem.unknownAccount($0)
            }
            return account
        }
        since = query.since ?? .min
        limit = query.limit ?? AuditQuery.usualLimit
        guard AuditQuery.limits.contains(limit) else {
            throw AccountProblem.badQuery("the limit is not from 1 to \(AuditQuery.limits.upperBound)")
        }
        before = query.before ?? .max
    }

    mutating func run() throws {
        if let record, try !isSeen(record) { return }
        var examined = 0
        var bytes = 0
        while let number = try newest() {
            guard let row = try row(of: number) else {
                before = number
                continue
            }
            bytes += row.sections.count
            let first: Int64 = row.number
            let sections = try row.sections.withUnsafeBytes { try AuditQueries.sections($0, first) }
            for index in sections.indices.reversed() where first + Int64(index) < before {
                if record != nil, first + Int64(index) != number { continue }
                before = first + Int64(index)
                examined += 1
                try take(sections[index], of: row)
                if page.entries.count == limit || examined == Self.mostExamined { return try finish() }
            }
            before = record == nil ? first : number
            if bytes >= Self.mostBytes { return try finish() }
        }
    }

    private mutating func finish() throws { page.next = try newest() == nil ? nil : before }

    /// The newest entry before `before`.
    private func newest() throws -> Int64? {
        if let record {
            return try Int64.fetchOne(
                database.cachedStatement(
                    sql: "SELECT max(number) FROM audit_record WHERE record = ? AND number < ?"),
                arguments: [record.rawValue, before])
        }
        return try Int64.fetchOne(
            database.cachedStatement(
                sql: "SELECT number FROM audit WHERE number < ? ORDER BY number DESC LIMIT 1"),
            arguments: [before])
    }

    private struct StoredRow {
        var number: Int64
        var time: Int64
        var account: RecordID
        var replica: ReplicaID
        var action: AuditAction
        var sections: [UInt8]
    }

    private func row(of number: Int64) throws -> StoredRow? {
        let statement = try database.cachedStatement(
            sql: """
                SELECT number, time, account, replica, action, sections FROM audit WHERE number <= ?
                ORDER BY number DESC LIMIT 1
                """)
        guard let row = try Row.fetchOne(statement, arguments: [number]) else { return nil }
        let first: Int64 = try row.checked(0)
        guard let action = AuditAction(rawValue: try row.checked(4)) else {
            throw StoreError.damaged(path: "audit \(first)", reason: "its action is none of this version")
        }
        return try StoredRow(
            number: first, time: row.checked(1), account: RecordID(rawValue: row.checked(2)),
            replica: ReplicaID(rawValue: UInt32(truncatingIfNeeded: row.checked(3, as: Int64.self))), action: action,
            sections: Array(row.checked(5, as: Data.self)))
    }

    private mutating func take(_ section: AuditSections.Section, of row: StoredRow) throws {
        if let author, row.account != author { return }
        guard row.time >= since, try isSeen(section.record) else { return }
        var changes: [AuditChange] = []
        if !section.isErased {
            changes = try row.sections.withUnsafeBytes { bytes in
                do throws(DecodingFailure) {
                    return try AuditCoding.changes(UnsafeRawBufferPointer(rebasing: bytes[section.body]))
                } catch { throw StoreError.damaged(path: "audit \(before)", reason: error.description) }
            }
        }
        let isServer = row.account == StoreWriter.serverAccount
        page.entries.append(
            AuditLine(
                number: before, at: PlainTime.text(row.time), account: isServer ? nil : row.account.description,
                by: isServer ? nil : try name(of: row.account),
                replica: row.replica.rawValue == 0 ? nil : row.replica.text,
                device: try device(of: row.replica), action: row.action,
                record: section.record.rawValue == 0 ? nil : section.record.description,
                changes: changes.map { AuditLine.Change($0) }, erased: section.isErased))
    }

    /// Whether the viewer is told of what was done to a record.
    private mutating func isSeen(_ id: RecordID) throws -> Bool {
        guard let view, !view.isEverything else { return true }
        if let known = seen[id] { return known }
        var isSeen = false
        if let row = try Row.fetchOne(
            database.cachedStatement(sql: RecordTable.selectOne), arguments: [id.rawValue]),
            let envelope = try? row.checked(1, as: Data.self).withUnsafeBytes({
                try Record.envelope(of: id, sequence: row.checked(0), packed: $0)
            })
        {
            isSeen = envelope.kind != .none && !envelope.kind.isServers ? try view.sees(envelope) : false
        }
        seen[id] = isSeen
        return isSeen
    }

    private mutating func name(of account: RecordID) throws -> String? {
        if let known = names[account] { return known }
        let name = try String.fetchOne(
            database.cachedStatement(sql: "SELECT name FROM account WHERE id = ?"), arguments: [account.rawValue])
        names[account] = name
        return name
    }

    private mutating func device(of replica: ReplicaID) throws -> String? {
        if let known = devices[replica] { return known.isEmpty ? nil : known }
        let name = try String.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT name FROM device_replica JOIN credential ON credential.replica = device
                    WHERE device_replica.replica = ?
                    """), arguments: [Int64(replica.rawValue)])
        devices[replica] = name ?? ""
        return name?.isEmpty == true ? nil : name
    }
}
