import ShoalTerminal

/// Rows in columns that know how wide Chinese text is. On a terminal the widest columns are cut until a row fits; elsewhere
/// nothing is cut, and what is longer than most moves what follows it in its own row alone.
struct Table {
    private static let gap = 2
    private static let narrowest = 8
    /// To where columns are filled up that are not cut.
    private static let widestFilled = 40

    private let headings: [String]
    private var rows: [[String]] = []

    init(_ headings: String...) { self.headings = headings }

    mutating func add(_ cells: String...) { rows.append(cells.map(TerminalText.line)) }

    func print(to screen: inout Screen) {
        guard !rows.isEmpty else { return }
        // A column in which nobody has anything only takes room.
        let used = self.headings.indices.filter { column in self.rows.contains { !$0[column].isEmpty } }
        let headings = used.map { self.headings[$0] }
        let rows = self.rows.map { row in used.map { row[$0] } }
        var widths = headings.map { TextWidth.of($0) }
        for row in rows {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], TextWidth.of(cell)) }
        }
        if let columns = screen.columns {
            fit(&widths, into: columns)
        } else {
            widths = widths.map { min($0, Self.widestFilled) }
        }
        let cuts = screen.columns != nil
        screen.line(.bold(join(headings, widths, cuts)))
        for row in rows { screen.line(.plain(join(row, widths, cuts))) }
    }

    private func fit(_ widths: inout [Int], into columns: Int) {
        var excess = widths.reduce(0, +) + Self.gap * (widths.count - 1) - columns
        while excess > 0, let widest = widths.max(), widest > Self.narrowest, let column = widths.lastIndex(of: widest)
        {
            widths[column] -= 1
            excess -= 1
        }
    }

    private func join(_ cells: [String], _ widths: [Int], _ cuts: Bool) -> String {
        var line = ""
        for (column, cell) in cells.enumerated() {
            let text = cuts ? TextWidth.cut(cell, to: widths[column]) : cell
            if column == cells.count - 1 {
                line += text
            } else {
                line += TextWidth.padded(text, to: widths[column]) + String(repeating: " ", count: Self.gap)
            }
        }
        while line.last == " " { line.removeLast() }
        return line
    }
}
