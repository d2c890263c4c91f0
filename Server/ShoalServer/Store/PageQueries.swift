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
    ///   - account: whose replica it is, and so whose view it gets.
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
        let view = try AccountView(account, database)
        let beginning = Cursor.Place(scope: view.isEverything ? nil : 0, record: 0)
        var cursor = Cursor(
            sequence: now.sequence, commit: now, floor: now.sequence, hasPositions: false, fill: beginning)
        var beginsFill = true
        if !text.isEmpty {
            guard let opened = seal.cursor(text, for: account) else {
                throw SyncProblem.foreignToken("cursor")
            }
            // Below the collection point things are gone that the replica was never told: it begins anew. So it does when
            // its account came to see everything, or no longer does, in the middle of a fill.
            let fits = opened.fill.map { ($0.scope == nil) == view.isEverything } ?? true
            if fits, opened.floor >= (try Self.collectionPoint(database)) {
                cursor = opened
                beginsFill = false
            }
        }
        let isFill = cursor.fill != nil
        // The first page of a fill tells of all erasures, and those after it of none.
        let told = beginsFill ? -1 : isFill ? now.sequence : cursor.sequence
        let erased = try Self.erasures(of: account, after: told, seal, database)
        var reader = PageReader(own: mayLeaveOwnOut ? own : .nothing, budget: budget)
        if isFill {
            try reader.fill(&cursor, view)
        } else {
            try reader.changes(&cursor, view, upTo: now.sequence)
        }
        cursor.commit = now
        let more = cursor.fill != nil || cursor.move != nil || cursor.sequence < now.sequence
        var (positions, checks): ([Dot], [LogCheck]) = ([], [])
        if !more {
            (positions, checks) = try Self.positions(database, after: cursor.hasPositions ? cursor.floor : 0)
            cursor.floor = now.sequence
            cursor.hasPositions = true
        }
        var page = ServerSession.Page(
            page: reader.page, cursor: seal.close(cursor, for: account), more: more, isFill: isFill,
            beginsFill: beginsFill, positions: positions)
        page.checks = checks
        page.beginsEverything = reader.beginsEverything
        page.moves = reader.moves
        page.erased = erased
        return (page, reader.damaged)
    }

    private static func collectionPoint(_ database: Database) throws -> Int64 {
        let statement = try database.cachedStatement(sql: "SELECT collected FROM collection")
        return try Int64.fetchOne(statement) ?? 0
    }

    /// The logs that moved in commits after `sequence`, and to where.
    private static func positions(_ database: Database, after sequence: Int64) throws -> ([Dot], [LogCheck]) {
        let statement = try Statement(
            cachedIn: database,
            "SELECT replica, position, hash FROM log WHERE sequence > ?1 AND position > 0 ORDER BY replica")
        try statement.bind(1, sequence)
        var (positions, checks): ([Dot], [LogCheck]) = ([], [])
        while try statement.step() {
            let replica = ReplicaID(rawValue: UInt32(truncatingIfNeeded: statement.integer(0)))
            positions.append(Dot(replica, UInt32(truncatingIfNeeded: statement.integer(1))))
            checks.append(LogCheck(OperationHash(rawValue: UInt64(bitPattern: statement.integer(2)))))
        }
        return (positions, checks)
    }
}
