import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// Gathers what a fold changes, a row for each push, so that the audit costs the fold little.
struct FoldAudit {
    private var rows: [AuditSections]
    /// The entry that is gathered: operations of one push on one record.
    private var record = RecordID(rawValue: 0)
    private var push = -1
    private var changes: [UInt8] = []
    /// Where the last operation's changes begin.
    private var last = 0

    /// - Parameter count: how many pushes there are.
    init(_ count: Int) { rows = Array(repeating: AuditSections(), count: count) }

    /// Goes on with an operation of a push on a record.
    mutating func begin(_ record: RecordID, push: Int, _ queries: AuditQueries) {
        if record == self.record, push == self.push { return }
        end()
        self.record = record
        self.push = push
        queries.begin(&changes)
    }

    /// Notes what an operation will change.
    mutating func note(_ index: Int, of batch: borrowing Operations, before record: borrowing Record) {
        last = changes.count
        AuditCoding.append(index, of: batch, before: record, to: &changes)
    }

    /// The operation noted last changed nothing.
    mutating func forgetLast() { changes.removeSubrange(last...) }

    /// Ends the entry that is gathered, if it holds anything.
    mutating func end() {
        if push >= 0, changes.count > AuditCoding.saltLength { rows[push].append(record, changes) }
        push = -1
    }

    /// Appends the rows to the audit, in the order of the pushes.
    mutating func write(_ group: [PreparedPush], _ writer: StoreWriter) throws(StoreError) {
        for (index, push) in group.enumerated() where !rows[index].records.isEmpty {
            guard let log = push.logs.last else { continue }
            let author = AuditAuthor(
                time: push.time, account: push.account, replica: log.replica, action: .change)
            try writer.audit.append(rows[index], author, to: &writer.state.audit)
            rows[index] = AuditSections()
        }
    }
}
