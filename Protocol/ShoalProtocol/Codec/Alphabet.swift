/// Text that takes two bytes a character where UTF-8 takes three.
///
/// A frame with enough Chinese text names its own alphabet: the scalars that it uses, ascending. In the frame's texts
/// U+0080 + i then stands for the i-th scalar of the alphabet and every other scalar for itself. The alphabet holds at most
/// 1,920 scalars, as many as UTF-8 has two-byte sequences; those that are two bytes themselves (U+0080 to U+07FF) are
/// always in it, so that nothing is ambiguous. The result is still UTF-8 and still JSON; after deflate it is about a
/// fifth smaller.
struct Alphabet {
    static let first: UInt32 = 0x80
    static let most = 1920

    /// The scalars, ascending. Empty: every scalar stands for itself.
    private(set) var scalars: [UInt32]
    /// For each scalar of the basic plane its two bytes, or 0.
    private var codes: [UInt16] = []

    static let none = Alphabet(scalars: [])

    private init(scalars: [UInt32]) { self.scalars = scalars }

    var isEmpty: Bool { scalars.isEmpty }
}

// MARK: - Writing

extension Alphabet {
    /// The alphabet of these bytes (valid UTF-8), empty when it would not pay.
    init(of text: UnsafeRawBufferPointer) {
        scalars = []
        // Fewer bytes than this cannot pay for the alphabet.
        guard text.count > 600 else { return }
        var counts = [UInt16](repeating: 0, count: 1 << 16)
        var occurrences = 0
        var offset = 0
        while offset < text.count {
            let byte = text[offset]
            if byte < 0x80 {
                offset += 1
            } else if byte < 0xE0, offset + 1 < text.count {
                counts[Int(UInt32(byte & 0x1F) << 6 | UInt32(text[offset + 1] & 0x3F))] |= 1
                offset += 2
            } else if byte < 0xF0, offset + 2 < text.count {
                let scalar = Int(byte & 0x0F) << 12 | Int(text[offset + 1] & 0x3F) << 6 | Int(text[offset + 2] & 0x3F)
                if counts[scalar] < .max { counts[scalar] += 1 }
                occurrences += 1
                offset += 3
            } else {
                offset += 4
            }
        }
        var two: [UInt32] = []
        var three: [UInt32] = []
        for (scalar, count) in counts.enumerated() where count > 0 {
            if scalar < 0x800 { two.append(UInt32(scalar)) } else { three.append(UInt32(scalar)) }
        }
        // A scalar of the alphabet costs about a byte, an occurrence saves about a third of one.
        guard occurrences > 3 * (two.count + three.count) else { return }
        let room = Self.most - two.count
        if three.count > room {
            three.sort { (counts[Int($0)], $1) > (counts[Int($1)], $0) }
            three.removeSubrange(room...)
            three.sort()
        }
        scalars = two + three
        codes = [UInt16](repeating: 0, count: 1 << 16)
        for (index, scalar) in scalars.enumerated() {
            let code = Self.first + UInt32(index)
            codes[Int(scalar)] = UInt16(0xC0 | code >> 6) << 8 | UInt16(0x80 | code & 0x3F)
        }
    }

    /// Appends `text` as the frame writes it.
    func encode(_ text: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        if scalars.isEmpty {
            output.append(contentsOf: text)
            return
        }
        codes.withUnsafeBufferPointer { codes in
            // Two bytes stay two or less, three become two or stay three: the output is never longer.
            var offset = 0
            while offset < text.count {
                let byte = text[offset]
                if byte < 0x80 {
                    output.append(byte)
                    offset += 1
                    continue
                }
                let length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
                guard offset + length <= text.count else { break }
                if length < 4 {
                    let scalar =
                        length == 2
                        ? Int(byte & 0x1F) << 6 | Int(text[offset + 1] & 0x3F)
                        : Int(byte & 0x0F) << 12 | Int(text[offset + 1] & 0x3F) << 6 | Int(text[offset + 2] & 0x3F)
                    let code = codes[scalar]
                    if code != 0 {
                        output.append(UInt8(truncatingIfNeeded: code >> 8))
                        output.append(UInt8(truncatingIfNeeded: code))
                        offset += length
                        continue
                    }
                }
                for index in offset..<offset + length { output.append(text[index]) }
                offset += length
            }
        }
    }

    func write(to writer: inout JSONWriter) {
        var deltas: [UInt64] = []
        deltas.reserveCapacity(scalars.count)
        var previous: UInt32 = Self.first
        for scalar in scalars {
            deltas.append(UInt64(scalar - previous))
            previous = scalar + 1
        }
        writer.beginArray()
        writer.integer(Int64(scalars.count))
        Column.write(deltas, to: &writer)
        writer.endArray()
    }
}

// MARK: - Reading

extension Alphabet {
    /// Reads `[count, column]`: each scalar as the difference to the one before it plus one, the first to U+0080.
    init(from reader: inout JSONReader, scratch: inout [UInt8]) throws {
        var parts = 0
        var count = 0
        var result: [UInt32] = []
        try reader.readArray { reader in
            parts += 1
            switch parts {
            case 1: count = Int(try reader.readInteger(in: 0...Int64(Self.most)))
            case 2:
                var previous = UInt64(Self.first)
                for delta in try Column.read(count: count, from: &reader, scratch: &scratch) {
                    let scalar = previous.addingReportingOverflow(delta)
                    guard !scalar.overflow, scalar.partialValue <= 0xFFFF,
                        !(0xD800...0xDFFF).contains(scalar.partialValue)
                    else { throw reader.error(.invalid("the alphabet names what is no scalar")) }
                    result.append(UInt32(scalar.partialValue))
                    previous = scalar.partialValue + 1
                }
            default: throw reader.error(.tooMany(limit: 2))
            }
        }
        guard parts == 2 else { throw reader.error(.invalid("an alphabet is a count and a column")) }
        scalars = result
    }

    /// Appends what `text` stands for, in UTF-8; nil if it names a scalar that the alphabet does not have.
    func decode(_ text: UnsafeRawBufferPointer, into output: inout [UInt8]) -> Range<Int>? {
        let start = output.count
        if scalars.isEmpty {
            output.append(contentsOf: text)
            return start..<output.count
        }
        return scalars.withUnsafeBufferPointer { scalars in
            var offset = 0
            while offset < text.count {
                let byte = text[offset]
                if byte < 0x80 {
                    output.append(byte)
                    offset += 1
                } else if byte < 0xE0, offset + 1 < text.count {
                    let index = Int(byte & 0x1F) << 6 + Int(text[offset + 1] & 0x3F) - Int(Self.first)
                    guard index < scalars.count, index >= 0 else { return nil }
                    let scalar = scalars[index]
                    if scalar < 0x800 {
                        output.append(UInt8(truncatingIfNeeded: 0xC0 | scalar >> 6))
                    } else {
                        output.append(UInt8(truncatingIfNeeded: 0xE0 | scalar >> 12))
                        output.append(UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F))
                    }
                    output.append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F))
                    offset += 2
                } else {
                    let length = byte < 0xF0 ? 3 : 4
                    guard offset + length <= text.count else { return nil }
                    for index in offset..<offset + length { output.append(text[index]) }
                    offset += length
                }
            }
            return start..<output.count
        }
    }
}
