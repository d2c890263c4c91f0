/// A strict pull parser of JSON (RFC 8259) over bytes that it does not own.
///
/// The caller says what it expects and gets it or an error with its offset; nothing is built that was not asked for.
/// Stricter than the RFC: duplicate keys, `\u0000`, lone surrogates and a byte order mark are refused, and integers
/// have one spelling only. No input traps. After an error the reader is of no further use.
///
/// The bytes must stay alive and unchanged while the reader, or a key it gave, is in use.
public struct JSONReader {
    /// The type of a value, told from its first byte.
    public enum Kind: Sendable { case object, array, string, number, `true`, `false`, null }

    /// The next byte to be read.
    public private(set) var offset = 0

    private let bytes: UnsafeRawBufferPointer
    private let depthLimit: Int
    private var depth = 0
    /// The first keys of each open object, outermost first: at most `linearKeys` a level.
    private var keys: [JSONKey] = []

    /// Up to this many keys are compared one by one; from there on they are hashed, so that no object is quadratic.
    private static let linearKeys = 16

    /// - Parameter depthLimit: how many arrays and objects may be open at once; 512 at most, since each takes stack.
    public init(_ bytes: UnsafeRawBufferPointer, depthLimit: Int = 32) {
        self.bytes = bytes
        self.depthLimit = min(max(depthLimit, 0), 512)
    }

    /// Reads one whole document: `body` must read exactly one value, and only white space may surround it.
    /// - Throws: `JSONError`, or whatever `body` throws.
    public static func read<T>(
        _ bytes: [UInt8], depthLimit: Int = 32, _ body: (inout JSONReader) throws -> T
    ) throws -> T {
        try bytes.withUnsafeBytes { buffer in
            var reader = JSONReader(buffer, depthLimit: depthLimit)
            let result = try body(&reader)
            if reader.offset == 0 { throw reader.error(buffer.isEmpty ? .truncated : .unreadValue) }
            try reader.finish()
            return result
        }
    }

    /// Checks that only white space is left.
    public mutating func finish() throws(JSONError) {
        skipWhiteSpace()
        if offset < bytes.count { throw error(.trailingBytes) }
    }

    /// The bytes of a range that `readRaw` returned; valid as long as the input is.
    func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[range]) }

    /// An error at the current offset, for a caller that refuses what it has just read.
    public func error(_ reason: JSONError.Reason) -> JSONError { JSONError(offset: offset, reason: reason) }

    /// The type of the next value, which stays unread.
    public func peek() throws(JSONError) -> Kind {
        var ahead = offset
        Self.skipWhiteSpace(bytes, &ahead)
        guard ahead < bytes.count else { throw JSONError(offset: ahead, reason: .truncated) }
        guard let kind = Kind(firstByte: bytes[ahead]) else {
            throw JSONError(offset: ahead, reason: .unexpectedByte)
        }
        return kind
    }
}

extension JSONReader.Kind {
    @inline(__always)
    fileprivate init?(firstByte: UInt8) {
        switch firstByte {
        case UInt8(ascii: "{"): self = .object
        case UInt8(ascii: "["): self = .array
        case UInt8(ascii: "\""): self = .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): self = .number
        case UInt8(ascii: "t"): self = .true
        case UInt8(ascii: "f"): self = .false
        case UInt8(ascii: "n"): self = .null
        default: return nil
        }
    }
}

// MARK: Containers

extension JSONReader {
    /// Reads an object, calling `body` once a key with the reader at the value, which `body` must read.
    /// - Throws: `JSONError`, or whatever `body` throws.
    public mutating func readObject(_ body: (inout JSONReader, JSONKey) throws -> Void) throws {
        let outerDepth = depth
        let firstKey = keys.count
        var manyKeys: Set<JSONKey> = []
        try open(UInt8(ascii: "{"), .object)
        if try nextByte() != UInt8(ascii: "}") {
            while true {
                let key = try readKey()
                try admit(key, firstKey, &manyKeys)
                guard try nextByte() == UInt8(ascii: ":") else { throw error(.unexpectedByte) }
                offset &+= 1
                skipWhiteSpace()
                let start = offset
                try body(&self, key)
                if offset == start { throw unread() }
                let byte = try nextByte()
                if byte == UInt8(ascii: "}") { break }
                guard byte == UInt8(ascii: ",") else { throw error(.unexpectedByte) }
                offset &+= 1
            }
        }
        offset &+= 1
        if keys.count > firstKey { keys.removeLast(keys.count - firstKey) }
        depth = outerDepth
    }

    /// Reads an array, calling `body` once an element with the reader at the element, which `body` must read.
    /// - Throws: `JSONError`, or whatever `body` throws.
    public mutating func readArray(_ body: (inout JSONReader) throws -> Void) throws {
        let outerDepth = depth
        try open(UInt8(ascii: "["), .array)
        if try nextByte() != UInt8(ascii: "]") {
            while true {
                skipWhiteSpace()
                let start = offset
                try body(&self)
                if offset == start { throw unread() }
                if try closesArray() { break }
            }
        }
        offset &+= 1
        depth = outerDepth
    }

    /// Reads any one value, checks all of it and drops it.
    public mutating func skip() throws {
        switch try peek() {
        case .object: try readObject { reader, _ in try reader.skip() }
        case .array: try readArray { reader in try reader.skip() }
        case .string: _ = try scanString()
        case .number: try skipNumber()
        case .true, .false: _ = try readBool()
        case .null: try readNull()
        }
    }

    /// Reads any one value, checks all of it and returns the range of its bytes in the input, without white space
    /// around it: what is kept of a value that a newer version wrote.
    public mutating func readRaw() throws -> Range<Int> {
        skipWhiteSpace()
        let start = offset
        try skip()
        return start..<offset
    }

    private mutating func open(_ bracket: UInt8, _ kind: Kind) throws(JSONError) {
        guard try nextByte() == bracket else { throw mismatch(kind) }
        guard depth < depthLimit else { throw error(.tooDeep(limit: depthLimit)) }
        depth &+= 1
        offset &+= 1
    }

    /// Past an element: true at the closing bracket, which stays unread; false past a comma.
    @inline(__always)
    private mutating func closesArray() throws(JSONError) -> Bool {
        let byte = try nextByte()
        if byte == UInt8(ascii: "]") { return true }
        guard byte == UInt8(ascii: ",") else { throw error(.unexpectedByte) }
        offset &+= 1
        return false
    }

    private mutating func readKey() throws(JSONError) -> JSONKey {
        guard try nextByte() == UInt8(ascii: "\"") else { throw error(.unexpectedByte) }
        let (range, escaped) = try scanString()
        return JSONKey(bytes: UnsafeRawBufferPointer(rebasing: bytes[range]), isEscaped: escaped)
    }

    private mutating func admit(_ key: JSONKey, _ first: Int, _ many: inout Set<JSONKey>) throws(JSONError) {
        if many.isEmpty {
            var index = first
            while index < keys.count {
                if keys[index] == key { throw error(.duplicateKey) }
                index &+= 1
            }
            if keys.count - first < Self.linearKeys {
                keys.append(key)
                return
            }
            many = Set(keys[first...])
        }
        guard many.insert(key).inserted else { throw error(.duplicateKey) }
    }

    private func unread() -> JSONError {
        guard offset < bytes.count else { return error(.truncated) }
        return error(Kind(firstByte: bytes[offset]) == nil ? .unexpectedByte : .unreadValue)
    }
}

// MARK: Numbers and literals

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

    private mutating func expect(_ word: StaticString) throws(JSONError) {
        var at = offset
        for index in 0..<word.utf8CodeUnitCount {
            guard at < bytes.count else { throw JSONError(offset: at, reason: .truncated) }
            guard bytes[at] == word.utf8Start[index] else { throw JSONError(offset: at, reason: .unexpectedByte) }
            at &+= 1
        }
        offset = at
    }

    /// Any number of RFC 8259 §6, however long.
    private mutating func skipNumber() throws(JSONError) {
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

// MARK: Strings

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

    private mutating func readStringBounds() throws(JSONError) -> (Range<Int>, escaped: Bool) {
        guard try nextByte() == UInt8(ascii: "\"") else { throw mismatch(.string) }
        return try scanString()
    }

    /// Reads a string whose opening quote is next (after white space), and checks it: escapes, control characters,
    /// UTF-8. The range is what stands between the quotes, still escaped.
    private mutating func scanString() throws(JSONError) -> (Range<Int>, escaped: Bool) {
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

// MARK: Bytes

extension JSONReader {
    /// The next byte after white space, which stays unread.
    @inline(__always)
    private mutating func nextByte() throws(JSONError) -> UInt8 {
        skipWhiteSpace()
        guard offset < bytes.count else { throw error(.truncated) }
        return bytes[offset]
    }

    @inline(__always)
    private mutating func skipWhiteSpace() { Self.skipWhiteSpace(bytes, &offset) }

    @inline(__always)
    private static func skipWhiteSpace(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) {
        while at < bytes.count {
            let byte = bytes[at]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            at &+= 1
        }
    }

    @inline(never)
    private func mismatch(_ expected: Kind) -> JSONError {
        guard offset < bytes.count else { return error(.truncated) }
        return error(Kind(firstByte: bytes[offset]) == nil ? .unexpectedByte : .wrongType(expected: expected))
    }
}

// MARK: Keys

/// The key of a member, as a view of the reader's input: valid as long as that is.
public struct JSONKey: Hashable {
    /// What stands between the quotes; checked by the reader.
    fileprivate let bytes: UnsafeRawBufferPointer
    fileprivate let isEscaped: Bool

    /// The key as text, unescaped.
    public var string: String {
        isEscaped ? String(decoding: unescaped, as: UTF8.self) : String(decoding: bytes, as: UTF8.self)
    }

    private var unescaped: [UInt8] {
        var result: [UInt8] = []
        JSONText.unescape(bytes, appendingTo: &result)
        return result
    }

    private func withUnescaped<T>(_ body: (UnsafeRawBufferPointer) -> T) -> T {
        isEscaped ? unescaped.withUnsafeBytes(body) : body(bytes)
    }

    /// Compares the unescaped bytes, not canonically equivalent text.
    public static func == (left: JSONKey, right: JSONKey) -> Bool {
        if !left.isEscaped, !right.isEscaped { return JSONText.areEqual(left.bytes, right.bytes) }
        return left.withUnescaped { bytes in right.withUnescaped { JSONText.areEqual(bytes, $0) } }
    }

    public static func == (key: JSONKey, text: StaticString) -> Bool {
        text.withUTF8Buffer { literal in
            let literal = UnsafeRawBufferPointer(literal)
            if !key.isEscaped { return JSONText.areEqual(key.bytes, literal) }
            return key.withUnescaped { JSONText.areEqual($0, literal) }
        }
    }

    /// Lets `switch key { case "at": … }` compare bytes.
    public static func ~= (text: StaticString, key: JSONKey) -> Bool { key == text }

    public func hash(into hasher: inout Hasher) {
        withUnescaped { hasher.combine(bytes: $0) }
    }
}

/// What stands between the quotes of a JSON string.
private enum JSONText {
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
