import ShoalClient
import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// What the operators did, kept apart from everything that is tested: a set of events, each naming those that its
/// operator had seen. What must be there in the end follows from the set alone, in no order.
public final class Oracle {
    private(set) var events: [OperationHash: Event] = [:]
    /// The hashes in the order in which they were done, so that nothing depends on how a set is laid out.
    private(set) var order: [OperationHash] = []
    /// A place in a log, with a cell that its operation acts on: where logs were copied or set back several operations
    /// have had the same dot, hardly ever in one cell.
    private struct Place: Hashable {
        var cell: CellName
        var dot: Dot
    }
    /// Where operations stand, while every place has one.
    private var places: [Place: OperationHash] = [:]
    /// Where each machine believes them to stand, once logs were copied or restored.
    private var placesOf: [Int: [Place: OperationHash]] = [:]
    /// Every place that an operation ever had in any log, and those by which others have seen it.
    private var placesHad: [OperationHash: Set<Dot>] = [:]
    private var placesShown: [OperationHash: Set<Dot>] = [:]
    private var isServerSetBack = false
    /// Which record each creation makes in each machine's log.
    private var recordsOf: [Int: [OperationHash: RecordID]] = [:]
    /// Customers, notes, tags and groups that were made, in order.
    private(set) var customers: [RecordID] = []
    private(set) var notes: [RecordID: [RecordID]] = [:]
    private(set) var book: [RecordID] = []
    private(set) var failures: [String] = []

    func fail(_ sentence: String) { failures.append(sentence) }

    func event(at dot: Dot, in cell: CellName, for machine: Int) -> OperationHash? {
        let place = Place(cell: cell, dot: dot)
        return placesOf[machine]?[place] ?? places[place]
    }

    // MARK: Seeing

    /// What the machine's operator sees of a record before a command.
    func view(of id: RecordID, on machine: ClientMachine) throws -> RecordView {
        view(of: try machine.opened().effectiveRecord(id), machine.number)
    }

    func view(of record: Record, _ machine: Int) -> RecordView {
        var view = RecordView()
        for entry in record.entries where !entry.kind.isMarker {
            let cell = CellName(record.id, entry.key, record.text)
            guard let event = event(at: entry.dot, in: cell, for: machine) else {
                if record.envelope.kind != .account {
                    fail("machine \(machine) shows \(entry.dot.text), which nobody wrote")
                }
                continue
            }
            view.entries.append(
                RecordView.Seen(
                    cell: cell, event: event, isCovered: entry.isCovered,
                    isLasting: entry.kind == .count || entry.kind.isForeign))
        }
        return view
    }

    // MARK: Taking note

    /// Takes note of the operations that a machine's log has gained, each with what its operator saw before: a command
    /// that returned, or one that was interrupted by a crash and had been stored all the same.
    ///
    /// - Returns: the new events.
    @discardableResult
    func witness(_ machine: ClientMachine) throws -> [Event] {
        let logged = try machine.opened().logged(after: machine.witnessed)
        var found: [Event] = []
        for (index, place) in logged.places.enumerated() {
            machine.witnessed = place.position
            note(place.dot, logged.operations, index, place.hash, machine.number)
            if logged.operations.operations[index].creates != nil {
                recordsOf[machine.number, default: [:]][place.hash] = logged.operations.operations[index].record
            }
            if events[place.hash] != nil { continue }
            let event = event(logged.operations, index, place, machine)
            events[place.hash] = event
            order.append(place.hash)
            remember(event)
            found.append(event)
        }
        return found
    }

    /// Where operation `index` stands, for each cell that it writes.
    private func note(_ dot: Dot, _ batch: Operations, _ index: Int, _ hash: OperationHash, _ machine: Int) {
        placesHad[hash, default: []].insert(dot)
        let operation = batch.operations[index]
        var cells = batch.edits[operation.edits].map { CellName(operation.record, $0.key, batch.text) }
        if operation.creates != nil { cells.append(CellName(operation.record, .created)) }
        for cell in cells {
            let place = Place(cell: cell, dot: dot)
            if places[place] == nil { places[place] = hash }
            believe(hash, at: place, machine)
        }
    }

    /// What a machine learned last is what it believes.
    private func believe(_ hash: OperationHash, at place: Place, _ machine: Int) {
        if (placesOf[machine]?[place] ?? places[place]) != hash { placesOf[machine, default: [:]][place] = hash }
    }

    private func event(
        _ batch: Operations, _ index: Int, _ place: LoggedOperations.Place, _ machine: ClientMachine
    ) -> Event {
        let operation = batch.operations[index]
        let id = operation.record
        var view = machine.views[id] ?? RecordView()
        var event = Event(hash: place.hash, machine: machine.number, record: id, creates: operation.creates)
        var added: [RecordView.Seen] = []
        if operation.creates != nil {
            let cell = CellName(id, .created)
            event.writes.append(Event.Write(cell: cell, value: .present, superseded: []))
            added.append(RecordView.Seen(cell: cell, event: place.hash, isCovered: false, isLasting: false))
        }
        for edit in batch.edits[operation.edits] {
            let cell = CellName(id, edit.key, batch.text)
            let value = CellValue(edit.kind, integer: edit.integer) { batch.text(edit.slice) }
            // Operations of later versions, and values of their cell types, stand beside one another.
            let isLasting = value.isCount || value.isForeign
            var seen = isLasting || edit.key.field == .unknownOperation ? [] : view.live(in: cell)
            if edit.key.field == .body, let body = view.bodySeen { seen.formIntersection(body) }
            event.writes.append(Event.Write(cell: cell, value: value, superseded: seen))
            view.entries.removeAll { $0.cell == cell && seen.contains($0.event) }
            added.append(RecordView.Seen(cell: cell, event: place.hash, isCovered: false, isLasting: isLasting))
        }
        if !operation.covers.isEmpty {
            event.covered = view.uncovered
            for index in view.entries.indices { view.entries[index].isCovered = true }
        }
        view.entries += added
        view.bodySeen = nil
        machine.views[id] = view
        let kind = operation.creates?.kind
        event.isForbidden = kind == .account || accounts.contains(id)
        return event
    }

    /// The records of accounts, which only the server writes.
    var accounts: Set<RecordID> = []

    private func remember(_ event: Event) {
        guard let envelope = event.creates else { return }
        switch envelope.kind {
        case .customer: customers.append(event.record)
        case .note:
            if case .customer(let customer) = envelope.scope { notes[customer, default: []].append(event.record) }
        case .tag, .tagGroup: book.append(event.record)
        default: break
        }
    }

    // MARK: Lineage

    /// What a machine knows of places and identifiers is copied with its disk.
    func copyPlaces(from machine: Int, to copy: Int) {
        placesOf[copy] = placesOf[machine]
        recordsOf[copy] = recordsOf[machine]
    }

    /// A machine's own log may have other places now, and records that it made other identifiers: it was healed.
    func relearn(_ machine: ClientMachine) throws {
        let logged = try machine.opened().logged()
        for (index, place) in logged.places.enumerated() {
            let operation = logged.operations.operations[index]
            note(place.dot, logged.operations, index, place.hash, machine.number)
            guard let event = events[place.hash] else {
                fail("machine \(machine.number) has an operation in its log that nobody did")
                continue
            }
            if operation.creates == nil { continue }
            // Another machine's copy may have been renamed before this one.
            let last = recordsOf[machine.number]?[place.hash] ?? event.record
            recordsOf[machine.number, default: [:]][place.hash] = operation.record
            for old in Set([last, event.record]).sorted() where old != operation.record {
                rename(old, to: operation.record, among: logged.places.map(\.hash))
            }
        }
    }

    /// The identifier of a record was taken: what its maker wrote since speaks of another one.
    private func rename(_ old: RecordID, to new: RecordID, among hashes: [OperationHash]) {
        for hash in hashes { events[hash]?.rename(old, to: new) }
        if hashes.compactMap({ events[$0] }).contains(where: { $0.creates?.kind == .customer && $0.record == new }) {
            customers.append(new)
            notes[new] = notes[old]
        }
        for customer in notes.keys.sorted() {
            if let made = notes[customer], made.contains(old) { notes[customer] = made + [new] }
        }
        if book.contains(old) { book.append(new) }
    }

    func learn(_ dot: Dot, in cell: CellName, _ hash: OperationHash, for machine: Int) {
        placesHad[hash, default: []].insert(dot)
        placesShown[hash, default: []].insert(dot)
        believe(hash, at: Place(cell: cell, dot: dot), machine)
    }

    func noteServerSetBack() { isServerSetBack = true }

    /// - Parameter known: places of which a log still says whose they are or were.
    func ambiguity(known: [OperationHash: Set<Dot>]) -> Ambiguity {
        isServerSetBack ? Ambiguity(had: placesHad, shown: placesShown, known: known) : Ambiguity()
    }

    /// Only these are left on any disk; the others are lost, unless one is on its way to the server.
    func keep(only hashes: Set<OperationHash>) {
        for hash in order where !hashes.contains(hash) { events[hash]?.mayBeGone = true }
    }
}

extension Dot {
    var text: String { "\(replica.rawValue):\(number)" }
}
