import ShoalCRDT

/// A page of records in columns; SPEC.md §6.3 gives the form.
///
/// A *shape* is what records have in common but for identifiers, stamps and values:
/// `[kind, scope, stamps, then for each run of entries: field, code, count]` where the scope is its tag + 8 and 16 where
/// its first and second identifiers are derived, which are listed apart, and the code is element kind + 4 × value kind + 64 covered + 128 in the cell of the entry before + 256 own (its value left out).
enum PageCodec {
    enum Code {
        static let covered: Int64 = 64
        static let sameCell: Int64 = 128
        static let own: Int64 = 256
        static let all: Int64 = 511
        /// In the scope: its first identifier is derived; twice as much: its second.
        static let derivedScope: Int64 = 8
    }

    /// The most records and the most entries of a page.
    static let mostEntries = 1 << 20

    // MARK: Writing

    static func write(_ page: RecordPage, to frame: inout FrameWriter) {
        // In the order of identifiers the differences are smallest; a page applies as a whole.
        var order = Array(page.heads.indices)
        order.sort { page.heads[$0].id < page.heads[$1].id }
        var elements: [RecordID] = []
        for entry in page.entries where entry.key.elementKind == .id { elements.append(entry.key.elementID) }
        elements.sort()
        var unique: [RecordID] = []
        var placeOf: [RecordID: UInt64] = [:]
        for id in elements where unique.last != id {
            placeOf[id] = UInt64(unique.count)
            unique.append(id)
        }
        var columns = Columns()
        for index in order { columns.add(page.heads[index], of: page, placeOf) }
        let alphabet = page.arena.withUnsafeBytes { Alphabet(of: $0) }

        frame.json.beginObject()
        frame.json.key("n")
        frame.json.integer(Int64(order.count))
        frame.json.key("shapes")
        frame.json.beginArray()
        for shape in columns.shapes.values { frame.json.integers(shape) }
        frame.json.endArray()
        frame.json.column("shape", columns.shape)
        frame.json.key("records")
        IdentifierColumns.write(order.map { page.heads[$0].id }, to: &frame.json)
        if !columns.scopes.isEmpty {
            frame.json.key("scopes")
            IdentifierColumns.write(columns.scopes, to: &frame.json)
        }
        frame.json.key("replicas")
        frame.json.integers(columns.replicas.values.map { Int64($0.rawValue) })
        frame.json.column("replica", columns.replica)
        frame.json.column("number", columns.number)
        frame.json.column("time", columns.time)
        frame.json.column("stamp", columns.stamp)
        if !unique.isEmpty {
            frame.json.key("elements")
            IdentifierColumns.write(unique, to: &frame.json)
        }
        frame.json.column("element", columns.element)
        frame.json.column("integers", columns.integers)
        if !columns.raw.isEmpty {
            frame.json.key("json")
            frame.json.beginArray()
            for slice in columns.raw { frame.json.raw(page.arena[slice.range]) }
            frame.json.endArray()
        }
        frame.endBlock()
        if !alphabet.isEmpty {
            frame.json.key("alphabet")
            alphabet.write(to: &frame.json)
        }
        if !columns.names.isEmpty {
            frame.json.key("names")
            frame.json.beginArray()
            for slice in columns.names { frame.json.string(bytes: page.arena[slice.range]) }
            frame.json.endArray()
        }
        if !columns.texts.isEmpty { columns.texts.write(from: page.arena, alphabet, to: &frame) }
        frame.json.endObject()
    }

    private struct Stamp: Hashable {
        var dot: Dot
        var time: Int64
    }

    private struct Columns {
        var shapes = PlaceTable<[Int64]>()
        var shape: [UInt64] = []
        var scopes: [RecordID] = []
        var replicas = PlaceTable<ReplicaID>()
        var replica: [UInt64] = []
        var number: [UInt64] = []
        var time: [UInt64] = []
        var stamp: [UInt64] = []
        var element: [UInt64] = []
        var integers: [UInt64] = []
        var raw: [Slice] = []
        var names: [Slice] = []
        var texts = TextColumns()
        /// The last number seen of each place in `replicas`.
        private var lastNumber: [Int64] = []
        private var previousScope: Scope?
        private var stamps: [Stamp] = []
        private var placeOfStamp: [Stamp: Int] = [:]
        private var usesTable = false
        private var parts: [Int64] = []

        mutating func add(_ head: RecordPage.Head, of page: RecordPage, _ placeOf: [RecordID: UInt64]) {
            var tag = ScopeTag.of(head.envelope.scope, record: head.id)
            if tag.identifierCount > 0, head.envelope.scope == previousScope { tag = .same }
            var scopeCode = tag.rawValue
            if tag != .same {
                for (place, id) in ScopeTag.identifiers(of: head.envelope.scope, record: head.id).enumerated() {
                    if id.isDerived { scopeCode |= Code.derivedScope << Int64(place) }
                    scopes.append(id)
                }
            }
            previousScope = head.envelope.scope
            collectStamps(page.entries[head.entries])
            parts.removeAll(keepingCapacity: true)
            parts.append(Int64(head.envelope.kind.rawValue))
            parts.append(scopeCode)
            parts.append(Int64(stamps.count))
            addStamps(head.id)
            var lastCode: Int64 = -1
            var hint = 0
            for index in head.entries {
                let entry = page.entries[index]
                let isSameCell =
                    index > head.entries.lowerBound && page.isSameCell(index - 1, index)
                var code = Int64(entry.key.elementKind.rawValue) | Int64(entry.kind.rawValue) << 2
                if entry.isCovered { code |= Code.covered }
                if isSameCell { code |= Code.sameCell }
                let isOwn = page.own.contains(index)
                if isOwn { code |= Code.own }
                let field = Int64(entry.key.field.rawValue)
                if lastCode == code, parts[parts.count - 3] == field {
                    parts[parts.count - 1] += 1
                } else {
                    parts.append(field)
                    parts.append(code)
                    parts.append(1)
                    lastCode = code
                }
                if stamps.count > 1 {
                    let wanted = Stamp(dot: entry.dot, time: entry.time)
                    if stamps[hint] != wanted { hint = place(of: wanted) ?? 0 }
                    stamp.append(UInt64(hint))
                }
                if !isSameCell { addElement(entry, placeOf) }
                if !isOwn { addValue(entry) }
            }
            shape.append(shapes.place(of: parts))
        }

        private mutating func collectStamps(_ entries: ArraySlice<Entry>) {
            stamps.removeAll(keepingCapacity: true)
            placeOfStamp.removeAll(keepingCapacity: true)
            // A search for the few stamps of a usual record, a table for the many of a large one.
            usesTable = entries.count > 32
            for entry in entries {
                let stamp = Stamp(dot: entry.dot, time: entry.time)
                if stamps.last == stamp || place(of: stamp) != nil { continue }
                if usesTable { placeOfStamp[stamp] = stamps.count }
                stamps.append(stamp)
            }
        }

        private func place(of stamp: Stamp) -> Int? {
            usesTable ? placeOfStamp[stamp] : stamps.firstIndex(of: stamp)
        }

        private mutating func addStamps(_ id: RecordID) {
            var previous = id.time
            for stamp in stamps {
                let place = Int(replicas.place(of: stamp.dot.replica))
                if place == lastNumber.count { lastNumber.append(0) }
                replica.append(UInt64(place))
                number.append(Column.zigzag(Int64(stamp.dot.number) - lastNumber[place]))
                lastNumber[place] = Int64(stamp.dot.number)
                time.append(Column.zigzag(stamp.time &- previous))
                previous = stamp.time
            }
        }

        private mutating func addElement(_ entry: Entry, _ placeOf: [RecordID: UInt64]) {
            switch entry.key.elementKind {
            case .none: break
            case .id: element.append(placeOf[entry.key.elementID] ?? 0)
            case .text: names.append(entry.key.elementSlice)
            }
        }

        private mutating func addValue(_ entry: Entry) {
            switch entry.kind {
            case .text: texts.add(entry.slice, of: entry.key.field)
            case _ where entry.kind.isJSON: raw.append(entry.slice)
            case .integer, .count: integers.append(Column.zigzag(entry.integer))
            default: break
            }
        }
    }
}
