import ShoalCRDT

/// A record as section 2 of the design describes it, computed from the whole set of operations at once.
///
/// It is slow and knows no order: an entry is live unless an operation of the set supersedes its dot in that cell,
/// covered if an operation of the set covers its dot, and a counter is the sum of what each replica added.
struct Model: Equatable {
    struct Entry: Hashable {
        var dot: Dot
        var value: Value
        var time: Int64
        var isCovered: Bool
    }

    var envelope: Envelope?
    var cells: [Cell: Set<Entry>] = [:]
    /// Dots that the set supersedes in a cell without containing them.
    var deadAhead: [Cell: Set<Dot>] = [:]
    /// Dots that the set covers without containing them.
    var coveredAhead: Set<Dot> = []

    init() {}

    /// - Parameter acts: every operation known, on this record and others.
    init(of record: RecordID, from acts: [Act]) {
        let known = Set(acts.map(\.dot))
        let own = acts.filter { $0.record == record }
        var superseded: [Cell: Set<Dot>] = [:]
        var covered: Set<Dot> = []
        for act in own {
            covered.formUnion(act.covers)
            for change in act.changes where !change.supersedes.isEmpty {
                superseded[change.cell, default: []].formUnion(change.supersedes.filter { $0 != act.dot })
            }
        }
        for act in own {
            if let creates = act.creates {
                envelope = creates
                insert(act, .present, in: Cell(.created), covered)
            }
            for change in act.changes {
                if case .count = change.value { continue }
                if superseded[change.cell]?.contains(act.dot) == true { continue }
                insert(act, change.value, in: change.cell, covered)
            }
        }
        addCounters(own, covered)
        for (cell, dots) in superseded {
            let unknown = dots.subtracting(known)
            if !unknown.isEmpty { deadAhead[cell] = unknown }
        }
        coveredAhead = covered.subtracting(known)
    }

    private mutating func insert(_ act: Act, _ value: Value, in cell: Cell, _ covered: Set<Dot>) {
        cells[cell, default: []].insert(
            Entry(dot: act.dot, value: value, time: act.time, isCovered: covered.contains(act.dot)))
    }

    /// A counter holds, for each replica, its last number and the sum of all that it added.
    private mutating func addCounters(_ acts: [Act], _ covered: Set<Dot>) {
        struct Part: Hashable {
            var cell: Cell
            var replica: ReplicaID
        }
        var parts: [Part: (sum: Int64, last: Act)] = [:]
        for act in acts {
            for change in act.changes {
                guard case .count(let amount) = change.value else { continue }
                let part = Part(cell: change.cell, replica: act.dot.replica)
                guard let before = parts[part] else {
                    parts[part] = (amount, act)
                    continue
                }
                parts[part] = (before.sum &+ amount, before.last.dot < act.dot ? act : before.last)
            }
        }
        for (part, total) in parts { insert(total.last, .count(total.sum), in: part.cell, covered) }
    }
}

// MARK: - What people see

extension Model {
    var isPresent: Bool { envelope != nil && cells.values.contains { $0.contains { !$0.isCovered } } }

    /// The value with the latest time; of equal times, the one with the greater dot.
    func shown(_ cell: Cell) -> Entry? {
        (cells[cell] ?? []).filter { $0.value != .absent }.max { ($0.time, $0.dot) < ($1.time, $1.dot) }
    }

    /// The values that are live beside the one shown, each once, the one with the newest dot first.
    func conflicting(_ cell: Cell) -> [Entry] {
        guard let shown = shown(cell) else { return [] }
        var newest: [Value: Entry] = [:]
        for entry in cells[cell] ?? [] where entry.value != shown.value && entry.value != .absent {
            if case .count = entry.value { continue }
            if newest[entry.value].map({ $0.dot < entry.dot }) ?? true { newest[entry.value] = entry }
        }
        return newest.values.sorted { $0.dot > $1.dot }
    }

    func sum(_ cell: Cell) -> Int64 {
        (cells[cell] ?? []).reduce(0) { sum, entry in
            if case .count(let amount) = entry.value { sum &+ amount } else { sum }
        }
    }

    /// What an edit of the cell by somebody who sees this supersedes.
    func liveDots(_ cell: Cell) -> [Dot] { (cells[cell] ?? []).map(\.dot).sorted() }

    /// What a deletion by somebody who sees this covers.
    var uncoveredDots: [Dot] {
        Set(cells.values.flatMap { $0.filter { !$0.isCovered }.map(\.dot) }).sorted()
    }
}
