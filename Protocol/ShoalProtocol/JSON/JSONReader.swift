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
    public internal(set) var offset = 0

    let bytes: UnsafeRawBufferPointer
    private let depthLimit: Int
    var depth = 0
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
    init?(firstByte: UInt8) {
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

    mutating func open(_ bracket: UInt8, _ kind: Kind) throws(JSONError) {
        guard try nextByte() == bracket else { throw mismatch(kind) }
        guard depth < depthLimit else { throw error(.tooDeep(limit: depthLimit)) }
        depth &+= 1
        offset &+= 1
    }

    /// Past an element: true at the closing bracket, which stays unread; false past a comma.
    @inline(__always)
    mutating func closesArray() throws(JSONError) -> Bool {
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

// MARK: Bytes

extension JSONReader {
    /// The next byte after white space, which stays unread.
    @inline(__always)
    mutating func nextByte() throws(JSONError) -> UInt8 {
        skipWhiteSpace()
        guard offset < bytes.count else { throw error(.truncated) }
        return bytes[offset]
    }

    @inline(__always)
    mutating func skipWhiteSpace() { Self.skipWhiteSpace(bytes, &offset) }

    @inline(__always)
    static func skipWhiteSpace(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) {
        while at < bytes.count {
            let byte = bytes[at]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            at &+= 1
        }
    }

    @inline(never)
    func mismatch(_ expected: Kind) -> JSONError {
        guard offset < bytes.count else { return error(.truncated) }
        return error(Kind(firstByte: bytes[offset]) == nil ? .unexpectedByte : .wrongType(expected: expected))
    }
}
