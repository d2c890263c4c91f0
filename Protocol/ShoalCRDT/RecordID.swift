/// The identifier of a record: a positive 63-bit integer, so that it can be SQLite's INTEGER PRIMARY KEY.
///
/// From the top: 1 bit "derived", 41 bits of milliseconds since 2020-01-01 (UTC, clamped), 16 bits of the replica's
/// count, 5 bits of sequence within the millisecond. A derived identifier has the top bit set and 62 bits of a hash.
public struct RecordID: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: Int64
    @inlinable public init(rawValue: Int64) { self.rawValue = rawValue }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// Milliseconds from 1970 to 2020-01-01T00:00:00Z.
    public static let epoch: Int64 = 1_577_836_800_000
    static let millisecondLimit: Int64 = 1 << 41
    /// The clock is believed up to here. The rest, 2^37 identifiers, is only counted into, so that no clock, however far
    /// ahead, uses up what a replica needs: a log has fewer operations.
    static let clockLimit: Int64 = (1 << 41) - (1 << 32)

    @inlinable public init(milliseconds: Int64, count: UInt16, sequence: UInt8) {
        rawValue = milliseconds << 21 | Int64(count) << 5 | Int64(sequence & 31)
    }

    /// An identifier derived from a hash of an immutable key. The key itself is stored with the record.
    public init(derivedFrom hash: UInt64) { rawValue = Int64(truncatingIfNeeded: hash >> 2) | 1 << 62 }

    @inlinable public var isValid: Bool { rawValue > 0 }
    @inlinable public var isDerived: Bool { rawValue >> 62 == 1 }
    /// Milliseconds since 1970 at which a time identifier was made; 2020 for a derived one.
    @inlinable public var time: Int64 { isDerived ? Self.epoch : rawValue >> 21 + Self.epoch }
    /// Milliseconds since 2020 of a time identifier.
    @inlinable public var milliseconds: Int64 { rawValue >> 21 }
    @inlinable public var count: UInt16 { UInt16(truncatingIfNeeded: rawValue >> 5) }
    @inlinable public var sequence: UInt8 { UInt8(truncatingIfNeeded: rawValue & 31) }
}

// MARK: - Text form

extension RecordID: CustomStringConvertible {
    /// Crockford base32: no I, L, O, U.
    static let alphabet: [UInt8] = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
    public static let textLength = 13

    /// 13 characters of Crockford base32, most significant first, so that text order is numeric order.
    public var description: String {
        String(unsafeUninitializedCapacity: Self.textLength) { buffer in
            var value = UInt64(bitPattern: rawValue)
            for index in stride(from: Self.textLength - 1, through: 0, by: -1) {
                buffer[index] = Self.alphabet[Int(value & 31)]
                value >>= 5
            }
            return Self.textLength
        }
    }

    /// The value of one character, case folded, with Crockford's aliases (I and L are 1, O is 0), or nil.
    public static func digit(_ character: UInt8) -> UInt8? {
        let upper = character >= 0x61 && character <= 0x7A ? character - 32 : character
        switch upper {
        case UInt8(ascii: "I"), UInt8(ascii: "L"): return 1
        case UInt8(ascii: "O"): return 0
        default: return alphabet.firstIndex(of: upper).map { UInt8($0) }
        }
    }

    /// Reads the 13-character form; nil for anything else, zero and numbers beyond 63 bits included.
    public init?(text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard bytes.count == Self.textLength else { return nil }
        var value: UInt64 = 0
        for (index, byte) in bytes.enumerated() {
            guard let digit = Self.digit(byte), index > 0 || digit < 8 else { return nil }
            value = value << 5 | UInt64(digit)
        }
        guard let signed = Int64(exactly: value), signed > 0 else { return nil }
        rawValue = signed
    }
}

// MARK: - Allocation

/// Hands out time identifiers that never repeat and never go back, whatever the clock does.
///
/// The state is the last identifier's time and sequence; it must be stored in the transaction that uses the identifier.
/// When 32 identifiers share a millisecond the next one is borrowed from the future.
public struct RecordIDAllocator: Hashable, Sendable {
    /// Milliseconds since 2020, shifted by five, and the sequence.
    public private(set) var state: Int64
    public init(state: Int64 = -1) { self.state = state }

    /// - Parameters:
    ///   - time: milliseconds since 1970; may be anything.
    ///   - leap: random bits, if somebody else may hold a copy of this state: where the clock does not tell the two apart,
    ///     because it stands still or was set back, up to four seconds are left out.
    /// - Returns: a new identifier, or nil when all 41 bits of milliseconds are used up.
    public mutating func next(time: Int64, replica: ReplicaID, leap: UInt32 = 0) -> RecordID? {
        let since = time.subtractingReportingOverflow(RecordID.epoch)
        let milliseconds =
            since.overflow ? 0 : min(max(since.partialValue, 0), RecordID.clockLimit - 1)
        guard state < RecordID.millisecondLimit << 5 else { return nil }
        var candidate = max(milliseconds << 5, state + 1)
        if state >= 0, candidate == state + 1 {
            // What is only counted into is left for counting.
            candidate += Int64(leap & (candidate >> 5 < RecordID.clockLimit ? 0x1_FFFF : 0xF))
        }
        guard candidate >> 5 < RecordID.millisecondLimit else { return nil }
        state = candidate
        let id = RecordID(milliseconds: candidate >> 5, count: replica.count, sequence: UInt8(candidate & 31))
        guard id.isValid else { return next(time: time, replica: replica) }
        return id
    }
}
