/// Makes text of customers and colleagues harmless to a terminal. Everything that is printed goes through here.
///
/// It works on scalars, not on characters: a control character joined with others into one character is still one. What it
/// replaces is what `VisibleText` does not show.
public enum TerminalText {
    /// Text for one line: line feeds and tabs are shown as symbols too.
    public static func line(_ text: String) -> String { replace(in: text, keepsLines: false) }

    /// Text of several lines: line feeds stay, and a tab is four spaces.
    public static func lines(_ text: String) -> String { replace(in: text, keepsLines: true) }

    /// JSON with everything in its strings escaped that is not shown; a reader sees the same document.
    public static func json(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.contains(where: isSuspect) else { return bytes }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + 64)
        var visible = VisibleText()
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            if visible.shows(scalar) || scalar == "\n" {
                result.append(contentsOf: UTF8.encode(scalar) ?? .init())
            } else if scalar == "\t" || scalar == "\r" {
                // Between tokens: within strings they are escaped already.
                result.append(UInt8(ascii: " "))
            } else {
                for unit in UTF16.encode(scalar) ?? .init() {
                    let digits = String(unit, radix: 16)
                    result.append(contentsOf: "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8)
                }
            }
        }
        return result
    }

    private static func replace(in text: String, keepsLines: Bool) -> String {
        guard text.utf8.contains(where: isSuspect) else { return text }
        var result = String.UnicodeScalarView()
        var visible = VisibleText()
        var previous: Unicode.Scalar?
        for scalar in text.unicodeScalars {
            defer { previous = scalar }
            let isShown = visible.shows(scalar)
            switch scalar {
            case "\n" where keepsLines:
                // A line that ended with a carriage return and a line feed ends with the line feed.
                if previous == "\r" { result.removeLast() }
                result.append(scalar)
            case "\t" where keepsLines: result.append(contentsOf: "    ".unicodeScalars)
            default: result.append(isShown ? scalar : symbol(for: scalar))
            }
        }
        return String(result)
    }

    /// Whether something that is not shown may begin with this byte of UTF-8.
    static func isSuspect(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x20...0x7E, 0x80...0xC1, 0xC3...0xCC, 0xCE...0xD7, 0xD9...0xE0, 0xE4...0xEE: false
        default: true
        }
    }

    /// C0 and DEL have symbols of their own; the others are shown as the replacement character.
    private static func symbol(for scalar: Unicode.Scalar) -> Unicode.Scalar {
        switch scalar.value {
        case 0x00...0x1F: Unicode.Scalar(0x2400 + scalar.value) ?? "\u{FFFD}"
        case 0x7F: "\u{2421}"
        default: "\u{FFFD}"
        }
    }
}
