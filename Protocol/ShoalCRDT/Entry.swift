/// A run of bytes in an arena.
public struct Slice: Hashable, Sendable {
    public var offset: UInt32
    public var count: UInt32
    @inlinable public init(offset: UInt32, count: UInt32) {
        self.offset = offset
        self.count = count
    }
    @inlinable public init(_ range: Range<Int>) {
        offset = UInt32(truncatingIfNeeded: range.lowerBound)
        count = UInt32(truncatingIfNeeded: range.count)
    }
    @inlinable init(payload: Int64) {
        offset = UInt32(truncatingIfNeeded: payload >> 32)
        count = UInt32(truncatingIfNeeded: payload)
    }
    @inlinable var payload: Int64 { Int64(offset) << 32 | Int64(count) }
    @inlinable public var range: Range<Int> { Int(offset)..<Int(offset) + Int(count) }
}

/// What an entry or an edit says.
public enum ValueKind: UInt8, Sendable {
    /// An element or flag that is there; also the entry that making a record leaves.
    case present = 0
    /// What a removal leaves.
    case absent = 1
    /// UTF-8.
    case text = 2
    case integer = 3
    /// In an edit: how much to add. In an entry: the replica's sum.
    case count = 4
    /// A value of a kind that this version does not know, as the JSON it came in.
    case json = 5

    /// A change of a text, as JSON: see `TextDelta`. It is never superseded.
    case textChange = 6

    // Values of cell types that later versions define, as the JSON they came in. This version keeps them under their
    // dots and passes them on, and does nothing else with them: see `isForeign`.
    case foreign7 = 7
    case foreign8 = 8
    case foreign9 = 9
    case foreign10 = 10
    case foreign11 = 11
    case foreign12 = 12

    /// Not a value: a dot of this cell that was superseded before it arrived.
    case deadAhead = 13
    /// Not a value: a dot of this record that was covered by a deletion before it arrived.
    case coveredAhead = 14
    /// Not a value: a cell that lost its last entry, kept so that replicas that are behind are told.
    case emptied = 15

    /// Whether nothing supersedes such a value: it merges with what comes later.
    @inlinable var isLasting: Bool { self == .count || self == .textChange }
    @inlinable public var isMarker: Bool { rawValue >= ValueKind.deadAhead.rawValue }
    /// Whether only later versions know how such values merge. An author who does not know that has not seen them: they
    /// are neither shown nor a conflict, and no edit supersedes them.
    @inlinable public var isForeign: Bool { rawValue &- 7 <= 5 }
    /// Whether the value is one of JSON, kept byte for byte.
    @inlinable public var isJSON: Bool { rawValue &- 5 <= 7 }
    @inlinable public var isSlice: Bool { self == .text || isJSON }
}

/// The place of a cell in its record. Elements that are text are slices of the arena of whatever holds the key.
public struct CellKey: Sendable {
    public enum ElementKind: UInt8, Sendable { case none = 0, id = 1, text = 2 }
    public var field: Field
    public var elementKind: ElementKind
    @usableFromInline var elementPayload: Int64

    @inlinable public init(_ field: Field) {
        self.field = field
        elementKind = .none
        elementPayload = 0
    }
    @inlinable public init(_ field: Field, id: RecordID) {
        self.field = field
        elementKind = .id
        elementPayload = id.rawValue
    }
    @inlinable public init(_ field: Field, text: Slice) {
        self.field = field
        elementKind = .text
        elementPayload = text.payload
    }

    /// The element when it is a record's identifier; meaningless otherwise.
    @inlinable public var elementID: RecordID { RecordID(rawValue: elementPayload) }
    /// The element when it is text; meaningless otherwise.
    @inlinable public var elementSlice: Slice { Slice(payload: elementPayload) }

    /// Orders keys by field, kind of element, element (identifiers by number, text by bytes).
    @inlinable
    func compare(_ other: CellKey, _ arena: borrowing [UInt8], _ otherArena: borrowing [UInt8]) -> Int {
        if field != other.field { return field < other.field ? -1 : 1 }
        if elementKind != other.elementKind { return elementKind.rawValue < other.elementKind.rawValue ? -1 : 1 }
        if elementKind != .text {
            return elementPayload == other.elementPayload ? 0 : elementPayload < other.elementPayload ? -1 : 1
        }
        return compareBytes(arena, elementSlice, otherArena, other.elementSlice)
    }
}

/// Orders two slices by bytes, a prefix first.
@usableFromInline
func compareBytes(_ a: borrowing [UInt8], _ aSlice: Slice, _ b: borrowing [UInt8], _ bSlice: Slice) -> Int {
    let shared = min(Int(aSlice.count), Int(bSlice.count))
    for index in 0..<shared {
        let x = a[Int(aSlice.offset) + index]
        let y = b[Int(bSlice.offset) + index]
        if x != y { return x < y ? -1 : 1 }
    }
    return aSlice.count == bSlice.count ? 0 : aSlice.count < bSlice.count ? -1 : 1
}

/// A live entry of a cell: what one operation left there and nobody has superseded.
public struct Entry: Sendable {
    public var key: CellKey
    public var kind: ValueKind
    /// A deletion of the record has seen this entry.
    public var isCovered: Bool
    public var dot: Dot
    /// Milliseconds since 1970, as the server lowered them. For people; decides nothing but which value is shown.
    public var time: Int64
    /// The server's sequence number of this entry's last change; 0 on a client.
    public var sequence: Int64
    @usableFromInline var payload: Int64

    @inlinable public init(
        key: CellKey, kind: ValueKind, isCovered: Bool = false, dot: Dot, time: Int64, sequence: Int64,
        integer: Int64 = 0
    ) {
        self.key = key
        self.kind = kind
        self.isCovered = isCovered
        self.dot = dot
        self.time = time
        self.sequence = sequence
        payload = integer
    }

    /// The value of an integer, or the sum of a count.
    @inlinable public var integer: Int64 { payload }
    /// Where the value of a text or of an unknown kind lies in the arena of whatever holds the entry.
    @inlinable public var slice: Slice {
        get { Slice(payload: payload) }
        set { payload = newValue.payload }
    }

    /// Whether this value is shown rather than `other`: the later time, then the greater dot.
    @inlinable func isShown(before other: Entry) -> Bool { (time, dot) > (other.time, other.dot) }
}

extension CellKey {
    /// Whether two keys over one arena name the same cell.
    @inlinable
    public func isEqual(to other: CellKey, in arena: borrowing [UInt8]) -> Bool { compare(other, arena, arena) == 0 }
}

extension Entry {
    /// Whether this entry stands before `other`, over one arena: by cell, then by dot.
    @inlinable
    public func precedes(_ other: Entry, in arena: borrowing [UInt8]) -> Bool {
        let order = key.compare(other.key, arena, arena)
        return order < 0 || order == 0 && dot < other.dot
    }
}
