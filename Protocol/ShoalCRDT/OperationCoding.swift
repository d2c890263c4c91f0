/// The canonical bytes of an operation: what is hashed and what a client's log stores.
///
///     flags     1 byte: 1 makes the record, 2 salted, 4 continues the command, 8 covers
///     salt      4 bytes, when salted
///     time      zigzag varint, milliseconds since 1970
///     record    varint
///     envelope  kind varint, scope; when it makes the record
///     edits     count varint, then each: field varint, element tag (0 none, 1 identifier, 2 text) and element,
///               value tag (the raw value of `ValueKind`) and value, count of superseded dots and the dots
///     covers    count varint and the dots; when it covers
///
/// A dot is two varints, replica and number. Text is a length and UTF-8. The operation's own place is not part of it.
extension Operations {
    /// Appends the canonical bytes of operation `index` to `output`.
    public func encode(_ index: Int, into output: inout [UInt8]) {
        let operation = operations[index]
        var flags: UInt8 = 0
        if operation.creates != nil { flags |= 1 }
        if operation.salt != nil { flags |= 2 }
        if operation.continuesCommand { flags |= 4 }
        if !operation.covers.isEmpty { flags |= 8 }
        output.append(flags)
        if let salt = operation.salt { output.appendFixed(salt) }
        output.appendSigned(operation.time)
        output.appendVarint(UInt64(bitPattern: operation.record.rawValue))
        if let envelope = operation.creates {
            output.appendVarint(UInt64(envelope.kind.rawValue))
            envelope.scope.encode(of: operation.record, into: &output)
        }
        output.appendVarint(operation.edits.count)
        for edit in edits[operation.edits] {
            output.appendVarint(UInt64(edit.key.field.rawValue))
            output.append(edit.key.elementKind.rawValue)
            switch edit.key.elementKind {
            case .none: break
            case .id: output.appendVarint(UInt64(bitPattern: edit.key.elementID.rawValue))
            case .text: append(edit.key.elementSlice, to: &output)
            }
            output.append(edit.kind.rawValue)
            switch edit.kind {
            case _ where edit.kind.isSlice: append(edit.slice, to: &output)
            case .integer, .count: output.appendSigned(edit.integer)
            default: break
            }
            append(edit.supersedes, to: &output)
        }
        if !operation.covers.isEmpty { append(operation.covers, to: &output) }
    }

    /// The link of operation `index` in the hash chain of its log, given the link before it.
    ///
    /// - Parameter scratch: emptied and overwritten; passed in so that a batch allocates once.
    public func hash(of index: Int, after previous: OperationHash, scratch: inout [UInt8]) -> OperationHash {
        if let kept = operations[index].keptHash { return kept }
        scratch.removeAll(keepingCapacity: true)
        encode(index, into: &scratch)
        return scratch.withUnsafeBytes { previous.extended(by: $0) }
    }

    private func append(_ slice: Slice, to output: inout [UInt8]) {
        output.appendVarint(UInt64(slice.count))
        output.append(contentsOf: arena[slice.range])
    }

    private func append(_ range: Range<Int>, to output: inout [UInt8]) {
        output.appendVarint(range.count)
        for dot in dots[range] {
            output.appendVarint(UInt64(dot.replica.rawValue))
            output.appendVarint(UInt64(dot.number))
        }
    }

    /// Appends the operation that `bytes` hold.
    ///
    /// - Throws: `DecodingFailure`, and then nothing was appended but bytes in the arena.
    public mutating func decode(_ bytes: UnsafeRawBufferPointer, keptHash: OperationHash? = nil) throws(DecodingFailure)
    {
        let operationCount = operations.count
        let editCount = edits.count
        let dotCount = dots.count
        do throws(DecodingFailure) {
            var reader = ByteReader(bytes)
            try decode(from: &reader, keptHash: keptHash)
            guard reader.isAtEnd else { throw reader.failure(.trailingBytes) }
        } catch {
            truncate(operations: operationCount, edits: editCount, dots: dotCount)
            throw error
        }
    }

    private mutating func decode(from reader: inout ByteReader, keptHash: OperationHash?) throws(DecodingFailure) {
        let flags = try reader.byte()
        guard flags < 16 else { throw reader.failure(.outOfRange) }
        let salt = flags & 2 != 0 ? try reader.fixed32() : nil
        let time = try reader.signed()
        let record = try reader.recordID()
        var envelope: Envelope?
        if flags & 1 != 0 {
            let kind = Kind(rawValue: try reader.varint(as: UInt16.self))
            envelope = Envelope(kind: kind, scope: try Scope.decode(from: &reader, of: record))
        }
        begin(
            record: record, time: time, creates: envelope, salt: salt, continuesCommand: flags & 4 != 0,
            keptHash: keptHash)
        let editCount = try reader.varint(as: Int.self)
        // An edit takes at least four bytes, so a count that lies ends at the end of the bytes.
        for _ in 0..<editCount { try decodeEdit(from: &reader) }
        if flags & 8 != 0 {
            cover(try decodeDots(from: &reader))
            if operations[operations.count - 1].covers.isEmpty { throw reader.failure(.notCanonical) }
        }
        if firstMisplacedEdit(of: operations.count - 1) != nil { throw reader.failure(.notCanonical) }
    }

    private mutating func decodeEdit(from reader: inout ByteReader) throws(DecodingFailure) {
        let field = Field(rawValue: try reader.varint(as: UInt16.self))
        var key = CellKey(field)
        switch CellKey.ElementKind(rawValue: try reader.byte()) {
        case .none?: break
        case .id?: key = CellKey(field, id: try reader.recordID())
        case .text?: key = CellKey(field, text: store(try reader.run(try reader.varint(as: Int.self))))
        case nil: throw reader.failure(.outOfRange)
        }
        guard let kind = ValueKind(rawValue: try reader.byte()), !kind.isMarker else {
            throw reader.failure(.outOfRange)
        }
        if kind.isSlice {
            let slice = store(try reader.run(try reader.varint(as: Int.self)))
            edit(key, kind, slice: slice, supersedes: try decodeDots(from: &reader))
        } else {
            let integer = kind == .integer || kind == .count ? try reader.signed() : 0
            edit(key, kind, integer: integer, supersedes: try decodeDots(from: &reader))
        }
    }

    private func decodeDots(from reader: inout ByteReader) throws(DecodingFailure) -> [Dot] {
        let count = try reader.varint(as: Int.self)
        if count == 0 { return [] }
        var result: [Dot] = []
        result.reserveCapacity(min(count, 64))
        for _ in 0..<count {
            let replica = ReplicaID(rawValue: try reader.varint(as: UInt32.self))
            let number = try reader.varint(as: UInt32.self)
            guard number > 0 else { throw reader.failure(.outOfRange) }
            result.append(Dot(replica, number))
        }
        return result
    }
}

// MARK: - Scope

extension Scope {
    /// Tags: 0 workspace, 1 account, 2 the customer that the record itself is, 3 another customer, 4 a pair of customers.
    func encode(of record: RecordID, into output: inout [UInt8]) {
        switch self {
        case .workspace: output.append(0)
        case .account(let id):
            output.append(1)
            output.appendVarint(UInt64(bitPattern: id.rawValue))
        case .customer(let id) where id == record: output.append(2)
        case .customer(let id):
            output.append(3)
            output.appendVarint(UInt64(bitPattern: id.rawValue))
        case .pair(let a, let b):
            output.append(4)
            output.appendVarint(UInt64(bitPattern: a.rawValue))
            output.appendVarint(UInt64(bitPattern: b.rawValue))
        }
    }

    static func decode(from reader: inout ByteReader, of record: RecordID) throws(DecodingFailure) -> Scope {
        switch try reader.byte() {
        case 0: return .workspace
        case 1: return .account(try reader.recordID())
        case 2: return .customer(record)
        case 3:
            let id = try reader.recordID()
            guard id != record else { throw reader.failure(.notCanonical) }
            return .customer(id)
        case 4:
            let (a, b) = (try reader.recordID(), try reader.recordID())
            guard a < b else { throw reader.failure(.notCanonical) }
            return .pair(a, b)
        default: throw reader.failure(.outOfRange)
        }
    }
}
