import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// What a repair did.
public struct RepairOutcome: Sendable, Equatable {
    /// Records whose row was replaced or made.
    public var replaced: [RecordID] = []
    /// Records whose row was removed, because the server does not have them.
    public var removed: [RecordID] = []
    /// Records that had values of this replica's own, acknowledged operations which the server's record does not have and
    /// nothing stands in their place. They are in the log.
    public var missing: [RecordID] = []
    /// Whether a row could not be read, so that the derived tables had to be derived anew.
    public var rebuilt = false

    public mutating func add(_ other: RepairOutcome) {
        replaced += other.replaced
        removed += other.removed
        missing += other.missing
        rebuilt = rebuilt || other.rebuilt
    }
}

/// Makes rows what the server says they are, in a transaction. Log and tail stay as they are.
struct RepairStore {
    private let store: ReplicaStore
    private var outcome = RepairOutcome()
    private let own: Set<ReplicaID>

    init(_ store: ReplicaStore) {
        self.store = store
        own = Set(store.log.logs.map(\.replica))
    }

    mutating func run(_ repair: DigestSession.Repair) throws -> RepairOutcome {
        store.forgetCached()
        for head in repair.page.heads {
            var record = Record(id: head.id)
            record.setEnvelope(head.envelope)
            for entry in repair.page.entries[head.entries] { record.appendInOrder(entry, from: repair.page.arena) }
            try replace(head.id, by: record)
            outcome.replaced.append(head.id)
        }
        // A server that has lost them may ask for them; nobody else may have them any more.
        try StockStore(store).keep(repair.gone)
        for id in repair.gone {
            try replace(id, by: nil)
            outcome.removed.append(id)
        }
        if outcome.rebuilt { try store.rebuildProjections() }
        return outcome
    }

    private mutating func replace(_ id: RecordID, by record: Record?) throws {
        let row: Record?
        do throws(StoreError) { row = try store.records.read(id) } catch {
            guard case .damagedRecord = error else { throw error }
            // What the derived tables have of it came from a row that nobody can read any more.
            outcome.rebuilt = true
            try write(id, record)
            return
        }
        if let row, lacksOwn(row, record) { outcome.missing.append(id) }
        if outcome.rebuilt { return try write(id, record) }
        var old = row ?? Record(id: id)
        try store.log.overlay(&old)
        try write(id, record)
        try store.show(from: old, to: try store.effective(id))
    }

    private func write(_ id: RecordID, _ record: Record?) throws {
        guard let record else { return try store.records.delete(id) }
        try store.records.write(record, sequence: 0)
        try store.scopes.add(id, record.envelope)
    }

    /// Whether a row has a value that this replica wrote and the server acknowledged, of which the server's record has
    /// nothing, nor anything else in its cell.
    private func lacksOwn(_ row: Record, _ record: Record?) -> Bool {
        guard row.isPresent else { return false }
        var isMissing = false
        row.forEachCell { cell in
            guard !isMissing, row.entries[cell].contains(where: { isOwn($0) }) else { return }
            guard let record else {
                isMissing = true
                return
            }
            let key = row.entries[cell.lowerBound].key
            let there = record.range(of: key, in: row.arena)
            isMissing = !record.entries[there].contains { !$0.kind.isMarker }
        }
        return isMissing
    }

    private func isOwn(_ entry: Entry) -> Bool {
        !entry.kind.isMarker && entry.kind != .absent && own.contains(entry.dot.replica)
    }
}
