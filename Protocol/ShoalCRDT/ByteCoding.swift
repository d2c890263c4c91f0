/// Appends integers and bytes in the kernel's binary form: variable-length integers are LEB128, signed ones zigzag.
extension [UInt8] {
    @inline(__always)
    package mutating func appendVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest &>>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    @inline(__always)
    package mutating func appendVarint(_ value: Int) { appendVarint(UInt64(truncatingIfNeeded: value)) }

    @inline(__always)
    package mutating func appendSigned(_ value: Int64) {
        appendVarint(UInt64(bitPattern: value &<< 1) ^ UInt64(bitPattern: value &>> 63))
    }

    @inline(__always)
    mutating func appendFixed(_ value: UInt32) {
        append(UInt8(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: value &>> 8))
        append(UInt8(truncatingIfNeeded: value &>> 16))
        append(UInt8(truncatingIfNeeded: value &>> 24))
    }

    /// Appends eight bytes, the lowest first.
    package mutating func appendFixed(_ value: UInt64) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}

/// Why bytes in the kernel's binary form were refused.
public struct DecodingFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Reason: Equatable, Sendable {
        case truncated, trailingBytes, overlong, outOfRange, notCanonical, unknownVersion(UInt8), checksum
    }
    public var offset: Int
    public var reason: Reason
    public init(offset: Int, reason: Reason) {
        self.offset = offset
        self.reason = reason
    }
    public var description: String { "at byte \(offset): \(reason)" }
}

/// Reads the kernel's binary form with every bound checked.
package struct ByteReader {
    let bytes: UnsafeRawBufferPointer
    package private(set) var offset = 0

    @inline(__always) package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    package var isAtEnd: Bool { offset == bytes.count }

    package func failure(_ reason: DecodingFailure.Reason) -> DecodingFailure {
        DecodingFailure(offset: offset, reason: reason)
    }

    @inline(__always)
    package mutating func byte() throws(DecodingFailure) -> UInt8 {
        guard offset < bytes.count else { throw failure(.truncated) }
        let value = bytes[offset]
        offset &+= 1
        return value
    }

    @inline(__always)
    package mutating func varint() throws(DecodingFailure) -> UInt64 {
        let first = try byte()
        if first < 0x80 { return UInt64(first) }
        return try longVarint(first)
    }

    private mutating func longVarint(_ first: UInt8) throws(DecodingFailure) -> UInt64 {
        var value = UInt64(first & 0x7F)
        var shift: UInt64 = 7
        while true {
            let next = try byte()
            if shift == 63, next > 1 { throw failure(.outOfRange) }
            value |= UInt64(next & 0x7F) &<< shift
            if next < 0x80 {
                if next == 0 { throw failure(.overlong) }
                return value
            }
            shift += 7
            if shift > 63 { throw failure(.outOfRange) }
        }
    }

    @inline(__always)
    package mutating func varint<T: FixedWidthInteger>(as: T.Type) throws(DecodingFailure) -> T {
        guard let value = T(exactly: try varint()) else { throw failure(.outOfRange) }
        return value
    }

    @inline(__always)
    package mutating func signed() throws(DecodingFailure) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value &>> 1) ^ -Int64(bitPattern: value & 1)
    }

    mutating func fixed32() throws(DecodingFailure) -> UInt32 {
        guard bytes.count - offset >= 4 else { throw failure(.truncated) }
        defer { offset += 4 }
        return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    package mutating func fixed64() throws(DecodingFailure) -> UInt64 {
        try run(8).loadUnaligned(as: UInt64.self).littleEndian
    }

    @inline(__always)
    package mutating func run(_ count: Int) throws(DecodingFailure) -> UnsafeRawBufferPointer {
        guard count >= 0, bytes.count - offset >= count else { throw failure(.truncated) }
        defer { offset &+= count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    /// A record identifier: positive.
    mutating func recordID() throws(DecodingFailure) -> RecordID {
        let id = RecordID(rawValue: try varint(as: Int64.self))
        guard id.isValid else { throw failure(.outOfRange) }
        return id
    }
}
