import ShoalCRDT

/// What happened in a run, as one hash, and in words if somebody reads them.
public struct Trace: Sendable {
    /// Two runs of one seed are the same exactly when this is.
    public private(set) var hash: UInt64 = 0
    private let print: (@Sendable (String) -> Void)?

    /// - Parameter print: called with each event in words; nil for none.
    public init(print: (@Sendable (String) -> Void)? = nil) { self.print = print }

    mutating func note(_ event: StaticString, _ numbers: Int64..., words: @autoclosure () -> String = "") {
        hash = event.withUTF8Buffer { SipHash.hash(UnsafeRawBufferPointer($0), key: (hash, 1)) }
        hash = numbers.withUnsafeBytes { SipHash.hash($0, key: (hash, 2)) }
        if let print {
            let list = numbers.map(String.init).joined(separator: " ")
            let text = words()
            print("\(event) \(list)\(text.isEmpty ? "" : ": ")\(text)")
        }
    }

    /// - Parameter words: what the bytes say; worked out only for somebody who reads it.
    mutating func note(
        _ event: StaticString, bytes: [UInt8], words: @autoclosure () -> String = ""
    ) {
        let sum = bytes.withUnsafeBytes { SipHash.hash($0, key: (3, 3)) }
        note(event, Int64(bytes.count), Int64(bitPattern: sum), words: words())
    }
}
