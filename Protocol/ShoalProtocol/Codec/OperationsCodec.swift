import ShoalCRDT

/// Operations in columns; SPEC.md §6.2 gives the form.
///
/// A *shape* is what operations have in common but for identifiers, dots and values:
/// `[flags, kind, scope (both when 1), covers (when 32), then for each edit: field, element kind + 4 × value kind,
/// superseded dots]`.
enum OperationsCodec {
    enum Flags {
        static let creates: Int64 = 1
        static let salted: Int64 = 2
        static let continues: Int64 = 4
        static let keptHash: Int64 = 8
        static let derived: Int64 = 16
        static let covers: Int64 = 32
        static let all: Int64 = 63
    }

    /// The most edits and the most dots that a frame may have: each takes memory, and none needs a byte of the body.
    static let mostParts = 1 << 18

    // MARK: Writing

    static func write(_ batch: Operations, to frame: inout FrameWriter) {
        let tables = Tables(batch)
        var columns = Columns()
        for index in 0..<batch.count { columns.add(index, of: batch, tables) }
        let alphabet = batch.arena.withUnsafeBytes { Alphabet(of: $0) }

        frame.json.beginObject()
        frame.json.key("n")
        frame.json.integer(Int64(batch.count))
        frame.json.key("shapes")
        frame.json.beginArray()
        for shape in columns.shapes.values { frame.json.integers(shape) }
        frame.json.endArray()
        frame.json.column("shape", columns.shape)
        frame.json.column("at", columns.time)
        if !columns.salt.isEmpty {
            frame.json.key("salt")
            Column.write(columns.salt, to: &frame.json)
        }
        if !columns.hashes.isEmpty {
            frame.json.key("hashes")
            frame.json.beginArray()
            for hash in columns.hashes { frame.json.string(hash.hexadecimal) }
            frame.json.endArray()
        }
        if !tables.ids.isEmpty {
            frame.json.key("ids")
            IdentifierColumns.write(tables.ids, to: &frame.json)
        }
        if !columns.new.isEmpty {
            frame.json.key("new")
            IdentifierColumns.write(columns.new, bases: columns.newTimes, to: &frame.json)
        }
        if !tables.elements.isEmpty {
            frame.json.key("elements")
            IdentifierColumns.write(tables.elements, to: &frame.json)
        }
        frame.json.column("target", columns.target)
        frame.json.column("scope", columns.scope)
        frame.json.column("element", columns.element)
        if !columns.dotNumber.isEmpty {
            frame.json.key("replicas")
            frame.json.integers(columns.replicas.values.map { Int64($0.rawValue) })
            frame.json.column("replica", columns.dotReplica)
            frame.json.column("number", columns.dotNumber)
        }
        frame.json.column("integers", columns.integers)
        if !columns.raw.isEmpty {
            frame.json.key("json")
            frame.json.beginArray()
            for slice in columns.raw { frame.json.raw(batch.arena[slice.range]) }
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
            for slice in columns.names { frame.json.string(bytes: batch.arena[slice.range]) }
            frame.json.endArray()
        }
        if !columns.texts.isEmpty { columns.texts.write(from: batch.arena, alphabet, to: &frame) }
        frame.json.endObject()
    }

    /// The identifiers that the frame names, ascending.
    private struct Tables {
        /// Records that the frame does not make, and the customers and accounts of scopes.
        var ids: [RecordID] = []
        var elements: [RecordID] = []
        var idPlace: [RecordID: UInt64] = [:]
        var elementPlace: [RecordID: UInt64] = [:]

        init(_ batch: Operations) {
            var made: Set<RecordID> = []
            for operation in batch.operations {
                if let envelope = operation.creates {
                    made.insert(operation.record)
                    switch envelope.scope {
                    case .workspace: break
                    case .account(let id): ids.append(id)
                    case .customer(let id): if id != operation.record { ids.append(id) }
                    case .pair(let a, let b):
                        ids.append(a)
                        ids.append(b)
                    }
                } else if !made.contains(operation.record) {
                    ids.append(operation.record)
                }
            }
            for edit in batch.edits where edit.key.elementKind == .id { elements.append(edit.key.elementID) }
            ids = Self.unique(ids)
            elements = Self.unique(elements)
            idPlace.reserveCapacity(ids.count)
            for (place, id) in ids.enumerated() { idPlace[id] = UInt64(place) }
            for (place, id) in elements.enumerated() { elementPlace[id] = UInt64(place) }
        }

        private static func unique(_ list: [RecordID]) -> [RecordID] {
            var result: [RecordID] = []
            for id in list.sorted() where result.last != id { result.append(id) }
            return result
        }
    }

    private struct Columns {
        var shapes = PlaceTable<[Int64]>()
        var shape: [UInt64] = []
        var time: [UInt64] = []
        var salt: [UInt64] = []
        var hashes: [OperationHash] = []
        var new: [RecordID] = []
        var newTimes: [Int64] = []
        var newPlace: [RecordID: UInt64] = [:]
        var target: [UInt64] = []
        var scope: [UInt64] = []
        var element: [UInt64] = []
        var replicas = PlaceTable<ReplicaID>()
        var dotReplica: [UInt64] = []
        var dotNumber: [UInt64] = []
        var integers: [UInt64] = []
        var raw: [Slice] = []
        var names: [Slice] = []
        var texts = TextColumns()
        private var previousTime: Int64 = 0

        mutating func add(_ index: Int, of batch: Operations, _ tables: Tables) {
            let operation = batch.operations[index]
            var flags: Int64 = 0
            var parts: [Int64] = [0]
            if let envelope = operation.creates {
                flags |= Flags.creates
                if operation.record.isDerived { flags |= Flags.derived }
                parts.append(Int64(envelope.kind.rawValue))
                parts.append(ScopeTag.of(envelope.scope, record: operation.record).rawValue)
                for id in ScopeTag.identifiers(of: envelope.scope, record: operation.record) {
                    scope.append(tables.idPlace[id] ?? 0)
                }
                if newPlace[operation.record] == nil {
                    newPlace[operation.record] = UInt64(tables.ids.count + new.count)
                }
                new.append(operation.record)
                newTimes.append(operation.time)
            } else {
                target.append(newPlace[operation.record] ?? tables.idPlace[operation.record] ?? 0)
            }
            if let value = operation.salt {
                flags |= Flags.salted
                salt.append(UInt64(value))
            }
            if operation.continuesCommand { flags |= Flags.continues }
            if let hash = operation.keptHash {
                flags |= Flags.keptHash
                hashes.append(hash)
            }
            if !operation.covers.isEmpty {
                flags |= Flags.covers
                parts.append(Int64(operation.covers.count))
            }
            time.append(Column.zigzag(operation.time &- previousTime))
            previousTime = operation.time
            for edit in batch.edits[operation.edits] {
                parts.append(Int64(edit.key.field.rawValue))
                parts.append(Int64(edit.key.elementKind.rawValue) | Int64(edit.kind.rawValue) << 2)
                parts.append(Int64(edit.supersedes.count))
                add(edit, of: batch, tables)
            }
            add(batch.dots[operation.covers])
            parts[0] = flags
            shape.append(shapes.place(of: parts))
        }

        private mutating func add(_ edit: Operations.Edit, of batch: Operations, _ tables: Tables) {
            switch edit.key.elementKind {
            case .none: break
            case .id: element.append(tables.elementPlace[edit.key.elementID] ?? 0)
            case .text: names.append(edit.key.elementSlice)
            }
            switch edit.kind {
            case .text: texts.add(edit.slice, of: edit.key.field)
            case _ where edit.kind.isJSON: raw.append(edit.slice)
            case .integer, .count: integers.append(Column.zigzag(edit.integer))
            default: break
            }
            add(batch.dots[edit.supersedes])
        }

        private mutating func add(_ dots: ArraySlice<Dot>) {
            for dot in dots {
                dotReplica.append(replicas.place(of: dot.replica))
                dotNumber.append(UInt64(dot.number))
            }
        }
    }
}

/// The tag of a scope in shapes.
enum ScopeTag: Int64 {
    case workspace = 0
    case account = 1
    /// The customer that the record itself is.
    case itself = 2
    case customer = 3
    case pair = 4
    /// The scope of the record before in the page.
    case same = 5

    static func of(_ scope: Scope, record: RecordID) -> ScopeTag {
        switch scope {
        case .workspace: .workspace
        case .account: .account
        case .customer(let id): id == record ? .itself : .customer
        case .pair: .pair
        }
    }

    /// The identifiers that a scope with this tag needs.
    static func identifiers(of scope: Scope, record: RecordID) -> [RecordID] {
        switch scope {
        case .workspace: []
        case .account(let id): [id]
        case .customer(let id): id == record ? [] : [id]
        case .pair(let a, let b): [a, b]
        }
    }

    var identifierCount: Int {
        switch self {
        case .workspace, .itself, .same: 0
        case .account, .customer: 1
        case .pair: 2
        }
    }

    /// The scope, or nil when it has not the one form that it should have.
    func scope(record: RecordID, previous: Scope?, _ ids: ArraySlice<RecordID>) -> Scope? {
        switch self {
        case .workspace: .workspace
        case .account: ids.first.map { .account($0) }
        case .itself: .customer(record)
        case .customer: ids.first.flatMap { $0 == record ? nil : .customer($0) }
        case .pair:
            if let first = ids.first, let last = ids.last, first < last { .pair(first, last) } else { nil }
        case .same: previous
        }
    }
}

extension OperationHash {
    /// 16 digits of base 16.
    var hexadecimal: String { rawValue.hexadecimal }
}

extension UInt64 {
    /// 16 digits of base 16.
    var hexadecimal: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Exactly 16 lower-case digits of base 16, or nil.
    init?(hexadecimal text: String) {
        let utf8 = text.utf8
        guard utf8.count == 16, utf8.allSatisfy({ 0x30...0x39 ~= $0 || 0x61...0x66 ~= $0 }) else { return nil }
        self.init(text, radix: 16)
    }
}
