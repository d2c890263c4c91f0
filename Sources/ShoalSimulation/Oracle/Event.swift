import ShoalCRDT
import ShoalProtocol

/// The place of a cell, apart from any record's memory.
public struct CellName: Hashable, Comparable, Sendable {
    public enum Element: Hashable, Sendable {
        case none
        case id(RecordID)
        case text(String)
    }
    public var record: RecordID
    public var field: Field
    public var element: Element

    public init(_ record: RecordID, _ field: Field, _ element: Element = .none) {
        self.record = record
        self.field = field
        self.element = element
    }

    init(_ record: RecordID, _ key: CellKey, _ text: (Slice) -> String) {
        self.record = record
        field = key.field
        element =
            switch key.elementKind {
            case .none: .none
            case .id: .id(key.elementID)
            case .text: .text(text(key.elementSlice))
            }
    }

    private var order: (Int64, UInt16, UInt8, Int64, String) {
        switch element {
        case .none: (record.rawValue, field.rawValue, 0, 0, "")
        case .id(let id): (record.rawValue, field.rawValue, 1, id.rawValue, "")
        case .text(let text): (record.rawValue, field.rawValue, 2, 0, text)
        }
    }
    public static func < (a: Self, b: Self) -> Bool { a.order < b.order }
}

/// A value apart from any record's memory.
public enum CellValue: Hashable, Sendable {
    case present
    case absent
    case text(String)
    case integer(Int64)
    case count(Int64)
    case json(String)
    case textChange(TextChange)
    /// Of a cell type of a later version: the number of the type, and the value.
    case foreign(UInt8, String)
    case marker

    init(_ kind: ValueKind, integer: Int64, text: () -> String) {
        self =
            switch kind {
            case .present: .present
            case .absent: .absent
            case .text: .text(text())
            case .integer: .integer(integer)
            case .count: .count(integer)
            case .json: .json(text())
            case .textChange: .textChange(TextChange(text()))
            case _ where kind.isForeign: .foreign(kind.rawValue, text())
            default: .marker
            }
    }

    var isCount: Bool {
        if case .count = self { return true }
        return false
    }

    /// The change of a text, if it is one.
    var change: TextChange? {
        if case .textChange(let change) = self { return change }
        return nil
    }

    /// Whether only programs of a later version see it.
    var isForeign: Bool {
        if case .foreign = self { return true }
        return false
    }
}

/// A change of a text. Changes are the same whatever of their text was dropped because others deleted it.
public struct TextChange: Hashable, Sendable {
    public let json: String
    private let shape: String

    init(_ json: String) {
        let delta = Self.delta(json)
        var shape = TextDelta()
        for run in delta.runs {
            shape.begin(
                name: shape.place(of: delta.names[run.name]), offset: run.offset, parent: run.parent, side: run.side,
                origin: run.origin)
            shape.appendDeleted(delta.count(of: run))
        }
        for deletion in delta.deletions {
            shape.delete(
                name: shape.place(of: delta.names[deletion.name]), offset: deletion.offset, count: deletion.count)
        }
        var bytes: [UInt8] = []
        shape.encode(into: &bytes)
        self.json = json
        self.shape = String(decoding: bytes, as: UTF8.self)
    }

    var delta: TextDelta { Self.delta(json) }

    private static func delta(_ json: String) -> TextDelta {
        Array(json.utf8).withUnsafeBytes { (try? TextDelta(json: $0)) ?? TextDelta() }
    }

    public static func == (a: Self, b: Self) -> Bool { a.shape == b.shape }
    public func hash(into hasher: inout Hasher) { hasher.combine(shape) }
}

/// What an operator did, as one operation: known by its hash, which stays when the operation gets another place.
struct Event {
    struct Write {
        var cell: CellName
        var value: CellValue
        /// What the operator had seen in the cell and replaced.
        var superseded: Set<OperationHash>
    }
    var hash: OperationHash
    /// The machine whose operator did it.
    var machine: Int
    var record: RecordID
    var creates: Envelope?
    var writes: [Write] = []
    /// What the operator had seen of the record and deleted.
    var covered: Set<OperationHash> = []
    /// Whether the server must refuse it.
    var isForbidden = false
    /// Whether no disk had it when one was set back.
    var mayBeGone = false
    /// Whether no log had it then: it can come back in what others hold, and stands in no log.
    var isUnlogged = false
    /// What it had replaced or deleted of which, when something was lost, nobody surely knew it any more: who held it was in the
    /// middle of a fill, or had got it from a recovery.
    var loose: Set<OperationHash> = []

    /// Gives every record that it speaks of another identifier.
    mutating func rename(_ name: (RecordID) -> RecordID) {
        record = name(record)
        if let envelope = creates {
            switch envelope.scope {
            case .customer(let id): creates = Envelope(kind: envelope.kind, scope: .customer(name(id)))
            case .account, .workspace, .pair: break
            }
        }
        for index in writes.indices {
            writes[index].cell.record = name(writes[index].cell.record)
            if case .id(let id) = writes[index].cell.element { writes[index].cell.element = .id(name(id)) }
            if case .integer(let number) = writes[index].value, writes[index].cell.field == .tagGroup {
                writes[index].value = .integer(name(RecordID(rawValue: number)).rawValue)
            }
        }
    }
}

/// What an operator sees of a record, by the identities of the operations that left it.
struct RecordView {
    struct Seen {
        var cell: CellName
        var event: OperationHash
        var isCovered: Bool
        /// Whether no edit replaces it: a counter's part, or what the operator's program does not know.
        var isLasting: Bool
    }
    var entries: [Seen] = []

    func live(in cell: CellName) -> Set<OperationHash> {
        Set(entries.lazy.filter { $0.cell == cell && !$0.isLasting }.map(\.event))
    }

    var uncovered: Set<OperationHash> { Set(entries.lazy.filter { !$0.isCovered }.map(\.event)) }
}
