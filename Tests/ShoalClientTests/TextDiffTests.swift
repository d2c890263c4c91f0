import Testing

@testable import ShoalClient

@Suite struct TextDiffTests {
    /// The new text of each hunk for its old one, as `old→new`.
    private func script(_ old: String, _ new: String) -> [String] {
        let (a, b) = (Array(old.unicodeScalars), Array(new.unicodeScalars))
        return TextDiff.hunks(from: a, to: b).map { "\(Self.text(a[$0.old]))→\(Self.text(b[$0.new]))" }
    }

    private static func text(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        return String(view)
    }

    private static func changed(_ hunks: [TextDiff.Hunk]) -> Int {
        hunks.reduce(0) { $0 + $1.old.count + $1.new.count }
    }

    /// Checks that the hunks are in order, lead to the new text, and cut no cluster.
    private static func verify(
        _ old: String, _ new: String, _ hunks: [TextDiff.Hunk], _ location: SourceLocation = #_sourceLocation
    ) {
        let (a, b) = (Array(old.unicodeScalars), Array(new.unicodeScalars))
        var result: [Unicode.Scalar] = []
        var (x, y) = (0, 0)
        for hunk in hunks {
            guard hunk.old.lowerBound >= x, hunk.old.upperBound <= a.count, hunk.new.upperBound <= b.count else {
                Issue.record("\(hunk) is out of order or bounds", sourceLocation: location)
                return
            }
            #expect(hunk.old.lowerBound - x == hunk.new.lowerBound - y, sourceLocation: location)
            result += a[x..<hunk.old.lowerBound] + b[hunk.new]
            (x, y) = (hunk.old.upperBound, hunk.new.upperBound)
        }
        #expect(result + a[x...] == b, "\(old.debugDescription) → \(new.debugDescription)", sourceLocation: location)
        for (text, ranges) in [(old, hunks.map(\.old)), (new, hunks.map(\.new))] {
            var bounds: Set<Int> = [0]
            var end = 0
            for cluster in text {
                end += cluster.unicodeScalars.count
                bounds.insert(end)
            }
            let isWhole = ranges.allSatisfy { bounds.contains($0.lowerBound) && bounds.contains($0.upperBound) }
            #expect(isWhole, "\(text.debugDescription) \(ranges)", sourceLocation: location)
        }
    }

    @Test func anEditIsNoMoreThanWhatWasEdited() {
        #expect(script("", "") == [])
        #expect(script("same", "same") == [])
        #expect(script("", "new") == ["→new"])
        #expect(script("old", "") == ["old→"])
        #expect(script("ac", "abc") == ["→b"])
        #expect(script("abc", "ac") == ["b→"])
        #expect(script("one two three", "one 2 three") == ["two→2"])
        #expect(script("one two three four", "1 two three 4") == ["one→1", "four→4"])
        #expect(script("她皮肤敏感,换季过敏", "她皮肤不敏感,春天过敏") == ["→不", "换季→春天"])
        #expect(script("第一行\n第二行\n第三行", "第一行\n第二行改\n第三行") == ["→改"])
    }

    /// What two texts share by chance does not stand between the changes of a person who wrote another text.
    @Test func whatIsSharedByChanceIsNotKept() {
        #expect(script("abcdefXYZqr", "12345XYZ6789") == ["abcdefXYZqr→12345XYZ6789"])
        // What is shared at first outweighs the change after it, and no more when that was joined with the next one.
        #expect(script("abcdeXYZqrKmnop", "12345XYZwvK6789") == ["abcdeXYZqrKmnop→12345XYZwvK6789"])
    }

    @Test func clustersAreChangedWhole() {
        // Families, a skin tone, flags, marks, and both ends of a line.
        #expect(script("a👨‍👩‍👧b", "a👨‍👩‍👦b") == ["👨‍👩‍👧→👨‍👩‍👦"])
        #expect(script("👍", "👍🏽") == ["👍→👍🏽"])
        #expect(script("🇩🇪🇫🇷", "🇩🇪🇨🇳🇫🇷") == ["→🇨🇳"])
        #expect(script("cafe!", "cafe\u{301}!") == ["e→e\u{301}"])
        #expect(script("caf\u{E9}", "cafe\u{301}") == ["\u{E9}→e\u{301}"], "the same to people, other scalars")
        #expect(script("a\r\nb", "a\nb") == ["\r\n→\n"])
        #expect(script("a\r\nb\r\n", "a\r\nb\r\nc\r\n") == ["→c\r\n"])
    }

    @Test func randomPairsLeadToTheNewText() {
        var random = Seeded(4)
        let alphabet = [
            "a", "b", " ", "\n", "王", "芳", "。", "👨‍👩‍👧", "👍🏽", "\u{301}", "\r\n", "\r", "🇩🇪", "🇫", "\u{200D}", "é",
        ]
        for _ in 0..<10_000 {
            let size = Int.random(in: 0...30, using: &random)
            let few = alphabet.prefix(Int.random(in: 1...alphabet.count, using: &random))
            var units = (0..<size).compactMap { _ in few.randomElement(using: &random) }
            let old = units.joined()
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let at = Int.random(in: 0...units.count, using: &random)
                if Bool.random(using: &random), at < units.count {
                    units.remove(at: at)
                } else {
                    units.insert(few.randomElement(using: &random) ?? "", at: at)
                }
            }
            let new = units.joined()
            let hunks = TextDiff.hunks(from: Array(old.unicodeScalars), to: Array(new.unicodeScalars))
            Self.verify(old, new, hunks)
            #expect(hunks.isEmpty == old.unicodeScalars.elementsEqual(new.unicodeScalars))
        }
    }

    /// A script, verified, and that it took less than half a second.
    private func timed(_ old: String, _ new: String, _ location: SourceLocation = #_sourceLocation) -> [TextDiff.Hunk] {
        let (a, b) = (Array(old.unicodeScalars), Array(new.unicodeScalars))
        var hunks: [TextDiff.Hunk] = []
        // The machine may be busy with something else: the best of three counts.
        let times = (0..<3).map { _ in ContinuousClock().measure { hunks = TextDiff.hunks(from: a, to: b) } }
        #expect(times.contains { $0 < .milliseconds(500) }, "\(times)", sourceLocation: location)
        Self.verify(old, new, hunks, location)
        return hunks
    }

    private func words(_ count: Int, _ random: inout Seeded) -> String {
        (0..<count).map { _ in
            String(
                (0..<Int.random(in: 2...9, using: &random)).compactMap { _ in "abcdefghij".randomElement(using: &random)
                })
        }.joined(separator: " ")
    }

    @Test func aLongTextThatIsWhollyAnotherIsOneHunk() {
        var random = Seeded(5)
        let (old, new) = (words(10_000, &random), words(10_000, &random).uppercased())
        #expect(timed(old, new).count < 3)
    }

    @Test func textsThatRepeatThemselvesAreComparedInBoundedTime() {
        let long = String(repeating: "a", count: 64 << 10)
        let other = String(repeating: "aaab", count: 16 << 10)
        _ = timed(long, other)
        _ = timed(other, String(repeating: "abba", count: 16 << 10))
        _ = timed(String(repeating: "a\n", count: 32 << 10), String(repeating: "a\n\n", count: 21 << 10))
        #expect(timed(long, long + "b").count == 1)
    }

    @Test func ofManyLinesThoseThatChangedAreChanged() {
        var random = Seeded(6)
        var lines = (0..<2_000).map { _ in words(5, &random) }
        let old = lines.joined(separator: "\n")
        var typed = 0
        for line in stride(from: 7, to: 2_000, by: 40) {
            lines[line] = words(5, &random)
            typed += lines[line].count
        }
        let hunks = timed(old, lines.joined(separator: "\n"))
        #expect(hunks.count >= 50)
        #expect(Self.changed(hunks) < typed * 3, "\(typed)")
    }

    /// Too much has changed for one shortest script, and there is one line only.
    @Test func betweenTwoLongChangesOfALineTheRestStands() {
        var random = Seeded(7)
        let (head, middle, tail) = (words(400, &random), words(1_000, &random), words(400, &random))
        let old = "\(head) \(middle) \(tail)"
        let new = "\(words(400, &random).uppercased()) \(middle) \(words(400, &random).uppercased())"
        let hunks = timed(old, new)
        #expect(Self.changed(hunks) < 2 * (head.count + tail.count) + 400)
    }

    @Test func theEndsOfALongChangeStand() {
        var random = Seeded(8)
        let (head, tail) = (words(200, &random), words(200, &random))
        let old = head + words(2_000, &random) + tail
        let hunks = timed(old, head + words(2_000, &random).uppercased() + tail)
        #expect(hunks.first?.old.lowerBound ?? 0 >= head.count)
        #expect(hunks.last?.old.upperBound ?? 0 <= old.count - tail.count)
    }
}
