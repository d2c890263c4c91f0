/// Texts in records.
///
/// A cell is a text from its first change on: an entry of kind `textChange` for each operation that changed it, none of
/// which is ever superseded. The text is a function of the entries: their changes merged in the order of their dots.
/// Before that the cell is a register, whose shown value is the text; the first change repeats it as a run whose name is
/// a hash of the value, so that two authors who both begin with it say the same, and supersedes it. Values that others
/// write into the register afterwards, or that nobody has repeated, are conflicts beside the text.
extension Record {
    /// Whether a cell holds changes of a text.
    public func isText(_ cell: Range<Int>) -> Bool { cell.contains { entries[$0].kind == .textChange } }

    /// The text of a cell, to be read and edited. That of a register is its shown value.
    public func openText(in cell: Range<Int>) -> TextSequence {
        guard isText(cell) else {
            var text = TextSequence()
            if let base = textBase(in: cell) { text.merge(base.delta) }
            return text
        }
        return mergedChanges(of: cell) { _, _ in }
    }

    /// The changes of a cell merged in the order of their dots; `body` gets each as it is merged.
    private func mergedChanges(of cell: Range<Int>, _ body: (TextDelta, Entry) -> Void) -> TextSequence {
        var text = TextSequence()
        for index in cell where entries[index].kind == .textChange {
            guard var change = textChange(entries[index]) else { continue }
            if !text.agrees(with: change) { change.rename(by: entries[index].dot) }
            text.merge(change)
            body(change, entries[index])
        }
        text.placeWaiting()
        return text
    }

    /// What the first change of a register's text begins with: its shown value, and the dots that this stands for. Nil if
    /// the register shows no text or an empty one.
    public func textBase(in cell: Range<Int>) -> (delta: TextDelta, dots: [Dot])? {
        guard let shown = shown(in: cell), shown.kind == .text, shown.slice.count > 0 else { return nil }
        let bytes = arena[shown.slice.range]
        let hash = Array(bytes).withUnsafeBytes {
            SipHash.hash($0, key: (0x7368_6F61_6C2D_7465, 0x7874_2D62_6173_6521))
        }
        var delta = TextDelta()
        let name = delta.place(of: TextName(drawn: hash))
        delta.begin(
            name: name, offset: 0, parent: .root, side: .right,
            origin: TextDelta.Origin(replica: shown.dot.replica, time: shown.time))
        delta.append(Array(String(decoding: bytes, as: UTF8.self).unicodeScalars))
        return (delta, cell.filter { isSameValue(entries[$0], shown) }.map { entries[$0].dot })
    }

    /// The change that an entry holds; nil if a program that knows better has written something else.
    func textChange(_ entry: Entry) -> TextDelta? {
        arena.withUnsafeBytes { arena in
            try? TextDelta(json: UnsafeRawBufferPointer(rebasing: arena[entry.slice.range]))
        }
    }

    /// Whether an entry is what a change left, but for text that was dropped.
    func isSameChange(_ entry: Entry, _ json: ArraySlice<UInt8>) -> Bool {
        guard let mine = textChange(entry), let its = try? Array(json).withUnsafeBytes({ try TextDelta(json: $0) })
        else {
            return false
        }
        var dropped = TextRanges()
        dropped.add(deletionsOf: mine)
        dropped.unite()
        return (its.dropping(dropped) ?? its) == mine
    }

    /// Drops the text of what is deleted from the changes of every cell.
    public mutating func dropDeletedTexts(sequence: Int64) {
        guard entries.contains(where: { $0.kind == .textChange }) else { return }
        // Nothing moves: entries change their values only.
        var cells: [Range<Int>] = []
        forEachCell { cells.append($0) }
        for cell in cells { dropDeletedText(in: cell, sequence: sequence) }
    }

    /// Drops the text of what is deleted from the changes of a cell; its lengths stay.
    ///
    /// What is left of an entry depends on the set of entries alone, not on their order of arrival.
    ///
    /// - Returns: whether anything was dropped.
    @discardableResult
    public mutating func dropDeletedText(in cell: Range<Int>, sequence: Int64) -> Bool {
        var changes: [(index: Int, delta: TextDelta)] = []
        for index in cell where entries[index].kind == .textChange {
            if let delta = textChange(entries[index]) { changes.append((index, delta)) }
        }
        var deleted = TextRanges()
        for change in changes { deleted.add(deletionsOf: change.delta) }
        if deleted.isEmpty { return false }
        deleted.unite()
        var changed = false
        for change in changes {
            guard let rest = change.delta.dropping(deleted) else { continue }
            var bytes: [UInt8] = []
            rest.encode(into: &bytes)
            entries[change.index].slice = store(bytes)
            entries[change.index].sequence = sequence
            changed = true
        }
        return changed
    }
}

// MARK: - History

/// A part of a text with who wrote it.
public struct TextPart: Equatable, Sendable {
    public var text: String
    public var replica: ReplicaID
    public var time: Int64
}

extension Record {
    /// The text of a cell in parts, each by one author at one time.
    public func textHistory(in cell: Range<Int>) -> [TextPart] {
        guard isText(cell) else {
            guard let shown = shown(in: cell), shown.kind == .text, shown.slice.count > 0 else { return [] }
            return [TextPart(text: text(shown.slice), replica: shown.dot.replica, time: shown.time)]
        }
        var authors = TextAuthors()
        let text = mergedChanges(of: cell) { change, entry in
            authors.add(change, TextDelta.Origin(replica: entry.dot.replica, time: entry.time))
        }
        var parts: [TextPart] = []
        text.forEachPiece { place, scalars in
            var offset = place.offset
            var rest = scalars
            while !rest.isEmpty {
                let (origin, end) = authors.origin(of: TextPlace(place.name, offset))
                let count = min(rest.count, Int(end - offset))
                var text = String.UnicodeScalarView()
                text.append(contentsOf: rest.prefix(count))
                if let last = parts.last, last.replica == origin.replica, last.time == origin.time {
                    parts[parts.count - 1].text.unicodeScalars.append(contentsOf: text)
                } else {
                    parts.append(TextPart(text: String(text), replica: origin.replica, time: origin.time))
                }
                rest = rest.dropFirst(count)
                offset += UInt32(count)
            }
        }
        return parts
    }
}

/// Who wrote which characters.
private struct TextAuthors {
    private var stretches: [TextName: [(range: Range<UInt32>, origin: TextDelta.Origin)]] = [:]

    mutating func add(_ delta: TextDelta, _ author: TextDelta.Origin) {
        for run in delta.runs {
            stretches[delta.names[run.name], default: []].append(
                (run.offset..<run.offset + delta.count(of: run), run.origin ?? author))
        }
    }

    /// Who wrote a character, and up to where that holds at most.
    func origin(of place: TextPlace) -> (TextDelta.Origin, end: UInt32) {
        let found = stretches[place.name]?.first { $0.range.contains(place.offset) }
        return found.map { ($0.origin, $0.range.upperBound) }
            ?? (TextDelta.Origin(replica: ReplicaID(rawValue: 0), time: 0), place.offset + 1)
    }
}

// MARK: - Deleted characters

/// Characters, as ranges of offsets under names.
struct TextRanges {
    private var ranges: [TextName: [Range<UInt32>]] = [:]

    var isEmpty: Bool { ranges.isEmpty }

    /// Adds what a change deletes, and what it has without text.
    mutating func add(deletionsOf delta: TextDelta) {
        for deletion in delta.deletions {
            ranges[delta.names[deletion.name], default: []].append(deletion.offset..<deletion.offset + deletion.count)
        }
        for run in delta.runs {
            var offset = run.offset
            for piece in delta.pieces[run.pieces] {
                if piece.text == nil {
                    ranges[delta.names[run.name], default: []].append(offset..<offset + piece.count)
                }
                offset += piece.count
            }
        }
    }

    /// Sorts and joins the ranges, which `overlapping` needs.
    mutating func unite() {
        for name in ranges.keys {
            ranges[name]?.sort { $0.lowerBound < $1.lowerBound }
            var united: [Range<UInt32>] = []
            for range in ranges[name] ?? [] {
                if let last = united.last, range.lowerBound <= last.upperBound {
                    united[united.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
                } else {
                    united.append(range)
                }
            }
            ranges[name] = united
        }
    }

    /// What of a range is here, ascending; found by a binary search.
    func overlapping(_ name: TextName, _ range: Range<UInt32>) -> [Range<UInt32>] {
        guard let all = ranges[name] else { return [] }
        var low = 0
        var high = all.count
        while low < high {
            let middle = (low + high) / 2
            if all[middle].upperBound <= range.lowerBound { low = middle + 1 } else { high = middle }
        }
        return all[low...].prefix { $0.lowerBound < range.upperBound }.map { $0.clamped(to: range) }
    }
}

extension TextDelta {
    /// This change without the text of what is deleted; nil if it has none of that.
    func dropping(_ deleted: TextRanges) -> TextDelta? {
        var result = TextDelta()
        for name in names { _ = result.addName(name) }
        var hasDropped = false
        for run in runs {
            result.begin(name: run.name, offset: run.offset, parent: run.parent, side: run.side, origin: run.origin)
            var offset = run.offset
            for piece in pieces[run.pieces] {
                defer { offset += piece.count }
                guard let text = text(of: piece) else {
                    result.appendDeleted(piece.count)
                    continue
                }
                var at = offset
                for gone in deleted.overlapping(names[run.name], offset..<offset + piece.count) {
                    if gone.upperBound <= at { continue }
                    let start = max(at, gone.lowerBound)
                    result.append(text[text.startIndex + Int(at - offset)..<text.startIndex + Int(start - offset)])
                    result.appendDeleted(gone.upperBound - start)
                    at = gone.upperBound
                    hasDropped = true
                }
                result.append(text[(text.startIndex + Int(at - offset))...])
            }
        }
        for deletion in deletions { result.appendDeletion(deletion) }
        return hasDropped ? result : nil
    }

    /// Gives what is typed another name, made of the name and an operation's place: somebody else has typed other
    /// characters under it.
    mutating func rename(by dot: Dot) {
        let typed = Set(runs.map(\.name))
        for name in typed {
            let hash = withUnsafeBytes(of: (names[name].rawValue.littleEndian, dot.rawValue.littleEndian)) {
                SipHash.hash($0, key: (0x7368_6F61_6C2D_7465, 0x7874_2D6E_616D_6521))
            }
            setName(TextName(drawn: hash), at: name)
        }
    }
}

extension TextSequence {
    /// Whether what a change types is new here, or the same as what is here.
    public func agrees(with delta: TextDelta) -> Bool {
        for run in delta.runs {
            guard let author = authorOfName[delta.names[run.name]], !authors[Int(author)].stretches.isEmpty else {
                continue
            }
            var offset = run.offset
            for piece in delta.pieces[run.pieces] {
                if !agrees(author, offset, piece.count, delta.text(of: piece)) { return false }
                offset += piece.count
            }
        }
        return true
    }

    private func agrees(
        _ author: UInt32, _ offset: UInt32, _ count: UInt32, _ text: ArraySlice<Unicode.Scalar>?
    ) -> Bool {
        guard let text else { return true }
        for found in authors[Int(author)].stretches[(stretch(author, offset) ?? 0)...] {
            if found.offset >= offset + count { break }
            if found.end <= offset { continue }
            var index = found.node
            while index != Self.none, nodes[Int(index)].offset < min(found.end, offset + count) {
                let node = nodes[Int(index)]
                let (from, to) = (max(offset, node.offset), min(offset + count, node.end))
                if !node.isDeleted, from < to {
                    let own = scalars[Int(node.text + from - node.offset)..<Int(node.text + to - node.offset)]
                    let base = text.startIndex
                    if own != text[base + Int(from - offset)..<base + Int(to - offset)] { return false }
                }
                index = node.next
            }
        }
        return true
    }

    /// Whether a change fits this text: what it hangs on and deletes is here or in itself, and what it types agrees with
    /// what is here and with itself.
    public func fits(_ delta: TextDelta) -> Bool {
        guard agrees(with: delta) else { return false }
        var merged = self
        merged.merge(delta)
        return merged.agrees(with: delta)
            && delta.runs.allSatisfy { run in
                guard case .character(let name, let offset) = run.parent else { return true }
                return merged.contains(TextPlace(delta.names[name], offset))
            }
            && delta.deletions.allSatisfy { deletion in
                merged.contains(delta.names[deletion.name], deletion.offset..<deletion.offset + deletion.count)
            }
    }
}
