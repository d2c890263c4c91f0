/// What was changed between two texts, as few characters as can be found in bounded time.
///
/// Texts are compared by grapheme clusters, so that an edit does not cut one, and clusters by their scalars. The shortest
/// edit script is found by Myers' greedy algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986); where it
/// would be longer than `limit`, first lines are compared and then the clusters of each stretch of changed lines.
enum TextDiff {
    /// A stretch of the old text that stands for a stretch of the new one; ranges of scalars.
    struct Hunk: Equatable {
        var old: Range<Int>
        var new: Range<Int>
    }

    /// How many insertions and deletions are looked for at most: memory and time grow with its square.
    private static let limit = 600

    /// The hunks, ascending; none if the texts are equal.
    static func hunks(from old: [Unicode.Scalar], to new: [Unicode.Scalar]) -> [Hunk] {
        let (a, b) = (Units(clustersOf: old), Units(clustersOf: new))
        let found = hunks(a, 0..<a.count, b, 0..<b.count)
        let script = found ?? byLines(a, b)
        return joined(script).map { Hunk(old: a.scalars($0.old), new: b.scalars($0.new)) }
    }

    /// The units that are compared: where each begins among the scalars.
    private struct Units {
        let text: [Unicode.Scalar]
        private(set) var starts: [Int]

        var count: Int { starts.count - 1 }

        init(clustersOf text: [Unicode.Scalar]) {
            self.text = text
            starts = [0]
            var string = String.UnicodeScalarView()
            string.append(contentsOf: text)
            for cluster in String(string) { starts.append((starts.last ?? 0) + cluster.unicodeScalars.count) }
        }

        func scalars(_ range: Range<Int>) -> Range<Int> { starts[range.lowerBound]..<starts[range.upperBound] }

        func isEqual(_ index: Int, _ other: Units, _ otherIndex: Int) -> Bool {
            text[starts[index]..<starts[index + 1]] == other.text[other.starts[otherIndex]..<other.starts[otherIndex + 1]]
        }

        /// Where lines begin, and the end.
        var lines: [Int] {
            var lines = [0]
            for index in 0..<count where text[starts[index + 1] - 1] == "\n" && index + 1 < count {
                lines.append(index + 1)
            }
            if count > 0 { lines.append(count) }
            return lines
        }
    }

    /// The hunks of two stretches of units; nil if there are too many.
    private static func hunks(_ a: Units, _ old: Range<Int>, _ b: Units, _ new: Range<Int>) -> [Hunk]? {
        script(old, new) { a.isEqual($0, b, $1) }
    }

    /// Compares lines, then the clusters of those that differ.
    private static func byLines(_ a: Units, _ b: Units) -> [Hunk] {
        let (mine, its) = (a.lines, b.lines)
        let hash = { (units: Units, lines: [Int], line: Int) -> ArraySlice<Unicode.Scalar> in
            units.text[units.scalars(lines[line]..<lines[line + 1])]
        }
        let all = [Hunk(old: 0..<a.count, new: 0..<b.count)]
        guard mine.count > 1, its.count > 1,
            let lines = script(
                0..<mine.count - 1, 0..<its.count - 1, { hash(a, mine, $0) == hash(b, its, $1) })
        else { return all }
        return lines.flatMap { hunk -> [Hunk] in
            let old = mine[hunk.old.lowerBound]..<mine[hunk.old.upperBound]
            let new = its[hunk.new.lowerBound]..<its[hunk.new.upperBound]
            return hunks(a, old, b, new) ?? [Hunk(old: old, new: new)]
        }
    }

    /// Myers' greedy algorithm over what is left between an equal beginning and an equal end.
    private static func script(_ old: Range<Int>, _ new: Range<Int>, _ isEqual: (Int, Int) -> Bool) -> [Hunk]? {
        var (a, b) = (old, new)
        while !a.isEmpty, !b.isEmpty, isEqual(a.lowerBound, b.lowerBound) {
            a = a.lowerBound + 1..<a.upperBound
            b = b.lowerBound + 1..<b.upperBound
        }
        while !a.isEmpty, !b.isEmpty, isEqual(a.upperBound - 1, b.upperBound - 1) {
            a = a.lowerBound..<a.upperBound - 1
            b = b.lowerBound..<b.upperBound - 1
        }
        if a.isEmpty, b.isEmpty { return [] }
        if a.isEmpty || b.isEmpty { return [Hunk(old: a, new: b)] }
        guard let trace = furthest(a, b, isEqual) else { return nil }
        return walk(back: trace, a, b)
    }

    /// For each number of edits the furthest point in the old text on each diagonal; nil beyond the limit.
    private static func furthest(_ a: Range<Int>, _ b: Range<Int>, _ isEqual: (Int, Int) -> Bool) -> [[Int]]? {
        var trace: [[Int]] = []
        // On diagonal k the point is reached[k + edits].
        var last: [Int] = []
        for edits in 0...min(limit, a.count + b.count) {
            var reached = [Int](repeating: -1, count: 2 * edits + 1)
            for k in stride(from: -edits, through: edits, by: 2) {
                var x = 0
                if edits > 0 {
                    let (above, below) = (k + 1 + edits - 1, k - 1 + edits - 1)
                    let down = above < last.count && above >= 0 ? last[above] : -1
                    let right = below >= 0 && below < last.count ? last[below] : -1
                    x = k == -edits || k != edits && right < down ? down : right + 1
                }
                var y = x - k
                while x < a.count, y < b.count, x >= 0, y >= 0, isEqual(a.lowerBound + x, b.lowerBound + y) {
                    x += 1
                    y += 1
                }
                reached[k + edits] = x
                if x >= a.count, y >= b.count { return trace + [reached] }
            }
            trace.append(reached)
            last = reached
        }
        return nil
    }

    private static func walk(back trace: [[Int]], _ a: Range<Int>, _ b: Range<Int>) -> [Hunk] {
        var hunks: [Hunk] = []
        var (x, y) = (a.count, b.count)
        for edits in stride(from: trace.count - 1, to: 0, by: -1) {
            let last = trace[edits - 1]
            let k = x - y
            let (above, below) = (k + edits, k + edits - 2)
            let down = above < last.count ? last[above] : -1
            let right = below >= 0 ? last[below] : -1
            let isDown = k == -edits || k != edits && right < down
            let from = isDown ? down : right
            let (startX, startY) = (from, from - (isDown ? k + 1 : k - 1))
            let hunk = Hunk(
                old: a.lowerBound + startX..<a.lowerBound + startX + (isDown ? 0 : 1),
                new: b.lowerBound + startY..<b.lowerBound + startY + (isDown ? 1 : 0))
            if let next = hunks.last, next.old.lowerBound == hunk.old.upperBound,
                next.new.lowerBound == hunk.new.upperBound
            {
                hunks[hunks.count - 1] = Hunk(
                    old: hunk.old.lowerBound..<next.old.upperBound, new: hunk.new.lowerBound..<next.new.upperBound)
            } else {
                hunks.append(hunk)
            }
            (x, y) = (startX, startY)
        }
        return hunks.reversed()
    }

    /// Joins hunks whose common text between them is shorter than what changes on both sides: it is there by chance.
    private static func joined(_ hunks: [Hunk]) -> [Hunk] {
        var result: [Hunk] = []
        for hunk in hunks {
            if let last = result.last {
                let between = hunk.old.lowerBound - last.old.upperBound
                if between < max(last.old.count, last.new.count), between < max(hunk.old.count, hunk.new.count) {
                    result[result.count - 1] = Hunk(
                        old: last.old.lowerBound..<hunk.old.upperBound, new: last.new.lowerBound..<hunk.new.upperBound)
                    continue
                }
            }
            result.append(hunk)
        }
        return result
    }
}
