import ShoalCRDT

/// What some replicas did, each having seen a part of what the others did.
struct History: Sendable {
    var replicas: [ReplicaID]
    /// In an order in which nothing comes before what its author had seen.
    var acts: [Act] = []
    /// How much of each log each replica has seen.
    private(set) var seen: [[UInt32]]
    private var lengths: [UInt32]

    init(_ replicas: [ReplicaID]) {
        self.replicas = replicas
        seen = Array(repeating: Array(repeating: 0, count: replicas.count), count: replicas.count)
        lengths = Array(repeating: 0, count: replicas.count)
    }

    init(replicas count: Int) { self.init((1...count).map { ReplicaID(epoch: 0xA5, count: UInt16($0)) }) }

    func length(of log: Int) -> UInt32 { lengths[log] }

    /// What replica `index` has seen.
    func visible(to index: Int) -> [Act] { acts.filter { $0.dot.number <= seen[index][$0.log] } }

    /// Shows a replica another's log up to a number, at first all of it, and all that its author had seen.
    mutating func show(_ log: Int, to index: Int, upTo number: UInt32? = nil) {
        let number = min(number ?? lengths[log], lengths[log])
        guard number > seen[index][log] else { return }
        seen[index][log] = number
        guard let last = acts.last(where: { $0.log == log && $0.dot.number == number }) else { return }
        for (other, position) in last.seen.enumerated() { seen[index][other] = max(seen[index][other], position) }
    }

    /// Shows everybody everything.
    mutating func showAll() {
        for index in replicas.indices { seen[index] = lengths }
    }

    /// Does something at a replica, upon what it has seen.
    @discardableResult
    mutating func perform(
        _ command: Command, by index: Int, at time: Int64 = 0, on record: RecordID = .sample,
        envelope: Envelope = Envelope(kind: Kind(rawValue: 1), scope: .workspace)
    ) -> Dot {
        lengths[index] += 1
        seen[index][index] = lengths[index]
        let dot = Dot(replicas[index], lengths[index])
        var act = Act(dot: dot, log: index, record: record, time: time, seen: seen[index])
        let view = acts.filter { $0.record == record && $0.dot.number <= seen[index][$0.log] }
        var changes: [Cell: Change] = [:]
        add(command, to: &act, &changes, view, envelope)
        act.changes = changes.values.sorted { $0.cell < $1.cell }
        acts.append(act)
        return dot
    }

    private func add(
        _ command: Command, to act: inout Act, _ changes: inout [Cell: Change], _ view: [Act], _ envelope: Envelope
    ) {
        func set(_ cell: Cell, _ value: Value) {
            changes[cell] = Change(cell: cell, value: value, supersedes: Self.live(cell, in: view))
        }
        switch command {
        case .create: act.creates = envelope
        case .write(let field, let text): set(Cell(field), .text(text))
        case .writeInteger(let field, let integer): set(Cell(field), .integer(integer))
        case .writeUnknown(let field, let json): set(Cell(field), .json(json))
        case .add(let field, let element): set(Cell(field, element), .present)
        case .remove(let field, let element): set(Cell(field, element), .absent)
        case .raise(let field): set(Cell(field), .present)
        case .lower(let field): set(Cell(field), .absent)
        case .choose(let field, let element):
            let chosen = Cell(field, element)
            for cell in Set(view.flatMap { $0.changes.map(\.cell) }) where cell.field == field && cell != chosen {
                let live = Set(Self.live(cell, in: view))
                let isThere = view.contains {
                    live.contains($0.dot) && $0.changes.contains { $0.cell == cell && $0.value == .present }
                }
                if isThere { set(cell, .absent) }
            }
            set(chosen, .present)
        case .count(let field, let amount):
            changes[Cell(field)] = Change(cell: Cell(field), value: .count(amount))
        case .delete:
            act.covers = Model(of: act.record, from: view).uncoveredDots
        case .unknown(let number, let json):
            let cell = Cell(.unknownOperation, .id(RecordID(rawValue: number)))
            changes[cell] = Change(cell: cell, value: .json(json))
        case .all(let commands):
            for command in commands { add(command, to: &act, &changes, view, envelope) }
        }
    }

    /// The dots that are live in a cell for somebody who has seen `view`.
    private static func live(_ cell: Cell, in view: [Act]) -> [Dot] {
        var written: [Dot] = []
        var dead: [Dot] = []
        for act in view {
            for change in act.changes where change.cell == cell {
                if case .count = change.value {} else { written.append(act.dot) }
                dead += change.supersedes
            }
        }
        return written.filter { !dead.contains($0) }
    }

    var records: [RecordID] { Set(acts.map(\.record)).sorted() }
}

extension RecordID {
    static let sample = RecordID(milliseconds: 200_000_000_000, count: 1, sequence: 0)
}

extension Field {
    static let name = Field(rawValue: 1)
    static let year = Field(rawValue: 2)
    static let tags = Field(rawValue: 3)
    static let phones = Field(rawValue: 4)
    static let starred = Field(rawValue: 5)
    static let stage = Field(rawValue: 6)
    static let visits = Field(rawValue: 7)
    static let novelty = Field(rawValue: 0xFFFE)
}

// MARK: - Smaller histories

extension History {
    /// Histories that are this one less something, the smallest first.
    var smaller: [History] {
        var result: [History] = []
        for log in replicas.indices where acts.contains(where: { $0.log == log }) {
            result.append(without { $0.log == log })
        }
        for record in records where records.count > 1 { result.append(without { $0.record == record }) }
        for act in acts.reversed() { result.append(without { $0.dot == act.dot }) }
        for index in acts.indices {
            for position in acts[index].changes.indices {
                let cell = acts[index].changes[position].cell
                var copy = self
                copy.acts[index].changes.remove(at: position)
                copy.forget(acts[index].dot, in: cell)
                result.append(copy)
                for dot in acts[index].changes[position].supersedes {
                    copy = self
                    copy.acts[index].changes[position].supersedes.removeAll { $0 == dot }
                    result.append(copy)
                }
            }
            for dot in acts[index].covers {
                var copy = self
                copy.acts[index].covers.removeAll { $0 == dot }
                result.append(copy)
            }
        }
        return result
    }

    private func without(_ isDropped: (Act) -> Bool) -> History {
        var copy = self
        copy.acts.removeAll(where: isDropped)
        for act in acts where isDropped(act) {
            copy.forget(act.dot, in: nil)
            for index in copy.acts.indices { copy.acts[index].covers.removeAll { $0 == act.dot } }
        }
        return copy
    }

    private mutating func forget(_ dot: Dot, in cell: Cell?) {
        for index in acts.indices {
            for position in acts[index].changes.indices where cell == nil || acts[index].changes[position].cell == cell
            {
                acts[index].changes[position].supersedes.removeAll { $0 == dot }
            }
        }
    }
}

extension History: CustomStringConvertible {
    var description: String {
        acts.map { act in
            var words = ["\(act.dot) on \(act.record) at \(act.time)"]
            if act.creates != nil { words.append("creates") }
            for change in act.changes {
                words.append("\(change.cell.field.rawValue) \(change.cell.element) = \(change.value)")
                if !change.supersedes.isEmpty { words.append("over \(change.supersedes)") }
            }
            if !act.covers.isEmpty { words.append("covers \(act.covers)") }
            return words.joined(separator: " ")
        }.joined(separator: "\n")
    }
}

extension Dot: CustomStringConvertible {
    public var description: String { "\(String(replica.rawValue, radix: 16)):\(number)" }
}
