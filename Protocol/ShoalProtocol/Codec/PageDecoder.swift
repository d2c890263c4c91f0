import ShoalCRDT

extension PageCodec {
    /// Reads a page in columns. Members stand in the order in which they are written.
    static func read(from reader: inout JSONReader) throws -> RecordPage {
        var decoder = Decoder()
        var order = MemberOrder(members)
        try reader.readObject { reader, key in
            try order.take(key, reader)
            try decoder.member(key, &reader)
        }
        return try decoder.assemble(reader)
    }

    static let members: [StaticString] = [
        "n", "shapes", "shape", "records", "scopes", "replicas", "replica", "number", "time", "stamp", "elements",
        "element",
        "integers", "json", "alphabet", "names", "text",
    ]

    private struct Shape {
        struct Run {
            var field: Field
            var element: CellKey.ElementKind
            var kind: ValueKind
            var code: Int64
            var count: Int
        }
        var kind: Kind
        var scope: ScopeTag
        /// Which identifiers of the scope are derived.
        var derivedScopes: [Bool]
        var stamps: Int
        var runs: [Run] = []

        init?(_ parts: [Int64]) {
            var rest = parts[...]
            guard let kind = rest.popFirst(), let number = UInt16(exactly: kind), number > 0,
                let scope = rest.popFirst(), 0..<4 * Code.derivedScope ~= scope,
                let tag = ScopeTag(rawValue: scope % Code.derivedScope),
                (scope / Code.derivedScope) >> Int64(tag.identifierCount) == 0,
                let stamps = rest.popFirst(), 0...Int64(mostEntries) ~= stamps, rest.count % 3 == 0
            else { return nil }
            self.kind = Kind(rawValue: number)
            self.scope = tag
            derivedScopes = (0..<tag.identifierCount).map { scope & Code.derivedScope << Int64($0) != 0 }
            self.stamps = Int(stamps)
            while let field = rest.popFirst(), let code = rest.popFirst(), let count = rest.popFirst() {
                guard let number = UInt16(exactly: field), 0...Code.all ~= code,
                    let element = CellKey.ElementKind(rawValue: UInt8(code & 3)),
                    let kind = ValueKind(rawValue: UInt8(code >> 2 & 15)), !kind.isMarker || kind == .emptied,
                    1...Int64(mostEntries) ~= count, stamps > 0,
                    !kind.isMarker || code & (Code.covered | Code.sameCell | Code.own) == 0,
                    kind != .count || code & Code.own == 0
                else { return nil }
                runs.append(
                    Run(field: Field(rawValue: number), element: element, kind: kind, code: code, count: Int(count)))
            }
        }
    }

    private struct Demand {
        var timedScopes = 0
        var derivedScopes = 0
        var stamps = 0
        var stampUses = 0
        var elements = 0
        var names = 0
        var integers = 0
        var raw = 0
        var texts: [UInt16: Int] = [:]
    }

    private struct Decoder {
        var count = 0
        var shapes: [Shape] = []
        var shape: [Int] = []
        var hasShapes = false
        var demand = Demand()
        var records: [RecordID] = []
        var scopes = IdentifierColumns()
        var replicas: [Int64] = []
        var replica: [UInt64]?
        var number: [UInt64]?
        var time: [UInt64]?
        var stamp: [UInt64]?
        var elements: [RecordID] = []
        var element: [UInt64]?
        var integers: [UInt64]?
        var raw: [Slice] = []
        var alphabet = Alphabet.none
        var names: [Range<Int>] = []
        var nameArena: [UInt8] = []
        var texts = TextColumns()
        var result = RecordPage()
        var scratch: [UInt8] = []

        mutating func member(_ key: JSONKey, _ reader: inout JSONReader) throws {
            switch key {
            case "n": count = Int(try reader.readInteger(in: 0...Int64(mostEntries)))
            case "shapes":
                try reader.readArray { reader in
                    var parts: [Int64] = []
                    try reader.readIntegers(into: &parts, limit: 3 + 3 * mostEntries)
                    guard let shape = Shape(parts) else { throw reader.error(.invalid("not a shape of a record")) }
                    shapes.append(shape)
                }
            case "shape": shape = try column(count, &reader).map { Int(clamping: $0) }
            default:
                if !hasShapes { try takeShapes(reader) }
                try column(key, &reader)
            }
        }

        private mutating func column(_ count: Int, _ reader: inout JSONReader) throws -> [UInt64] {
            try Column.read(count: count, from: &reader, scratch: &scratch)
        }

        private mutating func column(_ key: JSONKey, _ reader: inout JSONReader) throws {
            switch key {
            case "records":
                records = try IdentifierColumns(limit: count, from: &reader, scratch: &scratch).all(reader)
            case "scopes":
                let most = max(demand.timedScopes, demand.derivedScopes)
                scopes = try IdentifierColumns(limit: most, from: &reader, scratch: &scratch)
            case "replicas": try reader.readIntegers(into: &replicas, limit: demand.stamps)
            case "replica": replica = try column(demand.stamps, &reader)
            case "number": number = try column(demand.stamps, &reader)
            case "time": time = try column(demand.stamps, &reader)
            case "stamp": stamp = try column(demand.stampUses, &reader)
            case "elements":
                elements = try IdentifierColumns(limit: demand.elements, from: &reader, scratch: &scratch).all(reader)
            case "element": element = try column(demand.elements, &reader)
            case "integers": integers = try column(demand.integers, &reader)
            case "json":
                try reader.readArray { reader in
                    let range = try reader.readRaw()
                    let bytes = reader.slice(range)
                    raw.append(result.withArena { Slice($0.appended(bytes)) })
                }
            case "alphabet": alphabet = try Alphabet(from: &reader, scratch: &scratch)
            case "names": try reader.readStrings(into: &nameArena, ranges: &names, limit: demand.names)
            case "text": try texts.read(counts: demand.texts, from: &reader)
            default: throw reader.error(.unknownKey)
            }
        }

        private mutating func takeShapes(_ reader: JSONReader) throws {
            hasShapes = true
            if shape.isEmpty { shape = [Int](repeating: 0, count: count) }
            var entries = 0
            for place in shape {
                guard place < shapes.count else { throw reader.error(.invalid("a shape that is not in the table")) }
                let shape = shapes[place]
                for isDerived in shape.derivedScopes {
                    if isDerived { demand.derivedScopes += 1 } else { demand.timedScopes += 1 }
                }
                demand.stamps += shape.stamps
                guard demand.stamps <= mostEntries else { throw reader.error(.tooMany(limit: mostEntries)) }
                for run in shape.runs {
                    entries += run.count
                    if shape.stamps > 1 { demand.stampUses += run.count }
                    if run.code & Code.sameCell == 0 {
                        switch run.element {
                        case .none: break
                        case .id: demand.elements += run.count
                        case .text: demand.names += run.count
                        }
                    }
                    if run.code & Code.own == 0 {
                        switch run.kind {
                        case .text: demand.texts[run.field.rawValue, default: 0] += run.count
                        case _ where run.kind.isJSON: demand.raw += run.count
                        case .integer, .count: demand.integers += run.count
                        default: break
                        }
                    }
                    guard entries <= mostEntries else { throw reader.error(.tooMany(limit: mostEntries)) }
                }
            }
        }

        // MARK: Assembly

        private struct Next {
            var timedScopes: ArraySlice<RecordID>
            var derivedScopes: ArraySlice<RecordID>
            var stamp = 0
            var stampUse = 0
            var element = 0
            var name = 0
            var integer = 0
            var raw = 0
            var previousScope: Scope?
            var lastNumber: [Int64]
        }

        mutating func assemble(_ reader: JSONReader) throws -> RecordPage {
            if !hasShapes { try takeShapes(reader) }
            guard records.count == count, scopes.timedCount == demand.timedScopes,
                scopes.derivedCount == demand.derivedScopes, raw.count == demand.raw,
                names.count == demand.names, replicas.allSatisfy({ 0...Int64(UInt32.max) ~= $0 }),
                texts.fits(demand.texts)
            else { throw reader.error(.invalid("the columns do not hold what the shapes ask for")) }
            guard let timed = scopes.timed(), let derived = scopes.derivedIDs() else {
                throw reader.error(.numberOutOfRange)
            }
            var next = Next(
                timedScopes: timed[...], derivedScopes: derived[...],
                lastNumber: [Int64](repeating: 0, count: replicas.count))
            var stamps: [(Dot, Int64)] = []
            for (index, place) in shape.enumerated() {
                let shape = shapes[place]
                let id = records[index]
                if index > 0, records[index - 1] >= id { throw reader.error(.invalid("the records do not ascend")) }
                let scopeIDs = shape.derivedScopes.compactMap {
                    $0 ? next.derivedScopes.popFirst() : next.timedScopes.popFirst()
                }
                guard let scope = shape.scope.scope(record: id, previous: next.previousScope, scopeIDs[...]) else {
                    throw reader.error(.invalid("not the scope of a record"))
                }
                next.previousScope = scope
                result.begin(id, Envelope(kind: shape.kind, scope: scope))
                try take(shape.stamps, of: id, into: &stamps, &next, reader)
                for run in shape.runs { try add(run, stamps, &next, reader) }
                guard result.lastIsInOrder() else {
                    throw reader.error(.invalid("the entries of a record do not ascend"))
                }
            }
            return result
        }

        private func take(
            _ count: Int, of id: RecordID, into stamps: inout [(Dot, Int64)], _ next: inout Next, _ reader: JSONReader
        ) throws {
            stamps.removeAll(keepingCapacity: true)
            var previous = id.time
            for _ in 0..<count {
                let place = Int(clamping: replica?[next.stamp] ?? 0)
                guard place < replicas.count else { throw reader.error(.invalid("a replica that is not in the table")) }
                let sum = next.lastNumber[place].addingReportingOverflow(Column.unzigzag(number?[next.stamp] ?? 0))
                guard !sum.overflow, let value = UInt32(exactly: sum.partialValue) else {
                    throw reader.error(.numberOutOfRange)
                }
                next.lastNumber[place] = sum.partialValue
                previous &+= Column.unzigzag(time?[next.stamp] ?? 0)
                stamps.append((Dot(ReplicaID(rawValue: UInt32(truncatingIfNeeded: replicas[place])), value), previous))
                next.stamp += 1
            }
        }

        private mutating func add(
            _ run: Shape.Run, _ stamps: [(Dot, Int64)], _ next: inout Next, _ reader: JSONReader
        ) throws {
            for _ in 0..<run.count {
                var place = 0
                if stamps.count > 1 {
                    place = Int(clamping: stamp?[next.stampUse] ?? 0)
                    next.stampUse += 1
                    guard place < stamps.count else { throw reader.error(.invalid("a stamp that is not there")) }
                }
                var entry = Entry(
                    key: try key(run, &next, reader), kind: run.kind, isCovered: run.code & Code.covered != 0,
                    dot: stamps[place].0, time: stamps[place].1, sequence: 0)
                guard entry.kind == .emptied ? entry.dot.rawValue == 0 : entry.dot.number > 0 else {
                    throw reader.error(.invalid("not a dot"))
                }
                let isOwn = run.code & Code.own != 0
                if !isOwn {
                    switch run.kind {
                    case .text:
                        let slice = result.withArena { texts.take(run.field, alphabet, into: &$0) }
                        guard let slice else { throw reader.error(.invalid("a text outside the alphabet")) }
                        entry.slice = slice
                    case _ where run.kind.isJSON:
                        entry.slice = raw[next.raw]
                        next.raw += 1
                    case .integer, .count:
                        entry = Entry(
                            key: entry.key, kind: entry.kind, isCovered: entry.isCovered, dot: entry.dot,
                            time: entry.time,
                            sequence: 0, integer: Column.unzigzag(integers?[next.integer] ?? 0))
                        next.integer += 1
                    default: break
                    }
                }
                result.appendDecoded(entry, isOwn: isOwn)
            }
        }

        private mutating func key(_ run: Shape.Run, _ next: inout Next, _ reader: JSONReader) throws -> CellKey {
            if run.code & Code.sameCell != 0 {
                guard let head = result.heads.last, let previous = result.entries.last, !head.entries.isEmpty,
                    previous.key.field == run.field, previous.key.elementKind == run.element
                else { throw reader.error(.invalid("no cell to continue")) }
                return previous.key
            }
            switch run.element {
            case .none: return CellKey(run.field)
            case .id:
                let place = Int(clamping: element?[next.element] ?? 0)
                next.element += 1
                guard place < elements.count else {
                    throw reader.error(.invalid("an element that is not in the table"))
                }
                return CellKey(run.field, id: elements[place])
            case .text:
                let range = names[next.name]
                next.name += 1
                return CellKey(run.field, text: result.withArena { Slice($0.appended(nameArena[range])) })
            }
        }
    }
}

extension [UInt8] {
    /// Appends bytes and returns where they lie.
    mutating func appended(_ bytes: some Sequence<UInt8>) -> Range<Int> {
        let start = count
        append(contentsOf: bytes)
        return start..<count
    }
}
