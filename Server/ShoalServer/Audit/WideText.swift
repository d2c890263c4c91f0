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
            appendVarint(units)
            let body = count
            append(contentsOf: repeatElement(0, count: units * 2))
            let isText = withUnsafeMutableBytes {
                Self.widen(text, to: UnsafeMutableRawBufferPointer(rebasing: $0[body...]))
            }
            // What is no UTF-8 stays what it is.
            if !isText { removeSubrange(start...) }
            return isText
        }
    }

    /// - Parameter wide: room for as many units as there are leading bytes, and one more for each of four.
    private static func widen(_ text: UnsafeBufferPointer<UInt8>, to wide: UnsafeMutableRawBufferPointer) -> Bool {
        var place = 0
        var end = 0
        func append(_ unit: UInt32) {
            wide[end] = UInt8(truncatingIfNeeded: unit)
            wide[end + 1] = UInt8(truncatingIfNeeded: unit >> 8)
            end += 2
        }
        while place < text.count {
            guard let (scalar, length) = scalar(text, place) else { return false }
            place += length
            if scalar < 0x1_0000 {
                append(scalar)
            } else {
                append(0xD7C0 + scalar >> 10)
                append(0xDC00 | scalar & 0x3FF)
            }
        }
        return true
    }

    /// The character at a place and how many bytes it takes; nil if there is none.
    @inline(__always)
    private static func scalar(_ text: UnsafeBufferPointer<UInt8>, _ place: Int) -> (UInt32, Int)? {
        let first = UInt32(text[place])
        func next(_ distance: Int) -> UInt32? {
            guard place + distance < text.count, text[place + distance] & 0xC0 == 0x80 else { return nil }
            return UInt32(text[place + distance] & 0x3F)
        }
        // Surrogates and what is written too long are refused: another text would come back.
        if first & 0xF0 == 0xE0, let second = next(1), let third = next(2) {
            let scalar = (first & 0x0F) << 12 | second << 6 | third
            return scalar < 0x800 || scalar >> 11 == 0x1B ? nil : (scalar, 3)
        }
        if first < 0x80 { return (first, 1) }
        if first & 0xE0 == 0xC0, first >= 0xC2, let second = next(1) { return ((first & 0x1F) << 6 | second, 2) }
        guard first & 0xF8 == 0xF0, let second = next(1), let third = next(2), let fourth = next(3) else { return nil }
        let scalar = (first & 0x07) << 18 | second << 12 | third << 6 | fourth
        return scalar < 0x1_0000 || scalar > 0x10_FFFF ? nil : (scalar, 4)
    }
}
