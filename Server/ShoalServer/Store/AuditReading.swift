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

extension ServerStore {
    /// The same for whoever administers the server. That everything is read is an entry itself, with the first page.
    public func auditForOperator(_ query: AuditQuery, time: Int64) throws -> AuditPage {
        let page = try audit(query)
        if query.record == nil, query.before == nil { try note(.audit, time: time) }
        return page
    }
}

/// Reads a page of the audit.
private struct AuditReading {
    /// So many entries are looked at for a page, and so many bytes of rows are read, one row at least.
    private static let mostExamined = 2_000
    private static let mostBytes = 1 << 20

    let database: Database
    let view: AccountView?
    let record: RecordID?
    let author: RecordID?
    let since: Int64
    let limit: Int
    private(set) var page = AuditPage()
    private var before: Int64
    private var seen: [RecordID: Bool] = [:]
    private var formerLives: [RecordID: Int64] = [:]
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
        var next = try first()
        while let row = next {
            let sections = try row.sections()
            next = try self.row(before: row, sections)
            bytes += row.bytes.count
            examined += 1
            for section in sections.reversed() {
                let number = row.number &+ Int64(section.index)
                if number >= before || (record != nil && section.record != record) { continue }
                before = number
                examined += 1
                try take(section, of: row)
                if page.entries.count >= limit || examined >= Self.mostExamined {
                    let isRest = sections.contains {
                        $0.index < section.index && (record == nil || $0.record == record)
                    }
                    return finish(isRest || next != nil)
                }
            }
            before = min(before, row.number)
            if bytes >= Self.mostBytes { return finish(next != nil) }
        }
    }

    private mutating func finish(_ isMore: Bool) { page.next = isMore ? before : nil }

    /// The row to begin with: with the last entry before `before`, or, about one record, the one that holds the entry `before`
    /// itself, from where its links lead on.
    private func first() throws -> AuditRow? {
        if before < 1 { return nil }
        guard let record else { return try AuditRow.read(database, upTo: before - 1) }
        return before == .max
            ? try AuditRow.newest(of: record, database) : try AuditRow.read(database, upTo: before)
    }

    /// The row to go on with. Who asks for a record's entries from an arbitrary place on looks through all rows, until one
    /// mentions it.
    private func row(before row: AuditRow, _ sections: [AuditSection]) throws -> AuditRow? {
        guard let record, let place = row.place(before: record, sections) else {
            return try AuditRow.read(database, upTo: row.number &- 1)
        }
        return try AuditRow.read(database, of: record, at: place)
    }

    private mutating func take(_ section: AuditSection, of row: AuditRow) throws {
        let author = row.author
        if let wanted = self.author, author.account != wanted { return }
        guard author.time >= since, try isSeen(section.record), try before > formerLife(of: section.record) else {
            return
        }
        var changes: [AuditChange] = []
        if !section.isErased {
            changes = try row.bytes.withUnsafeBytes { bytes in
                do throws(DecodingFailure) {
                    return try AuditCoding.changes(of: section, in: bytes, row.form)
                } catch { throw StoreError.damaged(path: "audit \(before)", reason: error.description) }
            }
        }
        if author.action == .handoverRefuse, try isStrangers(changes, author) { return }
        let isServer = author.account == StoreWriter.serverAccount
        page.entries.append(
            AuditLine(
                number: before, at: PlainTime.text(author.time), account: isServer ? nil : author.account.description,
                by: isServer ? nil : try name(of: author.account),
                replica: author.replica.rawValue == 0 ? nil : author.replica.text,
                device: try device(of: author.replica), action: author.action,
                record: section.record.rawValue == 0 ? nil : section.record.description,
                changes: changes.map { AuditLine.Change($0) }, erased: section.isErased))
    }

    /// Whether a revoked device spoke of a record that its account never saw: nobody but supervisors has to read what it said.
    private func isStrangers(_ changes: [AuditChange], _ author: AuditAuthor) throws -> Bool {
        guard let view, !view.isEverything, author.account != view.account else { return false }
        return changes.contains(.named("refused", from: nil, to: RefusalReason.unknownRecord.rawValue))
    }

    /// The last entry that is about another record, which was called so before this one was made.
    private mutating func formerLife(of id: RecordID) throws -> Int64 {
        if view?.isEverything != false { return 0 }
        if let known = formerLives[id] { return known }
        let last = try Int64.fetchOne(
            database.cachedStatement(sql: ErasureQueries.selectFormerLife), arguments: [id.rawValue])
        formerLives[id] = last ?? 0
        return last ?? 0
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
