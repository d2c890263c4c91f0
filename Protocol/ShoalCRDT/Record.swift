/// A record: an envelope and cells, each cell a run of live entries.
///
/// The entries lie in one array, ordered by the key of their cell and then by dot, and their text in one arena, so that
/// a record costs two allocations however many cells it has.
public struct Record: Sendable {
    public let id: RecordID
    /// The kind is `.none` until the operation that makes the record has arrived.
    public internal(set) var envelope: Envelope
    public internal(set) var entries: [Entry]
    public internal(set) var arena: [UInt8]

    /// A record of which nothing is known yet.
    public init(id: RecordID) {
        self.id = id
        envelope = Envelope(kind: .none, scope: .workspace)
        entries = []
        arena = []
    }

    @inlinable public var isMade: Bool { envelope.kind != .none }

    /// A record is present while it has an entry that no deletion has seen.
    public var isPresent: Bool {
        isMade && entries.contains { !$0.isCovered && !$0.kind.isMarker }
    }

    /// The server sequence of the record's last change.
    public var sequence: Int64 {
        var last: Int64 = 0
        for entry in entries where entry.sequence > last { last = entry.sequence }
        return last
    }

    public func text(_ slice: Slice) -> String { String(decoding: arena[slice.range], as: UTF8.self) }
}

// MARK: - Cells

extension Record {
    /// Where a cell's entries lie; empty at the place where they would be.
    public func range(of key: CellKey, in keyArena: borrowing [UInt8]) -> Range<Int> {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].key.compare(key, arena, keyArena) < 0 { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < entries.count, entries[end].key.compare(key, arena, keyArena) == 0 { end += 1 }
        return low..<end
    }

    /// Where the entries of a cell lie whose element, if it has one, is an identifier.
    public func range(of key: CellKey) -> Range<Int> { range(of: key, in: arena) }

    /// Where the entries of all cells of a field lie.
    public func range(of field: Field) -> Range<Int> {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].key.field < field { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < entries.count, entries[end].key.field == field { end += 1 }
        return low..<end
    }

    /// The end of the cell that begins at `start`.
    @inlinable
    public func endOfCell(from start: Int) -> Int {
        let key = entries[start].key
        var end = start + 1
        while end < entries.count, entries[end].key.compare(key, arena, arena) == 0 { end += 1 }
        return end
    }

    /// Calls `body` with the range of each cell, in order of their keys.
    @inlinable
    public func forEachCell<E: Error>(in range: Range<Int>? = nil, _ body: (Range<Int>) throws(E) -> Void) throws(E) {
        var start = range?.lowerBound ?? 0
        let end = range?.upperBound ?? entries.count
        while start < end {
            let next = endOfCell(from: start)
            try body(start..<next)
            start = next
        }
    }

    /// The entry whose value a cell shows: of the values that this version knows and that are not absent the one with the
    /// greatest (time, dot). Of a text it is the newest change, whatever stands beside it.
    public func shown(in cell: Range<Int>) -> Entry? {
        var best: Entry?
        for index in cell {
            let entry = entries[index]
            if entry.kind.isMarker || entry.kind == .absent || entry.kind.isForeign { continue }
            if let current = best {
                let isChange = entry.kind == .textChange
                if isChange == (current.kind == .textChange) ? !entry.isShown(before: current) : !isChange { continue }
            }
            best = entry
        }
        return best
    }

    /// The other live values of a cell, each once, the newest dot first: empty unless the cell is in conflict.
    ///
    /// Values are equal when kind and bytes are; equal values are no conflict, and an absence is no value.
    public func conflicting(in cell: Range<Int>) -> [Entry] {
        guard cell.count > 1, let shown = shown(in: cell) else { return [] }
        var others: [Entry] = []
        var text: [UInt8]?
        for index in cell {
            let entry = entries[index]
            if entry.kind.isMarker || entry.kind == .absent || entry.kind == .count || entry.kind.isForeign { continue }
            if entry.kind == .textChange || isSameValue(entry, shown) { continue }
            if shown.kind == .textChange, entry.kind == .text {
                let content = text ?? Array(openText(in: cell).text.utf8)
                text = content
                if arena[entry.slice.range].elementsEqual(content) { continue }
            }
            if let same = others.firstIndex(where: { isSameValue($0, entry) }) {
                if others[same].dot < entry.dot { others[same] = entry }
            } else {
                others.append(entry)
            }
        }
        return others.sorted { $0.dot > $1.dot }
    }

    /// The sum of a counter over all replicas.
    public func sum(in cell: Range<Int>) -> Int64 {
        cell.reduce(into: 0) { sum, index in
            if entries[index].kind == .count { sum = sum &+ entries[index].integer }
        }
    }

    public func isSameValue(_ a: Entry, _ b: Entry) -> Bool {
        guard a.kind == b.kind else { return false }
        return a.kind.isSlice ? compareBytes(arena, a.slice, arena, b.slice) == 0 : a.integer == b.integer
    }

    /// The live dots of a cell that an edit of it supersedes: those of values that its author can have seen. Changes of a
    /// text are none of them.
    public func liveDots(in cell: Range<Int>) -> [Dot] {
        if cell.isEmpty { return [] }
        return entries[cell].compactMap {
            $0.kind.isMarker || $0.kind.isForeign || $0.kind == .textChange ? nil : $0.dot
        }
    }

    /// The dots of all entries that are not covered yet, each once and ascending: what a deletion covers.
    public func uncoveredDots() -> [Dot] {
        var dots = entries.compactMap { $0.kind.isMarker || $0.isCovered ? nil : $0.dot }
        dots.sort()
        var unique = 0
        for index in dots.indices where index == 0 || dots[index] != dots[unique - 1] {
            dots[unique] = dots[index]
            unique += 1
        }
        dots.removeSubrange(unique...)
        return dots
    }
}

// MARK: - Replacing cells

extension Record {
    /// Copies bytes into the arena.
    mutating func store(_ bytes: some Sequence<UInt8>) -> Slice {
        let start = arena.count
        arena.append(contentsOf: bytes)
        return Slice(start..<arena.count)
    }

    /// Copies an entry from elsewhere, its text included.
    mutating func adopt(_ entry: Entry, from source: borrowing [UInt8]) -> Entry {
        var copy = entry
        if entry.key.elementKind == .text {
            copy.key = CellKey(entry.key.field, text: store(source[entry.key.elementSlice.range]))
        }
        if entry.kind.isSlice { copy.slice = store(source[entry.slice.range]) }
        return copy
    }

    /// Makes a cell hold exactly `newEntries`, which share one key and ascend by dot: how a pulled cell is taken over.
    public mutating func replaceCell(with newEntries: ArraySlice<Entry>, from source: borrowing [UInt8]) {
        guard let first = newEntries.first else { return }
        let cell = range(of: first.key, in: source)
        var adopted: [Entry] = []
        adopted.reserveCapacity(newEntries.count)
        for entry in newEntries { adopted.append(adopt(entry, from: source)) }
        entries.replaceSubrange(cell, with: adopted)
    }

    /// Takes a pulled cell over: its entries replace those that are here, but for changes of a text, which stay until the
    /// cell is emptied.
    public mutating func takeCell(_ newEntries: ArraySlice<Entry>, from source: borrowing [UInt8]) {
        guard let first = newEntries.first else { return }
        let cell = range(of: first.key, in: source)
        guard first.kind != .emptied, isText(cell) else { return replaceCell(with: newEntries, from: source) }
        let named = Set(newEntries.lazy.map(\.dot))
        var taken = entries[cell].filter { $0.kind == .textChange && !named.contains($0.dot) }
        for entry in newEntries { taken.append(adopt(entry, from: source)) }
        taken.sort { $0.dot < $1.dot }
        entries.replaceSubrange(cell, with: taken)
    }

    /// Appends an entry that is known to follow all others: how a record is built in order.
    public mutating func appendInOrder(_ entry: Entry, from source: borrowing [UInt8]) {
        let adopted = adopt(entry, from: source)
        entries.append(adopted)
    }

    public mutating func setEnvelope(_ envelope: Envelope) { self.envelope = envelope }

    /// Gives every entry this sequence, so that the record is sent whole: how a record that comes back reaches replicas
    /// whose fill left it out while it was deleted.
    public mutating func renumber(sequence: Int64) {
        for index in entries.indices { entries[index].sequence = sequence }
    }
}
