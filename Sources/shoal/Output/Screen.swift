import Glibc
import ShoalProtocol
import ShoalTerminal

/// What a command prints. It is kept back until the command has succeeded, so that standard output is empty when one
/// fails; text is made harmless on its way in.
struct Screen {
    enum Style: String {
        case plain = ""
        case bold = "1"
        case dim = "2"
        case warning = "33"
    }

    struct Part {
        var text: String
        var style: Style

        static func plain(_ text: String) -> Part { Part(text: text, style: .plain) }
        static func bold(_ text: String) -> Part { Part(text: text, style: .bold) }
        static func dim(_ text: String) -> Part { Part(text: text, style: .dim) }
        static func warning(_ text: String) -> Part { Part(text: text, style: .warning) }
    }

    let isJSON: Bool
    let isTerminal: Bool
    /// Columns of the terminal; nil where nothing needs cutting.
    let columns: Int?
    private let isColoured: Bool
    private var bytes: [UInt8] = []

    init(isJSON: Bool) {
        self.isJSON = isJSON
        isTerminal = isatty(STDOUT_FILENO) == 1
        isColoured = isTerminal && System.variable("NO_COLOR") == nil && System.variable("TERM") != "dumb"
        columns = isTerminal ? Self.terminalColumns(STDOUT_FILENO) : nil
    }

    // MARK: For people

    mutating func line(_ parts: Part...) { line(parts) }

    mutating func line(_ parts: [Part]) {
        for part in parts { append(TerminalText.line(part.text), part.style) }
        bytes.append(UInt8(ascii: "\n"))
    }

    /// Text of several lines, each indented.
    mutating func block(_ text: String, indent: Int = 0) {
        let margin = String(repeating: " ", count: indent)
        for row in TerminalText.lines(text).split(separator: "\n", omittingEmptySubsequences: false) {
            if !row.isEmpty { bytes.append(contentsOf: "\(margin)\(row)".utf8) }
            bytes.append(UInt8(ascii: "\n"))
        }
    }

    private mutating func append(_ text: String, _ style: Style) {
        if isColoured, style != .plain, !text.isEmpty {
            bytes.append(contentsOf: "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m".utf8)
        } else {
            bytes.append(contentsOf: text.utf8)
        }
    }

    // MARK: For programs

    /// Prints one JSON document.
    mutating func json(_ body: (inout JSONWriter) -> Void) {
        var writer = JSONWriter()
        body(&writer)
        json(bytes: writer.bytes)
    }

    mutating func json(bytes document: [UInt8]) {
        bytes.append(contentsOf: TerminalText.json(document))
        bytes.append(UInt8(ascii: "\n"))
    }

    /// A line of bytes as they are; to a terminal only what is harmless to it.
    mutating func raw(line: [UInt8]) {
        bytes.append(contentsOf: isTerminal ? TerminalText.json(line) : line)
        bytes.append(UInt8(ascii: "\n"))
    }

    // MARK: Writing

    /// How much is kept back: what is printed in a stream calls `finish` above this.
    var count: Int { bytes.count }

    /// Writes what was kept back.
    mutating func finish() throws {
        try File.write(bytes, to: STDOUT_FILENO, name: "standard output")
        bytes.removeAll(keepingCapacity: true)
    }

    /// A sentence on standard error. Nothing can be done when that cannot be written.
    static func say(_ sentence: String) {
        let line = Array("shoal: \(TerminalText.line(sentence))\n".utf8)
        do { try File.write(line, to: STDERR_FILENO, name: "standard error") } catch {}
    }

    static func terminalColumns(_ descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}
