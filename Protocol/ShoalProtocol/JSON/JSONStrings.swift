// Strings.

extension JSONReader {
    public mutating func readString() throws(JSONError) -> String {
        let (range, escaped) = try readStringBounds()
        let key = JSONKey(bytes: UnsafeRawBufferPointer(rebasing: bytes[range]), isEscaped: escaped)
        return key.string
    }

    /// Appends the unescaped UTF-8 of a string to `arena` and returns its range there.
    public mutating func readString(appendingTo arena: inout [UInt8]) throws(JSONError) -> Range<Int> {
        let (range, escaped) = try readStringBounds()
        let start = arena.count
        let text = UnsafeRawBufferPointer(rebasing: bytes[range])
        if escaped { JSONText.unescape(text, appendingTo: &arena) } else { arena.append(contentsOf: text) }
        return start..<arena.count
    }

    /// Appends the unescaped UTF-8 of a whole array of strings to `arena`, and the range of each there to `ranges`.
    ///
    /// When this throws, the elements read so far may have been appended.
    /// - Parameter limit: how many elements this array may have.
    public mutating func readStrings(
        into arena: inout [UInt8], ranges: inout [Range<Int>], limit: Int
    ) throws(JSONError) {
        try open(UInt8(ascii: "["), .array)
        var left = max(0, limit)
        if try nextByte() != UInt8(ascii: "]") {
            while true {
                ranges.append(try readString(appendingTo: &arena))
                guard left > 0 else { throw error(.tooMany(limit: limit)) }
                left &-= 1
                if try closesArray() { break }
            }
        }
        offset &+= 1
        depth &-= 1
    }

    mutating func readStringBounds() throws(JSONError) -> (Range<Int>, escaped: Bool) {
        guard try nextByte() == UInt8(ascii: "\"") else { throw mismatch(.string) }
        return try scanString()
    }

    /// Reads a string whose opening quote is next (after white space), and checks it: escapes, control characters,
    /// UTF-8. The range is what stands between the quotes, still escaped.
    mutating func scanString() throws(JSONError) -> (Range<Int>, escaped: Bool) {
        skipWhiteSpace()
        let count = bytes.count
        let start = offset &+ 1
        var at = start
        var seen: UInt64 = 0
        var escaped = false
        while true {
            JSONText.skipPlain(bytes, &at, &seen)
            guard at < count else { throw JSONError(offset: count, reason: .truncated) }
            let byte = bytes[at]
            if byte == UInt8(ascii: "\"") { break }
            guard byte == UInt8(ascii: "\\") else { throw JSONError(offset: at, reason: .controlCharacter) }
            escaped = true
            _ = try JSONText.readEscape(bytes, &at)
        }
        // Escapes are ASCII, so a sequence cut by one is ill-formed as a whole too.
        if seen & 0x8080_8080_8080_8080 != 0,
            let invalid = UTF8Validation.firstInvalid(in: UnsafeRawBufferPointer(rebasing: bytes[start..<at]))
        {
            throw JSONError(offset: start + invalid, reason: .invalidUTF8)
        }
        offset = at &+ 1
        return (start..<at, escaped)
    }
}
