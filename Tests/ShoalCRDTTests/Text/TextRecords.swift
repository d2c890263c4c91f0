@testable import ShoalCRDT

/// Operations on one field that is a text, by authors who are also logs.
struct TextHistory {
    static let field = Field.name
    static let id = RecordID.sample

    private(set) var batch = Operations()
    private(set) var dots: [Dot] = []
    private var numbers: [ReplicaID: UInt32] = [:]

    static func replica(_ index: Int) -> ReplicaID { ReplicaID(rawValue: UInt32(index + 1)) }

    /// An operation of an author; the record is made by the first of all.
    @discardableResult
    mutating func add(by author: Int, _ body: (inout Operations) -> Void) -> Dot {
        let replica = Self.replica(author)
        numbers[replica, default: 0] += 1
        let dot = Dot(replica, numbers[replica, default: 0])
        batch.begin(
            record: Self.id, time: Int64(100 + dots.count),
            creates: dots.isEmpty ? Envelope(kind: Kind(rawValue: 1), scope: .workspace) : nil)
        body(&batch)
        dots.append(dot)
        return dot
    }

    @discardableResult
    mutating func change(by author: Int, _ delta: TextDelta, supersedes: [Dot] = []) -> Dot {
        add(by: author) {
            $0.edit(CellKey(Self.field), .textChange, slice: $0.store(delta.json), supersedes: supersedes)
        }
    }

    @discardableResult
    mutating func write(by author: Int, _ text: String, supersedes: [Dot] = []) -> Dot {
        add(by: author) { $0.edit(CellKey(Self.field), text: text, supersedes: supersedes) }
    }

    func apply(_ index: Int, to record: inout Record, isKnown: (Dot) -> Bool = { _ in true }) {
        record.apply(
            index, of: batch, dot: dots[index], time: Int64(100 + index), sequence: Int64(index + 1), isKnown: isKnown)
    }

    /// An order that keeps each log's.
    func interleaving(_ random: inout SplitMix64) -> [Int] {
        var rest = Array(dots.indices)
        var order: [Int] = []
        while !rest.isEmpty {
            let replica = dots[random.pick(rest)].replica
            let next = rest.firstIndex { dots[$0].replica == replica } ?? 0
            order.append(rest.remove(at: next))
        }
        return order
    }

    func record(_ order: [Int]? = nil) -> Record {
        var record = Record(id: Self.id)
        var known: Set<Dot> = []
        for index in order ?? Array(dots.indices) {
            apply(index, to: &record) { known.contains($0) }
            known.insert(dots[index])
        }
        return record
    }

    /// The records of many orders, each of which keeps every log's.
    func records(orders: Int = 40) -> [Record] {
        var random = SplitMix64(seed: 7)
        return (0..<orders).map { _ in record(interleaving(&random)) }
    }
}

extension Record {
    var textCell: Range<Int> { range(of: CellKey(TextHistory.field)) }
    var openedText: TextSequence { openText(in: textCell) }
    var conflictingTexts: [String] { conflicting(in: textCell).map { text($0.slice) } }
    var history: [String] { textHistory(in: textCell).map { "\($0.replica.rawValue)@\($0.time) \($0.text)" } }
}
