import ShoalCRDT

/// Record identifiers from `lower` up to, not including, `upper`; both at most 2^63, the end of all.
public struct IdentifierRange: Hashable, Sendable {
    public static let end: UInt64 = 1 << 63
    public static let all = IdentifierRange(0, end)

    public var lower: UInt64
    public var upper: UInt64

    public init(_ lower: UInt64, _ upper: UInt64) {
        self.lower = lower
        self.upper = upper
    }

    public func contains(_ id: RecordID) -> Bool {
        id.rawValue >= 0 && lower <= UInt64(id.rawValue) && UInt64(id.rawValue) < upper
    }

    /// A point above `a` and not above `b`, with as many zeros at its end as there are: it costs the fewest digits.
    static func separator(_ a: RecordID, _ b: RecordID) -> UInt64 {
        let low = UInt64(bitPattern: a.rawValue)
        let high = UInt64(bitPattern: b.rawValue)
        // The first bit in which they differ is 0 in a and 1 in b.
        let different = low ^ high
        guard different != 0, low < high else { return high }
        let place = UInt64(63 - different.leadingZeroBitCount)
        return (high >> place) << place
    }
}

/// A record and the upper 64 bits of its fingerprint.
public struct RecordPrint: Hashable, Sendable {
    public var id: RecordID
    public var print: UInt64
    public init(id: RecordID, print: UInt64) {
        self.id = id
        self.print = print
    }
}

/// What one side says of a range of identifiers.
public struct DigestRange: Hashable, Sendable {
    public enum Content: Hashable, Sendable {
        /// The upper 64 bits of the sum of the fingerprints of its records.
        case print(UInt64)
        /// All of its records, ascending.
        case list([RecordPrint])
    }
    public var range: IdentifierRange
    public var content: Content
    public init(_ range: IdentifierRange, _ content: Content) {
        self.range = range
        self.content = content
    }
}

/// A side's present records, as digests need them.
public protocol DigestSource {
    /// Calls `body` with every present record of the account's view in a range, ascending by identifier, each with its
    /// fingerprint; records that are to be left out are not among them.
    func forEachFingerprint(
        in range: IdentifierRange, _ body: (RecordID, RecordFingerprint) throws -> Void
    ) throws
}
