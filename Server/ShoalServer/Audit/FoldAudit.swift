import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// Gathers what a fold changes, a row for each push, so that the audit costs the fold little.
struct FoldAudit {
    private var rows: [AuditSections?]
    /// The mark of the row of the group's first push.
    private var firstMark: Int64 = 0
    /// The entry that is gathered: operations of one push on one record.
    private var record = RecordID(rawValue: 0)
    private var push = -1
    private var changes = AuditChanges()
    /// The mark of the last row that mentions the record.
    private(set) var head: Int64 = 0
    /// How many bytes each row may have.
    private let capacities: [Int]

    init(_ group: [PreparedPush]) {
        rows = Array(repeating: nil, count: group.count)
        capacities = group.map { $0.operations.arena.count + 8 * $0.operations.count }
    }

    /// Reserves marks for the rows of a round.
    mutating func begin(_ state: inout StoreWriter.State) {
        firstMark = state.auditMark &+ 1
        state.auditMark &+= Int64(rows.count)
    }

    /// Goes on with a record.
    ///
    /// - Parameter head: the mark of the last row that mentions it, or 0.
    mutating func begin(_ record: RecordID, head: Int64) {
        self.record = record
        self.head = head
    }

    /// Goes on with an operation of a push on the record.
    mutating func begin(push: Int, _ queries: AuditQueries) {
        if push == self.push { return }
        end(queries)
        self.push = push
        changes.begin(record)
    }

    /// Notes what an operation will change.
    mutating func note(_ index: Int, of batch: borrowing Operations, before record: borrowing Record) {
        changes.append(index, of: batch, before: record)
    }

    /// The operation noted last changed nothing.
    mutating func forgetLast() { changes.forgetLast() }

    /// Ends the entry that is gathered, if it holds anything.
    mutating func end(_ queries: AuditQueries) {
        defer { push = -1 }
        if push < 0 || changes.isEmpty { return }
        let mark = firstMark &+ Int64(push)
        if rows[push] == nil { rows[push] = AuditSections(queries.drawSalt(), capacity: capacities[push]) }
        rows[push]?.append(record, link: AuditSection.link(from: mark, to: head), &changes)
        head = mark
    }

    /// Appends the rows to the audit, in the order of the pushes.
    mutating func write(_ group: [PreparedPush], _ writer: StoreWriter) throws(StoreError) {
        for (index, push) in group.enumerated() {
            guard let row = rows[index], let log = push.logs.last else { continue }
            let author = AuditAuthor(
                time: push.time, account: push.account, replica: log.replica, action: .change)
            try writer.audit.append(row, author, mark: firstMark &+ Int64(index), to: &writer.state.audit)
            rows[index] = nil
        }
    }
}
