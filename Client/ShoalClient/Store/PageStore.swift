import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// What a commit of a server's answer did.
public struct CommitOutcome: Sendable {
    /// Changes of others (cells that look different now) that became effective here.
    public var pulled = 0
    /// Operations newly set aside.
    public var refused: [(record: RecordID, reason: String)] = []
    /// Whether a customer went that the account does not see any more.
    var hasEvicted = false
}

/// Takes over a server's answer. Called inside a transaction.
struct PageStore {
    private let store: ReplicaStore
    private let commit: ClientSession.Commit
    private var page: RecordPage
    private var standing: Standing
    private var outcome = CommitOutcome()
    /// The log that was pushed, by its index.
    private let pushed: Int
    /// The last position of the log that the server has taken.
    private let taken: Int64
    /// Whether changes of texts came without their values.
    private var hasOwnChanges = false
    /// Operations up to `taken` that still overlay, by record.
    private var leaving: [RecordID: [Int64]]
    /// Whether anything overlays at all beyond those.
    private let overlaid: Set<RecordID>

    private let clockOffset: Int64?

    init(_ store: ReplicaStore, _ commit: ClientSession.Commit, clockOffset: Int64?) throws {
        guard let pushed = store.log.logs.firstIndex(where: { $0.isOwn && $0.replica == commit.replica }),
            commit.takenUpTo <= store.log.logs[pushed].end
        else { throw SyncError.session(.protocolError("the answer is about another log")) }
        self.pushed = pushed
        self.store = store
        self.clockOffset = clockOffset
        self.commit = commit
        page = commit.page
        standing = store.standing
        taken = store.log.logs[pushed].base + Int64(commit.takenUpTo)
        leaving = try store.log.tailPositions(upTo: taken)
        overlaid = try store.log.tailRecords()
    }

    mutating func run() throws -> CommitOutcome {
        store.forgetCached()
        // First: what is said about it below must find nothing.
        try ErasureStore.erase(commit.erased, store)
        try acknowledge()
        for verdict in commit.verdicts { try setAside(verdict) }
        try fillOwn()
        try beginFill()
        try move()
        for position in page.heads.indices { try take(position) }
        try StockStore(store).note(page)
        if commit.isLast {
            for (record, positions) in leaving { try leave(record, positions) }
            leaving = [:]
        }
        try endFill()
        if try store.evictLeft() { outcome.hasEvicted = true }
        try StandingStore.advanceVector(commit.positions, commit.checks, store.database)
        standing.cursor = commit.cursor
        if commit.isLast { store.mayLoseCursor = true }
        if !commit.acknowledgement.isEmpty { standing.acknowledgement = commit.acknowledgement }
        let now = store.environment.now()
        standing.clockOffset = clockOffset ?? commit.serverTime &- now
        standing.hasToldPlaces = true
        standing.lease.renew(at: commit.serverTime, days: commit.lease)
        standing.role = try StandingStore.role(of: standing.account, store.database) ?? standing.role
        if commit.isLast { standing.lastSync = now &+ standing.clockOffset }
        try store.setStanding(standing)
        if let number = commit.identifierTaken {
            try Healing(store).renameRecord(madeAt: store.log.logs[pushed].base + Int64(number))
        }
        return outcome
    }

    private func acknowledge() throws {
        guard commit.takenUpTo > store.log.logs[pushed].acknowledged else { return }
        guard let hash = try store.log.hash(at: taken) else {
            throw SyncError.session(.protocolError("operation \(commit.takenUpTo) is not in the log"))
        }
        try store.setAcknowledged(commit.takenUpTo, hash, of: pushed)
    }

    // MARK: Tail

    private mutating func setAside(_ verdict: Verdict) throws {
        guard verdict.number <= commit.takenUpTo else { return }
        let position = store.log.logs[pushed].base + Int64(verdict.number)
        guard let (record, reason) = try store.setAside(position, verdict.reason) else { return }
        outcome.refused.append((record, reason.rawValue))
        leaving[record]?.removeAll { $0 == position }
    }

    private func leave(_ id: RecordID, _ positions: [Int64]) throws {
        if !positions.isEmpty { try store.leaveTail(id, positions) }
    }

    private func show(from old: Record?, to new: Record) throws { try store.show(from: old, to: new) }

    // MARK: View

    /// What entered again comes whole from this page on; what left goes at the end, if no unsent work speaks of it.
    private func move() throws {
        for scope in commit.moves.entered { try store.evict(scope) }
        for scope in commit.moves.left { try store.scopes.noteLeaving(scope) }
    }

    // MARK: Page

    private mutating func take(_ position: Int) throws {
        let head = page.heads[position]
        try checkOrder(head)
        var entries = page.entries[head.entries]
        for index in entries.indices where entries[index].sequence != 0 { entries[index].sequence = 0 }
        let row = standing.fill == .initial ? nil : try store.records.read(head.id)
        var record = commit.isFill ? Record(id: head.id) : row ?? Record(id: head.id)
        record.setEnvelope(head.envelope)
        if record.entries.isEmpty {
            for entry in entries { record.appendInOrder(entry, from: page.arena) }
        } else {
            var start = entries.startIndex
            while start < entries.endIndex {
                let end = endOfCell(entries, from: start)
                record.takeCell(entries[start..<end], from: page.arena)
                start = end
            }
        }
        // An own change came without its value, which the log holds as it was written.
        if hasOwnChanges, entries.contains(where: { $0.kind == .textChange }) { record.dropDeletedTexts(sequence: 0) }
        // What is empty is only news: a row holds no marks of emptied cells, and a record without entries has no row.
        if entries.contains(where: { $0.kind == .emptied }) { record.forgetEmptied() }
        if record.entries.isEmpty {
            if row != nil { try store.records.delete(head.id) }
        } else {
            // After a rollback an identifier may belong to another record, which may lie in the other table.
            if let row, row.envelope != record.envelope { try store.records.delete(head.id) }
            try store.records.write(record, sequence: 0)
            if row?.envelope != record.envelope { try store.scopes.add(head.id, record.envelope) }
        }
        if standing.fill == .replacing { try see(head.id) }
        try follow(row, record, entries)
    }

    /// Lets tail, derived tables and counts follow a row that was written.
    private mutating func follow(_ row: Record?, _ record: Record, _ entries: ArraySlice<Entry>) throws {
        guard overlaid.contains(record.id) else {
            outcome.pulled += changedCells(entries, row, record)
            return try show(from: row, to: record)
        }
        var old = row ?? Record(id: record.id)
        try store.log.overlay(&old)
        outcome.pulled += changedCells(entries, old, record)
        for position in leaving.removeValue(forKey: record.id) ?? [] { try store.log.leaveTail(record.id, position) }
        var new = record
        try store.log.overlay(&new, after: taken)
        try show(from: old, to: new)
    }

    /// Gives the entries that came without their value the one that the log holds.
    private mutating func fillOwn() throws {
        var made = Operations()
        made.begin(record: RecordID(rawValue: 1), time: 0)
        made.edit(CellKey(.created), .present)
        for position in page.own.sorted() {
            let entry = page.entries[position]
            var batch = Operations()
            guard entry.dot.replica == commit.replica,
                try store.log.read(store.log.logs[pushed].base + Int64(entry.dot.number), into: &batch)
            else { throw SyncError.badAnswer("a value was left out that this replica does not hold") }
            let edit = batch.edits.first { CellOrder.compare($0.key, in: batch.arena, entry.key, in: page.arena) == 0 }
            hasOwnChanges = hasOwnChanges || entry.kind == .textChange
            if let edit {
                page.fill(position, with: edit, from: batch.arena)
            } else if entry.key.field == .created, batch.operations[0].creates != nil {
                page.fill(position, with: made.edits[0], from: made.arena)
            } else {
                throw SyncError.badAnswer("a value was left out of a cell that this replica did not write")
            }
        }
    }

    private func endOfCell(_ entries: ArraySlice<Entry>, from start: Int) -> Int {
        var end = start + 1
        while end < entries.endIndex,
            CellOrder.compare(entries[start].key, in: page.arena, entries[end].key, in: page.arena) == 0
        { end += 1 }
        return end
    }

    private func checkOrder(_ head: RecordPage.Head) throws {
        var index = head.entries.lowerBound + 1
        while index < head.entries.upperBound {
            let order = CellOrder.compare(
                page.entries[index - 1].key, in: page.arena, page.entries[index].key, in: page.arena)
            if order > 0 || (order == 0 && page.entries[index - 1].dot > page.entries[index].dot) {
                throw SyncError.badAnswer("the cells of \(head.id) are not in order")
            }
            index += 1
        }
    }

    /// How many of the cells that came look different from what the operator saw: echoes of own operations do not, nor
    /// does what was collected.
    private func changedCells(_ entries: ArraySlice<Entry>, _ old: Record?, _ record: Record) -> Int {
        guard old?.isPresent == true || record.isPresent else { return 0 }
        var changed = 0
        var start = entries.startIndex
        while start < entries.endIndex {
            let end = endOfCell(entries, from: start)
            if let old {
                let cell = old.range(of: entries[start].key, in: page.arena)
                let new = entries[start..<end].lazy.filter { !$0.kind.isMarker }
                let was = old.entries[cell].lazy.filter { !$0.kind.isMarker }
                if new.isEmpty, was.allSatisfy({ $0.kind == .absent }) {
                    start = end
                    continue
                }
                // Of a text come the changes that are new.
                let isText = new.contains { $0.kind == .textChange } || was.contains { $0.kind == .textChange }
                let isSame =
                    isText
                    ? new.allSatisfy { entry in was.contains { $0.dot == entry.dot && $0.isCovered == entry.isCovered }
                    }
                        && was.allSatisfy { entry in
                            entry.kind == .textChange || new.contains { $0.dot == entry.dot }
                        }
                    : was.elementsEqual(new, by: { $0.dot == $1.dot && $0.isCovered == $1.isCovered })
                if !isSame { changed += 1 }
            } else {
                changed += 1
            }
            start = end
        }
        return changed
    }

    // MARK: Fill

    private mutating func beginFill() throws {
        // An answer without a page says nothing about a fill under way.
        guard commit.cursor != standing.cursor else { return }
        guard commit.isFill else { return try finishFill() }
        if standing.fill != .none, try !restarts() { return }
        let isEmpty =
            try Row.fetchOne(
                store.database.cachedStatement(sql: "SELECT 1 FROM record UNION ALL SELECT 1 FROM detail LIMIT 1"))
            == nil
        standing.fill = isEmpty ? .initial : .replacing
        try store.scopes.forgetLeaving()
        try store.database.cachedStatement(sql: "DELETE FROM fill_seen").execute()
    }

    /// Whether this page begins anew a fill that did not finish: it says so, it was asked for from the beginning, or it
    /// names again what a fill names once. What only the earlier attempt named may be gone since, so it does not count as named.
    private func restarts() throws -> Bool {
        if commit.beginsFill || standing.cursor.isEmpty { return true }
        // An initial fill writes every record: its first and last tell, without a look-up for each.
        let heads = standing.fill == .initial ? [page.heads.first, page.heads.last].compactMap(\.self) : page.heads
        let statement = try store.database.cachedStatement(
            sql: standing.fill == .initial
                ? "SELECT 1 FROM (SELECT id FROM record UNION ALL SELECT id FROM detail) WHERE id = ?"
                : "SELECT 1 FROM fill_seen WHERE record = ?")
        return try heads.contains { try Int.fetchOne(statement, arguments: [$0.id.rawValue]) != nil }
    }

    private mutating func endFill() throws {
        if commit.isFill, commit.isLast { try finishFill() }
    }

    private func see(_ id: RecordID) throws {
        try store.database.cachedStatement(sql: "INSERT OR IGNORE INTO fill_seen (record) VALUES (?)")
            .execute(arguments: [id.rawValue])
    }

    /// What a replacing fill did not name is removed when it finishes.
    private mutating func finishFill() throws {
        if standing.fill == .replacing {
            let gone = try Int64.fetchAll(
                store.database.cachedStatement(
                    sql: """
                        SELECT id FROM (SELECT id FROM record UNION ALL SELECT id FROM detail)
                        WHERE id NOT IN (SELECT record FROM fill_seen)
                        """))
            for id in gone.map(RecordID.init(rawValue:)) {
                let old = try store.effective(id)
                // What was deleted is not named either, and is nobody's secret.
                if old.isPresent, old.envelope.kind == .customer { outcome.hasEvicted = true }
                try store.records.delete(id)
                try show(from: old, to: try store.effective(id))
            }
            try store.database.cachedStatement(sql: "DELETE FROM fill_seen").execute()
        }
        try StockStore(store).dropEqual()
        if standing.fill != .none { try store.forgetProven() }
        if standing.earlierEnd == .max { standing.earlierEnd = store.current.endPosition }
        standing.fill = .none
    }
}
