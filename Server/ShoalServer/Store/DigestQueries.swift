import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has types of the same names.
import class ShoalStore.Statement
import struct ShoalCRDT.Record

extension ServerStore {
    /// Answers a digest from one snapshot of the database.
    ///
    /// The records are compared as of the cursor: what changed later is left out and named, so that neither side takes a
    /// change for a difference. What the account does not see is not there.
    ///
    /// - Throws: `SyncProblem.otherEpoch`, `.foreignToken`; `StoreError`.
    public func digest(
        _ request: DigestRequest, account: RecordID, budget: Int = Limits.page
    ) throws -> DigestResponse {
        // After a rollback the replica's next sync brings it into the new epoch.
        guard request.epoch == epoch else { throw SyncProblem.otherEpoch }
        guard let cursor = seal.of(epoch: request.epoch).cursor(request.cursor, for: account) else {
            throw SyncProblem.foreignToken("cursor")
        }
        let (response, damaged) = try StoreError.mapping(path: path) {
            try pool.read { try digest($0, request, cursor, AccountView(account, $0), budget) }
        }
        try setAside(damaged)
        return response
    }

    private func digest(
        _ database: Database, _ request: DigestRequest, _ cursor: Cursor, _ view: AccountView, _ budget: Int
    ) throws -> (DigestResponse, [RecordID]) {
        let behind = DigestResponse(isBehind: true, seen: request.seen)
        guard let now = try Self.newestCommit(database), cursor.fill == nil, cursor.sequence == cursor.floor,
            // A server that was set back has other things to settle first; the sync finds out.
            cursor.commit.sequence <= now.sequence
        else { return (behind, []) }
        let tag = try Int64.fetchOne(
            database.cachedStatement(sql: "SELECT tag FROM commit_tag WHERE sequence = ?"),
            arguments: [cursor.commit.sequence])
        guard tag == Int64(cursor.commit.tag) else { return (behind, []) }
        // What changed since must all still be in the feed.
        let first = try Int64.fetchOne(database.cachedStatement(sql: "SELECT min(sequence) FROM feed"))
        guard (first ?? now.sequence + 1) <= cursor.floor + 1 else { return (behind, []) }
        // What moved into or out of the view since is for a sync to tell.
        let moves = try view.moves(after: cursor.floor)
        defer { moves.reset() }
        guard try !moves.step() else { return (behind, []) }
        let changed = try Int64.fetchAll(
            database.cachedStatement(sql: "SELECT DISTINCT record FROM feed WHERE sequence > ? LIMIT ?"),
            arguments: [max(cursor.floor, request.seen), Limits.digestWanted + 1])
        guard changed.count <= Limits.digestWanted else { return (behind, []) }
        let records = RecordsAsOf(view, floor: cursor.floor, quarantined: Set(quarantine.records))
        var response = try DigestResponder.respond(to: request, records, budget: budget)
        response.seen = now.sequence
        // An identifier that the account may not see is nobody's business, changed or not.
        let omitted = try (changed.map(RecordID.init(rawValue:)) + records.quarantined).filter {
            try records.isSeen($0)
        }
        response.omitted = Set(omitted).sorted()
        return (response, records.damaged)
    }
}

/// The records of a view that have not changed since a sequence.
private final class RecordsAsOf: DigestRecords {
    private let view: AccountView
    private let floor: Int64
    private(set) var quarantined: Set<RecordID>
    /// Those of them that were found just now.
    private(set) var damaged: [RecordID] = []
    private var scratch: [UInt8] = []

    init(_ view: AccountView, floor: Int64, quarantined: Set<RecordID>) {
        self.view = view
        self.floor = floor
        self.quarantined = quarantined
    }

    private func scan(_ range: IdentifierRange, _ body: (Record) throws -> Void) throws {
        guard range.lower < range.upper, range.upper <= IdentifierRange.end else { return }
        let (first, last) = (Int64(bitPattern: range.lower), Int64(bitPattern: range.upper - 1))
        if view.isEverything {
            let select = try view.statement(.rowsBetween)
            try select.bind(1, first)
            try select.bind(2, last)
            defer { select.reset() }
            while try select.step() {
                try take(RecordID(rawValue: select.integer(0)), select.integer(1), select.bytes(2), body)
            }
            return
        }
        let select = try view.statement(.row)
        try view.forEachIdentifier(from: first, to: last) { id in
            try select.bind(1, id)
            defer { select.reset() }
            if try select.step() { try take(RecordID(rawValue: id), select.integer(0), select.bytes(1), body) }
        }
    }

    private func take(
        _ id: RecordID, _ sequence: Int64, _ packed: UnsafeRawBufferPointer, _ body: (Record) throws -> Void
    ) throws {
        if sequence > floor || quarantined.contains(id) { return }
        let record: Record
        do throws(StoreError) {
            record = try RecordTable.record(id, sequence: sequence, packed: packed)
        } catch {
            guard case .damagedRecord = error else { throw error }
            quarantined.insert(id)
            damaged.append(id)
            return
        }
        guard record.isPresent else { return }
        if case .pair = record.envelope.scope, try !view.sees(record.envelope) { return }
        try body(record)
    }

    /// Whether the account sees a record; one whose row cannot be read belongs to whom `member` says.
    func isSeen(_ id: RecordID) throws -> Bool {
        if view.isEverything { return true }
        let select = try view.statement(.row)
        try select.bind(1, id.rawValue)
        defer { select.reset() }
        if try select.step(),
            let record = try? RecordTable.record(id, sequence: select.integer(0), packed: select.bytes(1))
        {
            return try view.sees(record.envelope)
        }
        let scopes = try view.scopes(of: id)
        return try !scopes.isEmpty && scopes.allSatisfy(view.sees)
    }

    func forEachFingerprint(
        in range: IdentifierRange, _ body: (RecordID, RecordFingerprint) throws -> Void
    ) throws {
        try scan(range) { try body($0.id, $0.fingerprint(scratch: &scratch)) }
    }

    func record(_ id: RecordID) throws -> Record? {
        guard id.isValid else { return nil }
        var found: Record?
        let place = UInt64(id.rawValue)
        try scan(IdentifierRange(place, place + 1)) { found = $0 }
        return found
    }

    func isOmitted(_ id: RecordID) -> Bool { quarantined.contains(id) }
}
