import ShoalCRDT

/// Bytes that read as a string. `String` itself will not do: it holds "é" and "e" with an accent for equal.
struct Bytes: Hashable, Comparable, ExpressibleByStringLiteral, CustomStringConvertible, Sendable {
    var bytes: [UInt8]
    init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }
    init(_ text: String) { bytes = Array(text.utf8) }
    init(stringLiteral text: String) { bytes = Array(text.utf8) }
    var description: String { String(decoding: bytes, as: UTF8.self).debugDescription }
    static func < (a: Bytes, b: Bytes) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}

enum Element: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    case none, id(RecordID), text(Bytes)
    init(stringLiteral text: String) { self = .text(Bytes(text)) }
    init(integerLiteral id: Int64) { self = .id(RecordID(rawValue: id)) }
}

/// The place of a value in its record, as the design names it: keyed by field and element.
struct Cell: Hashable, Comparable, Sendable {
    var field: Field
    var element: Element

    init(_ field: Field, _ element: Element = .none) {
        self.field = field
        self.element = element
    }

    static func < (a: Cell, b: Cell) -> Bool {
        if a.field != b.field { return a.field < b.field }
        switch (a.element, b.element) {
        case (.none, .none): return false
        case (.none, _): return true
        case (.id, .none): return false
        case (.id(let x), .id(let y)): return x < y
        case (.id, .text): return true
        case (.text(let x), .text(let y)): return x < y
        case (.text, _): return false
        }
    }
}

enum Value: Hashable, Sendable {
    case present, absent, text(Bytes), integer(Int64), count(Int64), json(Bytes)
}

/// A write or a removal in one cell, with the live dots that its author saw there.
struct Change: Hashable, Sendable {
    var cell: Cell
    var value: Value
    var supersedes: [Dot] = []
}

/// One operation, in words.
struct Act: Sendable {
    var dot: Dot
    /// The index of its log.
    var log: Int
    var record: RecordID
    var time: Int64
    var creates: Envelope?
    var changes: [Change] = []
    var covers: [Dot] = []
    var salt: UInt32?
    var continuesCommand = false
    /// How much of each log its author had seen, its own included.
    var seen: [UInt32] = []
}

/// What a person does to a record; what it supersedes and covers follows from what their replica has seen.
enum Command: Sendable {
    case create
    case write(Field, Bytes)
    case writeInteger(Field, Int64)
    /// A value of a kind that only a newer version knows.
    case writeUnknown(Field, Bytes)
    case add(Field, Element)
    case remove(Field, Element)
    case raise(Field)
    case lower(Field)
    /// One element of a group in place of all others that are seen there.
    case choose(Field, Element)
    case count(Field, Int64)
    case delete
    /// An operation of a kind that only a newer version knows.
    case unknown(Int64, Bytes)
    /// Several in one operation.
    case all([Command])
}
