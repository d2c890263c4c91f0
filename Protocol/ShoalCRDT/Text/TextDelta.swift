/// The name under which an author types: drawn at random for one text by one running program, and never used by another.
///
/// Characters are (name, offset). A name is no replica: it does not change when a log is renumbered, and two copies of a
/// replica draw different ones, so nothing that refers to a character must ever be renamed.
public struct TextName: RawRepresentable, Hashable, Comparable, Sendable {
    /// Names have 42 bits: seven digits of base 64.
    public static let bits = 42
    public var rawValue: UInt64
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Takes the lower bits of what was drawn.
    public init(drawn: UInt64) { rawValue = drawn & (1 << Self.bits - 1) }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// A character of a text: a Unicode scalar, by who typed it and how many they had typed before it.
public struct TextPlace: Hashable, Sendable {
    public var name: TextName
    public var offset: UInt32
    @inlinable public init(_ name: TextName, _ offset: UInt32) {
        self.name = name
        self.offset = offset
    }
}

/// A change of a text: runs of characters that were typed, and ranges that were deleted.
///
/// Changes commute: merged in any order, also twice, they make the same text. A run is a chain in the tree of Fugue
/// (Weidner and Kleppmann, "The Art of the Fugue: Minimizing Interleaving in Collaborative Text Editing", 2023): its first
/// character is a child of `parent` on one side, each further one the right child of the one before.
public struct TextDelta: Equatable, Sendable {
    public enum Side: UInt8, Sendable { case right = 0, left = 1 }

    /// What a run hangs on; a character's name is a place in `names`.
    public enum Parent: Equatable, Sendable {
        /// The beginning of the text.
        case root
        case character(name: Int, offset: UInt32)
    }

    public struct Run: Equatable, Sendable {
        public var name: Int
        public var offset: UInt32
        public var parent: Parent
        public var side: Side
        /// Which of `pieces` it consists of; at least one.
        public var pieces: Range<Int>
        /// Whom the run goes back to, when it is not the author of the change.
        public var origin: Origin?
    }

    /// Who wrote what a change repeats: a value from before the text was one.
    public struct Origin: Equatable, Sendable {
        public var replica: ReplicaID
        public var time: Int64
        public init(replica: ReplicaID, time: Int64) {
            self.replica = replica
            self.time = time
        }
    }

    /// Characters in a row, all with their text or all without: of deleted ones only the number is kept.
    public struct Piece: Equatable, Sendable {
        public var count: UInt32
        /// Where the text begins in `scalars`; nil for deleted characters.
        public var text: Int?
    }

    public struct Deletion: Equatable, Sendable {
        public var name: Int
        public var offset: UInt32
        public var count: UInt32
    }

    public private(set) var names: [TextName] = []
    public private(set) var runs: [Run] = []
    public private(set) var pieces: [Piece] = []
    public private(set) var deletions: [Deletion] = []
    public private(set) var scalars: [Unicode.Scalar] = []

    public init() {}

    @inlinable public var isEmpty: Bool { runs.isEmpty && deletions.isEmpty }

    /// How many runs, pieces and deletions it has.
    public var partCount: Int { runs.count + pieces.count + deletions.count }

    /// How many characters a run has.
    public func count(of run: Run) -> UInt32 { pieces[run.pieces].reduce(0) { $0 + $1.count } }

    public static func == (a: Self, b: Self) -> Bool {
        a.names == b.names && a.runs == b.runs && a.deletions == b.deletions && a.pieces.count == b.pieces.count
            && zip(a.pieces, b.pieces).allSatisfy { mine, its in
                mine.count == its.count
                    && a.text(of: mine).map { Array($0) } == b.text(of: its).map { Array($0) }
            }
    }

    /// The text of a piece; nil if it was deleted.
    public func text(of piece: Piece) -> ArraySlice<Unicode.Scalar>? {
        piece.text.map { scalars[$0..<$0 + Int(piece.count)] }
    }
}

// MARK: - Writing

extension TextDelta {
    public mutating func removeAll() {
        names.removeAll(keepingCapacity: true)
        runs.removeAll(keepingCapacity: true)
        pieces.removeAll(keepingCapacity: true)
        deletions.removeAll(keepingCapacity: true)
        scalars.removeAll(keepingCapacity: true)
    }

    /// The place of a name in `names`, where it is put if it is not there.
    public mutating func place(of name: TextName) -> Int {
        // The last names are the likely ones, and a change by hand has few.
        if let place = names.lastIndex(of: name) { return place }
        return addName(name)
    }

    mutating func addName(_ name: TextName) -> Int {
        names.append(name)
        return names.count - 1
    }

    /// Begins a run; the pieces that follow belong to it.
    public mutating func begin(name: Int, offset: UInt32, parent: Parent, side: Side, origin: Origin? = nil) {
        runs.append(
            Run(
                name: name, offset: offset, parent: parent, side: side, pieces: pieces.count..<pieces.count,
                origin: origin))
    }

    public mutating func append(_ text: some Collection<Unicode.Scalar>) {
        guard let last = runs.indices.last, !text.isEmpty else { return }
        let start = scalars.count
        scalars.append(contentsOf: text)
        if let piece = pieces.last, runs[last].pieces.contains(pieces.count - 1), let text = piece.text,
            text + Int(piece.count) == start
        {
            pieces[pieces.count - 1].count += UInt32(scalars.count - start)
            return
        }
        pieces.append(Piece(count: UInt32(scalars.count - start), text: start))
        runs[last].pieces = runs[last].pieces.lowerBound..<pieces.count
    }

    /// Appends characters of which only the number is left.
    public mutating func appendDeleted(_ count: UInt32) {
        guard let last = runs.indices.last, count > 0 else { return }
        if let piece = pieces.last, runs[last].pieces.contains(pieces.count - 1), piece.text == nil {
            pieces[pieces.count - 1].count += count
            return
        }
        pieces.append(Piece(count: count, text: nil))
        runs[last].pieces = runs[last].pieces.lowerBound..<pieces.count
    }

    public mutating func delete(name: Int, offset: UInt32, count: UInt32) {
        guard count > 0 else { return }
        if let last = deletions.last, last.name == name, last.offset + last.count == offset {
            deletions[deletions.count - 1].count += count
            return
        }
        deletions.append(Deletion(name: name, offset: offset, count: count))
    }

    mutating func appendScalar(_ scalar: Unicode.Scalar) { scalars.append(scalar) }

    mutating func appendPiece(_ count: UInt32, text: Int) {
        guard let last = runs.indices.last, count > 0 else { return }
        pieces.append(Piece(count: count, text: text))
        runs[last].pieces = runs[last].pieces.lowerBound..<pieces.count
    }

    mutating func setName(_ name: TextName, at place: Int) { names[place] = name }

    mutating func appendDeletion(_ deletion: Deletion) { deletions.append(deletion) }
}

// MARK: - Long changes

extension TextDelta {
    /// The change in parts whose JSON has at most about `limit` bytes each: runs are cut, and each part goes on from those
    /// before it.
    public func parts(upTo limit: Int) -> [TextDelta] {
        var parts: [TextDelta] = []
        var part = emptyWithNames()
        var size = 0
        // A character takes 6 bytes at most, an item 80.
        let step = max(1, limit / 8)
        func finish() {
            if !part.isEmpty || parts.isEmpty { parts.append(part.withUsedNames()) }
            part = emptyWithNames()
            size = 0
        }
        for run in runs {
            var offset = run.offset
            var isOpen = false
            for piece in pieces[run.pieces] {
                var done: UInt32 = 0
                while done < piece.count {
                    let text = text(of: piece)
                    let count = text == nil ? piece.count : min(piece.count - done, UInt32(step))
                    let bytes = 80 + (text == nil ? 0 : Int(count) * 6)
                    if size + bytes > limit, size > 0 {
                        finish()
                        isOpen = false
                    }
                    if !isOpen {
                        part.begin(
                            name: run.name, offset: offset,
                            parent: offset == run.offset ? run.parent : .character(name: run.name, offset: offset - 1),
                            side: offset == run.offset ? run.side : .right, origin: run.origin)
                        isOpen = true
                    }
                    if let text {
                        let start = text.startIndex + Int(done)
                        part.append(text[start..<start + Int(count)])
                    } else {
                        part.appendDeleted(count)
                    }
                    size += bytes
                    done += count
                    offset += count
                }
            }
        }
        for deletion in deletions {
            if size + 40 > limit { finish() }
            part.appendDeletion(deletion)
            size += 40
        }
        if !part.isEmpty || parts.isEmpty { finish() }
        return parts
    }

    private func emptyWithNames() -> TextDelta {
        var delta = TextDelta()
        for name in names { _ = delta.addName(name) }
        return delta
    }

    /// The same without the names that nothing uses.
    private func withUsedNames() -> TextDelta {
        var result = TextDelta()
        for run in runs {
            let name = result.place(of: names[run.name])
            var parent = run.parent
            if case .character(let other, let offset) = parent {
                parent = .character(name: result.place(of: names[other]), offset: offset)
            }
            result.begin(name: name, offset: run.offset, parent: parent, side: run.side, origin: run.origin)
            for piece in pieces[run.pieces] {
                if let text = text(of: piece) { result.append(text) } else { result.appendDeleted(piece.count) }
            }
        }
        for deletion in deletions {
            result.delete(
                name: result.place(of: names[deletion.name]), offset: deletion.offset, count: deletion.count)
        }
        return result
    }
}
