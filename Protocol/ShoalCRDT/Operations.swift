/// A run of operations of one log, in order, without an allocation an operation.
///
/// Every operation acts on one record: it may make the record, edit cells (each at most once, in the order of their
/// keys) and cover entries with a deletion. All its effects carry one dot.
public struct Operations: Sendable {
    /// One operation. Its edits and covered dots are ranges in the batch's arrays.
    public struct Operation: Sendable {
        public var record: RecordID
        /// Milliseconds since 1970 by the writer's corrected clock.
        public var time: Int64
        /// What the record is, when this operation makes it.
        public var creates: Envelope?
        /// Fresh random bits, on the first operation of a local transaction.
        public var salt: UInt32?
        /// Whether this operation belongs to the same command as the one before it.
        public var continuesCommand: Bool
        /// The hash, when it is not the chain's over this operation's bytes, as after renumbering.
        public var keptHash: OperationHash?
        public internal(set) var edits: Range<Int>
        public internal(set) var covers: Range<Int>
    }

    /// A change of one cell: a value (or its absence) and the live dots that its author saw and replaces.
    public struct Edit: Sendable {
        public var key: CellKey
        public var kind: ValueKind
        public internal(set) var payload: Int64
        public internal(set) var supersedes: Range<Int>
        /// The value of an integer, or how much a count grows.
        @inlinable public var integer: Int64 { payload }
        @inlinable public var slice: Slice { Slice(payload: payload) }
    }

    public private(set) var operations: [Operation] = []
    public private(set) var edits: [Edit] = []
    public private(set) var dots: [Dot] = []
    public private(set) var arena: [UInt8] = []

    public init() {}

    @inlinable public var count: Int { operations.count }
    @inlinable public var isEmpty: Bool { operations.isEmpty }

    public mutating func removeAll() {
        operations.removeAll(keepingCapacity: true)
        edits.removeAll(keepingCapacity: true)
        dots.removeAll(keepingCapacity: true)
        arena.removeAll(keepingCapacity: true)
    }

    mutating func truncate(operations operationCount: Int, edits editCount: Int, dots dotCount: Int) {
        operations.removeSubrange(operationCount...)
        edits.removeSubrange(editCount...)
        dots.removeSubrange(dotCount...)
    }

    public mutating func reserve(operations count: Int, bytes: Int) {
        operations.reserveCapacity(count)
        edits.reserveCapacity(count)
        dots.reserveCapacity(count)
        arena.reserveCapacity(bytes)
    }
}

// MARK: - Writing

extension Operations {
    /// Begins an operation; the edits and covered dots that follow belong to it until the next one begins.
    public mutating func begin(
        record: RecordID, time: Int64, creates: Envelope? = nil, salt: UInt32? = nil, continuesCommand: Bool = false,
        keptHash: OperationHash? = nil
    ) {
        operations.append(
            Operation(
                record: record, time: time, creates: creates, salt: salt, continuesCommand: continuesCommand,
                keptHash: keptHash, edits: edits.count..<edits.count, covers: dots.count..<dots.count))
    }

    /// Copies bytes into the arena.
    @inlinable
    public mutating func store(_ bytes: some Sequence<UInt8>) -> Slice { Slice(storeRange(bytes)) }

    @usableFromInline
    mutating func storeRange(_ bytes: some Sequence<UInt8>) -> Range<Int> {
        let start = arena.count
        arena.append(contentsOf: bytes)
        return start..<arena.count
    }

    /// Lets a decoder append to the arena directly.
    public mutating func withArena<T, E: Error>(_ body: (inout [UInt8]) throws(E) -> T) throws(E) -> T {
        try body(&arena)
    }

    /// Adds an edit to the operation begun last. The caller keeps the keys of an operation strictly ascending.
    public mutating func edit(
        _ key: CellKey, _ kind: ValueKind, integer: Int64 = 0, supersedes: some Sequence<Dot> = []
    ) {
        guard let last = operations.indices.last else { return }
        let start = dots.count
        dots.append(contentsOf: supersedes)
        edits.append(Edit(key: key, kind: kind, payload: integer, supersedes: start..<dots.count))
        operations[last].edits = operations[last].edits.lowerBound..<edits.count
    }

    /// Adds an edit whose value is text, or JSON of an unknown kind.
    public mutating func edit(_ key: CellKey, _ kind: ValueKind, slice: Slice, supersedes: some Sequence<Dot> = []) {
        edit(key, kind, integer: slice.payload, supersedes: supersedes)
    }

    public mutating func edit(_ key: CellKey, text: String, supersedes: some Sequence<Dot> = []) {
        edit(key, .text, slice: store(text.utf8), supersedes: supersedes)
    }

    /// Covers entries of the record: the deletion has seen them. Called once an operation, after its edits.
    public mutating func cover(_ seen: some Sequence<Dot>) {
        guard let last = operations.indices.last else { return }
        let start = dots.count
        dots.append(contentsOf: seen)
        operations[last].covers = start..<dots.count
    }

    public mutating func setKeptHash(_ hash: OperationHash?, at index: Int) { operations[index].keptHash = hash }
    public mutating func setRecord(_ record: RecordID, at index: Int) { operations[index].record = record }

    /// Copies one operation of another batch to the end of this one.
    public mutating func append(_ index: Int, of other: Operations) {
        let source = other.operations[index]
        begin(
            record: source.record, time: source.time, creates: source.creates, salt: source.salt,
            continuesCommand: source.continuesCommand, keptHash: source.keptHash)
        for edit in other.edits[source.edits] {
            var key = edit.key
            if key.elementKind == .text { key = CellKey(key.field, text: store(other.arena[key.elementSlice.range])) }
            let dots = other.dots[edit.supersedes]
            if edit.kind.isSlice {
                self.edit(key, edit.kind, slice: store(other.arena[edit.slice.range]), supersedes: dots)
            } else {
                self.edit(key, edit.kind, integer: edit.integer, supersedes: dots)
            }
        }
        if !source.covers.isEmpty { cover(other.dots[source.covers]) }
    }
}

// MARK: - Reading

extension Operations {
    public func text(_ slice: Slice) -> String { String(decoding: arena[slice.range], as: UTF8.self) }

    /// How many bytes operation `index` adds to its record at most, and whether it writes any value.
    public func footprint(of index: Int) -> (bytes: Int, writes: Bool) {
        var bytes = 32
        var writes = false
        for edit in edits[operations[index].edits] {
            bytes += 32
            if edit.key.elementKind == .text { bytes += Int(edit.key.elementSlice.count) }
            if edit.kind.isSlice {
                bytes += Int(edit.slice.count)
                writes = writes || edit.slice.count > 0
            } else if edit.kind != .absent {
                writes = true
            }
        }
        return (bytes, writes)
    }

    /// The change of a text that an edit writes; nil if its value is none.
    public func textChange(_ edit: Edit) -> TextDelta? {
        arena.withUnsafeBytes { arena in
            try? TextDelta(json: UnsafeRawBufferPointer(rebasing: arena[edit.slice.range]))
        }
    }

    /// The first edit of operation `index` that is not in strict order or not a value, if there is one. The cell that
    /// making the record leaves is not edited: it is made, and covered.
    public func firstMisplacedEdit(of index: Int) -> Int? {
        let range = operations[index].edits
        for position in range {
            let edit = edits[position]
            if edit.kind.isMarker || edit.key.field == .created { return position }
            if position > range.lowerBound, edits[position - 1].key.compare(edit.key, arena, arena) >= 0 {
                return position
            }
        }
        return nil
    }
}
