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
    /// Places that an operation had when it was renumbered, and that no acknowledgement had proven.
    private var unproven: [OperationHash: Set<Dot>] = [:]
    /// Up to where others have seen each log.
    private var shown = VersionVector()
    private(set) var isServerSetBack = false
    /// How many operations were done when the server took away absences.
    private(set) var collections: [Int] = []
    /// What an operator did, as it was done, and which creation each identifier in it stands for: those of its own log,
    /// which may be renamed. The others are somebody else's.
    private var done: [OperationHash: (event: Event, makers: [RecordID: OperationHash])] = [:]
    /// The creations of each machine's log by the identifiers that they have there.
    private var makersOf: [Int: [RecordID: OperationHash]] = [:]
    /// The identifier that a creation was last seen with in any log, and the events that speak of what it makes.
    private var recordOf: [OperationHash: RecordID] = [:]
    private var namers: [OperationHash: [OperationHash]] = [:]
    /// Customers, notes, tags and groups that were made, in order.
    private(set) var customers: [RecordID] = []
    private(set) var notes: [RecordID: [RecordID]] = [:]
    private(set) var book: [RecordID] = []
    private(set) var failures: [String] = []
    /// Whose view may have become smaller at some time.
    var departures: Set<Departure> = []
    /// Refused values on which an operator decided.
    var dismissed: Set<String> = []
    /// Whose machines they are, those that were given up too.
    private(set) var accountOf: [Int: RecordID] = [:]

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

    /// - Parameter isShown: whether an operator looks at it, who must see nothing that nobody wrote.
    func view(of record: Record, _ machine: Int, isShown: Bool = true) -> RecordView {
        var view = RecordView()
        for entry in record.entries where !entry.kind.isMarker {
            let cell = CellName(record.id, entry.key, record.text)
            guard let event = event(at: entry.dot, in: cell, for: machine) else {
                if isShown, record.envelope.kind != .account {
                    fail("machine \(machine) shows \(entry.dot.text), which nobody wrote")
                }
                continue
            }
            view.entries.append(
                RecordView.Seen(
                    cell: cell, event: event, isCovered: entry.isCovered,
                    isLasting: entry.kind == .count || entry.kind == .textChange || entry.kind.isForeign))
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
        accountOf[machine.number] = machine.account.id
        var found: [Event] = []
        for (index, place) in logged.places.enumerated() {
            machine.witnessed = place.position
            note(place.dot, logged.operations, index, place.hash, machine.number)
            let operation = logged.operations.operations[index]
            if operation.creates != nil {
                makersOf[machine.number, default: [:]][operation.record] = place.hash
                if recordOf[place.hash] == nil { recordOf[place.hash] = operation.record }
            }
            if events[place.hash] != nil { continue }
            let event = event(logged.operations, index, place, machine)
            order.append(place.hash)
            for write in event.writes where write.cell.field == .follow && write.value != .present {
                if case .id(let account) = write.cell.element { noteDeparture(of: account, from: event.record) }
            }
            remember(event)
            noteMakers(of: event)
            found.append(event)
        }
        return found
    }

    /// Takes note of an operation in the server's own log.
    func note(_ event: Event, hash: OperationHash, at dot: Dot) {
        var event = event
        event.hash = hash
        for write in event.writes {
            let place = Place(cell: write.cell, dot: dot)
            if places[place] == nil { places[place] = hash }
        }
        order.append(hash)
        noteMakers(of: event)
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
            let isLasting = value.isCount || value.change != nil || value.isForeign
            var seen = isLasting || edit.key.field == .unknownOperation ? [] : view.live(in: cell)
            if value.change != nil {
                // The values that it repeats, all of which must have been seen.
                seen = Set(batch.dots[edit.supersedes].compactMap { self.event(at: $0, in: cell, for: machine.number) })
                if !seen.isSubset(of: view.live(in: cell)) {
                    fail("machine \(machine.number) replaced a text in \(cell.record) that it did not show")
                }
            }
            event.writes.append(Event.Write(cell: cell, value: value, superseded: seen))
            view.entries.removeAll { $0.cell == cell && seen.contains($0.event) }
            added.append(RecordView.Seen(cell: cell, event: place.hash, isCovered: false, isLasting: isLasting))
        }
        if !operation.covers.isEmpty {
            event.covered = view.uncovered
            for index in view.entries.indices { view.entries[index].isCovered = true }
        }
        view.entries += added
        machine.views[id] = view
        let kind = operation.creates?.kind
        event.isForbidden = kind == .account || accounts.contains(id)
        return event
    }

    /// Takes note of what the identifiers in a new event stand for.
    private func noteMakers(of event: Event) {
        let known = makersOf[event.machine] ?? [:]
        var makers: [RecordID: OperationHash] = [:]
        var copy = event
        copy.rename { id in
            makers[id] = known[id]
            return id
        }
        done[event.hash] = (event, makers)
        for maker in Set(makers.values) { namers[maker, default: []].append(event.hash) }
        events[event.hash] = event
        nameAnew(event.hash)
    }

    /// Lets an event name records by the identifiers that their creations have now.
    private func nameAnew(_ hash: OperationHash) {
        guard let (original, makers) = done[hash] else { return }
        var event = original
        event.rename { id in makers[id].flatMap { recordOf[$0] } ?? id }
        event.mayBeGone = events[hash]?.mayBeGone == true
        event.isUnlogged = events[hash]?.isUnlogged == true
        event.loose = events[hash]?.loose ?? []
        events[hash] = event
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
        makersOf[copy] = makersOf[machine]
    }

    /// A machine's own log may have other places now, and records that it made other identifiers: it was healed.
    func relearn(_ machine: ClientMachine) throws {
        for (dot, hash, isProven) in try machine.opened().formerPlaces() where !isProven {
            unproven[hash, default: []].insert(dot)
        }
        let logged = try machine.opened().logged()
        var makers: [RecordID: OperationHash] = [:]
        for (index, place) in logged.places.enumerated() {
            let operation = logged.operations.operations[index]
            note(place.dot, logged.operations, index, place.hash, machine.number)
            if events[place.hash] == nil {
                fail("machine \(machine.number) has an operation in its log that nobody did")
                continue
            }
            if operation.creates == nil { continue }
            makers[operation.record] = place.hash
            rename(place.hash, to: operation.record)
        }
        makersOf[machine.number] = makers
    }

    /// The identifier of a record was taken: what was written since in a log that makes it speaks of another one. What
    /// those who only heard of a record wrote speaks of the one that has the identifier.
    private func rename(_ maker: OperationHash, to new: RecordID) {
        guard let old = recordOf[maker], old != new else { return }
        recordOf[maker] = new
        for hash in namers[maker] ?? [] { nameAnew(hash) }
        if events[maker]?.creates?.kind == .customer {
            customers.append(new)
            // Its notes go with it; another customer may have had the identifier, and has its own.
            for note in notes[old] ?? [] where notes[new]?.contains(note) != true {
                notes[new, default: []].append(note)
            }
        }
        for customer in notes.keys.sorted() {
            if let made = notes[customer], made.contains(old), !made.contains(new) { notes[customer] = made + [new] }
        }
        if book.contains(old), !book.contains(new) { book.append(new) }
    }

    func learn(_ dot: Dot, in cell: CellName, _ hash: OperationHash, for machine: Int) {
        placesHad[hash, default: []].insert(dot)
        placesShown[hash, default: []].insert(dot)
        shown.advance(dot.replica, to: dot.number)
        believe(hash, at: Place(cell: cell, dot: dot), machine)
    }

    /// The server has taken away absences that everybody had seen.
    func noteCollection() { collections.append(order.count) }

    func noteServerSetBack() { isServerSetBack = true }

    /// - Parameter known: places of which a log still says whose they are or were.
    func ambiguity(known: [OperationHash: Set<Dot>]) -> Ambiguity {
        isServerSetBack ? Ambiguity(had: placesHad, shown: placesShown, known: known) : Ambiguity()
    }

    /// Only these are left in any log, or in what a machine that may be asked for it holds; the others are lost, unless one
    /// is on its way.
    func keep(logged: Set<OperationHash>, held: Holdings) {
        for hash in order where !logged.contains(hash) {
            guard var event = events[hash] else { continue }
            event.isUnlogged = true
            if !held.events.contains(hash) { event.mayBeGone = true }
            for write in event.writes {
                event.loose.formUnion(write.superseded.filter { !held.knowsReplaced($0, in: write.cell) })
            }
            event.loose.formUnion(event.covered.filter { !held.knowsDeleted($0, of: event.record) })
            events[hash] = event
        }
    }

    /// The events that left something in a record; of a counter all that its parts stand for.
    func events(in record: Record, for machine: Int) -> Set<OperationHash> {
        var found: Set<OperationHash> = []
        for entry in record.entries where !entry.kind.isMarker {
            let cell = CellName(record.id, entry.key, record.text)
            guard let event = event(at: entry.dot, in: cell, for: machine) else { continue }
            found.insert(event)
            if entry.kind == .count { found.formUnion(counted(before: entry.dot, in: cell)) }
        }
        return found
    }

    private func counted(before dot: Dot, in cell: CellName) -> [OperationHash] {
        order.filter { hash in
            events[hash]?.writes.contains { $0.cell == cell } == true
                && placesHad[hash]?.contains { $0.replica == dot.replica && $0.number < dot.number } == true
        }
    }

    /// Whether others saw an operation at a place of which not even its author knew, when it was renumbered, that it stood there.
    func wasSeenUnproven(_ hash: OperationHash) -> Bool {
        unproven[hash]?.isDisjoint(with: placesShown[hash] ?? []) == false
    }

    /// The same of an addition, which others see in its log's part of the counter.
    func wasCountedUnproven(_ hash: OperationHash) -> Bool { unproven[hash]?.contains { shown.contains($0) } == true }

    /// Every place that an operation ever had in any log.
    func places(of hash: OperationHash) -> Set<Dot> { placesHad[hash] ?? [] }
}

extension Dot {
    var text: String { "\(replica.rawValue):\(number)" }
}
