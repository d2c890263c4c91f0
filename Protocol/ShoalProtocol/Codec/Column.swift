/// A column of unsigned integers as JSON: digit planes, then what did not fit.
///
///     ["<plane>", …, overflow, …]
///
/// With w planes each value below 64^w − 1 is w digits of base 64; the first string holds every value's most
/// significant digit, the last one every value's least. A larger value has the greatest digit everywhere, and the value
/// less 64^w − 1 stands behind the planes, in order. How many values there are is known from elsewhere; with no planes every
/// value is listed, and an empty column means zeros. Digits have no separators and a digit's plane is nearly uniform or nearly constant, which
/// is what deflate codes best: the column costs about a fifth less than decimal numbers.
enum Column {
    static let alphabet: [UInt8] = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    static let mostPlanes = 6

    /// The value of each digit, 0xFF for other bytes.
    static let digits: [UInt8] = {
        var table = [UInt8](repeating: 0xFF, count: 256)
        for (index, character) in alphabet.enumerated() { table[Int(character)] = UInt8(index) }
        return table
    }()

    @inline(__always)
    static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: value &<< 1) ^ UInt64(bitPattern: value &>> 63) }
    @inline(__always)
    static func unzigzag(_ value: UInt64) -> Int64 { Int64(bitPattern: value &>> 1) ^ -Int64(bitPattern: value & 1) }

    /// The number of planes that makes the column shortest, about: 6 bits a digit, 3.5 a digit of overflow.
    private static func planes(for values: [UInt64]) -> Int {
        var histogram = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        return withUnsafeMutableBytes(of: &histogram) { raw in
            let counts = raw.bindMemory(to: Int.self)
            for value in values where value > 0 {
                // The least number of planes w with value < 64^w − 1, at most 10.
                let width = (64 - (value &+ 1).leadingZeroBitCount + 5) / 6
                counts[min(value == .max ? 10 : width, 10)] += 1
            }
            var best = 0
            var bestCost = Int.max
            for width in 0...mostPlanes {
                var cost = width * values.count * 6 + width * 16
                for (other, count) in counts.enumerated() where other > width {
                    // An overflow of 6 × other bits takes about 1.8 digits for each 6 bits, and a comma.
                    cost += count * (other * 7 + 5)
                }
                if cost < bestCost {
                    bestCost = cost
                    best = width
                }
            }
            return best
        }
    }

    static func write(_ values: [UInt64], to writer: inout JSONWriter) {
        writer.beginArray()
        let width = planes(for: values)
        let limit: UInt64 = (1 << UInt64(6 * width)) - 1
        if width > 0 {
            withUnsafeTemporaryAllocation(byteCount: values.count, alignment: 1) { plane in
                alphabet.withUnsafeBufferPointer { alphabet in
                    for place in stride(from: width - 1, through: 0, by: -1) {
                        let shift = UInt64(6 * place)
                        for (index, value) in values.enumerated() {
                            plane[index] = alphabet[Int(min(value, limit) &>> shift & 63)]
                        }
                        writer.string(bytes: UnsafeRawBufferPointer(plane))
                    }
                }
            }
        }
        let lists = width > 0 || values.contains { $0 > 0 }
        for value in values where lists && value >= limit { writer.integer(Int64(bitPattern: value &- limit)) }
        writer.endArray()
    }

    /// Reads `count` values.
    static func read(count: Int, from reader: inout JSONReader, scratch: inout [UInt8]) throws -> [UInt64] {
        var width = 0
        var values = [UInt64](repeating: 0, count: count)
        var overflow: [UInt64] = []
        try reader.readArray { reader in
            if overflow.isEmpty, try reader.peek() == .string {
                width += 1
                guard width <= mostPlanes else { throw reader.error(.tooMany(limit: mostPlanes)) }
                scratch.removeAll(keepingCapacity: true)
                let range = try reader.readString(appendingTo: &scratch)
                guard range.count == count else {
                    throw reader.error(.invalid("a plane of \(range.count) digits for \(count) values"))
                }
                var bad: UInt8 = 0
                scratch.withUnsafeBufferPointer { plane in
                    digits.withUnsafeBufferPointer { digits in
                        for index in 0..<count {
                            let digit = digits[Int(plane[index])]
                            bad |= digit
                            values[index] = values[index] &<< 6 | UInt64(digit & 63)
                        }
                    }
                }
                guard bad < 64 else { throw reader.error(.invalid("not a digit of base 64")) }
            } else {
                guard overflow.count < count else { throw reader.error(.tooMany(limit: count)) }
                overflow.append(UInt64(bitPattern: try reader.readInteger()))
            }
        }
        if width == 0 {
            if overflow.isEmpty { return values }
            guard overflow.count == count else {
                throw reader.error(.invalid("\(overflow.count) values instead of \(count)"))
            }
            return overflow
        }
        let limit: UInt64 = (1 << UInt64(6 * width)) - 1
        var next = 0
        for index in values.indices where values[index] == limit {
            guard next < overflow.count else { throw reader.error(.invalid("an overflow is missing")) }
            let sum = limit.addingReportingOverflow(overflow[next])
            guard !sum.overflow else { throw reader.error(.numberOutOfRange) }
            values[index] = sum.partialValue
            next += 1
        }
        guard next == overflow.count else { throw reader.error(.invalid("an overflow belongs to no value")) }
        return values
    }
}
