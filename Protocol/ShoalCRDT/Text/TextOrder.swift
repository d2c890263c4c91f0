/// The nodes of a text in the order of the document: chunks of places, each with the number of visible characters in it.
struct TextOrder: Sendable {
    private static let capacity = 64

    /// `capacity` places for each chunk, in the order in which the chunks were made.
    private var places: [UInt32] = []
    private var counts: [UInt32] = []
    private var visibles: [UInt32] = []
    /// The chunks in the order of the document, and where each stands there.
    private var chunks: [UInt32] = []
    private var ranks: [UInt32] = []
    private(set) var visible = 0
    /// A chunk by its rank, and how many visible characters stand before it: edits are mostly near each other.
    private var finger = (rank: 0, before: 0)

    var memory: Int {
        (places.capacity + counts.capacity + visibles.capacity + chunks.capacity + ranks.capacity)
            * MemoryLayout<UInt32>.stride
    }

    var first: UInt32? { chunks.first.map { places[Int($0) * Self.capacity] } }

    func forEach(_ body: (UInt32) -> Void) {
        for chunk in chunks {
            let start = Int(chunk) * Self.capacity
            for index in start..<start + Int(counts[Int(chunk)]) { body(places[index]) }
        }
    }

    /// The node with the visible character at a position, and how many of the node's characters stand before it.
    mutating func node(at position: Int, _ nodes: [TextSequence.Node]) -> (node: UInt32, before: UInt32) {
        var (rank, before) = finger
        while before > position {
            rank -= 1
            before -= Int(visibles[Int(chunks[rank])])
        }
        while rank < chunks.count - 1, before + Int(visibles[Int(chunks[rank])]) <= position {
            before += Int(visibles[Int(chunks[rank])])
            rank += 1
        }
        finger = (rank, before)
        var rest = position - before
        let start = Int(chunks[rank]) * Self.capacity
        var index = start
        while true {
            let node = places[index]
            let visible = Int(nodes[Int(node)].visible)
            if rest < visible { return (node, UInt32(rest)) }
            rest -= visible
            index += 1
        }
    }

    /// The node that follows in the document.
    func node(after node: UInt32, _ nodes: [TextSequence.Node]) -> UInt32? {
        let chunk = nodes[Int(node)].chunk
        let index = place(of: node, in: chunk) + 1
        if index < Int(chunk) * Self.capacity + Int(counts[Int(chunk)]) { return places[index] }
        let rank = Int(ranks[Int(chunk)]) + 1
        return rank < chunks.count ? places[Int(chunks[rank]) * Self.capacity] : nil
    }

    private func place(of node: UInt32, in chunk: UInt32) -> Int {
        var index = Int(chunk) * Self.capacity
        while places[index] != node { index += 1 }
        return index
    }

    /// Puts a node after another one, or at the beginning.
    mutating func insert(_ node: UInt32, after other: UInt32?, visible: UInt32, _ nodes: inout [TextSequence.Node]) {
        guard let other else {
            guard let first = chunks.first else {
                addChunk(at: 0)
                put(node, at: 0, in: 0, visible, &nodes)
                return
            }
            put(node, at: Int(first) * Self.capacity, in: first, visible, &nodes)
            return
        }
        let chunk = nodes[Int(other)].chunk
        put(node, at: place(of: other, in: chunk) + 1, in: chunk, visible, &nodes)
    }

    mutating func insert(_ node: UInt32, before other: UInt32, visible: UInt32, _ nodes: inout [TextSequence.Node]) {
        let chunk = nodes[Int(other)].chunk
        put(node, at: place(of: other, in: chunk), in: chunk, visible, &nodes)
    }

    private mutating func put(
        _ node: UInt32, at index: Int, in chunk: UInt32, _ visible: UInt32, _ nodes: inout [TextSequence.Node]
    ) {
        var (index, chunk) = (index, chunk)
        if Int(counts[Int(chunk)]) == Self.capacity {
            let new = halve(chunk, &nodes)
            let within = index - Int(chunk) * Self.capacity
            if within > Self.capacity / 2 {
                index = Int(new) * Self.capacity + within - Self.capacity / 2
                chunk = new
            }
        }
        let end = Int(chunk) * Self.capacity + Int(counts[Int(chunk)])
        places.withUnsafeMutableBufferPointer { places in
            var to = end
            while to > index {
                places[to] = places[to - 1]
                to -= 1
            }
            places[index] = node
        }
        counts[Int(chunk)] += 1
        nodes[Int(node)].chunk = chunk
        grow(chunk, by: Int(visible))
    }

    /// Counts characters of a chunk that appear, or disappear.
    mutating func grow(_ chunk: UInt32, by count: Int) {
        if count == 0 { return }
        visibles[Int(chunk)] = UInt32(Int(visibles[Int(chunk)]) + count)
        visible += count
        if Int(ranks[Int(chunk)]) < finger.rank { finger.before += count }
    }

    private mutating func addChunk(at rank: Int) {
        let chunk = UInt32(counts.count)
        places.append(contentsOf: repeatElement(TextSequence.none, count: Self.capacity))
        counts.append(0)
        visibles.append(0)
        ranks.append(UInt32(rank))
        chunks.insert(chunk, at: rank)
        for later in rank..<chunks.count { ranks[Int(chunks[later])] = UInt32(later) }
        if rank <= finger.rank { finger = (0, 0) }
    }

    /// Moves the second half of a chunk into a new one.
    private mutating func halve(_ chunk: UInt32, _ nodes: inout [TextSequence.Node]) -> UInt32 {
        let new = UInt32(counts.count)
        addChunk(at: Int(ranks[Int(chunk)]) + 1)
        let half = Self.capacity / 2
        let (from, to) = (Int(chunk) * Self.capacity + half, Int(new) * Self.capacity)
        var moved: UInt32 = 0
        for index in 0..<half {
            let node = places[from + index]
            places[to + index] = node
            nodes[Int(node)].chunk = new
            moved += nodes[Int(node)].visible
        }
        counts[Int(chunk)] = UInt32(half)
        counts[Int(new)] = UInt32(half)
        visibles[Int(chunk)] -= moved
        visibles[Int(new)] = moved
        return new
    }
}
