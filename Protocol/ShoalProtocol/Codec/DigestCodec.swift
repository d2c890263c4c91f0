import ShoalCRDT

/// Ranges of a digest in columns; SPEC.md §6.4 gives the form.
enum DigestCodec {
    static let members: [StaticString] = ["bounds", "modes", "counts", "ids", "prints"]
    private static let printMode = UInt8(ascii: "p")
    private static let listMode = UInt8(ascii: "l")
    /// Between two ranges: nothing is said.
    private static let skipMode = UInt8(ascii: "s")
    /// Digits of base 64 that 64 bits take.
    private static let printDigits = 11

    // MARK: Writing

    static func write(_ ranges: [DigestRange], to json: inout JSONWriter) {
        var bounds: [UInt64] = []
        var modes: [UInt8] = []
        var counts: [Int64] = []
        var ids: [RecordID] = []
        var prints: [UInt8] = []
        for range in ranges {
            if bounds.isEmpty { bounds.append(range.range.lower) }
            if bounds.last != range.range.lower {
                modes.append(skipMode)
                bounds.append(range.range.lower)
            }
            bounds.append(range.range.upper)
            switch range.content {
            case .print(let print):
                modes.append(printMode)
                append(print, to: &prints)
            case .list(let records):
                modes.append(listMode)
                counts.append(Int64(records.count))
                for record in records {
                    ids.append(record.id)
                    append(record.print, to: &prints)
                }
            }
        }
        json.beginObject()
        json.key("bounds")
        json.beginArray()
        for bound in bounds { json.string(bytes: digits(of: bound)[...]) }
        json.endArray()
        json.key("modes")
        json.string(bytes: modes[...])
        if !counts.isEmpty {
            json.key("counts")
            json.integers(counts)
        }
        if !ids.isEmpty {
            json.key("ids")
            IdentifierColumns.write(ids, to: &json)
        }
        if !prints.isEmpty {
            json.key("prints")
            json.string(bytes: prints[...])
        }
        json.endObject()
    }

    /// A bound is 66 bits in 11 digits, its own in front; zeros at the end are left out.
    private static func digits(of bound: UInt64) -> [UInt8] {
        var digits: [UInt8] = []
        var rest = bound
        while rest != 0 {
            digits.append(Column.alphabet[Int(rest >> 58)])
            rest <<= 6
        }
        return digits
    }

    private static func append(_ print: UInt64, to output: inout [UInt8]) {
        output.append(Column.alphabet[Int(print >> 60)])
        for shift in stride(from: UInt64(54), through: 0, by: -6) {
            output.append(Column.alphabet[Int(print >> shift & 63)])
        }
    }

    // MARK: Reading

    /// - Parameters:
    ///   - limit: the most ranges.
    static func read(limit: Int, from reader: inout JSONReader) throws -> [DigestRange] {
        var bounds: [UInt64] = []
        var modes: [UInt8] = []
        var counts: [Int64] = []
        var ids: [RecordID] = []
        var prints: [UInt8] = []
        var scratch: [UInt8] = []
        var order = MemberOrder(members)
        try reader.readObject { reader, key in
            try order.take(key, reader)
            switch key {
            case "bounds":
                try reader.readArray { reader in
                    // Between any two ranges there may be nothing said.
                    guard bounds.count <= 2 * limit else { throw reader.error(.tooMany(limit: 2 * limit + 1)) }
                    scratch.removeAll(keepingCapacity: true)
                    _ = try reader.readString(appendingTo: &scratch)
                    guard let bound = bound(scratch), bounds.last.map({ $0 < bound }) ?? true else {
                        throw reader.error(.invalid("not a bound above the one before"))
                    }
                    bounds.append(bound)
                }
            case "modes":
                _ = try reader.readString(appendingTo: &modes)
                guard modes.count == max(bounds.count - 1, 0), modes.count(where: { $0 != skipMode }) <= limit else {
                    throw reader.error(.invalid("not a mode for each range"))
                }
            case "counts":
                try reader.readIntegers(into: &counts, limit: modes.count(where: { $0 == listMode }))
                let total = counts.reduce(into: Int64(0)) { sum, count in
                    sum = count < 0 || sum < 0 || count > Limits.digestRecords ? -1 : sum + count
                }
                guard 0...Int64(Limits.digestRecords) ~= total else {
                    throw reader.error(.tooMany(limit: Limits.digestRecords))
                }
            case "ids":
                let total = Int(counts.reduce(0, +))
                ids = try IdentifierColumns(limit: total, from: &reader, scratch: &scratch).all(reader)
            case "prints": _ = try reader.readString(appendingTo: &prints)
            default: throw reader.error(.unknownKey)
            }
        }
        return try assemble(reader, bounds, modes, counts, ids, prints)
    }

    private static func assemble(
        _ reader: JSONReader, _ bounds: [UInt64], _ modes: [UInt8], _ counts: [Int64], _ ids: [RecordID],
        _ prints: [UInt8]
    ) throws -> [DigestRange] {
        let lists = modes.count(where: { $0 == listMode })
        let printed = modes.count(where: { $0 == printMode }) + ids.count
        guard modes.count == max(bounds.count - 1, 0), counts.count == lists, counts.reduce(0, +) == Int64(ids.count),
            prints.count == printed * printDigits
        else { throw reader.error(.invalid("the columns do not hold what the modes ask for")) }
        var ranges: [DigestRange] = []
        var rest = prints[...]
        var nextID = 0
        var nextCount = 0
        func print() throws -> UInt64 {
            var value: UInt64 = 0
            for place in 0..<printDigits {
                guard let byte = rest.popFirst(), let digit = digit(byte), place > 0 || digit < 16 else {
                    throw reader.error(.invalid("not a print"))
                }
                value = value << 6 | UInt64(digit)
            }
            return value
        }
        for (place, mode) in modes.enumerated() {
            let range = IdentifierRange(bounds[place], bounds[place + 1])
            switch mode {
            case skipMode: break
            case printMode: ranges.append(DigestRange(range, .print(try print())))
            case listMode:
                var records: [RecordPrint] = []
                for _ in 0..<counts[nextCount] {
                    let id = ids[nextID]
                    guard range.contains(id), records.last.map({ $0.id < id }) ?? true else {
                        throw reader.error(.invalid("the identifiers of a range do not ascend in it"))
                    }
                    records.append(RecordPrint(id: id, print: try print()))
                    nextID += 1
                }
                nextCount += 1
                ranges.append(DigestRange(range, .list(records)))
            default: throw reader.error(.invalid("not a mode"))
            }
        }
        return ranges
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        let value = Column.digits[Int(byte)]
        return value < 64 ? value : nil
    }

    /// The bound with these digits; nil if there is none, or if it ends with a zero.
    private static func bound(_ digits: [UInt8]) -> UInt64? {
        guard digits.count <= 11, digits.last != Column.alphabet[0] else { return nil }
        var value: UInt64 = 0
        for (place, byte) in digits.enumerated() {
            guard let digit = digit(byte) else { return nil }
            let bits = UInt64(digit)
            if place < 10 {
                value |= bits << UInt64(58 - 6 * place)
            } else {
                // Four bits are left; the last two of the digit are none.
                guard bits & 3 == 0 else { return nil }
                value |= bits >> 2
            }
        }
        return value <= IdentifierRange.end ? value : nil
    }

    // MARK: Lists of records

    static func writeIdentifiers(_ key: StaticString, _ ids: [RecordID], to json: inout JSONWriter) {
        if ids.isEmpty { return }
        json.key(key)
        IdentifierColumns.write(ids, to: &json)
    }

    static func readIdentifiers(limit: Int, from reader: inout JSONReader) throws -> [RecordID] {
        var scratch: [UInt8] = []
        let ids = try IdentifierColumns(limit: limit, from: &reader, scratch: &scratch).all(reader)
        guard ids.count <= limit else { throw reader.error(.tooMany(limit: limit)) }
        for index in ids.indices.dropFirst() where ids[index - 1] >= ids[index] {
            throw reader.error(.invalid("the identifiers do not ascend"))
        }
        return ids
    }
}
