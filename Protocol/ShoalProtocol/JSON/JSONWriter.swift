/// An append-only writer of JSON in one spelling: no white space, the fewest escapes, UTF-8 as it is.
///
/// The writer places commas and colons; that brackets match and that keys and values alternate is up to the caller.
/// Text must be valid UTF-8 without U+0000, which `JSONReader` refuses.
public struct JSONWriter: Sendable {
    /// What has been written so far.
    public private(set) var bytes: [UInt8] = []
    private var needsComma = false

    public init() {}

    /// Makes room for `count` more bytes.
    public mutating func reserve(_ count: Int) {
        bytes.reserveCapacity(bytes.count + max(0, count))
    }

    public mutating func beginObject() { begin(UInt8(ascii: "{")) }
    public mutating func endObject() { end(UInt8(ascii: "}")) }
    public mutating func beginArray() { begin(UInt8(ascii: "[")) }
    public mutating func endArray() { end(UInt8(ascii: "]")) }

    public mutating func key(_ key: StaticString) {
        key.withUTF8Buffer { self.key(bytes: UnsafeRawBufferPointer($0)) }
    }

    public mutating func key(bytes key: ArraySlice<UInt8>) {
        key.withUnsafeBytes { self.key(bytes: $0) }
    }

    public mutating func key(bytes key: UnsafeRawBufferPointer) {
        separate()
        appendQuoted(key)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    public mutating func string(_ text: String) {
        var text = text
        text.withUTF8 { string(bytes: UnsafeRawBufferPointer($0)) }
    }

    public mutating func string(bytes text: ArraySlice<UInt8>) {
        text.withUnsafeBytes { string(bytes: $0) }
    }

    public mutating func string(bytes text: UnsafeRawBufferPointer) {
        separate()
        appendQuoted(text)
    }

    public mutating func bool(_ value: Bool) {
        separate()
        append(value ? "true" : "false")
    }

    public mutating func null() {
        separate()
        append("null")
    }

    /// A value that is valid JSON already, such as what `JSONReader.readRaw` kept; written as it is.
    public mutating func raw(_ value: ArraySlice<UInt8>) {
        separate()
        bytes.append(contentsOf: value)
    }

    /// A value that is valid JSON already; written as it is.
    public mutating func raw(_ value: UnsafeRawBufferPointer) {
        separate()
        bytes.append(contentsOf: value)
    }

    public mutating func integer(_ value: Int64) {
        separate()
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.longestInteger) { buffer in
            let start = Self.format(value, buffer, endingAt: buffer.count)
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[start...]))
        }
    }

    /// A whole array of integers.
    public mutating func integers(_ values: [Int64]) {
        values.withUnsafeBufferPointer { integers($0) }
    }

    /// A whole array of integers.
    public mutating func integers(_ values: ArraySlice<Int64>) {
        values.withUnsafeBufferPointer { integers($0) }
    }

    private mutating func integers(_ values: UnsafeBufferPointer<Int64>) {
        begin(UInt8(ascii: "["))
        // A stretch at a time, last integer first, since digits come out last first.
        let stretch = 128
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: stretch * (Self.longestInteger + 1)) { buffer in
            var first = 0
            while first < values.count {
                let end = min(first + stretch, values.count)
                var start = buffer.count
                var index = end
                while index > first {
                    index &-= 1
                    start = Self.format(values[index], buffer, endingAt: start)
                    start &-= 1
                    buffer[start] = UInt8(ascii: ",")
                }
                // The first integer of all has no comma before it.
                if first == 0 { start &+= 1 }
                bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[start...]))
                first = end
            }
        }
        end(UInt8(ascii: "]"))
    }
}

extension JSONWriter {
    @inline(__always)
    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func begin(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func end(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func append(_ word: StaticString) {
        word.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    private mutating func appendQuoted(_ text: UnsafeRawBufferPointer) {
        bytes.append(UInt8(ascii: "\""))
        var start = 0
        var at = 0
        while true {
            at = Self.nextEscape(text, at)
            if at > start { bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[start..<at])) }
            guard at < text.count else { break }
            appendEscape(text[at])
            at &+= 1
            start = at
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0x20...: bytes.append(byte)
        default:
            append("u00")
            bytes.append(UInt8(ascii: "0") &+ byte >> 4)
            let low = byte & 0xF
            bytes.append(low < 10 ? UInt8(ascii: "0") &+ low : UInt8(ascii: "a") &+ (low &- 10))
        }
    }

    /// The offset, from `start` on, of the next byte that must be escaped, or the length of `text`.
    private static func nextEscape(_ text: UnsafeRawBufferPointer, _ start: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        var at = start
        while text.count &- at >= 8 {
            let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            // The high bit of each byte to escape; a borrow can only spoil the bytes after the first of them.
            let quote = word ^ (ones &* 0x22)
            let backslash = word ^ (ones &* 0x5C)
            let stops =
                (((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)
                    | ((word &- ones &* 0x20) & ~word)) & (ones &* 0x80)
            if stops != 0 { return at &+ stops.trailingZeroBitCount >> 3 }
            at &+= 8
        }
        while at < text.count {
            let byte = text[at]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return at }
            at &+= 1
        }
        return at
    }

    /// `-9223372036854775808` has 20 characters.
    private static let longestInteger = 20

    /// Writes the digits of `value` so that they end before `end`, and returns where they start.
    @inline(__always)
    private static func format(_ value: Int64, _ buffer: UnsafeMutableBufferPointer<UInt8>, endingAt end: Int) -> Int {
        var at = end
        var rest = value.magnitude
        while rest >= 10 {
            let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
            let tens = UInt8(truncatingIfNeeded: pair / 10)
            buffer[at &- 1] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: pair) &- tens &* 10
            buffer[at &- 2] = UInt8(ascii: "0") &+ tens
            at &-= 2
            rest = quotient
            if rest == 0 { break }
        }
        if rest > 0 || at == end {
            at &-= 1
            buffer[at] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest)
        }
        if value < 0 {
            at &-= 1
            buffer[at] = UInt8(ascii: "-")
        }
        return at
    }
}
