import ShoalCRDT

import struct ShoalCRDT.Record

/// A cell of a record, for listings.
struct CellPlace: Hashable {
    var record: RecordID
    var field: Field
    var element: CellEdit.Element
}

/// A change of one cell that a command wants, before it is sorted and its superseded dots are known.
struct CellEdit {
    enum Element: Hashable {
        case none
        case id(RecordID)
        case text(String)
    }
    enum Value {
        case text(String)
        /// A value of a kind that this version does not know; written only as it came.
        case json(String)
        case integer(Int64)
        case present
        case absent
    }

    var field: Field
    var element: Element
    var value: Value
    /// The live dots that the operator saw, when that was some time ago; nil: what the record shows now.
    var seen: [Dot]?

    init(_ field: Field, _ element: Element = .none, _ value: Value, seen: [Dot]? = nil) {
        self.field = field
        self.element = element
        self.value = value
        self.seen = seen
    }

    private var order: (UInt16, UInt8, Int64) {
        switch element {
        case .none: (field.rawValue, 0, 0)
        case .id(let id): (field.rawValue, 1, id.rawValue)
        case .text: (field.rawValue, 2, 0)
        }
    }

    /// The order of cells in a record.
    static func < (a: CellEdit, b: CellEdit) -> Bool {
        if case .text(let x) = a.element, case .text(let y) = b.element, a.field == b.field {
            return x.utf8.lexicographicallyPrecedes(y.utf8)
        }
        return a.order < b.order
    }

    /// The key, with a text element copied into the batch.
    func key(in batch: inout Operations) -> CellKey {
        switch element {
        case .none: CellKey(field)
        case .id(let id): CellKey(field, id: id)
        case .text(let text): CellKey(field, text: batch.store(text.utf8))
        }
    }

    /// Appends the edit to the operation begun last; it supersedes what is live in the cell of `record` and was seen.
    func write(to batch: inout Operations, seen record: Record) {
        let key = key(in: &batch)
        let live = record.liveDots(in: record.range(of: key, in: batch.arena))
        let supersedes = seen.map { seen in live.filter(seen.contains) } ?? live
        switch value {
        case .text(let text): batch.edit(key, text: text, supersedes: supersedes)
        case .json(let json):
            let slice = batch.store(json.utf8)
            batch.edit(key, .json, slice: slice, supersedes: supersedes)
        case .integer(let number): batch.edit(key, .integer, integer: number, supersedes: supersedes)
        case .present: batch.edit(key, .present, supersedes: supersedes)
        case .absent: batch.edit(key, .absent, supersedes: supersedes)
        }
    }

    /// Whether the cell shows this value already and nothing else is live in it.
    func isShown(in record: Record) -> Bool {
        var batch = Operations()
        let cell = record.range(of: key(in: &batch), in: batch.arena)
        let shown = record.shown(in: cell)
        switch value {
        case .text(let text):
            if cell.isEmpty || shown == nil { return text.isEmpty }
            guard let shown, shown.kind == .text else { return false }
            return record.conflicting(in: cell).isEmpty && record.arena[shown.slice.range].elementsEqual(text.utf8)
        case .json(let json):
            guard let shown, shown.kind == .json else { return false }
            return record.conflicting(in: cell).isEmpty && record.arena[shown.slice.range].elementsEqual(json.utf8)
        case .integer(let number):
            return shown?.kind == .integer && shown?.integer == number && record.conflicting(in: cell).isEmpty
        case .present: return cell.contains { record.entries[$0].kind == .present }
        case .absent: return !cell.contains { record.entries[$0].kind == .present }
        }
    }
}
