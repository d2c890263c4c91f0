import ShoalCRDT

/// What tells logs apart that share an identifier: 24 bits of the hash at a position (SPEC.md §3.2). Where two differ, different
/// operations stand there, of copies of one replica that different servers took.
public struct LogCheck: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue & 0xFF_FFFF }
    public init(_ hash: OperationHash) { rawValue = UInt32(hash.rawValue >> 40) }

    /// Nothing is said of the position.
    public static let unknown = LogCheck(rawValue: 0)

    /// Whether another operation stands there than one with this hash.
    public func contradicts(_ hash: OperationHash) -> Bool { self != .unknown && self != LogCheck(hash) }
}

// On the wire: four digits of base 64 each, the most significant first.
extension LogCheck {
    static func write(_ checks: some Sequence<LogCheck>, to json: inout JSONWriter) {
        var digits: [UInt8] = []
        for check in checks {
            for shift in stride(from: 18, through: 0, by: -6) {
                digits.append(Column.alphabet[Int(check.rawValue >> UInt32(shift) & 63)])
            }
        }
        json.key("checks")
        json.string(bytes: digits[...])
    }

    static func read(from reader: inout JSONReader) throws -> [LogCheck] {
        var digits: [UInt8] = []
        _ = try reader.readString(appendingTo: &digits)
        guard digits.count % 4 == 0 else { throw reader.error(.invalid("not four digits a check")) }
        return try stride(from: 0, to: digits.count, by: 4).map { start in
            var value: UInt32 = 0
            for byte in digits[start..<start + 4] {
                let digit = Column.digits[Int(byte)]
                guard digit < 64 else { throw reader.error(.invalid("not a digit of a check")) }
                value = value << 6 | UInt32(digit)
            }
            return LogCheck(rawValue: value)
        }
    }
}
