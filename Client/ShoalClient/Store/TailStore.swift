import GRDB
import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

// How operations leave the tail, and how the derived tables follow. Called inside a transaction.
extension ReplicaStore {
    /// Takes operations of one record out of the tail.
    func leaveTail(_ id: RecordID, _ positions: [Int64]) throws {
        let old = try effective(id)
        for position in positions { try log.leaveTail(id, position) }
        forgetCached()
        try show(from: old, to: try effective(id))
    }

    /// Lets the derived tables follow.
    func show(from old: Record?, to new: Record) throws {
        if let old, old.isMade, new.isMade, old.envelope != new.envelope {
            // Another record under the same identifier: the old one goes first.
            try projection.update(from: old, to: Record(id: old.id))
            try projection.update(from: Record(id: new.id), to: new)
        } else {
            try projection.update(from: old, to: new)
        }
        projection.table.touched.append(new.id)
    }

    /// A refused operation leaves the tail, but not the log: it is listed until somebody has looked at it.
    ///
    /// - Returns: its record and why it is set aside, or nil if it was before.
    func setAside(_ position: Int64, _ verdict: RefusalReason) throws -> (record: RecordID, reason: RefusalReason)? {
        var batch = Operations()
        // What was erased is nobody's to decide on.
        guard try !log.isVoid(position), try log.read(position, into: &batch) else { return nil }
        // The server says only what it makes of what stands for a lost operation.
        let reason = batch.saysNothing(0) ? RefusalReason.unreadable : verdict
        let statement = try database.cachedStatement(
            sql: "INSERT OR IGNORE INTO aside (position, reason) VALUES (?, ?)")
        try statement.execute(arguments: [position, reason.rawValue])
        if database.changedRows == 0 { return nil }
        try database.cachedStatement(sql: "UPDATE log SET state = state | ? WHERE position = ?").execute(arguments: [
            LogStore.State.refused.rawValue, position,
        ])
        let record = batch.operations[0].record
        try leaveTail(record, [position])
        return (record, reason)
    }
}

extension RefusalReason {
    /// It could not be read here, and nothing is known of it; no server says so.
    static let unreadable = RefusalReason(rawValue: "unreadable") ?? .malformed
}
