import ShoalTerminal

@testable import ShoalClient

/// The query language, and what makes text harmless to terminals and spreadsheets.
enum TextTargets {
    static func query(_ bytes: [UInt8]) throws {
        let query = try Query(String(decoding: bytes, as: UTF8.self))
        let again = try Query(String(decoding: bytes, as: UTF8.self))
        Finding.require(again == query, "a query is not read twice alike")
        for case .added(_, let day) in query.terms {
            Finding.require(day.count == 86_400_000, "a day of \(day.count) milliseconds")
        }
        Finding.planted(query.terms.contains { if case .birthMonth(let month) = $0 { month != "05" } else { false } })
    }

    static func sanitiser(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        for shown in [TerminalText.line(text), TerminalText.lines(text)] {
            for scalar in shown.unicodeScalars where scalar != "\n" {
                Finding.require(!acts(scalar), "U+\(String(scalar.value, radix: 16)) gets through")
            }
        }
        Finding.require(!TerminalText.line(text).unicodeScalars.contains("\n"), "a line has two lines")
        let line = TerminalText.line(text)
        Finding.require(TerminalText.line(line) == line, "what is shown is not shown as it is")
        for scalar in String(decoding: TerminalText.json(bytes), as: UTF8.self).unicodeScalars where scalar != "\n" {
            Finding.require(!acts(scalar), "U+\(String(scalar.value, radix: 16)) gets through in JSON")
        }
        Finding.planted(text.unicodeScalars.contains { $0.value == 0x7F })
    }

    /// What acts on a terminal, spelled out apart from the code under test.
    private static func acts(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F...0x9F, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xE0000...0xE007F: true
        default: false
        }
    }

    /// Two fields, the second after the first zero byte; read back as a spreadsheet does.
    static func csv(_ bytes: [UInt8]) {
        let end = bytes.firstIndex(of: 0) ?? bytes.endIndex
        let fields = [bytes[..<end], bytes[end...]].map { String(decoding: $0, as: UTF8.self) }
        let record = CSVText.record(fields)
        Finding.require(record.suffix(2) == [0x0D, 0x0A], "a record has no end")
        Finding.require(!record.dropLast(2).contains { $0 < 0x20 }, "a record has a control")
        var cells: [[UInt8]] = []
        var isQuoted = false
        for byte in record.dropLast(2) {
            if byte == UInt8(ascii: "\"") {
                // The second of two is a quote of the text.
                if !isQuoted, cells.last?.last != nil, cells.count > 0 { cells[cells.count - 1].append(byte) }
                if !isQuoted, cells.isEmpty { cells.append([]) }
                isQuoted.toggle()
            } else if byte == UInt8(ascii: ","), !isQuoted {
                cells.append([])
            } else {
                Finding.require(isQuoted, "text outside the quotes")
                cells[cells.count - 1].append(byte)
            }
        }
        Finding.require(!isQuoted && cells.count == 2, "\(cells.count) cells where 2 were written")
        for cell in cells {
            let start = cell.drop { $0 == 0x20 || $0 == UInt8(ascii: "\"") }.first
            Finding.require(start.map { !"=+-@".utf8.contains($0) } ?? true, "a cell begins a formula")
        }
        Finding.planted(fields[0].utf8.first == UInt8(ascii: "=") && fields[1].utf8.count > 2)
    }
}
