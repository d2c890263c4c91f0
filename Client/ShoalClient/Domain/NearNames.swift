/// Names that look like a mistyped one.
enum NearNames {
    /// At most three, the nearest first: those that differ by few edits, or contain one another.
    static func of(_ name: String, among names: some Sequence<String>) -> [String] {
        let wanted = Array(Folding.fold(name).unicodeScalars)
        if wanted.isEmpty { return [] }
        var near: [(distance: Int, name: String)] = []
        for candidate in names {
            let folded = Array(Folding.fold(candidate).unicodeScalars)
            if folded.isEmpty || abs(folded.count - wanted.count) > max(wanted.count, folded.count) / 2 + 1 { continue }
            let distance = distance(wanted, folded)
            if distance <= max(1, min(wanted.count, folded.count) / 3) { near.append((distance, candidate)) }
        }
        return near.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(3).map(\.name)
    }

    /// How many insertions, removals, replacements or swaps of neighbours turn one into the other.
    static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
        if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
        var before: [Int] = []
        var last = Array(0...b.count)
        for i in 1...a.count {
            var row = [i]
            row.reserveCapacity(b.count + 1)
            for j in 1...b.count {
                var best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { best = min(best, before[j - 2] + 1) }
                row.append(best)
            }
            before = last
            last = row
        }
        return last[b.count]
    }
}
