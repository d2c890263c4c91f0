import ShoalCRDT

import struct ShoalCRDT.Record

/// What programs read from a record.
extension Record {
    /// The entry that making the record left: the earliest, when several replicas made it.
    var created: Entry? {
        var first: Entry?
        for index in range(of: Field.created) where entries[index].kind == .present {
            if let current = first, (current.time, current.dot) <= (entries[index].time, entries[index].dot) {
                continue
            }
            first = entries[index]
        }
        return first
    }

    func shown(_ field: Field) -> Entry? { shown(in: range(of: CellKey(field))) }

    /// The shown value as people read it; empty when there is none.
    func shownText(_ key: CellKey) -> String { shown(in: range(of: key)).map(display) ?? "" }

    func shownText(_ field: Field) -> String { shownText(CellKey(field)) }

    func hasFlag(_ field: Field) -> Bool { range(of: CellKey(field)).contains { entries[$0].kind == .present } }

    func hasElement(_ key: CellKey) -> Bool { range(of: key).contains { entries[$0].kind == .present } }

    private func cell(of entry: Entry) -> Range<Int> { range(of: entry.key) }

    /// A value as people read it.
    func display(_ entry: Entry) -> String {
        switch entry.kind {
        // What a change of a text shows is the text.
        case .textChange: openText(in: cell(of: entry)).text
        case _ where entry.kind.isSlice: text(entry.slice)
        case .integer, .count: String(entry.integer)
        case .present: "yes"
        default: ""
        }
    }
}
