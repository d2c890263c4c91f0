import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// What was refused of work that a revoked device handed over. Its home, in which a refused operation is set aside until somebody
/// decides on it, is about to be emptied: the audit keeps what it said.
struct HandoverRefusals {
    private var refused: [(push: Int, operation: Int, reason: RefusalReason)] = []

    mutating func note(_ operation: Int, of push: Int, _ reason: RefusalReason) {
        refused.append((push, operation, reason))
    }

    /// Writes an entry for each, in the transaction under way.
    func write(_ group: [PreparedPush], _ writer: StoreWriter) throws(StoreError) {
        for (index, operation, reason) in refused {
            guard let log = group[index].logs.last else { continue }
            let batch = group[index].operations
            let record = batch.operations[operation].record
            let customers = batch.operations[operation].creates.map(Self.customers) ?? []
            let author = AuditAuthor(
                time: group[index].time, account: group[index].account, replica: log.replica, action: .handoverRefuse)
            // Of an erased person nothing is kept.
            let isErased =
                writer.state.erased.contains(record) || customers.contains(where: writer.state.erased.contains)
            try writer.note(author, about: [record]) { _, changes in
                changes.append(named: "refused", from: nil, to: reason.rawValue)
                if !isErased { changes.append(operation, of: batch, before: Record(id: record)) }
            }
            // The record is nowhere, but who erases one of these erases what was said of it too.
            if !isErased {
                for customer in customers { try writer.erasures.remember(record, of: customer, author.account) }
            }
        }
    }

    /// The customers that a record with this envelope is about.
    private static func customers(_ envelope: Envelope) -> [RecordID] {
        switch envelope.scope {
        case .workspace, .account: []
        case .customer, .pair: envelope.scope.identifiers
        }
    }
}
