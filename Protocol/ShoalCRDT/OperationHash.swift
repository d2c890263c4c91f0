/// The identity of an operation: a link of the 64-bit hash chain over its log.
///
/// Each link is SipHash-2-4 (Aumasson and Bernstein, 2012) of the operation's canonical bytes under a key made of the
/// link before it, so that one hash stands for a whole prefix of a log. It tells copies of a log apart; it is no defence
/// against somebody who chooses their own operations, who could only mislead the server about themselves.
public struct OperationHash: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt64
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// The link before the first operation.
    public static let start = OperationHash(rawValue: 0)

    /// The link that follows this one.
    public func extended(by bytes: UnsafeRawBufferPointer) -> OperationHash {
        OperationHash(rawValue: SipHash.hash(bytes, key: (rawValue, 0x7368_6F61_6C2D_6C6F)))
    }
}

/// SipHash-2-4, 64-bit output.
public enum SipHash {
    public static func hash(_ bytes: UnsafeRawBufferPointer, key: (UInt64, UInt64)) -> UInt64 {
        var v0 = key.0 ^ 0x736f_6d65_7073_6575
        var v1 = key.1 ^ 0x646f_7261_6e64_6f6d
        var v2 = key.0 ^ 0x6c79_6765_6e65_7261
        var v3 = key.1 ^ 0x7465_6462_7974_6573

        @inline(__always) func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { x &<< n | x &>> (64 &- n) }
        @inline(__always) func round() {
            v0 = v0 &+ v1
            v1 = rotate(v1, 13) ^ v0
            v0 = rotate(v0, 32)
            v2 = v2 &+ v3
            v3 = rotate(v3, 16) ^ v2
            v0 = v0 &+ v3
            v3 = rotate(v3, 21) ^ v0
            v2 = v2 &+ v1
            v1 = rotate(v1, 17) ^ v2
            v2 = rotate(v2, 32)
        }

        let whole = bytes.count & ~7
        var offset = 0
        while offset < whole {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            v3 ^= word
            round()
            round()
            v0 ^= word
            offset += 8
        }
        var last = UInt64(truncatingIfNeeded: bytes.count) &<< 56
        var shift: UInt64 = 0
        while offset < bytes.count {
            last |= UInt64(bytes[offset]) &<< shift
            shift += 8
            offset += 1
        }
        v3 ^= last
        round()
        round()
        v0 ^= last
        v2 ^= 0xff
        round()
        round()
        round()
        round()
        return v0 ^ v1 ^ v2 ^ v3
    }
}
