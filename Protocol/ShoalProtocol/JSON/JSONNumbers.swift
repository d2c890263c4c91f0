// Numbers and literals.

extension JSONReader {
    /// An integer in its one spelling: `-?(0|[1-9][0-9]*)` without `-0`.
    public mutating func readInteger() throws(JSONError) -> Int64 {
        skipWhiteSpace()
        return try Self.integer(bytes, &offset)
    }

    public mutating func readInteger(in range: ClosedRange<Int64>) throws(JSONError) -> Int64 {
        skipWhiteSpace()
        let start = offset
        let value = try readInteger()
        guard range.contains(value) else { throw JSONError(offset: start, reason: .numberOutOfRange) }
        return value
    }

    public mutating func readUInt32() throws(JSONError) -> UInt32 {
        UInt32(truncatingIfNeeded: try readInteger(in: 0...Int64(UInt32.max)))
    }

    /// Appends a whole array of integers to `integers`.
    ///
    /// When this throws, the elements read so far may have been appended.
    /// - Parameter limit: how many elements this array may have.
    public mutating func readIntegers(into integers: inout [Int64], limit: Int) throws(JSONError) {
        try open(UInt8(ascii: "["), .array)
        var left = max(0, limit)
        if try nextByte() != UInt8(ascii: "]") {
            let bytes = bytes
            var at = offset
            while true {
                Self.skipWhiteSpace(bytes, &at)
                let value = try Self.integer(bytes, &at)
                guard left > 0 else { throw JSONError(offset: at, reason: .tooMany(limit: limit)) }
                left &-= 1
                integers.append(value)
                if at < bytes.count, bytes[at] == UInt8(ascii: ",") {
                    at &+= 1
                    continue
                }
                offset = at
                if try closesArray() { break }
                at = offset
            }
        }
        offset &+= 1
        depth &-= 1
    }

    public mutating func readBool() throws(JSONError) -> Bool {
        switch try nextByte() {
        case UInt8(ascii: "t"):
            try expect("true")
            return true
        case UInt8(ascii: "f"):
            try expect("false")
            return false
        default: throw mismatch(.true)
        }
    }

    public mutating func readNull() throws(JSONError) {
        guard try nextByte() == UInt8(ascii: "n") else { throw mismatch(.null) }
        try expect("null")
    }

    mutating func expect(_ word: StaticString) throws(JSONError) {
        var at = offset
        for index in 0..<word.utf8CodeUnitCount {
            guard at < bytes.count else { throw JSONError(offset: at, reason: .truncated) }
            guard bytes[at] == word.utf8Start[index] else { throw JSONError(offset: at, reason: .unexpectedByte) }
            at &+= 1
        }
        offset = at
    }

    /// Any number of RFC 8259 §6, however long.
    mutating func skipNumber() throws(JSONError) {
        skipWhiteSpace()
        var at = offset
        if bytes[at] == UInt8(ascii: "-") { at &+= 1 }
        if at < bytes.count, bytes[at] == UInt8(ascii: "0") { at &+= 1 } else { try skipDigits(&at) }
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at &+= 1
            try skipDigits(&at)
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at &+= 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at &+= 1 }
            try skipDigits(&at)
        }
        offset = at
    }

    private func skipDigits(_ at: inout Int) throws(JSONError) {
        let start = at
        while at < bytes.count, bytes[at] &- 0x30 <= 9 { at &+= 1 }
        if at == start { throw JSONError(offset: at, reason: at < bytes.count ? .unexpectedByte : .truncated) }
    }

    /// The integer at `at`. Eight bytes at a time: the digits of most integers are found and added up without a branch
    /// that depends on how many they are.
    @inline(__always)
    private static func integer(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) throws(JSONError) -> Int64 {
        let count = bytes.count
        guard at < count else { throw notAnInteger(bytes, at, at) }
        let isNegative = bytes[at] == UInt8(ascii: "-")
        let sign = Int64(truncatingIfNeeded: isNegative ? 1 : 0)
        let first = at &+ Int(truncatingIfNeeded: sign)
        var end = first
        var magnitude: UInt64 = 0
        var isWhole = false
        if count &- end >= 8 {
            let (value, digits) = leadingDigits(bytes, end)
            magnitude = value
            end &+= digits
            isWhole = digits < 8
        }
        if !isWhole {
            // At most 8 digits so far: any overflow happens below, where it is checked.
            guard finishInteger(bytes, &magnitude, &end) else {
                throw JSONError(offset: at, reason: .numberOutOfRange)
            }
        }
        guard end > first else { throw notAnInteger(bytes, at, first) }
        if bytes[first] == UInt8(ascii: "0"), isNegative || end &- first > 1 {
            throw JSONError(offset: at, reason: .notAnInteger)
        }
        if end < count, bytes[end] == UInt8(ascii: ".") || bytes[end] | 0x20 == UInt8(ascii: "e") {
            throw JSONError(offset: at, reason: .notAnInteger)
        }
        if magnitude > UInt64(Int64.max), !(isNegative && magnitude == UInt64(1) << 63) {
            throw JSONError(offset: at, reason: .numberOutOfRange)
        }
        at = end
        // Two's complement without a branch, since signs are hard to predict; 2^63 becomes Int64.min.
        return (Int64(truncatingIfNeeded: magnitude) ^ (0 &- sign)) &+ sign
    }

    /// The digits at the front of the eight bytes at `at`, at most 8 of them, and their value.
    @inline(__always)
    private static func leadingDigits(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> (value: UInt64, digits: Int) {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        let digits = word ^ 0x3030_3030_3030_3030
        // The high bit of the first byte that is no digit; a carry can only spoil the bytes after it.
        let stop = ((digits &+ 0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080
        let length = stop.trailingZeroBitCount >> 3
        if length == 0 { return (0, 0) }
        // Zeros in front, then pairs, fours and eights are joined; no product exceeds its lane.
        var value = digits &<< UInt64(truncatingIfNeeded: 64 &- 8 &* length)
        value = value &* 10 &+ value >> 8
        value =
            ((value & 0x0000_00FF_0000_00FF) &* 0x000F_4240_0000_0064
                &+ ((value >> 16) & 0x0000_00FF_0000_00FF) &* 0x0000_2710_0000_0001) >> 32
        return (value, length)
    }

    /// Adds the digits from `end` on; false on overflow.
    private static func finishInteger(
        _ bytes: UnsafeRawBufferPointer, _ magnitude: inout UInt64, _ end: inout Int
    ) -> Bool {
        while end < bytes.count {
            let digit = bytes[end] &- 0x30
            if digit > 9 { break }
            let (tens, overflows) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, carries) = tens.addingReportingOverflow(UInt64(digit))
            if overflows || carries { return false }
            magnitude = sum
            end &+= 1
        }
        return true
    }

    @inline(never)
    private static func notAnInteger(_ bytes: UnsafeRawBufferPointer, _ at: Int, _ first: Int) -> JSONError {
        guard first < bytes.count else { return JSONError(offset: bytes.count, reason: .truncated) }
        let isOther = first == at && Kind(firstByte: bytes[at]) != nil
        return JSONError(offset: first, reason: isOther ? .wrongType(expected: .number) : .unexpectedByte)
    }
}
