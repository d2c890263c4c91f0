/// Makes text of customers and colleagues harmless to a terminal. Everything that is printed goes through here.
///
/// It works on scalars, not on characters: a control character joined with others into one character is still one.
public enum TerminalText {
    /// Text for one line: line feeds and tabs are shown as symbols too.
    public static func line(_ text: String) -> String { replace(in: text, keepsLines: false) }

    /// Text of several lines: line feeds and tabs stay.
    public static func lines(_ text: String) -> String { replace(in: text, keepsLines: true) }

    /// JSON with everything in its strings escaped that could act on a terminal; a reader sees the same document.
    public static func json(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.contains(where: isSuspectByte) else { return bytes }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + 64)
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            if scalar.value >= 0x7F, isHarmful(scalar) {
                for unit in UTF16.encode(scalar) ?? .init() {
                    let digits = String(unit, radix: 16)
                    result.append(contentsOf: "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8)
                }
            } else {
                result.append(contentsOf: UTF8.encode(scalar) ?? .init())
            }
        }
        return result
    }

    private static func replace(in text: String, keepsLines: Bool) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 || isSuspectByte($0) }) else { return text }
        var result = String.UnicodeScalarView()
        var previous: Unicode.Scalar?
        for scalar in text.unicodeScalars {
            defer { previous = scalar }
            if keepsLines, scalar == "\n" || scalar == "\t" {
                // A line that ended with a carriage return and a line feed ends with the line feed.
                if scalar == "\n", previous == "\r" { result.removeLast() }
                result.append(scalar)
            } else {
                result.append(isHarmful(scalar) ? symbol(for: scalar) : scalar)
            }
        }
        return String(result)
    }

    /// Bytes with which the UTF-8 of a harmful scalar from U+007F on may begin.
    private static func isSuspectByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x7F, 0xC2, 0xD8, 0xE2, 0xEF, 0xF3: true
        default: false
        }
    }

    static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F...0x9F: true  // C0, DEL, C1
        case 0x61C, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true  // direction
        case 0x2028, 0x2029: true  // line and paragraph separators
        case 0x206A...0x206F, 0xFFF9...0xFFFB: true  // deprecated and interlinear controls
        case 0xE0000...0xE007F: true  // tags: text that nobody sees
        default: false
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
