@testable import ShoalCRDT

/// What Fugue says, in the words of the paper: a tree of single characters, walked in order. Slow, and right by being
/// plain; nothing of it is shared with `TextSequence`.
struct TextModel {
    /// A character: who typed it, and how many they had typed before.
    struct ID: Hashable, Comparable {
        var name: UInt64
        var offset: UInt32
        static func < (a: ID, b: ID) -> Bool { (a.name, a.offset) < (b.name, b.offset) }
    }

    /// A character as a change brings it.
    struct Arrival: Equatable {
        var id: ID
        /// Nil for the root.
        var parent: ID?
        var isLeft: Bool
        /// Nil for one whose text was dropped.
        var scalar: Unicode.Scalar?
    }

    private struct Node {
        var id: ID
        var scalar: Unicode.Scalar?
        var left: [Int] = []
        var right: [Int] = []
    }

    /// The first is the root.
    private var nodes = [Node(id: ID(name: 0, offset: 0))]
    private var places: [ID: Int] = [:]
    private var deleted: Set<ID> = []
    private var waiting: [Arrival] = []

    /// How many characters hang on something that is not here.
    var waitingCharacters: Int { waiting.count }

    // MARK: Reading

    /// All nodes but the root in the order of the document: left children, the node, right children.
    private var walk: [Int] {
        enum Step { case enter(Int), say(Int) }
        var result: [Int] = []
        var steps = [Step.enter(0)]
        while let step = steps.popLast() {
            switch step {
            case .say(let node): result.append(node)
            case .enter(let node):
                for child in nodes[node].right.reversed() { steps.append(.enter(child)) }
                if node > 0 { steps.append(.say(node)) }
                for child in nodes[node].left.reversed() { steps.append(.enter(child)) }
            }
        }
        return result
    }

    private func isVisible(_ node: Int) -> Bool { nodes[node].scalar != nil && !deleted.contains(nodes[node].id) }

    var content: [Unicode.Scalar] { walk.filter(isVisible).compactMap { nodes[$0].scalar } }
    var text: String { String(String.UnicodeScalarView(content)) }

    // MARK: Merging

    mutating func merge(_ delta: TextDelta) { merge(delta.arrivals, deleting: delta.deletedCharacters) }

    mutating func merge(_ arrivals: [Arrival], deleting ids: some Sequence<ID>) {
        deleted.formUnion(ids)
        for arrival in arrivals where arrival.scalar == nil { deleted.insert(arrival.id) }
        waiting += arrivals
        var isDone = false
        while !isDone {
            isDone = true
            let round = waiting
            waiting = []
            for arrival in round {
                if places[arrival.id] != nil { continue }
                if add(arrival) { isDone = false } else { waiting.append(arrival) }
            }
        }
    }

    private mutating func add(_ arrival: Arrival) -> Bool {
        var parent = 0
        if let id = arrival.parent {
            guard let place = places[id] else { return false }
            parent = place
        }
        let new = nodes.count
        nodes.append(Node(id: arrival.id, scalar: arrival.scalar))
        places[arrival.id] = new
        let siblings = arrival.isLeft ? nodes[parent].left : nodes[parent].right
        let place = siblings.firstIndex { nodes[$0].id > arrival.id } ?? siblings.count
        if arrival.isLeft {
            nodes[parent].left.insert(new, at: place)
        } else {
            nodes[parent].right.insert(new, at: place)
        }
        return true
    }

    // MARK: Editing

    /// Types characters; returns what a change about them must say.
    mutating func insert(_ text: [Unicode.Scalar], at position: Int, as first: ID) -> [Arrival] {
        let walk = walk
        var origin = 0
        var next = walk.first
        if position > 0 {
            let index = walk.indices.filter { isVisible(walk[$0]) }[position - 1]
            origin = walk[index]
            next = index + 1 < walk.count ? walk[index + 1] : nil
        }
        var arrivals: [Arrival] = []
        for (index, scalar) in text.enumerated() {
            var arrival = Arrival(
                id: ID(name: first.name, offset: first.offset + UInt32(index)), parent: nil, isLeft: false,
                scalar: scalar)
            if let last = arrivals.last {
                arrival.parent = last.id
            } else if nodes[origin].right.isEmpty {
                arrival.parent = origin == 0 ? nil : nodes[origin].id
            } else if let next {
                arrival.parent = nodes[next].id
                arrival.isLeft = true
            }
            arrivals.append(arrival)
        }
        merge(arrivals, deleting: [])
        return arrivals
    }

    /// Deletes characters; returns which.
    mutating func delete(at position: Int, count: Int) -> [ID] {
        let gone = walk.filter(isVisible)[position..<position + count].map { nodes[$0].id }
        deleted.formUnion(gone)
        return gone
    }
}

extension TextDelta {
    /// The characters of its runs, one by one.
    var arrivals: [TextModel.Arrival] {
        var result: [TextModel.Arrival] = []
        for run in runs {
            var offset = run.offset
            for piece in pieces[run.pieces] {
                let text = text(of: piece).map(Array.init)
                for index in 0..<Int(piece.count) {
                    let id = TextModel.ID(name: names[run.name].rawValue, offset: offset)
                    var arrival = TextModel.Arrival(id: id, parent: nil, isLeft: false, scalar: text?[index])
                    if offset > run.offset {
                        arrival.parent = TextModel.ID(name: id.name, offset: offset - 1)
                    } else if case .character(let name, let parent) = run.parent {
                        arrival.parent = TextModel.ID(name: names[name].rawValue, offset: parent)
                        arrival.isLeft = run.side == .left
                    }
                    result.append(arrival)
                    offset += 1
                }
            }
        }
        return result
    }

    /// The characters that it deletes, one by one.
    var deletedCharacters: [TextModel.ID] {
        deletions.flatMap { deletion in
            (deletion.offset..<deletion.offset + deletion.count).map {
                TextModel.ID(name: names[deletion.name].rawValue, offset: $0)
            }
        }
    }
}
