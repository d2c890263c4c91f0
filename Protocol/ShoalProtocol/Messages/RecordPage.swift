import ShoalCRDT

/// Cells of records, whole cells only: what a pull carries.
///
/// Entries lie in one array and text in one arena, as in `Record`. Records are in the order in which the server sends
/// them; the entries of one record are in the order of their cells' keys and dots.
public struct RecordPage: Sendable {
    public struct Head: Sendable {
        public var id: RecordID
        public var envelope: Envelope
        public internal(set) var entries: Range<Int>
    }

    public private(set) var heads: [Head] = []
    public private(set) var entries: [Entry] = []
    public private(set) var arena: [UInt8] = []
    /// Positions in `entries` whose value was left out because the receiver's own unacknowledged operation holds it.
    public private(set) var own: Set<Int> = []
    /// Records in which a mark still waits for an operation: what a replica held of one of these may say more than the
    /// record does, even if it is equal.
    public internal(set) var open: Set<RecordID> = []

    public init() {}

    public var isEmpty: Bool { heads.isEmpty }

    public mutating func begin(_ id: RecordID, _ envelope: Envelope) {
        heads.append(Head(id: id, envelope: envelope, entries: entries.count..<entries.count))
    }

    /// Says that in the record begun last a mark waits for an operation.
    public mutating func noteOpen() {
        if let last = heads.last { open.insert(last.id) }
    }

    /// Adds an entry to the record begun last, with its text copied from `source`.
    ///
    /// The part of a counter is the sum of many operations, none of which says it, so its value is never left out.
    public mutating func append(_ entry: Entry, from source: borrowing [UInt8], isOwn: Bool = false) {
        guard let last = heads.indices.last else { return }
        let isOwn = isOwn && entry.kind != .count && !entry.kind.isMarker
        var copy = entry
        if entry.key.elementKind == .text {
            copy.key = CellKey(entry.key.field, text: store(source, entry.key.elementSlice))
        }
        if isOwn {
            own.insert(entries.count)
        } else if entry.kind.isSlice {
            copy.slice = store(source, entry.slice)
        }
        entries.append(copy)
        heads[last].entries = heads[last].entries.lowerBound..<entries.count
    }

    private mutating func store(_ source: borrowing [UInt8], _ slice: Slice) -> Slice {
        let start = arena.count
        source.withUnsafeBytes { bytes in
            let range = slice.range
            if range.upperBound <= bytes.count { arena.append(contentsOf: bytes[range]) }
        }
        return Slice(start..<arena.count)
    }

    /// Adds an entry whose slices lie in this page's arena already.
    mutating func appendDecoded(_ entry: Entry, isOwn: Bool) {
        guard let last = heads.indices.last else { return }
        if isOwn { own.insert(entries.count) }
        entries.append(entry)
        heads[last].entries = heads[last].entries.lowerBound..<entries.count
    }

    mutating func withArena<T, E: Error>(_ body: (inout [UInt8]) throws(E) -> T) throws(E) -> T { try body(&arena) }

    /// Gives an entry that came without its value the value from the receiver's own log.
    public mutating func fill(_ position: Int, with edit: Operations.Edit, from source: borrowing [UInt8]) {
        entries[position].kind = edit.kind
        if edit.kind.isSlice {
            entries[position].slice = store(source, edit.slice)
        } else {
            entries[position] = Entry(
                key: entries[position].key, kind: edit.kind, isCovered: entries[position].isCovered,
                dot: entries[position].dot, time: entries[position].time, sequence: 0, integer: edit.integer)
        }
        own.remove(position)
    }

    /// An approximation of the page's size in bytes on the wire before compression, to bound pages by.
    public var weight: Int { heads.count * 24 + entries.count * 16 + arena.count }
}

extension RecordPage {
    /// Whether two entries of one record are in the same cell.
    func isSameCell(_ a: Int, _ b: Int) -> Bool { entries[a].key.isEqual(to: entries[b].key, in: arena) }

    /// Whether the entries of the record added last ascend by cell and dot, and an emptied cell has no others.
    func lastIsInOrder() -> Bool {
        guard let range = heads.last?.entries, range.count > 1 else { return true }
        return (range.lowerBound + 1..<range.upperBound).allSatisfy { index in
            entries[index - 1].precedes(entries[index], in: arena)
                && !(entries[index - 1].kind == .emptied && isSameCell(index - 1, index))
        }
    }
}
