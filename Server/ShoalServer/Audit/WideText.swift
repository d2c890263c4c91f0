import ShoalCRDT

extension [UInt8] {
    /// From so many bytes on it is looked at which encoding is shorter.
    private static let leastWide = 24

    /// Appends UTF-8 text as UTF-16, after half its length, if that is shorter: characters beyond the alphabets, Chinese ones
    /// above all, take two bytes there instead of three.
    ///
    /// - Returns: whether it is; otherwise nothing is appended.
    mutating func appendWide(_ text: ArraySlice<UInt8>) -> Bool {
        if text.count < Self.leastWide { return false }
        return text.withUnsafeBufferPointer { text in
            var units = 0
            for byte in text where byte & 0xC0 != 0x80 { units += byte < 0xF0 ? 1 : 2 }
            if units * 2 >= text.count { return false }
            let start = count
            reserveCapacity(start + units * 2 + 5)
            appendVarint(units)
            var place = 0
            while place < text.count {
                guard let (scalar, length) = Self.scalar(text, place) else {
                    // It is no UTF-8: it stays what it is.
                    removeSubrange(start...)
                    return false
                }
                place += length
                if scalar < 0x1_0000 {
                    append(unit: scalar)
                } else {
                    append(unit: 0xD7C0 + scalar >> 10)
                    append(unit: 0xDC00 | scalar & 0x3FF)
                }
            }
            return true
        }
    }

    private mutating func append(unit: UInt32) {
        append(UInt8(truncatingIfNeeded: unit))
        append(UInt8(truncatingIfNeeded: unit >> 8))
    }

    /// The character at a place and how many bytes it takes; nil if there is none.
    private static func scalar(_ text: UnsafeBufferPointer<UInt8>, _ place: Int) -> (UInt32, Int)? {
        let first = UInt32(text[place])
        if first < 0x80 { return (first, 1) }
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
        if first < 0xC2 || first > 0xF4 || place + length > text.count { return nil }
        var scalar = first & (0x7F >> UInt32(length))
        for next in 1..<length {
            let byte = UInt32(text[place + next])
            if byte & 0xC0 != 0x80 { return nil }
            scalar = scalar << 6 | byte & 0x3F
        }
        // Surrogates and what is written too long: another text would come back.
        let least: [UInt32] = [0, 0, 0x80, 0x800, 0x1_0000]
        return scalar < least[length] || scalar > 0x10_FFFF || scalar >> 11 == 0x1B ? nil : (scalar, length)
    }
}
