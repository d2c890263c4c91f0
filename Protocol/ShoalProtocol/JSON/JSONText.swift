/// What stands between the quotes of a JSON string.
enum JSONText {
    /// Moves `at` to the next quote, backslash or control character, or to the end, and ors what it passes into `seen`.
    @inline(__always)
    static func skipPlain(_ bytes: UnsafeRawBufferPointer, _ at: inout Int, _ seen: inout UInt64) {
        let ones: UInt64 = 0x0101_0101_0101_0101
        while bytes.count &- at >= 8 {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            // The high bit of each byte that stops; a borrow can only spoil the bytes after the first of them.
            let quote = word ^ (ones &* 0x22)
            let backslash = word ^ (ones &* 0x5C)
            let stops =
                (((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)
                    | ((word &- ones &* 0x20) & ~word)) & (ones &* 0x80)
            if stops != 0 {
                let bits = stops.trailingZeroBitCount & ~7
                seen |= word & ((1 &<< UInt64(truncatingIfNeeded: bits)) &- 1)
                at &+= bits >> 3
                return
            }
            seen |= word
            at &+= 8
        }
        while at < bytes.count {
            let byte = bytes[at]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return }
            seen |= UInt64(byte)
            at &+= 1
        }
    }

    /// The scalar that the escape at `at` stands for, surrogate pairs joined; `at` moves past it.
    static func readEscape(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) throws(JSONError) -> UInt32 {
        let start = at
        guard at &+ 1 < bytes.count else { throw JSONError(offset: bytes.count, reason: .truncated) }
        let letter = bytes[at &+ 1]
        at &+= 2
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return UInt32(letter)
        case UInt8(ascii: "b"): return 0x08
        case UInt8(ascii: "f"): return 0x0C
        case UInt8(ascii: "n"): return 0x0A
        case UInt8(ascii: "r"): return 0x0D
        case UInt8(ascii: "t"): return 0x09
        case UInt8(ascii: "u"): break
        default: throw JSONError(offset: start, reason: .invalidEscape)
        }
        let unit = try readHex(bytes, &at)
        if unit == 0 { throw JSONError(offset: start, reason: .nulInText) }
        guard unit & 0xF800 == 0xD800 else { return unit }
        guard unit < 0xDC00 else { throw JSONError(offset: start, reason: .loneSurrogate) }
        for expected in [UInt8(ascii: "\\"), UInt8(ascii: "u")] {
            guard at < bytes.count else { throw JSONError(offset: at, reason: .truncated) }
            guard bytes[at] == expected else { throw JSONError(offset: start, reason: .loneSurrogate) }
            at &+= 1
        }
        let low = try readHex(bytes, &at)
        guard low & 0xFC00 == 0xDC00 else { throw JSONError(offset: start, reason: .loneSurrogate) }
        return 0x10000 &+ ((unit & 0x3FF) << 10 | low & 0x3FF)
    }

    private static func readHex(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard at < bytes.count else { throw JSONError(offset: at, reason: .truncated) }
            let digit = bytes[at] &- 0x30
            let letter = (bytes[at] | 0x20) &- UInt8(ascii: "a")
            guard digit <= 9 || letter <= 5 else { throw JSONError(offset: at, reason: .invalidEscape) }
            value = value << 4 | UInt32(digit <= 9 ? digit : letter &+ 10)
            at &+= 1
        }
        return value
    }

    /// Appends what `text`, which the reader has checked, stands for.
    static func unescape(_ text: UnsafeRawBufferPointer, appendingTo result: inout [UInt8]) {
        var at = 0
        var seen: UInt64 = 0
        while at < text.count {
            let start = at
            skipPlain(text, &at, &seen)
            result.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[start..<at]))
            guard at < text.count else { return }
            // The text was checked, so neither guard fails; if one did, the text would end early.
            guard let value = try? readEscape(text, &at), let scalar = Unicode.Scalar(value) else { return }
            result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }

    @inline(__always)
    static func areEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        var at = 0
        while left.count &- at >= 8 {
            let one = left.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            if one != right.loadUnaligned(fromByteOffset: at, as: UInt64.self) { return false }
            at &+= 8
        }
        while at < left.count {
            if left[at] != right[at] { return false }
            at &+= 1
        }
        return true
    }
}
