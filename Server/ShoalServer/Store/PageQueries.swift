import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has types of the same names.
import class ShoalStore.Statement
import struct ShoalCRDT.Record

extension ServerStore {
    /// Reads the page that begins at a cursor, from one snapshot of the database.
    ///
    /// - Parameters:
    ///   - cursor: as the replica sent it; empty to begin a fill.
    ///   - own: the dots whose values the replica still holds.
    ///   - account: whose replica it is.
    ///   - epoch: the one that the request named, whose cursor the answer carries on; nil for the server's.
    ///   - budget: the weight in bytes at which the page is closed. A record's change is never split, so a page holds at
    ///     least one.
    /// - Throws: `SyncProblem.foreignToken` for a cursor that this server did not make, `StoreError`.
    public func page(
        cursor: String, own: ServerSession.Holdings, account: RecordID, epoch: UInt64? = nil,
        budget: Int = Limits.page
    ) throws -> ServerSession.Page {
        let seal = seal.of(epoch: epoch ?? self.epoch)
        let read = try StoreError.mapping(path: path) {
            try pool.read { try page($0, cursor: cursor, seal, own: own, account: account, budget: budget) }
        }
        try setAside(read.damaged)
        return read.page
    }

    /// The same without blocking the calling task's thread.
    ///
    /// It runs on the reader's own queue from beginning to end: were a reader held while its task waits for a thread, those
    /// who wait for a reader with all the threads of tasks would wait for ever.
    func page(
        cursor: String, own: ServerSession.Holdings, account: RecordID, epoch: UInt64, budget: Int = Limits.page
    ) async throws -> ServerSession.Page {
        let seal = seal.of(epoch: epoch)
        do {
            let read = try await withCheckedThrowingContinuation { continuation in
                pool.asyncRead { database in
                    continuation.resume(
                        with: Result {
                            try self.page(
                                database.get(), cursor: cursor, seal, own: own, account: account, budget: budget)
                        })
                }
            }
            try setAside(read.damaged)
            return read.page
        } catch let error as DatabaseError { throw StoreError(error, path: path) }
    }

    private func page(
        _ database: Database, cursor text: String, _ seal: Seal, own: ServerSession.Holdings, account: RecordID,
        budget: Int
    ) throws -> (page: ServerSession.Page, damaged: [RecordID]) {
        guard let now = try Self.newestCommit(database) else {
            throw StoreError.damaged(path: path, reason: "there is no commit")
        }
        var cursor = Cursor(
            sequence: now.sequence, commit: now, floor: now.sequence, hasPositions: false, fill: Cursor.Fill(record: 0))
        var beginsFill = true
        if !text.isEmpty {
            guard let opened = seal.cursor(text, for: account) else {
                throw SyncProblem.foreignToken("cursor")
            }
            // Below the collection point things are gone that the replica was never told: it begins anew.
            if opened.floor >= (try Self.collectionPoint(database)) {
                cursor = opened
                beginsFill = false
            }
        }
        let isFill = cursor.fill != nil
        var reader = PageReader(own: mayLeaveOwnOut ? own : .nothing, budget: budget)
        if let fill = cursor.fill {
            if let last = try reader.fill(database, after: fill.record) {
                cursor.fill = Cursor.Fill(record: last)
            } else {
                cursor.fill = nil
            }
        } else {
            let last = try reader.changes(database, after: cursor.sequence, floor: cursor.floor)
            cursor.sequence = last ?? now.sequence
        }
        cursor.commit = now
        let more = cursor.fill != nil || cursor.sequence < now.sequence
        var positions: [Dot] = []
        if !more {
            positions = try Self.positions(database, after: cursor.hasPositions ? cursor.floor : 0)
            cursor.floor = now.sequence
            cursor.hasPositions = true
        }
        let page = ServerSession.Page(
            page: reader.page, cursor: seal.close(cursor, for: account), more: more, isFill: isFill,
            beginsFill: beginsFill, positions: positions)
        return (page, reader.damaged)
    }

    private static func collectionPoint(_ database: Database) throws -> Int64 {
        let statement = try database.cachedStatement(sql: "SELECT collected FROM collection")
        return try Int64.fetchOne(statement) ?? 0
    }

    /// The logs that moved in commits after `sequence`, and to where.
    private static func positions(_ database: Database, after sequence: Int64) throws -> [Dot] {
        let statement = try Statement(
            cachedIn: database,
            "SELECT replica, position FROM log WHERE sequence > ?1 AND position > 0 ORDER BY replica")
        try statement.bind(1, sequence)
        var positions: [Dot] = []
        while try statement.step() {
            let replica = ReplicaID(rawValue: UInt32(truncatingIfNeeded: statement.integer(0)))
            positions.append(Dot(replica, UInt32(truncatingIfNeeded: statement.integer(1))))
        }
        return positions
    }
}

/// Gathers records and cells until the budget is used up.
private struct PageReader {
    private(set) var page = RecordPage()
    /// Rows that could not be read and were passed over: once mended they get a new sequence and come then.
    private(set) var damaged: [RecordID] = []
    private let own: ServerSession.Holdings
    private let budget: Int

    init(own: ServerSession.Holdings, budget: Int) {
        self.own = own
        self.budget = budget
    }

    /// Whole present records after `id`, and deleted customers: what belongs to one may be present, or be on its way.
    ///
    /// - Returns: the last record that was looked at, or nil when there are no more.
    mutating func fill(_ database: Database, after id: Int64) throws -> Int64? {
        let statement = try Statement(cachedIn: database, RecordTable.selectAfter)
        try statement.bind(1, id)
        var last = id
        while try statement.step() {
            if page.weight >= budget, last > id { return last }
            last = statement.integer(0)
            if let record = try record(statement), record.isPresent || record.isCustomer {
                append(record, newerThan: 0)
            }
        }
        return nil
    }

    /// The changes after `sequence`, in their order; of each record the cells that are newer than `floor`.
    ///
    /// - Returns: the sequence of the last change that was looked at, or nil when there are no more.
    mutating func changes(_ database: Database, after sequence: Int64, floor: Int64) throws -> Int64? {
        let statement = try Statement(
            cachedIn: database,
            """
            SELECT feed.record, feed.sequence, record.cells
            FROM feed CROSS JOIN record ON record.id = feed.record AND record.sequence = feed.sequence
            WHERE feed.sequence > ?1
            UNION ALL
            SELECT feed.record, feed.sequence, detail.cells
            FROM feed CROSS JOIN detail ON detail.id = feed.record AND detail.sequence = feed.sequence
            WHERE feed.sequence > ?1 ORDER BY 2
            """)
        try statement.bind(1, sequence)
        var last = sequence
        while try statement.step() {
            if page.weight >= budget, last > sequence { return last }
            last = statement.integer(1)
            if let record = try record(statement) { append(record, newerThan: floor) }
        }
        return nil
    }

    private mutating func record(_ statement: Statement) throws -> Record? {
        let id = RecordID(rawValue: statement.integer(0))
        do throws(StoreError) {
            return try RecordTable.record(id, sequence: statement.integer(1), packed: statement.bytes(2))
        } catch {
            guard case .damagedRecord = error else { throw error }
            damaged.append(id)
            return nil
        }
    }

    private mutating func append(_ record: Record, newerThan sequence: Int64) {
        // Edits that came before what makes the record: it follows whole when that comes.
        guard record.isMade, sequence > 0 || !record.isEmptied else { return }
        page.begin(record.id, record.envelope)
        if record.isOpen { page.noteOpen() }
        record.forEachCell { cell in
            guard record.entries[cell].contains(where: { $0.sequence > sequence }) else { return }
            // Who begins has nothing that could be emptied.
            if sequence == 0, record.entries[cell].allSatisfy(\.kind.isMarker) { return }
            var isEmpty = true
            for entry in record.entries[cell] where !entry.kind.isMarker {
                if own.keepsChanges, entry.kind == .textChange, entry.sequence <= sequence { continue }
                var copy = entry
                // Sequences are the server's; they do not travel.
                copy.sequence = 0
                page.append(copy, from: record.arena, isOwn: isOwn(entry))
                isEmpty = false
            }
            if isEmpty {
                let key = record.entries[cell.lowerBound].key
                page.append(
                    Entry(key: key, kind: .emptied, dot: Dot(rawValue: 0), time: 0, sequence: 0), from: record.arena)
            }
        }
    }

    /// Only what has a value of its own is worth leaving out; a count is a sum, which the replica's operation is not.
    private func isOwn(_ entry: Entry) -> Bool {
        (entry.kind.isSlice || entry.kind == .integer) && own.contains(entry.dot)
    }
}

extension Record {
    /// Whether other records can belong to it.
    fileprivate var isCustomer: Bool { envelope.scope == .customer(id) }
}
