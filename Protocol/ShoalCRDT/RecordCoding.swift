/// The packed row of a record: canonical, so that equal records have equal bytes.
///
///     version   1 byte: 2, or 1 for rows without a checksum
///     checksum  4 bytes, least significant first: `checksum` of all that follows, of the identifier and the sequence
///     kind      varint
///     scope     tag and identifiers
///     stamps    count varint, then each distinct (dot, time), ascending:
///               replica: 0 and 4 bytes for a new one, k for the k-th distinct one before;
///               number: varint, the difference to the stamp before where the replica is the same;
///               time: zigzag varint, the difference to the stamp before, at first to the identifier's time
///     entries   count varint, then each:
///               flags: value kind (4 bits; see `ValueKind`), 16 covered, 32 same cell as before,
///                      64 first stamp, 128 sequence other than the record's
///               field varint × 4 + element kind, unless the same cell
///               element: zigzag varint difference to the identifier before in the same field, or length and UTF-8
///               stamp: varint, unless the first; sequence: varint, how far below the record's
///               value: length and bytes, or zigzag varint
///
/// The record's identifier and sequence are the row's other columns. SQLite does not notice when a disk gives back
/// other bytes than it was given; the checksum does, so that damage is neither shown nor passed on.
extension Record {
    static let formatVersion: UInt8 = 2
    private static let versionWithoutChecksum: UInt8 = 1

    private struct Stamp: Comparable {
        var dot: Dot
        var time: Int64
        static func < (a: Stamp, b: Stamp) -> Bool { (a.dot, a.time) < (b.dot, b.time) }
    }

    /// Appends the packed form; `sequence` must be the record's.
    public func encode(sequence: Int64, into output: inout [UInt8]) {
        output.append(Self.formatVersion)
        let start = output.count
        output.appendFixed(UInt32(0))
        encodeBody(sequence: sequence, into: &output)
        let checksum = output.withUnsafeBytes { bytes in
            Self.checksum(of: UnsafeRawBufferPointer(rebasing: bytes[(start + 4)...]), id, sequence: sequence)
        }
        for place in 0..<4 { output[start + place] = UInt8(truncatingIfNeeded: checksum &>> UInt32(8 * place)) }
    }

    /// The packed form of version 1, which readers still take.
    func encodeWithoutChecksum(sequence: Int64, into output: inout [UInt8]) {
        output.append(Self.versionWithoutChecksum)
        encodeBody(sequence: sequence, into: &output)
    }

    /// Words of eight bytes, each mixed in by an exclusive or, a multiplication by an odd number and a shift. Every step is
    /// a bijection of the state for a given word and of the word for a given state, so that no change of a single word
    /// goes unnoticed before the fold to 32 bits. It finds accidents; it is no defence against anybody.
    private static func checksum(of body: UnsafeRawBufferPointer, _ id: RecordID, sequence: Int64) -> UInt32 {
        var state = UInt64(bitPattern: id.rawValue) ^ UInt64(truncatingIfNeeded: body.count) &* 0xD6E8_FEB8_6659_FD93
        @inline(__always) func mix(_ word: UInt64) {
            state = (state ^ word) &* 0x9E37_79B9_7F4A_7C15
            state ^= state &>> 29
        }
        mix(UInt64(bitPattern: sequence))
        var offset = 0
        while offset + 8 <= body.count {
            mix(UInt64(littleEndian: body.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset += 8
        }
        var last: UInt64 = 0
        for place in offset..<body.count { last = last << 8 | UInt64(body[place]) }
        mix(last)
        mix(state &>> 32)
        return UInt32(truncatingIfNeeded: state &>> 32)
    }

    private func encodeBody(sequence: Int64, into output: inout [UInt8]) {
        output.appendVarint(UInt64(envelope.kind.rawValue))
        envelope.scope.encode(of: id, into: &output)
        let stamps = encodeStamps(into: &output)
        output.appendVarint(entries.count)
        var stampHint = 0
        for index in entries.indices {
            encodeEntry(index, sequence: sequence, stamps: stamps, hint: &stampHint, into: &output)
        }
    }

    private func encodeStamps(into output: inout [UInt8]) -> [Stamp] {
        let stamps = distinctStamps()
        output.appendVarint(stamps.count)
        var replicas = 0
        var previous = Stamp(dot: Dot(rawValue: 0), time: id.time)
        for (index, stamp) in stamps.enumerated() {
            let replica = stamp.dot.replica
            if index > 0, replica == previous.dot.replica {
                output.appendVarint(replicas)
                output.appendVarint(UInt64(stamp.dot.number - previous.dot.number))
            } else {
                // Stamps ascend, so a replica that is not the one before is a new one.
                output.append(0)
                output.appendFixed(replica.rawValue)
                output.appendVarint(UInt64(stamp.dot.number))
                replicas += 1
            }
            output.appendSigned(stamp.time &- previous.time)
            previous = stamp
        }
        return stamps
    }

    /// The stamps of all entries, ascending, each once.
    private func distinctStamps() -> [Stamp] {
        var stamps: [Stamp] = []
        stamps.reserveCapacity(entries.count)
        var isAscending = true
        for entry in entries {
            let stamp = Stamp(dot: entry.dot, time: entry.time)
            if let last = stamps.last {
                if last == stamp { continue }
                if stamp < last { isAscending = false }
            }
            stamps.append(stamp)
        }
        if isAscending { return stamps }
        stamps.sort()
        var unique = 0
        for index in stamps.indices where index == 0 || stamps[index] != stamps[unique - 1] {
            stamps[unique] = stamps[index]
            unique += 1
        }
        stamps.removeSubrange(unique...)
        return stamps
    }

    private func encodeEntry(
        _ index: Int, sequence: Int64, stamps: [Stamp], hint: inout Int, into output: inout [UInt8]
    ) {
        let entry = entries[index]
        let isSameCell = index > 0 && entries[index - 1].key.compare(entry.key, arena, arena) == 0
        let stamp = Stamp(dot: entry.dot, time: entry.time)
        if stamps[hint] != stamp { hint = Self.place(of: stamp, in: stamps) }
        var flags = entry.kind.rawValue
        if entry.isCovered { flags |= 16 }
        if isSameCell { flags |= 32 }
        if hint == 0 { flags |= 64 }
        if entry.sequence != sequence { flags |= 128 }
        output.append(flags)
        if !isSameCell {
            output.appendVarint(UInt64(entry.key.field.rawValue) << 2 | UInt64(entry.key.elementKind.rawValue))
            switch entry.key.elementKind {
            case .none: break
            case .id:
                let isSameField =
                    index > 0 && entries[index - 1].key.field == entry.key.field
                    && entries[index - 1].key.elementKind == .id
                let base = isSameField ? entries[index - 1].key.elementPayload : 0
                output.appendSigned(entry.key.elementPayload &- base)
            case .text: append(entry.key.elementSlice, to: &output)
            }
        }
        if hint != 0 { output.appendVarint(hint) }
        if entry.sequence != sequence { output.appendVarint(UInt64(bitPattern: sequence &- entry.sequence)) }
        switch entry.kind {
        case _ where entry.kind.isSlice: append(entry.slice, to: &output)
        case .integer, .count: output.appendSigned(entry.integer)
        default: break
        }
    }

    /// Where a stamp lies among ascending ones.
    private static func place(of stamp: Stamp, in stamps: [Stamp]) -> Int {
        var low = 0
        var high = stamps.count - 1
        while low < high {
            let middle = (low + high) / 2
            if stamps[middle] < stamp { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func append(_ slice: Slice, to output: inout [UInt8]) {
        output.appendVarint(UInt64(slice.count))
        output.append(contentsOf: arena[slice.range])
    }

    /// Reads a packed row.
    ///
    /// - Parameter isChecked: whether these very bytes were checked already, by reading their envelope.
    /// - Throws: `DecodingFailure` for bytes that are damaged or of a newer format.
    public init(
        id: RecordID, sequence: Int64, packed bytes: UnsafeRawBufferPointer, isChecked: Bool = false
    ) throws(DecodingFailure) {
        self.id = id
        arena = []
        entries = []
        envelope = Envelope(kind: .none, scope: .workspace)
        var reader = try Self.body(of: id, sequence: sequence, packed: bytes, isChecked: isChecked)
        envelope.kind = Kind(rawValue: try reader.varint(as: UInt16.self))
        envelope.scope = try Scope.decode(from: &reader, of: id)
        let stamps = try Self.decodeStamps(from: &reader, id: id)
        let count = try reader.varint(as: Int.self)
        // An entry takes at least one byte.
        guard count <= bytes.count else { throw reader.failure(.truncated) }
        arena.append(contentsOf: bytes)
        entries.reserveCapacity(count + 2)
        for index in 0..<count { try decodeEntry(index, from: &reader, sequence: sequence, stamps: stamps) }
        guard reader.isAtEnd else { throw reader.failure(.trailingBytes) }
    }

    /// A reader behind version and checksum, which is right.
    private static func body(
        of id: RecordID, sequence: Int64, packed bytes: UnsafeRawBufferPointer, isChecked: Bool = false
    ) throws(DecodingFailure) -> ByteReader {
        var reader = ByteReader(bytes)
        switch try reader.byte() {
        case formatVersion:
            let expected = try reader.fixed32()
            let body = UnsafeRawBufferPointer(rebasing: bytes[reader.offset...])
            guard isChecked || checksum(of: body, id, sequence: sequence) == expected else {
                throw reader.failure(.checksum)
            }
        case versionWithoutChecksum: break
        case let version: throw reader.failure(.unknownVersion(version))
        }
        return reader
    }

    /// Reads a packed row's envelope alone.
    ///
    /// - Throws: `DecodingFailure` for bytes that are damaged or of a newer format.
    public static func envelope(
        of id: RecordID, sequence: Int64, packed bytes: UnsafeRawBufferPointer
    ) throws(DecodingFailure) -> Envelope {
        var reader = try body(of: id, sequence: sequence, packed: bytes)
        let kind = Kind(rawValue: try reader.varint(as: UInt16.self))
        return Envelope(kind: kind, scope: try Scope.decode(from: &reader, of: id))
    }

    private static func decodeStamps(from reader: inout ByteReader, id: RecordID) throws(DecodingFailure) -> [Stamp] {
        let count = try reader.varint(as: Int.self)
        guard count <= reader.bytes.count else { throw reader.failure(.truncated) }
        var stamps: [Stamp] = []
        stamps.reserveCapacity(count)
        var replicas = 0
        var previous = Stamp(dot: Dot(rawValue: 0), time: id.time)
        for _ in 0..<count {
            let reference = try reader.varint(as: Int.self)
            var number: UInt32
            let replica: ReplicaID
            if reference == 0 {
                replica = ReplicaID(rawValue: try reader.fixed32())
                replicas += 1
                number = try reader.varint(as: UInt32.self)
            } else {
                guard reference == replicas else { throw reader.failure(.outOfRange) }
                replica = previous.dot.replica
                let sum = previous.dot.number.addingReportingOverflow(try reader.varint(as: UInt32.self))
                guard !sum.overflow else { throw reader.failure(.outOfRange) }
                number = sum.partialValue
            }
            let time = previous.time &+ (try reader.signed())
            let stamp = Stamp(dot: Dot(replica, number), time: time)
            guard stamps.isEmpty || previous < stamp else { throw reader.failure(.notCanonical) }
            previous = stamp
            stamps.append(stamp)
        }
        return stamps
    }

    private mutating func decodeEntry(
        _ index: Int, from reader: inout ByteReader, sequence: Int64, stamps: [Stamp]
    ) throws(DecodingFailure) {
        let flags = try reader.byte()
        guard let kind = ValueKind(rawValue: flags & 15), flags & 16 == 0 || !kind.isMarker else {
            throw reader.failure(.outOfRange)
        }
        var key: CellKey
        if flags & 32 != 0 {
            guard index > 0 else { throw reader.failure(.notCanonical) }
            key = entries[index - 1].key
        } else {
            key = try decodeKey(index, from: &reader)
        }
        let stampIndex = flags & 64 != 0 ? 0 : try reader.varint(as: Int.self)
        guard stampIndex < stamps.count else { throw reader.failure(.outOfRange) }
        let below = flags & 128 != 0 ? Int64(bitPattern: try reader.varint()) : 0
        var entry = Entry(
            key: key, kind: kind, isCovered: flags & 16 != 0, dot: stamps[stampIndex].dot,
            time: stamps[stampIndex].time,
            sequence: sequence &- below)
        if flags & 32 != 0 {
            let before = entries[index - 1]
            guard (before.dot, before.kind.order) < (entry.dot, kind.order) else { throw reader.failure(.notCanonical) }
        }
        if kind.isSlice {
            entry.slice = try slice(from: &reader)
        } else if kind == .integer || kind == .count {
            entry.payload = try reader.signed()
        }
        entries.append(entry)
    }

    private func decodeKey(_ index: Int, from reader: inout ByteReader) throws(DecodingFailure) -> CellKey {
        let code = try reader.varint(as: UInt32.self)
        guard let number = UInt16(exactly: code >> 2) else { throw reader.failure(.outOfRange) }
        let field = Field(rawValue: number)
        let key: CellKey
        switch code & 3 {
        case 0: key = CellKey(field)
        case 1:
            let isSameField =
                index > 0 && entries[index - 1].key.field == field && entries[index - 1].key.elementKind == .id
            let base = isSameField ? entries[index - 1].key.elementPayload : 0
            let id = RecordID(rawValue: base &+ (try reader.signed()))
            guard id.isValid else { throw reader.failure(.outOfRange) }
            key = CellKey(field, id: id)
        case 2: key = CellKey(field, text: try slice(from: &reader))
        default: throw reader.failure(.outOfRange)
        }
        if index > 0, entries[index - 1].key.compare(key, arena, arena) >= 0 { throw reader.failure(.notCanonical) }
        return key
    }

    /// A slice of the row's own bytes, which are the arena.
    private func slice(from reader: inout ByteReader) throws(DecodingFailure) -> Slice {
        let count = try reader.varint(as: Int.self)
        let start = reader.offset
        _ = try reader.run(count)
        return Slice(start..<start + count)
    }
}
