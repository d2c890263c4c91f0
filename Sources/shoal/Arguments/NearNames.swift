/// Names that somebody may have meant who typed another.
enum NearNames {
    /// Up to three of `names` that begin like `word` or are a typing mistake away from it, the nearest first.
    static func of(_ word: String, among names: [String]) -> [String] {
        let typed = Array(word.lowercased().unicodeScalars)
        let allowed = typed.count <= 3 ? 1 : typed.count <= 6 ? 2 : 3
        let ranked = names.compactMap { name -> (distance: Int, name: String)? in
            let letters = Array(name.unicodeScalars)
            let isBeginning = typed.count >= 2 && letters.starts(with: typed)
            let distance = isBeginning ? 0 : distance(typed, letters)
            return distance <= min(allowed, letters.count - 1) ? (distance, name) : nil
        }
        return ranked.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(3).map(\.name)
    }

    /// How many letters must be inserted, left out, replaced or swapped with their neighbour.
    private static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var row = [i + 1]
            for (j, y) in b.enumerated() {
                var best = min(last[j + 1] + 1, row[j] + 1, last[j] + (x == y ? 0 : 1))
                if i > 0, j > 0, x == b[j - 1], a[i - 1] == y { best = min(best, beforeLast[j - 1] + 1) }
                row.append(best)
            }
            (beforeLast, last) = (last, row)
        }
        return last[b.count]
    }
}
