import ShoalProtocol

/// Text that a person gives as an argument or, as `-`, on standard input.
enum TypedText {
    static func read(_ argument: String) throws -> String {
        guard argument == "-" else { return argument }
        return try decode(File.read("-", limit: Limits.inflated), from: "standard input")
    }

    /// The text of a file less one final newline.
    static func decode(_ bytes: [UInt8], from name: String) throws -> String {
        guard var text = String(validating: bytes, as: UTF8.self) else {
            throw Failure.failed("\(name) is not UTF-8: convert it first, for example with iconv -f GBK -t UTF-8")
        }
        // "\r\n" is one character to Swift, and one newline to a person.
        if text.last == "\n" || text.last == "\r\n" { text.removeLast() }
        return text
    }
}
