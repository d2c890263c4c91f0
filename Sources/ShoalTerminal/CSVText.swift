/// Comma-separated values (RFC 4180) that a spreadsheet shows and does not calculate.
///
/// Each record is one line: what `TerminalText.line` replaces (line feeds too, as ␊) is replaced here, so that no program that
/// splits at lines or tabs finds a field beginning in the middle of another. Each field stands in quotes. Where a spreadsheet
/// splits at semicolons, as in many countries, quotes in the middle count for nothing: a formula behind one is marked too.
public enum CSVText {
    /// How a file begins, so that spreadsheets read it as UTF-8.
    public static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// The mark before a field that would be a formula, and before one that begins with the mark itself. Spreadsheets take it
    /// for "what follows is text"; whoever reads the file takes one from the front of each field that has it, and from behind
    /// each semicolon.
    public static let mark: Unicode.Scalar = "'"

    /// One record with its line end.
    public static func record(_ fields: [String]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (index, text) in fields.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(UInt8(ascii: "\""))
            for byte in field(text).utf8 {
                if byte == UInt8(ascii: "\"") { bytes.append(byte) }
                bytes.append(byte)
            }
            bytes.append(UInt8(ascii: "\""))
        }
        return bytes + [0x0D, 0x0A]
    }

    /// A field's text, marked if it needs to be.
    static func field(_ text: String) -> String {
        let scalars = text.unicodeScalars
        let beginsSo = scalars.first.map { $0 == mark || $0 == "\t" || $0 == "\r" } ?? false
        return (isFormula(scalars[...]) || beginsSo ? String(mark) : "")
            + markedBehindSemicolons(TerminalText.line(text))
    }

    private static func markedBehindSemicolons(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: ";")) else { return text }
        var marked = String.UnicodeScalarView()
        let scalars = text.unicodeScalars
        for index in scalars.indices {
            marked.append(scalars[index])
            if scalars[index] == ";", isFormula(scalars[index...].dropFirst()) { marked.append(mark) }
        }
        return String(marked)
    }

    /// Spreadsheets pass over white space and quotes before they look for a formula.
    private static func isFormula(_ scalars: Substring.UnicodeScalarView) -> Bool {
        scalars.first { !$0.properties.isWhitespace && $0 != "\"" && $0 != mark }.map(begins) ?? false
    }

    /// Signs that begin a formula, also as wide and small forms, which some spreadsheets take for the same.
    private static func begins(_ scalar: Unicode.Scalar) -> Bool {
        "=+-@＝＋－＠﹦﹢﹣﹫".unicodeScalars.contains(scalar)
    }
}
