import Foundation

/// Text that would do something to whoever looks at it, were it shown as it is.
enum Payloads {
    /// One a payload; none holds a NUL, which no argument of a program can hold.
    static let all: [String] = {
        let controls = (Array(1...0x1F) + Array(0x7F...0x9F)).compactMap { Unicode.Scalar(UInt32($0)) }
        let directions = [0x61C, 0x200E, 0x200F] + Array(0x202A...0x202E) + Array(0x2066...0x2069)
        let hidden =
            [0xAD, 0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x200B, 0x200C, 0x200D, 0x3164, 0xFEFF, 0xFFA0]
            + Array(0x2028...0x2029) + Array(0x2060...0x206F) + Array(0xFDD0...0xFDD4) + Array(0xFE00...0xFE0F)
            + Array(0xFFF0...0xFFFB) + [0xFFFE, 0xFFFF, 0x1D173, 0x1BCA0, 0x1FFFE, 0x10FFFF]
        let tags = Array(0xE0001...0xE0001) + Array(0xE0020...0xE007F) + Array(0xE0100...0xE010F)
        let scalars = controls + (directions + hidden + tags).compactMap { Unicode.Scalar(UInt32($0)) }
        return scalars.map { "a\($0)b" } + scalars.map { "\($0)" } + controls.map { "e\u{301}\($0)\u{301}" }
            + controls.map { "👩\u{200D}\($0)👧" } + sequences
    }()

    /// What terminals are told with.
    private static let sequences: [String] = [
        "\u{1B}[2J\u{1B}[H", "\u{1B}]0;title\u{7}", "\u{1B}]52;c;ZXZpbA==\u{7}",
        "\u{1B}]8;;http://x.example\u{1B}\\link\u{1B}]8;;\u{1B}\\",
        "\u{1B}[6n", "\u{1B}[c", "\u{1B}P$q\"p\u{1B}\\", "\u{1B}_Gi=1\u{1B}\\", "\u{1B}^pm\u{1B}\\", "\u{1B}X\u{1B}\\",
        "\u{1B}c",
        "\u{1B}[?1049h", "\u{1B}[31mred\u{1B}[0m", "\u{9B}31m", "\u{9D}0;t\u{9C}", "\u{1B}(0", "\u{1B}#8", "\u{1B}[3J",
        "\r\nshoal: done",
        "ok\rgone", "ab\u{8}\u{8}cd", "\u{202E}gpj.exe", "=cmd|' /C calc'!A0", "\u{1B}[20t",
        "\u{1B}]1337;File=:AAAA\u{7}", "%s%n", "\u{5}",
    ]

    /// All of them in one text, short enough to be an argument.
    static let packed = "P" + all.joined(separator: "|")

    /// Some of them, where only so much is taken.
    static let short = "P" + all.prefix(8).joined() + sequences.joined(separator: "|")

    /// All without what would end a name: of a field, of a tag's group, of a word in a shell.
    static let name = packed.filter { !"=/'+".contains($0) }
}

/// What a terminal was sent, looked at byte by byte.
enum TerminalBytes {
    /// Style sequences of the programs, less the escape character.
    private static let styles = ["[0m", "[1m", "[2m", "[33m"]

    /// Everything that is neither text that somebody sees, a line feed, nor one of the programs' own styles.
    ///
    /// - Parameter progress: whether a line that says how far work is may return to its beginning.
    static func foreign(_ bytes: Data, progress: Bool = false) -> [String] {
        guard let text = String(validating: bytes, as: UTF8.self) else { return ["not UTF-8"] }
        var found: [String] = []
        var rest = text.unicodeScalars[...]
        var previous: Unicode.Scalar?
        while let scalar = rest.popFirst() {
            defer { previous = scalar }
            if scalar == "\u{1B}", let style = styles.first(where: { rest.starts(with: $0.unicodeScalars) }) {
                rest.removeFirst(style.unicodeScalars.count)
                continue
            }
            if scalar == "\n" || progress && scalar == "\r" { continue }
            // Parts of an emoji are joined so.
            if scalar == "\u{200D}" && previous == "👩" { continue }
            let properties = scalar.properties
            let isHidden =
                properties.isDefaultIgnorableCodePoint || properties.isNoncharacterCodePoint || properties.isBidiControl
                || [.control, .format, .lineSeparator, .paragraphSeparator].contains(properties.generalCategory)
            if isHidden {
                found.append("U+\(String(scalar.value, radix: 16)) before \"\(rest.prefix(12).map(\.value))\"")
            }
        }
        return found
    }
}
