/// What was changed between two texts, as few characters as can be found in bounded time.
///
/// Texts are compared by grapheme clusters, so that an edit does not cut one, and clusters by their scalars. The shortest
/// edit script is found by Myers' greedy algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986). Where it
/// would be longer than `limit`, lines are compared, then the words of the lines that differ, then the clusters of those.
enum TextDiff {
    /// A stretch of the old text that stands for a stretch of the new one; ranges of scalars.
    struct Hunk: Equatable {
        var old: Range<Int>
        var new: Range<Int>
    }

    /// The hunks, ascending; none if the texts are equal.
    static func hunks(from old: [Unicode.Scalar], to new: [Unicode.Scalar]) -> [Hunk] {
        var numbers = TextUnits.Numbers()
        let (a, b) = (TextUnits.layers(of: old, &numbers), TextUnits.layers(of: new, &numbers))
        var comparison = Comparison(a: a, b: b)
        let lines = a.count - 1
        let script = comparison.script(
            of: Hunk(old: 0..<a[lines].count, new: 0..<b[lines].count), at: lines)
        return joined(script).map { Hunk(old: a[0].content($0.old), new: b[0].content($0.new)) }
    }

    /// Joins hunks whose common text between them is shorter than what changes on both sides: it is there by chance.
    private static func joined(_ hunks: [Hunk]) -> [Hunk] {
        var result: [Hunk] = []
        for hunk in hunks {
            var hunk = hunk
            // What was joined changes more, and may now outweigh what stands before it.
            while let last = result.last {
                let between = hunk.old.lowerBound - last.old.upperBound
                guard between < max(last.old.count, last.new.count), between < max(hunk.old.count, hunk.new.count)
                else { break }
                hunk = Hunk(
                    old: last.old.lowerBound..<hunk.old.upperBound, new: last.new.lowerBound..<hunk.new.upperBound)
                result.removeLast()
            }
            result.append(hunk)
        }
        return result
    }
}

/// A text cut into units; equal ones have equal numbers.
private struct TextUnits {
    private(set) var numbers: [Int] = []
    /// Where each unit begins in what it is made of, and the end.
    private(set) var starts = [0]

    var count: Int { numbers.count }

    /// What some units are made of.
    func content(_ range: Range<Int>) -> Range<Int> { starts[range.lowerBound]..<starts[range.upperBound] }

    /// Numbers of units: a unit of one part has the number of that part, others have negative ones.
    struct Numbers {
        private var known: [ArraySlice<Int>: Int] = [:]

        mutating func number(of parts: ArraySlice<Int>) -> Int {
            if parts.count == 1, let part = parts.first { return part }
            if let number = known[parts] { return number }
            known[parts] = -1 - known.count
            return -known.count
        }
    }

    private init(of parts: [Int], ends: some Sequence<Int>, _ numbers: inout Numbers) {
        for end in ends {
            self.numbers.append(numbers.number(of: parts[starts[starts.count - 1]..<end]))
            starts.append(end)
        }
    }

    /// Clusters, which are made of scalars; words and what parts them, made of clusters; lines, made of words.
    static func layers(of text: [Unicode.Scalar], _ numbers: inout Numbers) -> [TextUnits] {
        var string = String.UnicodeScalarView()
        string.append(contentsOf: text)
        var (clusterEnds, wordEnds, lineEnds): ([Int], [Int], [Int]) = ([], [], [])
        for cluster in String(string) {
            clusterEnds.append((clusterEnds.last ?? 0) + cluster.unicodeScalars.count)
            guard cluster.isWhitespace || cluster.isPunctuation else { continue }
            wordEnds.append(clusterEnds.count)
            if cluster.isNewline { lineEnds.append(wordEnds.count) }
        }
        if wordEnds.last ?? 0 < clusterEnds.count { wordEnds.append(clusterEnds.count) }
        if lineEnds.last ?? 0 < wordEnds.count { lineEnds.append(wordEnds.count) }
        let clusters = TextUnits(of: text.map { Int($0.value) }, ends: clusterEnds, &numbers)
        let words = TextUnits(of: clusters.numbers, ends: wordEnds, &numbers)
        return [clusters, words, TextUnits(of: words.numbers, ends: lineEnds, &numbers)]
    }
}

/// Two texts in layers, and what may still be spent on comparing them.
private struct Comparison {
    typealias Hunk = TextDiff.Hunk

    let a: [TextUnits]
    let b: [TextUnits]
    /// How many pairs of units are compared at most: texts that repeat themselves need many.
    private var budget = 20_000_000

    /// How many insertions and deletions are looked for at most: memory and time grow with its square.
    private static let limit = 2_000

    init(a: [TextUnits], b: [TextUnits]) {
        self.a = a
        self.b = b
    }

    /// What differs in a stretch, in clusters.
    ///
    /// - Parameter hunk: in units of the layer.
    mutating func script(of hunk: Hunk, at layer: Int) -> [Hunk] {
        var clusters = hunk
        for layer in stride(from: layer, to: 0, by: -1) { clusters = content(of: clusters, at: layer) }
        clusters = trimmed(clusters, at: 0)
        if let script = shortest(clusters, at: 0) { return script }
        if layer == 0 { return [clusters] }
        let coarse = shortest(trimmed(hunk, at: layer), at: layer) ?? [hunk]
        var script: [Hunk] = []
        for hunk in coarse { script += self.script(of: content(of: hunk, at: layer), at: layer - 1) }
        return script
    }

    /// The same in units of the layer below.
    private func content(of hunk: Hunk, at layer: Int) -> Hunk {
        Hunk(old: a[layer].content(hunk.old), new: b[layer].content(hunk.new))
    }

    /// A stretch less the equal units that it begins and ends with.
    private func trimmed(_ hunk: Hunk, at layer: Int) -> Hunk {
        let (mine, its) = (a[layer].numbers, b[layer].numbers)
        var (old, new) = (hunk.old, hunk.new)
        while !old.isEmpty, !new.isEmpty, mine[old.lowerBound] == its[new.lowerBound] {
            old = old.lowerBound + 1..<old.upperBound
            new = new.lowerBound + 1..<new.upperBound
        }
        while !old.isEmpty, !new.isEmpty, mine[old.upperBound - 1] == its[new.upperBound - 1] {
            old = old.lowerBound..<old.upperBound - 1
            new = new.lowerBound..<new.upperBound - 1
        }
        return Hunk(old: old, new: new)
    }

    /// The shortest script of a trimmed stretch; nil if that is too long.
    private mutating func shortest(_ hunk: Hunk, at layer: Int) -> [Hunk]? {
        if hunk.old.isEmpty, hunk.new.isEmpty { return [] }
        if hunk.old.isEmpty || hunk.new.isEmpty { return [hunk] }
        let (mine, its) = (a[layer].numbers[hunk.old], b[layer].numbers[hunk.new])
        guard let trace = furthest(mine, its) else { return nil }
        return Self.walk(back: trace, hunk)
    }

    /// For each number of edits the furthest point in the old text on each diagonal from −edits to edits, by twos; nil
    /// beyond the limit.
    private mutating func furthest(_ a: ArraySlice<Int>, _ b: ArraySlice<Int>) -> [[Int32]]? {
        if abs(a.count - b.count) > Self.limit { return nil }
        var trace: [[Int32]] = []
        for edits in 0...min(Self.limit, a.count + b.count) {
            var reached: [Int32] = []
            reached.reserveCapacity(edits + 1)
            for place in 0...edits {
                let start = trace.last.map { Self.step($0, place).x } ?? 0
                var (x, y) = (start, start - (2 * place - edits))
                while x < a.count, y < b.count, a[a.startIndex + x] == b[b.startIndex + y] {
                    x += 1
                    y += 1
                }
                budget -= x - start + 1
                reached.append(Int32(x))
                if x >= a.count, y >= b.count { return trace + [reached] }
            }
            if budget < 0 { return nil }
            trace.append(reached)
        }
        return nil
    }

    /// How a diagonal is reached with one more edit: by an insertion from the one above, or by a deletion from the one
    /// below; and the point where the edit leads.
    private static func step(_ last: [Int32], _ place: Int) -> (isInsertion: Bool, x: Int) {
        let isInsertion = place == 0 || place < last.count && last[place - 1] < last[place]
        return (isInsertion, isInsertion ? Int(last[place]) : Int(last[place - 1]) + 1)
    }

    private static func walk(back trace: [[Int32]], _ whole: Hunk) -> [Hunk] {
        var hunks: [Hunk] = []
        var (x, y) = (whole.old.count, whole.new.count)
        for edits in stride(from: trace.count - 1, to: 0, by: -1) {
            let k = x - y
            let (isInsertion, end) = step(trace[edits - 1], (k + edits) / 2)
            x = isInsertion ? end : end - 1
            y = isInsertion ? end - k - 1 : end - k
            let (old, new) = (whole.old.lowerBound + x, whole.new.lowerBound + y)
            let hunk = Hunk(old: old..<old + (isInsertion ? 0 : 1), new: new..<new + (isInsertion ? 1 : 0))
            if let next = hunks.last, next.old.lowerBound == hunk.old.upperBound,
                next.new.lowerBound == hunk.new.upperBound
            {
                hunks[hunks.count - 1] = Hunk(old: old..<next.old.upperBound, new: new..<next.new.upperBound)
            } else {
                hunks.append(hunk)
            }
        }
        return hunks.reversed()
    }
}
