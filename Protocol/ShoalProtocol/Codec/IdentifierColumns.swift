import ShoalCRDT

/// A list of record identifiers in columns.
///
///     {"n": …, "ms": …, "counts": [count, …], "count": …, "sequence": …, "derived": [id, …]}
///
/// `ms` is the difference in milliseconds to the identifier before (the first: to 2020), or to a time that the reader
/// knows; zigzag. `count` is the place in `counts` of the maker's count, `sequence` the sequence within the
/// millisecond; columns that are all zero are left out. Derived identifiers stand apart, whole.
struct IdentifierColumns {
    private var milliseconds: [UInt64] = []
    private var counts: [Int64] = []
    private var places: [UInt64]?
    private var sequences: [UInt64]?
    private var derived: [Int64] = []

    var timedCount: Int { milliseconds.count }
    var derivedCount: Int { derived.count }

    /// No identifiers.
    init() {}

    // MARK: Writing

    /// - Parameters:
    ///   - ids: derived ones anywhere; they are listed apart, each group in its order.
    ///   - bases: a time in milliseconds since 1970 for each identifier, or nil for differences.
    static func write(_ ids: [RecordID], bases: [Int64]? = nil, to writer: inout JSONWriter) {
        var milliseconds: [UInt64] = []
        var counts = PlaceTable<UInt16>()
        var places: [UInt64] = []
        var sequences: [UInt64] = []
        milliseconds.reserveCapacity(ids.count)
        places.reserveCapacity(ids.count)
        sequences.reserveCapacity(ids.count)
        var derived: [Int64] = []
        var previous: Int64 = 0
        for (index, id) in ids.enumerated() {
            if id.isDerived {
                derived.append(id.rawValue)
                continue
            }
            let base = bases.map { $0[index] &- RecordID.epoch } ?? previous
            milliseconds.append(Column.zigzag(id.milliseconds &- base))
            previous = id.milliseconds
            places.append(counts.place(of: id.count))
            sequences.append(UInt64(id.sequence))
        }
        writer.beginObject()
        if !milliseconds.isEmpty {
            writer.key("n")
            writer.integer(Int64(milliseconds.count))
            writer.column("ms", milliseconds)
            writer.key("counts")
            writer.integers(counts.values.map { Int64($0) })
            writer.column("count", places)
            writer.column("sequence", sequences)
        }
        if !derived.isEmpty {
            writer.key("derived")
            writer.integers(derived)
        }
        writer.endObject()
    }

    // MARK: Reading

    init(limit: Int, from reader: inout JSONReader, scratch: inout [UInt8]) throws {
        var count = 0
        var read = IdentifierColumns()
        var times: [UInt64]?
        var text = scratch
        var order = MemberOrder(["n", "ms", "counts", "count", "sequence", "derived"])
        try reader.readObject { reader, key in
            try order.take(key, reader)
            switch key {
            case "n": count = Int(try reader.readInteger(in: 0...Int64(limit)))
            case "ms": times = try Column.read(count: count, from: &reader, scratch: &text)
            case "counts": try reader.readIntegers(into: &read.counts, limit: max(count, 1))
            case "count": read.places = try Column.read(count: count, from: &reader, scratch: &text)
            case "sequence": read.sequences = try Column.read(count: count, from: &reader, scratch: &text)
            case "derived": try reader.readIntegers(into: &read.derived, limit: limit)
            default: throw reader.error(.unknownKey)
            }
        }
        read.milliseconds = times ?? [UInt64](repeating: 0, count: count)
        guard read.milliseconds.count == count, read.places?.count ?? count == count,
            read.sequences?.count ?? count == count, read.counts.allSatisfy({ 0...0xFFFF ~= $0 }),
            count == 0 || !read.counts.isEmpty
        else { throw reader.error(.invalid("the columns of identifiers do not fit each other")) }
        self = read
    }

    /// The identifiers made of milliseconds, count and sequence.
    ///
    /// - Parameters:
    ///   - bases: as for writing, one for each.
    /// - Returns: nil if one of them is none.
    func timed(bases: [Int64]? = nil) -> [RecordID]? {
        var ids: [RecordID] = []
        ids.reserveCapacity(milliseconds.count)
        var previous: Int64 = 0
        for index in milliseconds.indices {
            let base = bases.map { $0[index] &- RecordID.epoch } ?? previous
            let sum = base &+ Column.unzigzag(milliseconds[index])
            let place = places?[index] ?? 0
            let sequence = sequences?[index] ?? 0
            guard 0..<(1 << 41) ~= sum, place < UInt64(counts.count), sequence < 32 else {
                return nil
            }
            previous = sum
            let id = RecordID(
                milliseconds: previous, count: UInt16(truncatingIfNeeded: counts[Int(place)]), sequence: UInt8(sequence)
            )
            guard id.isValid else { return nil }
            ids.append(id)
        }
        return ids
    }

    /// The derived identifiers; nil if one of them is none.
    func derivedIDs() -> [RecordID]? {
        var ids: [RecordID] = []
        for value in derived {
            let id = RecordID(rawValue: value)
            guard id.isValid, id.isDerived else { return nil }
            ids.append(id)
        }
        return ids
    }

    /// All of them, the derived ones last.
    func all(_ reader: JSONReader) throws -> [RecordID] {
        guard let timed = timed(), let derived = derivedIDs() else { throw reader.error(.numberOutOfRange) }
        return timed + derived
    }
}

extension JSONWriter {
    /// Writes a column, unless all of it is zero.
    mutating func column(_ key: StaticString, _ values: [UInt64]) {
        guard values.contains(where: { $0 != 0 }) else { return }
        self.key(key)
        Column.write(values, to: &self)
    }
}
