import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record
import class ShoalStore.Statement

/// What belongs to which scope, and which scopes leave the account's view. Called inside a transaction.
///
/// `member` names the scope of every row in `detail`, and of those that were here once: this home's log may speak of them.
final class ScopeStore {
    private let insertMember: Statement
    private let selectMembers: Statement
    private let insertLeaving: Statement
    private let deleteLeaving: Statement
    private let deleteAllLeaving: Statement
    private let selectLeaving: Statement

    init(_ database: Database) throws(StoreError) {
        insertMember = try Statement(database, "INSERT OR IGNORE INTO member (scope, record) VALUES (?1, ?2)")
        selectMembers = try Statement(database, "SELECT record FROM member WHERE scope = ?1 ORDER BY record")
        insertLeaving = try Statement(database, "INSERT OR IGNORE INTO leaving (scope) VALUES (?1)")
        deleteLeaving = try Statement(database, "DELETE FROM leaving WHERE scope = ?1")
        deleteAllLeaving = try Statement(database, "DELETE FROM leaving")
        selectLeaving = try Statement(database, "SELECT scope FROM leaving ORDER BY scope")
    }

    /// Notes to what a record belongs.
    func add(_ id: RecordID, _ envelope: Envelope) throws(StoreError) {
        guard RecordTable.isDetail(id, envelope) else { return }
        for scope in envelope.scope.identifiers {
            try insertMember.bind(1, scope.rawValue)
            try insertMember.bind(2, id.rawValue)
            try insertMember.run()
        }
    }

    /// The record that is the scope, and all that belong to it or did once: after a loss another record may have the identifier.
    func records(in scope: RecordID) throws(StoreError) -> [RecordID] {
        try selectMembers.bind(1, scope.rawValue)
        defer { selectMembers.reset() }
        var records = [scope]
        while try selectMembers.step() { records.append(RecordID(rawValue: selectMembers.integer(0))) }
        return records
    }

    func noteLeaving(_ scope: RecordID) throws(StoreError) { try run(insertLeaving, scope) }
    func noteStaying(_ scope: RecordID) throws(StoreError) { try run(deleteLeaving, scope) }

    /// A fill says by itself what the account sees: what left before it began may be among that again.
    func forgetLeaving() throws(StoreError) { try deleteAllLeaving.run() }

    /// The scopes that left and whose rows are still here.
    func leaving() throws(StoreError) -> [RecordID] {
        defer { selectLeaving.reset() }
        var scopes: [RecordID] = []
        while try selectLeaving.step() { scopes.append(RecordID(rawValue: selectLeaving.integer(0))) }
        return scopes
    }

    private func run(_ statement: Statement, _ scope: RecordID) throws(StoreError) {
        try statement.bind(1, scope.rawValue)
        try statement.run()
    }
}

// How what is not in the account's view any more goes.
extension ReplicaStore {
    /// Removes the rows of a scope. Log and tail stay: what is unsent is shown by itself until its rows come again.
    func evict(_ scope: RecordID) throws {
        for id in try scopes.records(in: scope) {
            guard let row = try records.read(id), row.envelope.scope.identifiers.contains(scope) else { continue }
            let old = try effective(id)
            try records.delete(id)
            forgetCached()
            try show(from: old, to: try effective(id))
        }
        try scopes.noteStaying(scope)
    }

    /// Removes the scopes that left, but for those that unsent work speaks of: the operator sees them until it has its
    /// verdicts.
    ///
    /// - Returns: whether there was one.
    func evictLeft() throws -> Bool {
        let leaving = try scopes.leaving()
        if leaving.isEmpty { return false }
        var spoken: Set<RecordID> = []
        for id in try log.tailRecords() {
            spoken.insert(id)
            let record = try effective(id)
            if record.isMade { spoken.formUnion(record.envelope.scope.identifiers) }
        }
        let evicted = leaving.filter { !spoken.contains($0) }
        for scope in evicted { try evict(scope) }
        return !evicted.isEmpty
    }
}
