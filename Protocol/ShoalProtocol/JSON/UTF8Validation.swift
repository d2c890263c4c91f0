/// Strict UTF-8 as RFC 3629 §4 defines it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
public enum UTF8Validation {
    /// The offset of the first byte of the first ill-formed sequence, or nil when all of `bytes` is well-formed.
    public static func firstInvalid(in bytes: UnsafeRawBufferPointer) -> Int? {
        let count = bytes.count
        var at = 0
        while at < count {
            let lead = bytes[at]
            if lead < 0x80 {
                at &+= 1
                while count &- at >= 8,
                    bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
                {
                    at &+= 8
                }
                continue
            }
            let length = sequenceLength(bytes, at, lead)
            if length == 0 { return at }
            at &+= length
        }
        return nil
    }

    /// The length of the well-formed sequence at `at` whose first byte is `lead`, 0x80 or above; 0 when it is ill-formed.
    /// The ranges of the second byte are table 3-7 of the Unicode Standard.
    @inline(__always)
    private static func sequenceLength(_ bytes: UnsafeRawBufferPointer, _ at: Int, _ lead: UInt8) -> Int {
        let left = bytes.count &- at
        if lead >= 0xE0, lead <= 0xEF {
            guard left >= 3 else { return 0 }
            let second = bytes[at &+ 1]
            guard isContinuation(second), isContinuation(bytes[at &+ 2]) else { return 0 }
            if lead == 0xE0, second < 0xA0 { return 0 }
            if lead == 0xED, second > 0x9F { return 0 }
            return 3
        }
        if lead >= 0xC2, lead < 0xE0 {
            return left >= 2 && isContinuation(bytes[at &+ 1]) ? 2 : 0
        }
        guard lead >= 0xF0, lead <= 0xF4, left >= 4 else { return 0 }
        let second = bytes[at &+ 1]
        guard isContinuation(second), isContinuation(bytes[at &+ 2]), isContinuation(bytes[at &+ 3]) else { return 0 }
        if lead == 0xF0, second < 0x90 { return 0 }
        if lead == 0xF4, second > 0x8F { return 0 }
        return 4
    }

    @inline(__always)
    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }
}
