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
        var rights = Rights(writer)
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
            var isKept = !isErased
            if isKept, !customers.isEmpty { isKept = try isFree(record, for: author.account, writer) }
            let reason = try isUnseen(record, by: author.account, writer, &rights) ? .unknownRecord : reason
            try writer.note(author, about: [record]) { _, changes in
                changes.append(named: "refused", from: nil, to: reason.rawValue)
                if isKept { changes.append(operation, of: batch, before: Record(id: record)) }
            }
            // The record is nowhere, but who erases one of these erases what was said of it too.
            if isKept {
                for customer in customers {
                    try writer.erasures.remember(
                        record, of: customer, author.account, upTo: writer.state.audit.number)
                }
            }
        }
    }

    /// Whether nobody else has called a record so: what belongs to somebody is not erased because a stranger said that it is
    /// about a customer.
    private func isFree(
        _ record: RecordID, for account: RecordID, _ writer: StoreWriter
    ) throws(StoreError) -> Bool {
        guard record.isDerived || writer.made(record, account) else { return false }
        return try !writer.isStoredElsewhere(record)
    }

    /// Whether there is such a record and the account never saw it. That is no reason by itself in a command that was refused
    /// for something else, but those who see the record are not told what a stranger says of it.
    private func isUnseen(
        _ record: RecordID, by account: RecordID, _ writer: StoreWriter, _ rights: inout Rights
    ) throws(StoreError) -> Bool {
        guard let envelope = (try? writer.stored(record))?.envelope else { return false }
        if try rights.isSupervisor(account) { return false }
        for scope in envelope.scope.identifiers where scope != account {
            if try rights.sight(account, scope) == .never { return true }
        }
        return false
    }

    /// The customers that a record with this envelope is about.
    private static func customers(_ envelope: Envelope) -> [RecordID] {
        switch envelope.scope {
        case .workspace, .account: []
        case .customer, .pair: envelope.scope.identifiers
        }
    }
}
