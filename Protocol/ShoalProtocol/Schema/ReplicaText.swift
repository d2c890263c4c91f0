import ShoalCRDT

extension ReplicaID {
    /// 8 hexadecimal digits: how people are shown a replica.
    public var text: String {
        let digits = String(rawValue, radix: 16)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }

    /// Reads what `text` gives, in either case; nil for anything else.
    public init?(text: String) {
        guard text.utf8.count == 8, text.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt32(text, radix: 16)
        else { return nil }
        self.init(rawValue: value)
    }
}
