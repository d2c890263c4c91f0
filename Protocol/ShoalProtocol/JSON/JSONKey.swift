/// The key of a member, as a view of the reader's input: valid as long as that is.
public struct JSONKey: Hashable {
    /// What stands between the quotes; checked by the reader.
    let bytes: UnsafeRawBufferPointer
    let isEscaped: Bool

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
