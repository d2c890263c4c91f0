/// Edits by position: what the author at this replica does.
extension TextSequence {
    /// Types characters at a position, as (name, offset) and the following offsets, and adds the run to a change.
    ///
    /// The run hangs on the character before it as a right child if that has none yet, else as a left child on the
    /// character that follows in the document, deleted ones included.
    ///
    /// - Parameters:
    ///   - position: how many characters stand before it, at most `count`.
    ///   - offset: one that was never used under this name.
    public mutating func insert(
        _ text: some Collection<Unicode.Scalar>, at position: Int, as name: TextName, from offset: UInt32,
        into delta: inout TextDelta
    ) {
        guard !text.isEmpty else { return }
        let (parent, side) = insert(text, at: position, author(name), offset)
        let own = delta.place(of: name)
        let place: TextDelta.Parent =
            parent.name == Self.none
            ? .root : .character(name: delta.place(of: authors[Int(parent.name)].name), offset: parent.offset)
        delta.begin(name: own, offset: offset, parent: place, side: side)
        delta.append(text)
    }

    private mutating func insert(
        _ text: some Collection<Unicode.Scalar>, at position: Int, _ author: UInt32, _ offset: UInt32
    ) -> (parent: (name: UInt32, offset: UInt32), side: TextDelta.Side) {
        let start = UInt32(scalars.count)
        scalars.append(contentsOf: text)
        let count = UInt32(scalars.count) - start
        guard position > 0 else {
            guard let first = order.first else {
                return put(author, offset, count, start, rightOf: nil)
            }
            return put(author, offset, count, start, leftOf: first)
        }
        let (found, before) = order.node(at: position - 1, nodes)
        if before + 1 < nodes[Int(found)].count {
            let rest = split(found, after: before + 1)
            return put(author, offset, count, start, leftOf: rest)
        }
        if !hasRight(found) { return put(author, offset, count, start, rightOf: found) }
        // What has a right child is followed by something.
        guard let following = order.node(after: found, nodes) else {
            return put(author, offset, count, start, rightOf: found)
        }
        return put(author, offset, count, start, leftOf: following)
    }

    /// Puts a run that is the only right child of a node's last character, or of the root.
    private mutating func put(
        _ author: UInt32, _ offset: UInt32, _ count: UInt32, _ text: UInt32, rightOf node: UInt32?
    ) -> (parent: (name: UInt32, offset: UInt32), side: TextDelta.Side) {
        guard let node else {
            let new = makeNode(
                author, offset, count: count, text: text, isDeleted: false, parentName: Self.none, parentOffset: 0,
                side: .right, isHead: true)
            addStretch(author, offset, offset + count, new)
            nodes[Int(new)].sibling = root
            root = new
            order.insert(new, after: nil, visible: count, &nodes)
            return ((Self.none, 0), .right)
        }
        let parent = nodes[Int(node)]
        if parent.name == author, parent.end == offset {
            if !parent.isDeleted, parent.text + parent.count == text {
                // It goes on where the last one ended.
                nodes[Int(node)].count += count
                order.grow(parent.chunk, by: Int(count))
                extendStretch(author, to: offset, by: count)
            } else {
                continueRun(node, offset, count, text, isDeleted: false)
            }
            return ((author, offset - 1), .right)
        }
        let new = makeNode(
            author, offset, count: count, text: text, isDeleted: false, parentName: parent.name,
            parentOffset: parent.end - 1, side: .right, isHead: true)
        addStretch(author, offset, offset + count, new)
        nodes[Int(node)].right = new
        order.insert(new, after: node, visible: count, &nodes)
        return ((parent.name, parent.end - 1), .right)
    }

    /// Puts a run that is the only left child of a node's first character.
    private mutating func put(
        _ author: UInt32, _ offset: UInt32, _ count: UInt32, _ text: UInt32, leftOf node: UInt32
    ) -> (parent: (name: UInt32, offset: UInt32), side: TextDelta.Side) {
        let parent = nodes[Int(node)]
        let new = makeNode(
            author, offset, count: count, text: text, isDeleted: false, parentName: parent.name,
            parentOffset: parent.offset, side: .left, isHead: true)
        addStretch(author, offset, offset + count, new)
        nodes[Int(node)].left = new
        order.insert(new, before: node, visible: count, &nodes)
        return ((parent.name, parent.offset), .left)
    }

    /// Lets the stretch that ends at an offset end later.
    mutating func extendStretch(_ author: UInt32, to offset: UInt32, by count: UInt32) {
        guard let place = stretch(author, offset - 1) else { return }
        authors[Int(author)].stretches[place].end = offset + count
    }

    /// Deletes characters from a position on, and adds them to a change.
    ///
    /// - Parameters: `position` and `length` lie within `count`.
    public mutating func delete(at position: Int, count length: Int, into delta: inout TextDelta) {
        var rest = length
        while rest > 0 {
            var (found, before) = order.node(at: position, nodes)
            if before > 0 { found = split(found, after: before) }
            if Int(nodes[Int(found)].count) > rest { split(found, after: UInt32(rest)) }
            let node = nodes[Int(found)]
            hide(found)
            delta.delete(name: delta.place(of: authors[Int(node.name)].name), offset: node.offset, count: node.count)
            rest -= Int(node.count)
        }
    }

    /// Marks a whole node as deleted.
    mutating func hide(_ index: UInt32) {
        let node = nodes[Int(index)]
        if node.isDeleted { return }
        nodes[Int(index)].isDeleted = true
        order.grow(node.chunk, by: -Int(node.count))
    }
}
