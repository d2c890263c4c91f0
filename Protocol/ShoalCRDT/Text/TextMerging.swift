/// Merging what others did.
extension TextSequence {
    /// Merges a change: its runs and deletions that are not here yet.
    ///
    /// Changes may come in any order and more than once. What hangs on a character that is not here waits for it;
    /// characters that are here are not taken again, whatever is said of them.
    public mutating func merge(_ delta: TextDelta) {
        let names = delta.names.map { author($0) }
        var released: [(run: Waiting, parent: UInt32)] = []
        for run in delta.runs {
            let author = names[run.name]
            var parent = (name: Self.none, offset: UInt32(0))
            if case .character(let name, let offset) = run.parent {
                parent = (names[name], offset)
                if !isHere(parent.name, offset) {
                    wait(delta, run, author: author, for: parent)
                    continue
                }
            }
            var at = run.offset
            for piece in delta.pieces[run.pieces] {
                let isFirst = at == run.offset
                merge(
                    author, at, piece.count, delta.text(of: piece), parent: isFirst ? parent : (author, at - 1),
                    side: isFirst ? run.side : .right, &released)
                at += piece.count
            }
            while let (run, parent) = released.popLast() { merge(run, rightOf: parent, &released) }
        }
        for deletion in delta.deletions {
            delete(names[deletion.name], deletion.offset..<deletion.offset + deletion.count)
        }
    }

    /// Lets the runs that wait in vain hang on the root, among its other children in the order of their names.
    ///
    /// What they hang on was in a change that is lost, so that their author's text is all that is left.
    public mutating func placeWaiting() {
        while waitingRuns > 0 {
            var least: (author: Int, index: Int)?
            for author in authors.indices {
                for index in authors[author].waiting.indices {
                    guard let other = least else {
                        least = (author, index)
                        continue
                    }
                    let (a, b) = (authors[author].waiting[index], authors[other.author].waiting[other.index])
                    let isLess =
                        a.name == b.name
                        ? (a.offset, a.parentOffset) < (b.offset, b.parentOffset)
                        : authors[Int(a.name)].name < authors[Int(b.name)].name
                    if isLess { least = (author, index) }
                }
            }
            guard let (author, index) = least else { return }
            let run = authors[author].waiting.remove(at: index)
            var released = [(run: run, parent: Self.none)]
            while let (run, parent) = released.popLast() { merge(run, rightOf: parent, &released) }
        }
    }

    private func isHere(_ author: UInt32, _ offset: UInt32) -> Bool {
        guard let place = stretch(author, offset) else { return false }
        return offset < authors[Int(author)].stretches[place].end
    }

    // MARK: What waits

    private mutating func wait(
        _ delta: TextDelta, _ run: TextDelta.Run, author: UInt32, for parent: (name: UInt32, offset: UInt32)
    ) {
        let pieces = delta.pieces[run.pieces].map { (count: $0.count, text: delta.text(of: $0).map { Array($0) }) }
        // Said again, it waits once.
        let isKnown = authors[Int(parent.name)].waiting.contains {
            $0.name == author && $0.offset == run.offset && $0.parentOffset == parent.offset && $0.side == run.side
                && $0.pieces.elementsEqual(pieces) { $0.count == $1.count && $0.text == $1.text }
        }
        if isKnown { return }
        waitingRuns += 1
        authors[Int(parent.name)].waiting.append(
            Waiting(parentOffset: parent.offset, side: run.side, name: author, offset: run.offset, pieces: pieces))
    }

    /// Merges a run that has waited; its parent's author is `none` for the root.
    private mutating func merge(
        _ run: Waiting, rightOf parent: UInt32, _ released: inout [(run: Waiting, parent: UInt32)]
    ) {
        waitingRuns -= 1
        var at = run.offset
        for piece in run.pieces {
            let isFirst = at == run.offset
            merge(
                run.name, at, piece.count, piece.text?[...],
                parent: isFirst ? (parent, run.parentOffset) : (run.name, at - 1),
                side: isFirst && parent != Self.none ? run.side : .right, &released)
            at += piece.count
        }
    }

    // MARK: Pieces

    /// Merges a piece of a run whose parent is here.
    private mutating func merge(
        _ author: UInt32, _ offset: UInt32, _ count: UInt32, _ text: ArraySlice<Unicode.Scalar>?,
        parent: (name: UInt32, offset: UInt32), side: TextDelta.Side,
        _ released: inout [(run: Waiting, parent: UInt32)]
    ) {
        var at = offset
        let end = offset + count
        while at < end {
            let place = stretch(author, at)
            if let place, at < authors[Int(author)].stretches[place].end {
                let known = min(end, authors[Int(author)].stretches[place].end)
                if text == nil { delete(author, at..<known) }
                at = known
                continue
            }
            let following = place.map { $0 + 1 } ?? 0
            var limit = end
            if following < authors[Int(author)].stretches.count {
                limit = min(end, authors[Int(author)].stretches[following].offset)
            }
            let start = UInt32(scalars.count)
            if let text {
                let base = text.startIndex + Int(at - offset)
                scalars.append(contentsOf: text[base..<base + Int(limit - at)])
            }
            let isFirst = at == offset
            put(
                author, at, limit - at, start, isDeleted: text == nil, parent: isFirst ? parent : (author, at - 1),
                isFirst ? side : .right)
            if !authors[Int(author)].deletedAhead.isEmpty { takeDeletedAhead(author, at..<limit) }
            if !authors[Int(author)].waiting.isEmpty {
                let range = at..<limit
                authors[Int(author)].waiting.removeAll { run in
                    guard range.contains(run.parentOffset) else { return false }
                    released.append((run, author))
                    return true
                }
            }
            at = limit
        }
    }

    /// Puts characters that are not here where they belong.
    private mutating func put(
        _ author: UInt32, _ offset: UInt32, _ count: UInt32, _ text: UInt32, isDeleted: Bool,
        parent: (name: UInt32, offset: UInt32), _ side: TextDelta.Side
    ) {
        guard parent.name != Self.none, let found = find(parent.name, parent.offset) else {
            let new = makeHead(author, offset, count, text, isDeleted, parent: (Self.none, 0), .right)
            let neighbours = link(new, into: root, implied: Self.none)
            if neighbours.isFirst { root = new }
            stand(new, neighbours, after: nil)
            return
        }
        switch side {
        case .right:
            if parent.offset + 1 < nodes[Int(found)].end {
                split(found, after: parent.offset + 1 - nodes[Int(found)].offset)
            }
            if parent.name == author, parent.offset + 1 == offset {
                continueRun(found, offset, count, text, isDeleted: isDeleted)
                return
            }
            let new = makeHead(author, offset, count, text, isDeleted, parent: parent, .right)
            let neighbours = link(new, into: nodes[Int(found)].right, implied: nodes[Int(found)].next)
            if neighbours.isFirst { nodes[Int(found)].right = new }
            stand(new, neighbours, after: found)
        case .left:
            var found = found
            if parent.offset > nodes[Int(found)].offset {
                found = split(found, after: parent.offset - nodes[Int(found)].offset)
            }
            let new = makeHead(author, offset, count, text, isDeleted, parent: parent, .left)
            let neighbours = link(new, into: nodes[Int(found)].left, implied: Self.none)
            if neighbours.isFirst { nodes[Int(found)].left = new }
            if neighbours.following == Self.none {
                order.insert(new, before: found, visible: nodes[Int(new)].visible, &nodes)
            } else {
                stand(new, between: neighbours)
            }
        }
    }

    private mutating func makeHead(
        _ author: UInt32, _ offset: UInt32, _ count: UInt32, _ text: UInt32, _ isDeleted: Bool,
        parent: (name: UInt32, offset: UInt32), _ side: TextDelta.Side
    ) -> UInt32 {
        let new = makeNode(
            author, offset, count: count, text: text, isDeleted: isDeleted, parentName: parent.name,
            parentOffset: parent.offset, side: side, isHead: true)
        addStretch(author, offset, offset + count, new)
        return new
    }

    /// Puts characters that go on with the run that ends with a node.
    mutating func continueRun(_ node: UInt32, _ offset: UInt32, _ count: UInt32, _ text: UInt32, isDeleted: Bool) {
        let last = nodes[Int(node)]
        extendStretch(last.name, to: offset, by: count)
        if last.right == Self.none, last.isDeleted == isDeleted, isDeleted || last.text + last.count == text {
            nodes[Int(node)].count += count
            if !isDeleted { order.grow(last.chunk, by: Int(count)) }
            return
        }
        let new = makeNode(
            last.name, offset, count: count, text: text, isDeleted: isDeleted, parentName: last.name,
            parentOffset: offset - 1, side: .right, isHead: false)
        nodes[Int(node)].next = new
        stand(new, neighbours(of: new, in: last.right), after: node)
    }

    // MARK: Children of one parent

    private struct Neighbours {
        /// The sibling before and after; `none` if there is no such one.
        var preceding = TextSequence.none
        var following = TextSequence.none
        /// Whether it comes first in the list, which does not hold the implied child.
        var isFirst = false
    }

    /// The neighbours of a right or left child among its siblings that are in a list.
    private mutating func neighbours(of new: UInt32, in list: UInt32) -> Neighbours {
        var result = Neighbours()
        let node = nodes[Int(new)]
        if let crowd = crowd(of: list, at: Family(name: node.parentName, offset: node.parentOffset, side: node.side)) {
            let place = self.place(of: new, in: crowd)
            if place > 0 { result.preceding = crowd[place - 1] }
            if place < crowd.count { result.following = crowd[place] }
            return result
        }
        var sibling = list
        while sibling != Self.none {
            if isOrdered(sibling, before: new) {
                result.preceding = sibling
            } else {
                result.following = sibling
                break
            }
            sibling = nodes[Int(sibling)].sibling
        }
        return result
    }

    /// The siblings of a list as an array, if there are many.
    private mutating func crowd(of list: UInt32, at family: Family) -> [UInt32]? {
        if !crowds.isEmpty, let crowd = crowds[family] { return crowd }
        var count = 0
        var sibling = list
        while sibling != Self.none, count <= Self.few {
            count += 1
            sibling = nodes[Int(sibling)].sibling
        }
        if count <= Self.few { return nil }
        var crowd: [UInt32] = []
        sibling = list
        while sibling != Self.none {
            crowd.append(sibling)
            sibling = nodes[Int(sibling)].sibling
        }
        crowds[family] = crowd
        return crowd
    }

    /// Where a run stands, or would stand, among siblings.
    private func place(of run: UInt32, in crowd: [UInt32]) -> Int {
        var low = 0
        var high = crowd.count
        while low < high {
            let middle = (low + high) / 2
            if isOrdered(crowd[middle], before: run) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Puts a run into a list of siblings, which ascends by name and offset.
    ///
    /// - Parameter implied: the right child that goes on with the parent's run, which is in no list.
    private mutating func link(_ new: UInt32, into list: UInt32, implied: UInt32) -> Neighbours {
        var result = neighbours(of: new, in: list)
        result.isFirst = result.preceding == Self.none
        nodes[Int(new)].sibling = result.following
        if !result.isFirst { nodes[Int(result.preceding)].sibling = new }
        if !crowds.isEmpty {
            let node = nodes[Int(new)]
            let family = Family(name: node.parentName, offset: node.parentOffset, side: node.side)
            if let place = crowds[family].map({ self.place(of: new, in: $0) }) {
                crowds[family]?.insert(new, at: place)
            }
        }
        guard implied != Self.none else { return result }
        if isOrdered(implied, before: new) {
            if result.preceding == Self.none || isOrdered(result.preceding, before: implied) {
                result.preceding = implied
            }
        } else if result.following == Self.none || isOrdered(implied, before: result.following) {
            result.following = implied
        }
        return result
    }

    /// Gives a right child its place in the document: after its parent if it comes first, else between the siblings beside
    /// it.
    private mutating func stand(_ new: UInt32, _ neighbours: Neighbours, after parent: UInt32?) {
        if neighbours.preceding == Self.none {
            order.insert(new, after: parent, visible: nodes[Int(new)].visible, &nodes)
        } else {
            stand(new, between: neighbours)
        }
    }

    /// Gives a child its place after all of the sibling before it, which is before all of the one that follows.
    ///
    /// Either may be deep: both are descended at once, until one ends. A new child is not deep, so that many in a row do
    /// not descend the same again and again.
    private mutating func stand(_ new: UInt32, between neighbours: Neighbours) {
        let visible = nodes[Int(new)].visible
        var (last, first) = (neighbours.preceding, neighbours.following)
        while true {
            if last != Self.none {
                let deeper = lastChild(of: last)
                if deeper == Self.none {
                    order.insert(new, after: last, visible: visible, &nodes)
                    return
                }
                last = deeper
            }
            if first != Self.none {
                let deeper = nodes[Int(first)].left
                if deeper == Self.none {
                    order.insert(new, before: first, visible: visible, &nodes)
                    return
                }
                first = deeper
            }
        }
    }

    /// The last right child of a node's last character.
    private mutating func lastChild(of node: UInt32) -> UInt32 {
        let parent = nodes[Int(node)]
        var last = parent.right
        if last != Self.none, nodes[Int(last)].sibling != Self.none {
            if let crowd = crowd(of: last, at: Family(name: parent.name, offset: parent.end - 1, side: .right)) {
                last = crowd[crowd.count - 1]
            } else {
                while nodes[Int(last)].sibling != Self.none { last = nodes[Int(last)].sibling }
            }
        }
        let implied = parent.next
        return implied != Self.none && (last == Self.none || isOrdered(last, before: implied)) ? implied : last
    }

    // MARK: Deletions

    /// Deletes characters of an author, those that are not here as soon as they come.
    private mutating func delete(_ author: UInt32, _ range: Range<UInt32>) {
        var at = range.lowerBound
        while at < range.upperBound {
            guard var found = find(author, at) else {
                let following = stretch(author, at).map { $0 + 1 } ?? 0
                var limit = range.upperBound
                if following < authors[Int(author)].stretches.count {
                    limit = min(limit, authors[Int(author)].stretches[following].offset)
                }
                authors[Int(author)].deletedAhead.unite(at..<limit)
                at = limit
                continue
            }
            if !nodes[Int(found)].isDeleted {
                if at > nodes[Int(found)].offset { found = split(found, after: at - nodes[Int(found)].offset) }
                if nodes[Int(found)].end > range.upperBound {
                    split(found, after: range.upperBound - nodes[Int(found)].offset)
                }
                hide(found)
            }
            at = nodes[Int(found)].end
        }
    }

    private mutating func takeDeletedAhead(_ author: UInt32, _ range: Range<UInt32>) {
        let taken = authors[Int(author)].deletedAhead.filter { $0.overlaps(range) }
        if taken.isEmpty { return }
        authors[Int(author)].deletedAhead.removeAll { $0.overlaps(range) }
        for deleted in taken { delete(author, deleted) }
    }
}

extension [Range<UInt32>] {
    /// Adds a range to ranges that ascend and neither overlap nor touch.
    fileprivate mutating func unite(_ range: Range<UInt32>) {
        let start = firstIndex { $0.upperBound >= range.lowerBound } ?? endIndex
        var end = start
        var united = range
        while end < endIndex, self[end].lowerBound <= united.upperBound {
            united =
                Swift.min(united.lowerBound, self[end].lowerBound)..<Swift.max(united.upperBound, self[end].upperBound)
            end += 1
        }
        replaceSubrange(start..<end, with: [united])
    }
}

// MARK: - The whole

extension TextSequence {
    /// All that is known, as one change: merged into an empty text it makes this one.
    ///
    /// Runs come in the order in which they were put here, so that each follows what it hangs on.
    public var state: TextDelta {
        var delta = TextDelta()
        for author in authors { _ = delta.addName(author.name) }
        for node in nodes where node.isHead {
            delta.begin(
                name: Int(node.name), offset: node.offset,
                parent: node.parentName == Self.none
                    ? .root : .character(name: Int(node.parentName), offset: node.parentOffset), side: node.side)
            var piece = node
            while true {
                if piece.isDeleted {
                    delta.appendDeleted(piece.count)
                } else {
                    delta.append(scalars[Int(piece.text)..<Int(piece.text) + Int(piece.count)])
                }
                if piece.next == Self.none { break }
                piece = nodes[Int(piece.next)]
            }
        }
        for (index, author) in authors.enumerated() {
            for run in author.waiting {
                delta.begin(
                    name: Int(run.name), offset: run.offset,
                    parent: .character(name: index, offset: run.parentOffset), side: run.side)
                for piece in run.pieces {
                    if let text = piece.text { delta.append(text) } else { delta.appendDeleted(piece.count) }
                }
            }
            for range in author.deletedAhead {
                delta.delete(name: index, offset: range.lowerBound, count: range.upperBound - range.lowerBound)
            }
        }
        return delta
    }
}
