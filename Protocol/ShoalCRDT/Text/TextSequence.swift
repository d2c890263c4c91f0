/// A text as a sequence CRDT: Fugue (Weidner and Kleppmann, 2023), flat and run-length encoded.
///
/// The tree of Fugue is kept as nodes, each a piece of a run whose characters are alive or deleted together. Nodes stand
/// in the order of the document in chunks, so that a position is found by counting chunks, and under their names in
/// order of offsets, so that a character is found by two searches. Nothing here recurses.
///
/// A node is split wherever a character gets a child: a character with right children ends its node, and one with left
/// children begins it.
public struct TextSequence: Sendable {
    static let none = UInt32.max

    struct Node {
        var name: UInt32
        var offset: UInt32
        var count: UInt32
        /// Where the text begins in `scalars`; meaningless for deleted characters.
        var text: UInt32
        var chunk: UInt32
        /// The node with the characters that follow in the same run.
        var next: UInt32
        /// The first of the runs that are right children of the last character, and left children of the first one.
        var right: UInt32
        var left: UInt32
        /// The next child of the same parent on the same side.
        var sibling: UInt32
        /// What the run hangs on: a name, or `none` for the root; `inherited` for a node that goes on with a run.
        var parentName: UInt32
        var parentOffset: UInt32
        var side: TextDelta.Side
        var isHead: Bool
        var isDeleted: Bool

        var end: UInt32 { offset + count }
        var visible: UInt32 { isDeleted ? 0 : count }
    }

    /// A stretch of offsets of a name, all there: the first of the nodes that hold them.
    struct Stretch {
        var offset: UInt32
        var end: UInt32
        var node: UInt32
    }

    /// What was typed under one name.
    struct Author {
        var name: TextName
        var stretches: [Stretch] = []
        /// Deletions of characters that are not here yet: they ascend and neither overlap nor touch.
        var deletedAhead: [Range<UInt32>] = []
        /// Runs that wait for a character of this name.
        var waiting: [Waiting] = []
    }

    /// A run whose parent is not here yet.
    struct Waiting {
        var parentOffset: UInt32
        var side: TextDelta.Side
        var name: UInt32
        var offset: UInt32
        var pieces: [(count: UInt32, text: [Unicode.Scalar]?)]
    }

    /// The children of one character, or of the root, on one side.
    struct Family: Hashable {
        var name: UInt32
        var offset: UInt32
        var side: TextDelta.Side
    }

    /// How many siblings are looked at one by one.
    static let few = 32

    var nodes: [Node] = []
    var authors: [Author] = []
    var authorOfName: [TextName: UInt32] = [:]
    /// The first of the runs at the beginning of the text.
    var root = TextSequence.none
    var scalars: [Unicode.Scalar] = []
    var order = TextOrder()
    /// The lists of siblings that are long, in their order: places are found by binary searches.
    var crowds: [Family: [UInt32]] = [:]
    /// How many runs wait for characters that are not here.
    public internal(set) var waitingRuns = 0

    public init() {}

    /// How many characters the text has.
    public var count: Int { order.visible }

    /// In how many pieces it is kept, deleted ones included.
    public var pieceCount: Int { nodes.count }

    /// How many bytes this takes in memory, without what the allocator adds.
    public var memory: Int {
        nodes.capacity * MemoryLayout<Node>.stride + scalars.capacity * MemoryLayout<Unicode.Scalar>.stride
            + order.memory + authors.capacity * MemoryLayout<Author>.stride
            + authors.reduce(0) { $0 + $1.stretches.capacity * MemoryLayout<Stretch>.stride }
            + authorOfName.capacity * (MemoryLayout<TextName>.stride + MemoryLayout<UInt32>.stride)
    }

    /// The text.
    public var text: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        forEachVisible { node in
            for scalar in scalars[Int(node.text)..<Int(node.text) + Int(node.count)] { bytes.appendUTF8(scalar) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The characters of the text.
    public var content: [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(count)
        forEachVisible { node in result += scalars[Int(node.text)..<Int(node.text) + Int(node.count)] }
        return result
    }

    private func forEachVisible(_ body: (Node) -> Void) {
        order.forEach { index in
            if !nodes[Int(index)].isDeleted { body(nodes[Int(index)]) }
        }
    }

    /// The text in pieces, in order, each with the place of its first character.
    public func forEachPiece(_ body: (TextPlace, ArraySlice<Unicode.Scalar>) -> Void) {
        forEachVisible { node in
            body(
                TextPlace(authors[Int(node.name)].name, node.offset),
                scalars[Int(node.text)..<Int(node.text) + Int(node.count)])
        }
    }
}

// MARK: - Finding

extension TextSequence {
    /// The author with a name, made if there is none.
    mutating func author(_ name: TextName) -> UInt32 {
        if let last = authors.indices.last, authors[last].name == name { return UInt32(last) }
        if let index = authorOfName[name] { return index }
        let index = UInt32(authors.count)
        authors.append(Author(name: name))
        authorOfName[name] = index
        return index
    }

    /// The last stretch of an author that begins at or before an offset.
    func stretch(_ author: UInt32, _ offset: UInt32) -> Int? {
        let stretches = authors[Int(author)].stretches
        guard let last = stretches.last else { return nil }
        if last.offset <= offset { return stretches.count - 1 }
        var low = 0
        var high = stretches.count
        while low < high {
            let middle = (low + high) / 2
            if stretches[middle].offset <= offset { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? low - 1 : nil
    }

    /// The node with a character.
    mutating func find(_ author: UInt32, _ offset: UInt32) -> UInt32? {
        guard let place = stretch(author, offset) else { return nil }
        let found = authors[Int(author)].stretches[place]
        guard offset < found.end else { return nil }
        var index = found.node
        var steps = 0
        while nodes[Int(index)].end <= offset {
            index = nodes[Int(index)].next
            steps += 1
        }
        // A stretch in many pieces is cut, so that the next search is short.
        if steps > 32 {
            let cut = nodes[Int(index)].offset
            authors[Int(author)].stretches[place].end = cut
            authors[Int(author)].stretches.insert(Stretch(offset: cut, end: found.end, node: index), at: place + 1)
        }
        return index
    }

    /// Whether a character is here.
    public func contains(_ place: TextPlace) -> Bool {
        guard let author = authorOfName[place.name], let index = stretch(author, place.offset) else { return false }
        return place.offset < authors[Int(author)].stretches[index].end
    }

    /// Whether all characters of a range are here.
    func contains(_ name: TextName, _ range: Range<UInt32>) -> Bool {
        guard let author = authorOfName[name] else { return range.isEmpty }
        var at = range.lowerBound
        while at < range.upperBound {
            guard let index = stretch(author, at), at < authors[Int(author)].stretches[index].end else { return false }
            at = authors[Int(author)].stretches[index].end
        }
        return true
    }

    /// Whether the last character of a node has right children.
    func hasRight(_ node: UInt32) -> Bool {
        nodes[Int(node)].next != Self.none || nodes[Int(node)].right != Self.none
    }

    func isOrdered(_ a: UInt32, before b: UInt32) -> Bool {
        let (mine, its) = (nodes[Int(a)], nodes[Int(b)])
        return mine.name == its.name
            ? mine.offset < its.offset : authors[Int(mine.name)].name < authors[Int(its.name)].name
    }
}

// MARK: - Nodes

extension TextSequence {
    /// Makes a node that stands nowhere yet.
    mutating func makeNode(
        _ author: UInt32, _ offset: UInt32, count: UInt32, text: UInt32, isDeleted: Bool, parentName: UInt32,
        parentOffset: UInt32, side: TextDelta.Side, isHead: Bool
    ) -> UInt32 {
        nodes.append(
            Node(
                name: author, offset: offset, count: count, text: text, chunk: 0, next: Self.none, right: Self.none,
                left: Self.none, sibling: Self.none, parentName: parentName, parentOffset: parentOffset, side: side,
                isHead: isHead, isDeleted: isDeleted))
        return UInt32(nodes.count - 1)
    }

    /// Cuts a node after its first `count` characters and returns the node with the rest.
    @discardableResult
    mutating func split(_ index: UInt32, after count: UInt32) -> UInt32 {
        var rest = nodes[Int(index)]
        rest.offset += count
        rest.count -= count
        rest.text = rest.text &+ count
        rest.left = Self.none
        rest.sibling = Self.none
        rest.isHead = false
        let new = UInt32(nodes.count)
        nodes.append(rest)
        nodes[Int(index)].count = count
        nodes[Int(index)].next = new
        nodes[Int(index)].right = Self.none
        // Out of its chunk and in again: making room may move either half to another.
        order.grow(rest.chunk, by: -Int(rest.visible))
        order.insert(new, after: index, visible: rest.visible, &nodes)
        return new
    }

    /// Notes which offsets of an author a new node holds.
    mutating func addStretch(_ author: UInt32, _ offset: UInt32, _ end: UInt32, _ node: UInt32) {
        if let last = authors[Int(author)].stretches.last, last.offset > offset {
            let place = stretch(author, offset).map { $0 + 1 } ?? 0
            authors[Int(author)].stretches.insert(Stretch(offset: offset, end: end, node: node), at: place)
        } else {
            authors[Int(author)].stretches.append(Stretch(offset: offset, end: end, node: node))
        }
    }
}

extension [UInt8] {
    @inline(__always)
    mutating func appendUTF8(_ scalar: Unicode.Scalar) {
        let value = scalar.value
        if value < 0x80 {
            append(UInt8(truncatingIfNeeded: value))
        } else if value < 0x800 {
            append(UInt8(truncatingIfNeeded: 0xC0 | value >> 6))
            append(UInt8(truncatingIfNeeded: 0x80 | value & 0x3F))
        } else if value < 0x10000 {
            append(UInt8(truncatingIfNeeded: 0xE0 | value >> 12))
            append(UInt8(truncatingIfNeeded: 0x80 | value >> 6 & 0x3F))
            append(UInt8(truncatingIfNeeded: 0x80 | value & 0x3F))
        } else {
            append(UInt8(truncatingIfNeeded: 0xF0 | value >> 18))
            append(UInt8(truncatingIfNeeded: 0x80 | value >> 12 & 0x3F))
            append(UInt8(truncatingIfNeeded: 0x80 | value >> 6 & 0x3F))
            append(UInt8(truncatingIfNeeded: 0x80 | value & 0x3F))
        }
    }
}
