import GRDB
import ShoalCRDT
import ShoalStore

import class ShoalStore.Statement
import struct ShoalCRDT.Record

/// Which records belong to which scope: the table `member`. Those of the workspace belong to scope 0; a customer belongs to
/// itself and has no row.
final class MemberQueries {
    private let insert: Statement
    private let remove: Statement
    private let selectOne: Statement

    init(_ database: Database) throws(StoreError) {
        insert = try Statement(database, "INSERT OR IGNORE INTO member (scope, record) VALUES (?1, ?2)")
        remove = try Statement(database, "DELETE FROM member WHERE scope = ?1 AND record = ?2")
        selectOne = try Statement(database, "SELECT 1 FROM member WHERE scope = ?1 LIMIT 1")
    }

    func add(_ id: RecordID, _ envelope: Envelope) throws(StoreError) {
        if envelope.scope == .workspace { return try run(insert, RecordID(rawValue: 0), id) }
        for scope in envelope.scope.identifiers where scope != id { try run(insert, scope, id) }
    }

    func remove(_ id: RecordID, _ envelope: Envelope) throws(StoreError) {
        if envelope.scope == .workspace { return try run(remove, RecordID(rawValue: 0), id) }
        for scope in envelope.scope.identifiers where scope != id { try run(remove, scope, id) }
    }

    private func run(_ statement: Statement, _ scope: RecordID, _ id: RecordID) throws(StoreError) {
        try statement.bind(1, scope.rawValue)
        try statement.bind(2, id.rawValue)
        try statement.run()
    }

    /// Whether anything belongs to a record, present or not.
    func hasMembers(_ scope: RecordID) throws(StoreError) -> Bool {
        try selectOne.bind(1, scope.rawValue)
        defer { selectOne.reset() }
        return try selectOne.step()
    }

    /// Fills the table from the records of a database of an earlier version.
    static func derive(_ database: Database) throws {
        let members = try MemberQueries(database)
        let rows = try Statement(database, "SELECT id, sequence, cells FROM detail")
        while try rows.step() {
            let id = RecordID(rawValue: rows.integer(0))
            try members.add(id, try envelope(of: id, sequence: rows.integer(1), packed: rows.bytes(2)))
        }
    }

    private static func envelope(
        of id: RecordID, sequence: Int64, packed: UnsafeRawBufferPointer
    ) throws(StoreError) -> Envelope {
        do throws(DecodingFailure) { return try Record.envelope(of: id, sequence: sequence, packed: packed) } catch {
            throw .damaged(path: "record \(id)", reason: error.description)
        }
    }
}
