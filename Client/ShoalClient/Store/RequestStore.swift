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
    /// - Parameter limit: the most operations in the frame.
    func nextRequest(operations limit: Int = Limits.operations) throws -> SyncRequest {
        let operations = try log.frame(
            after: current.base + Int64(current.acknowledged), operations: limit, bytes: Self.frameBytes)
        return SyncRequest(
            epoch: standing.epoch, cursor: standing.cursor, acknowledgement: standing.acknowledgement,
            logs: try StandingStore.logs(database, end: end), operations: operations,
            wantsPage: Int(current.acknowledged) + operations.count == Int(end))
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
