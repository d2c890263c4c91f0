import ShoalCRDT

extension OperationsCodec {
    /// Reads operations in columns. Members stand in the order in which they are written, so that each column's length is
    /// known when it comes.
    ///
    /// - Parameters:
    ///   - limit: the most operations.
    static func read(limit: Int, from reader: inout JSONReader) throws -> Operations {
        var decoder = Decoder()
        var order = MemberOrder(members)
        try reader.readObject { reader, key in
            try order.take(key, reader)
            try decoder.member(key, limit: limit, &reader)
        }
        return try decoder.assemble(reader)
    }

    static let members: [StaticString] = [
        "n", "shapes", "shape", "at", "salt", "hashes", "ids", "new", "elements", "target", "scope", "element",
        "replicas",
        "replica", "number", "integers", "json", "alphabet", "names", "text",
    ]

    /// What the shapes say that the columns must hold.
    private struct Demand {
        var salts = 0
        var hashes = 0
        var timed = 0
        var derived = 0
        var targets = 0
        var scopes = 0
        var elements = 0
        var dots = 0
        var integers = 0
        var raw = 0
        var names = 0
        var texts: [UInt16: Int] = [:]
    }

    private struct Shape {
        struct Edit {
            var field: Field
            var element: CellKey.ElementKind
            var kind: ValueKind
            var supersedes: Int
        }
        var flags: Int64
        var kind = Kind.none
        var scope = ScopeTag.workspace
        var covers = 0
        var edits: [Edit] = []

        init?(_ parts: [Int64]) {
            var rest = parts[...]
            guard let flags = rest.popFirst(), 0...Flags.all ~= flags else { return nil }
            self.flags = flags
            if flags & Flags.creates != 0 {
                guard let kind = rest.popFirst(), let number = UInt16(exactly: kind), number > 0,
                    let scope = rest.popFirst(), let tag = ScopeTag(rawValue: scope), tag != .same
                else { return nil }
                self.kind = Kind(rawValue: number)
                self.scope = tag
            } else if flags & Flags.derived != 0 {
                return nil
            }
            if flags & Flags.covers != 0 {
                guard let covers = rest.popFirst(), 1...Int64(mostParts) ~= covers else { return nil }
                self.covers = Int(covers)
            }
            guard rest.count % 3 == 0 else { return nil }
            while let field = rest.popFirst(), let code = rest.popFirst(), let supersedes = rest.popFirst() {
                guard let number = UInt16(exactly: field), let element = CellKey.ElementKind(rawValue: UInt8(code & 3)),
                    0...63 ~= code, let kind = ValueKind(rawValue: UInt8(code >> 2)), !kind.isMarker,
                    0...Int64(mostParts) ~= supersedes
                else { return nil }
                edits.append(
                    Edit(field: Field(rawValue: number), element: element, kind: kind, supersedes: Int(supersedes)))
            }
        }
    }

    private struct Decoder {
        var count = 0
        var shapes: [Shape] = []
        var shape: [Int] = []
        var hasShapes = false
        var demand = Demand()
        var time: [UInt64]?
        var salt: [UInt64] = []
        var hashes: [OperationHash] = []
        var ids: [RecordID] = []
        var new = IdentifierColumns()
        var elements: [RecordID] = []
        var target: [UInt64]?
        var scope: [UInt64]?
        var element: [UInt64]?
        var replicas: [Int64] = []
        var dotReplica: [UInt64]?
        var dotNumber: [UInt64]?
        var integers: [UInt64]?
        var raw: [Slice] = []
        var alphabet = Alphabet.none
        var names: [Range<Int>] = []
        var nameArena: [UInt8] = []
        var texts = TextColumns()
        var result = Operations()
        var scratch: [UInt8] = []

        mutating func member(_ key: JSONKey, limit: Int, _ reader: inout JSONReader) throws {
            switch key {
            case "n":
                count = Int(try reader.readInteger(in: 0...Int64(Int32.max)))
                guard count <= limit else { throw reader.error(.tooMany(limit: limit)) }
            case "shapes": try readShapes(&reader)
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
            case "at": time = try column(count, &reader)
            case "salt": salt = try column(demand.salts, &reader)
            case "hashes":
                try reader.readArray { reader in
                    guard let hash = UInt64(hexadecimal: try reader.readString()) else {
                        throw reader.error(.invalid("a hash is 16 digits of base 16"))
                    }
                    hashes.append(OperationHash(rawValue: hash))
                }
            case "ids":
                ids = try IdentifierColumns(limit: count * 3, from: &reader, scratch: &scratch).all(reader)
            case "new": new = try IdentifierColumns(limit: count, from: &reader, scratch: &scratch)
            case "elements":
                elements = try IdentifierColumns(limit: demand.elements, from: &reader, scratch: &scratch).all(reader)
            case "target": target = try column(demand.targets, &reader)
            case "scope": scope = try column(demand.scopes, &reader)
            case "element": element = try column(demand.elements, &reader)
            case "replicas": try reader.readIntegers(into: &replicas, limit: demand.dots)
            case "replica": dotReplica = try column(demand.dots, &reader)
            case "number": dotNumber = try column(demand.dots, &reader)
            case "integers": integers = try column(demand.integers, &reader)
            case "json": try readRaw(&reader)
            case "alphabet": alphabet = try Alphabet(from: &reader, scratch: &scratch)
            case "names": try reader.readStrings(into: &nameArena, ranges: &names, limit: demand.names)
            case "text": try texts.read(counts: demand.texts, from: &reader)
            default: throw reader.error(.unknownKey)
            }
        }

        private mutating func readShapes(_ reader: inout JSONReader) throws {
            try reader.readArray { reader in
                var parts: [Int64] = []
                try reader.readIntegers(into: &parts, limit: 4 + 3 * mostParts)
                guard let shape = Shape(parts) else { throw reader.error(.invalid("not a shape of an operation")) }
                shapes.append(shape)
            }
        }

        private mutating func readRaw(_ reader: inout JSONReader) throws {
            try reader.readArray { reader in
                let range = try reader.readRaw()
                guard range.count <= Limits.text else { throw reader.error(.tooLong(limit: Limits.text)) }
                raw.append(result.store(reader.slice(range)))
            }
        }

        /// Adds up what the shapes demand; refuses more than a frame may have.
        private mutating func takeShapes(_ reader: JSONReader) throws {
            hasShapes = true
            if shape.isEmpty { shape = [Int](repeating: 0, count: count) }
            var edits = 0
            for place in shape {
                guard place < shapes.count else { throw reader.error(.invalid("a shape that is not in the table")) }
                let shape = shapes[place]
                if shape.flags & Flags.salted != 0 { demand.salts += 1 }
                if shape.flags & Flags.keptHash != 0 { demand.hashes += 1 }
                if shape.flags & Flags.creates == 0 {
                    demand.targets += 1
                } else if shape.flags & Flags.derived != 0 {
                    demand.derived += 1
                } else {
                    demand.timed += 1
                }
                demand.scopes += shape.scope.identifierCount
                demand.dots += shape.covers
                for edit in shape.edits {
                    edits += 1
                    demand.dots += edit.supersedes
                    switch edit.element {
                    case .none: break
                    case .id: demand.elements += 1
                    case .text: demand.names += 1
                    }
                    switch edit.kind {
                    case .text: demand.texts[edit.field.rawValue, default: 0] += 1
                    case _ where edit.kind.isJSON: demand.raw += 1
                    case .integer, .count: demand.integers += 1
                    default: break
                    }
                }
                guard edits <= mostParts, demand.dots <= mostParts else {
                    throw reader.error(.tooMany(limit: mostParts))
                }
            }
        }

        // MARK: Assembly

        mutating func assemble(_ reader: JSONReader) throws -> Operations {
            if !hasShapes { try takeShapes(reader) }
            guard salt.count == demand.salts, hashes.count == demand.hashes, raw.count == demand.raw,
                new.timedCount == demand.timed, new.derivedCount == demand.derived, names.count == demand.names,
                replicas.allSatisfy({ 0...Int64(UInt32.max) ~= $0 }), texts.fits(demand.texts)
            else { throw reader.error(.invalid("the columns do not hold what the shapes ask for")) }
            let times = times()
            let made = try made(times, reader)
            result.reserve(operations: count, bytes: 64)
            var next = Next()
            for (index, place) in shape.enumerated() {
                let shape = shapes[place]
                try begin(shape, index, time: times[index], made, &next, reader)
                for edit in shape.edits { try add(edit, &next, reader) }
                if shape.covers > 0 { result.cover(try dots(shape.covers, &next, reader)) }
                if result.firstMisplacedEdit(of: index) != nil {
                    throw reader.error(.invalid("the edits of an operation do not ascend, or one is of its creation"))
                }
            }
            return result
        }

        /// How far each column is used up.
        private struct Next {
            var salt = 0
            var hash = 0
            var made = 0
            var target = 0
            var scope = 0
            var element = 0
            var dot = 0
            var integer = 0
            var raw = 0
            var name = 0
        }

        /// Differences wrap around, so that every clock can be written down.
        private func times() -> [Int64] {
            var times: [Int64] = []
            times.reserveCapacity(count)
            var previous: Int64 = 0
            for index in 0..<count {
                previous &+= Column.unzigzag(time?[index] ?? 0)
                times.append(previous)
            }
            return times
        }

        /// The identifiers of the records that the frame makes, in order.
        private func made(_ times: [Int64], _ reader: JSONReader) throws -> [RecordID] {
            var bases: [Int64] = []
            var isDerived: [Bool] = []
            for (index, place) in shape.enumerated() where shapes[place].flags & Flags.creates != 0 {
                let derived = shapes[place].flags & Flags.derived != 0
                isDerived.append(derived)
                if !derived { bases.append(times[index]) }
            }
            guard let timed = new.timed(bases: bases), let derived = new.derivedIDs() else {
                throw reader.error(.numberOutOfRange)
            }
            var nextTimed = timed.makeIterator()
            var nextDerived = derived.makeIterator()
            return isDerived.compactMap { $0 ? nextDerived.next() : nextTimed.next() }
        }

        private mutating func begin(
            _ shape: Shape, _ index: Int, time: Int64, _ made: [RecordID], _ next: inout Next, _ reader: JSONReader
        ) throws {
            var envelope: Envelope?
            let record: RecordID
            if shape.flags & Flags.creates != 0 {
                record = made[next.made]
                next.made += 1
                var scopeIDs: [RecordID] = []
                for _ in 0..<shape.scope.identifierCount {
                    scopeIDs.append(try entry(of: ids, Int(clamping: scope?[next.scope] ?? 0), reader))
                    next.scope += 1
                }
                guard let scope = shape.scope.scope(record: record, previous: nil, scopeIDs[...]) else {
                    throw reader.error(.invalid("not the scope of a record"))
                }
                envelope = Envelope(kind: shape.kind, scope: scope)
            } else {
                let place = Int(clamping: target?[next.target] ?? 0)
                next.target += 1
                if place < ids.count {
                    record = ids[place]
                } else {
                    guard place - ids.count < next.made else {
                        throw reader.error(.invalid("a record that is neither in the table nor made yet"))
                    }
                    record = made[place - ids.count]
                }
            }
            var salted: UInt32?
            if shape.flags & Flags.salted != 0 {
                guard let value = UInt32(exactly: salt[next.salt]) else { throw reader.error(.numberOutOfRange) }
                salted = value
                next.salt += 1
            }
            var kept: OperationHash?
            if shape.flags & Flags.keptHash != 0 {
                kept = hashes[next.hash]
                next.hash += 1
            }
            result.begin(
                record: record, time: time, creates: envelope, salt: salted,
                continuesCommand: shape.flags & Flags.continues != 0, keptHash: kept)
        }

        private mutating func add(_ edit: Shape.Edit, _ next: inout Next, _ reader: JSONReader) throws {
            var key = CellKey(edit.field)
            switch edit.element {
            case .none: break
            case .id:
                key = CellKey(
                    edit.field, id: try entry(of: elements, Int(clamping: element?[next.element] ?? 0), reader))
                next.element += 1
            case .text:
                let range = names[next.name]
                next.name += 1
                guard range.count <= Limits.text else { throw reader.error(.tooLong(limit: Limits.text)) }
                key = CellKey(edit.field, text: result.store(nameArena[range]))
            }
            let seen = try dots(edit.supersedes, &next, reader)
            switch edit.kind {
            case .text:
                let slice = result.withArena { texts.take(edit.field, alphabet, into: &$0) }
                guard let slice else { throw reader.error(.invalid("a text outside the alphabet")) }
                guard slice.count <= Limits.text else { throw reader.error(.tooLong(limit: Limits.text)) }
                result.edit(key, .text, slice: slice, supersedes: seen)
            case _ where edit.kind.isJSON:
                result.edit(key, edit.kind, slice: raw[next.raw], supersedes: seen)
                next.raw += 1
            case .integer, .count:
                result.edit(key, edit.kind, integer: Column.unzigzag(integers?[next.integer] ?? 0), supersedes: seen)
                next.integer += 1
            default: result.edit(key, edit.kind, supersedes: seen)
            }
        }

        private func entry(of table: [RecordID], _ place: Int, _ reader: JSONReader) throws -> RecordID {
            guard place < table.count else { throw reader.error(.invalid("an identifier that is not in the table")) }
            return table[place]
        }

        private func dots(_ count: Int, _ next: inout Next, _ reader: JSONReader) throws -> [Dot] {
            var dots: [Dot] = []
            for _ in 0..<count {
                let place = dotReplica?[next.dot] ?? 0
                guard place < UInt64(replicas.count), let number = UInt32(exactly: dotNumber?[next.dot] ?? 0),
                    number > 0
                else {
                    throw reader.error(.invalid("not a dot"))
                }
                dots.append(Dot(ReplicaID(rawValue: UInt32(truncatingIfNeeded: replicas[Int(place)])), number))
                next.dot += 1
            }
            return dots
        }
    }
}
