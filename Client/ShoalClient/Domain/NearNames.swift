import ShoalProtocol

/// Names that look like a mistyped one.
enum NearNames {
    /// At most three, the nearest first: those that differ by few edits, or contain one another.
    static func of(_ name: String, among names: some Sequence<String>) -> [String] {
        of(name, among: names.map { (spellings: [$0], name: $0) })
    }

    /// Tags that somebody who typed `name` may mean: those whose name contains it, the shortest first, then those that
    /// look like it mistyped; as GROUP/NAME.
    static func meant(by name: String, among tags: [TagBook.View]) -> [String] {
        let wanted = Folding.fold(name)
        if wanted.isEmpty { return [] }
        let containing = tags.filter { $0.folded.contains(wanted) }
            .map { (length: $0.folded.utf8.count, path: $0.path) }
        let first = containing.sorted { ($0.length, $0.path) < ($1.length, $1.path) }.map(\.path)
        return Array((first + of(name, among: tags).filter { !first.contains($0) }).prefix(3))
    }

    /// Tags that look like a mistyped one, with or without its group; as GROUP/NAME.
    static func of(_ name: String, among tags: [TagBook.View]) -> [String] {
        of(name, among: tags.map { (spellings: [$0.name, $0.path], name: $0.path) })
    }

    private static func of(_ name: String, among candidates: [(spellings: [String], name: String)]) -> [String] {
        let wanted = Array(Folding.fold(name).unicodeScalars)
        if wanted.isEmpty { return [] }
        var near: [(distance: Int, name: String)] = []
        for candidate in candidates {
            let distances = candidate.spellings.compactMap { spelling -> Int? in
                let folded = Array(Folding.fold(spelling).unicodeScalars)
                let most = max(1, min(wanted.count, folded.count) / 3)
                if folded.isEmpty || abs(folded.count - wanted.count) > most { return nil }
                let distance = distance(wanted, folded)
                return distance <= most ? distance : nil
            }
            if let least = distances.min() { near.append((least, candidate.name)) }
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
