import ShoalClient
import ShoalCRDT

import struct ShoalCRDT.Record

/// What the server, and whoever may be asked for it, hold of records when something is lost, and what they know of it.
struct Holdings {
    /// A row: the events that it surely is the fold of, and what stands in it.
    private struct Row {
        var known: Set<OperationHash>
        var view: RecordView
    }
    private var rows: [RecordID: [Row]] = [:]
    /// The events that left something.
    private(set) var events: Set<OperationHash> = []

    /// - Parameter known: the events that are within the row's vector. Whoever has something of an operation knows all of it.
    mutating func add(_ id: RecordID, _ view: RecordView, leftBy events: Set<OperationHash>, known: Set<OperationHash>)
    {
        rows[id, default: []].append(Row(known: known.union(events), view: view))
        self.events.formUnion(events)
    }

    /// Whether somebody surely knows that an event's value in a cell was replaced.
    func knowsReplaced(_ event: OperationHash, in cell: CellName) -> Bool {
        rows[cell.record]?.contains { row in
            row.known.contains(event) && !row.view.entries.contains { $0.cell == cell && $0.event == event }
        } == true
    }

    /// Whether somebody surely knows that what an event left in a record was deleted.
    func knowsDeleted(_ event: OperationHash, of id: RecordID) -> Bool {
        rows[id]?.contains { row in
            row.known.contains(event) && !row.view.entries.contains { $0.event == event && !$0.isCovered }
        } == true
    }
}

extension Oracle {
    /// What a machine would give a recovering server.
    func hold(_ machine: ClientMachine, in holdings: inout Holdings) throws {
        var within: [VersionVector: Set<OperationHash>] = [:]
        for (record, vector) in try machine.opened().heldRecords() {
            let known = within[vector] ?? events(within: vector)
            within[vector] = known
            add(record, machine.number, known, to: &holdings)
        }
    }

    /// - Parameters:
    ///   - machine: who holds it.
    ///   - known: the events that are within its vector.
    func add(_ record: Record, _ machine: Int, _ known: Set<OperationHash>, to holdings: inout Holdings) {
        holdings.add(
            record.id, view(of: record, machine, isShown: false), leftBy: events(in: record, for: machine),
            known: known)
    }

    private func events(within vector: VersionVector) -> Set<OperationHash> {
        Set(order.filter { places(of: $0).contains { $0.number > 0 && vector.contains($0) } })
    }
}
