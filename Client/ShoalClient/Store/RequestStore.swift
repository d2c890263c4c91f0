import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

extension ReplicaStore {
    /// Canonical bytes of operations that surely fit a compressed body.
    private static let frameBytes = Limits.body * 3 / 4

    /// What to ask the server next: where the replica stands, and the first frame of its tail.
    ///
    /// Of several logs, as after a rollback, the oldest that is not acknowledged whole is pushed first; it is named last.
    ///
    /// - Parameter limit: the most operations in the frame.
    func nextRequest(operations limit: Int = Limits.operations) throws -> SyncRequest {
        let pushed = self.pushed
        let frame = try log.frame(of: pushed, operations: limit, bytes: Self.frameBytes)
        let position = pushed.acknowledgedPosition
        let end = position + Int64(frame.operations.count)
        let isWhole = Int(pushed.acknowledged) + frame.operations.count == Int(pushed.end)
        // A page leaves out what the request's own operations wrote: what could not be read here must not be left out.
        let isReadable = !frame.operations.operations.indices.contains { frame.operations.saysNothing($0) }
        // Only of the log that the request pushes does the server say that another copy has written it further. Of the one that is
        // written now it must, before rows come with operations that have the places of those written next.
        let isLast = pushed == current
        let earlier = Int(min(max(position, standing.earlierEnd), end) - position)
        var request = SyncRequest(
            epoch: standing.epoch, cursor: standing.cursor, acknowledgement: standing.acknowledgement,
            logs: standings(last: pushed), operations: frame.operations,
            refused: try frame.refused.map { number in
                Verdict(number: number, reason: try refusal(at: pushed.base + Int64(number)))
            },
            earlier: earlier,
            proven: log.logs.filter { $0.isOwn && $0.vouched > 0 && (!standing.hasToldPlaces || isShown($0, pushed)) }
                .map { Dot($0.replica, $0.vouched) },
            // What its earlier operations name is what this home had there, whatever copies of it say.
            former: standing.hasToldPlaces && earlier == 0 ? [] : try FormerPlaceStore.read(log.logs, database),
            wantsPage: isWhole && isLast && isReadable)
        if !standing.hasToldPlaces { request.erased = try ErasureStore.all(database) }
        return request
    }

    /// Whether a request shows the server more of what an earlier epoch had acknowledged of a log.
    private func isShown(_ log: OwnLog, _ pushed: OwnLog) -> Bool { log == pushed && log.acknowledged < log.vouched }

    /// The same with the hashes of the tail instead of operations, for the server to say which of them it knows.
    ///
    /// - Parameter count: how many of them are known to be known.
    func tailRequest(skipping count: Int, limit: Int = Limits.operations) throws -> SyncRequest {
        let pushed = self.pushed
        let hashes = try log.hashes(
            after: pushed.acknowledgedPosition + Int64(count), upTo: pushed.endPosition, limit: limit)
        return SyncRequest(
            epoch: standing.epoch, cursor: standing.cursor, acknowledgement: standing.acknowledgement,
            logs: standings(last: pushed), operations: Operations(), tail: hashes, skipped: UInt32(count),
            wantsPage: false)
    }

    private func standings(last pushed: OwnLog) -> [LogPosition] {
        log.logs.filter { $0.isOwn && $0 != pushed }.map(\.standing) + [pushed.standing]
    }

    /// Why the operation at a position was refused; what is not listed any more was refused for some reason.
    private func refusal(at position: Int64) throws -> RefusalReason {
        let reason = try String.fetchOne(
            database.cachedStatement(sql: "SELECT reason FROM aside WHERE position = ?"), arguments: [position])
        return reason.flatMap(RefusalReason.init(rawValue:)) ?? .forbidden
    }

    /// What of the stock is relayed next; rows that the server has again are not.
    func nextRelay(isFirst: Bool, weight: Int) throws -> (request: RelayRequest, batch: RelayBatch)? {
        let stock = StockStore(self)
        if isFirst { try stock.dropEqual() }
        return try stock.next(epoch: standing.epoch, weight: weight)
    }

    /// Moves up to `limit` records from the queue into the text index, in a transaction of its own.
    ///
    /// - Returns: how many are left.
    func drainText(limit: Int) throws -> Int {
        let left = try transaction {
            let overlaid = try log.tailRecords()
            try text.drain(limit: limit) { id in
                guard var record = try records.read(id) ?? (overlaid.contains(id) ? Record(id: id) : nil) else {
                    return nil
                }
                if overlaid.contains(id) { try log.overlay(&record) }
                return Finder.text(of: record)?.folded
            }
            return try text.queueCount
        }
        projection.table.queued = left
        return left
    }
}
