import ShoalCRDT
import ShoalProtocol

/// What must be there once everybody has heard of everything, by plain sets: a value lives unless an event names it as
/// seen and replaced; it is covered if a deletion names it.
struct Model {
    struct Live: Hashable {
        var event: OperationHash
        var value: CellValue
        var isCovered: Bool
    }

    /// The live values of each cell, counts apart.
    private(set) var cells: [CellName: Set<Live>] = [:]
    /// The sums of counters.
    private(set) var sums: [CellName: Int64] = [:]
    private(set) var envelopes: [RecordID: Envelope] = [:]
    private(set) var covered: [RecordID: Set<OperationHash>] = [:]
    /// The cells of each record, ascending.
    private(set) var cellsOf: [RecordID: [CellName]] = [:]
    /// The changes of each text, as they were written.
    private var changes: [CellName: [(OperationHash, TextChange)]] = [:]
    /// The values that were replaced, or that nobody may take.
    private var dead: [CellName: Set<OperationHash>] = [:]

    /// - Parameter events: those that count: neither refused nor lost with a disk.
    init(_ events: [Event]) {
        for event in events {
            covered[event.record, default: []].formUnion(event.covered)
            if let envelope = event.creates { envelopes[event.record] = envelope }
            for write in event.writes where !write.superseded.isEmpty {
                dead[write.cell, default: []].formUnion(write.superseded)
            }
        }
        for event in events {
            for write in event.writes {
                if let change = write.value.change { changes[write.cell, default: []].append((event.hash, change)) }
            }
            let isCovered = covered[event.record]?.contains(event.hash) == true
            for write in event.writes {
                if case .count(let amount) = write.value {
                    sums[write.cell, default: 0] &+= amount
                } else if dead[write.cell]?.contains(event.hash) != true {
                    cells[write.cell, default: []].insert(
                        Live(event: event.hash, value: write.value, isCovered: isCovered))
                }
            }
        }
        for cell in Set(cells.keys).union(sums.keys).sorted() { cellsOf[cell.record, default: []].append(cell) }
        counted = Dictionary(
            events.filter { $0.writes.contains { $0.value.isCount } }.map { ($0.record, [$0.hash]) },
            uniquingKeysWith: +)
    }

    /// The events of each record that count something.
    private var counted: [RecordID: [OperationHash]] = [:]

    /// Every event that was seen and replaced in a cell, or deleted with its record.
    func seen(in cell: CellName) -> Set<OperationHash> { (dead[cell] ?? []).union(covered[cell.record] ?? []) }

    /// What lives in a cell after all, because nobody can tell better.
    mutating func settle(_ cell: CellName, _ live: Set<Live>) {
        cells[cell] = live
        if cellsOf[cell.record]?.contains(cell) != true { cellsOf[cell.record, default: []].append(cell) }
    }

    /// Whether an addition counts as deleted with its record after all, because nobody can tell better.
    mutating func settle(_ event: OperationHash, of id: RecordID, isCovered: Bool) {
        if isCovered { covered[id, default: []].insert(event) } else { covered[id]?.remove(event) }
    }

    func wasReplaced(_ event: OperationHash, in cell: CellName) -> Bool { dead[cell]?.contains(event) == true }

    /// Whether a record is there: something of it is live that no deletion has seen.
    ///
    /// A counter's part is its replica's last addition; earlier ones do not keep a record present.
    ///
    /// - Parameter isGone: whether an operation's absence was collected.
    func isPresent(
        _ id: RecordID, lastCounts: Set<OperationHash>, isGone: (OperationHash) -> Bool = { _ in false }
    ) -> Bool {
        if envelopes[id] == nil { return false }
        if !values(keeping: id, isGone: isGone).isEmpty { return true }
        return counted[id]?.contains { lastCounts.contains($0) && covered[id]?.contains($0) != true } == true
    }

    /// The values that keep a record present, but for counters.
    ///
    /// - Parameter isGone: whether an operation's absence was collected: it was seen by everybody, and by nobody who deletes
    ///   the record afterwards.
    func values(keeping id: RecordID, isGone: (OperationHash) -> Bool) -> [(cell: CellName, live: Live)] {
        (cellsOf[id] ?? []).flatMap { cell in
            (cells[cell] ?? []).filter { !$0.isCovered && !($0.value == .absent && isGone($0.event)) }.map {
                (cell, $0)
            }
        }
    }

    /// The values, other than absences, that live in a cell and that everybody knows, each once.
    func values(in cell: CellName) -> Set<CellValue> {
        let live = cells[cell] ?? []
        var values = Set(live.lazy.map(\.value).filter { $0 != .absent && $0.change == nil && !$0.isForeign })
        if let text = text(in: cell) { values.insert(.text(text)) }
        return values
    }

    /// The text of a cell that has changes: all merged, in the order in which they were made.
    func text(in cell: CellName) -> String? {
        let changes = changes[cell] ?? []
        guard !changes.isEmpty else { return nil }
        var text = TextSequence()
        let live = Set((cells[cell] ?? []).map(\.event))
        for (event, change) in changes where live.contains(event) { text.merge(change.delta) }
        text.placeWaiting()
        return text.text
    }

    func hasElement(_ cell: CellName) -> Bool { cells[cell]?.contains { $0.value == .present } == true }
}
