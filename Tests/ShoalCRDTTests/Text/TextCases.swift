import Testing

@testable import ShoalCRDT

/// What operators who did not see each other leave in a text; the changes of each case come in every order.
@Suite struct TextCases {
    /// Writers who have all seen a text that the first of them typed at once.
    private func writers(_ letters: [Unicode.Scalar], of text: String) -> (all: [TextWriter], first: TextDelta) {
        var all = letters.map { TextWriter($0) }
        let first = all[0].type(text, at: 0)
        for index in all.indices.dropFirst() { all[index].merge(first) }
        return (all, first)
    }

    @Test func wordsTypedAtOnePlaceAreNotMixed() {
        var (all, first) = writers(["a", "b", "c"], of: "ab")
        let milk = all[1].type("Milk ", at: 1)
        let eggs = all[2].type("Eggs ", at: 1)
        #expect(textInEveryOrder([first, milk, eggs]) == [scalars("aMilk Eggs b")])
    }

    @Test func wordsTypedBackwardsAtOnePlaceAreNotMixed() {
        var (all, first) = writers(["a", "b", "c"], of: "ab")
        let digits = ["3", "2", "1"].map { all[1].type($0, at: 1) }
        let letters = ["z", "y", "x"].map { all[2].type($0, at: 1) }
        #expect(textInEveryOrder([first] + digits + letters) == [scalars("a123xyzb")])
    }

    @Test func whatIsTypedInFrontOfOnesOwnWordStaysWithIt() {
        var (all, first) = writers(["a", "b", "c"], of: "Shopping*")
        let apples = all[1].type("apples", at: 9)
        let fruit = all[1].type("Fruit:", at: 9)
        let bread = all[2].type("bread", at: 9)
        let bakery = all[2].type("Bakery:", at: 9)
        #expect(
            textInEveryOrder([first, apples, fruit, bread, bakery]) == [scalars("Shopping*Fruit:applesBakery:bread")])
    }

    @Test func whatHangsOnALaterSiblingStaysInFrontOfIt() {
        var (all, first) = writers(["a", "b", "c", "d"], of: "<>")
        let later = all[3].type("b", at: 1)
        all[1].merge(later)
        let before = all[1].type("a", at: 1)
        let concurrent = all[2].type("x", at: 1)
        #expect(textInEveryOrder([first, later, before, concurrent]) == [scalars("<xab>")])
    }

    @Test func oneWhoTypesBackwardsAndThenBetweenSeesWhatTheyTyped() {
        var writer = TextWriter("a")
        var deltas = ["Z", "Y", "X"].map { writer.type($0, at: 0) }
        #expect(writer.text == "XYZ")
        deltas.append(writer.type("A", at: 2))
        deltas.append(writer.type("B", at: 2))
        #expect(writer.text == "XYBAZ")
        #expect(textInEveryOrder(deltas) == [scalars("XYBAZ")])
    }

    @Test func whatStandsAroundADeletedCharacterKeepsItsSide() {
        var (all, first) = writers(["a", "b", "c"], of: "1-2")
        let deletion = all[0].delete(at: 1)
        let before = all[1].type("BB", at: 1)
        let after = all[2].type("CC", at: 2)
        all[1].merge(deletion)
        #expect(all[1].text == "1BB2")
        let more = all[1].type("bb", at: 3)
        #expect(textInEveryOrder([first, deletion, before, after, more]) == [scalars("1BBbbCC2")])
    }

    @Test func aDeletionBeforeADeletedCharacterTakesTheRightOne() {
        var (all, first) = writers(["a", "b"], of: "abcdef")
        let late = all[0].delete(at: 3)
        all[1].merge(late)
        let early = all[1].delete(at: 1)
        let across = all[1].delete(at: 1, count: 2)
        #expect(all[1].text == "af")
        #expect(textInEveryOrder([first, late, early, across]) == [scalars("af")])
    }

    @Test func overlappingConcurrentDeletionsDeleteWhatEitherDid() {
        var (all, first) = writers(["a", "b", "c"], of: "0123456789")
        let left = all[0].delete(at: 1, count: 4)
        let right = all[1].delete(at: 3, count: 4)
        let within = all[2].delete(at: 4)
        let typed = all[2].type("!", at: 4)
        #expect(textInEveryOrder([first, left, right, within, typed]) == [scalars("0!789")])
    }

    /// The paper's right origin counts deleted characters: what is typed after them would else change places with them.
    @Test func whatIsTypedBetweenDeletedCharactersKeepsItsPlaceAmongWhatComesBack() {
        var (all, first) = writers(["a", "b", "c"], of: "axb")
        let concurrent = all[1].type("1", at: 2)
        let gone = all[0].delete(at: 1)
        let typed = all[0].type("2", at: 1)
        #expect(all[0].text == "a2b")
        #expect(textInEveryOrder([first, concurrent, gone, typed]) == [scalars("a21b")])
    }

    @Test func aRunThatGoesOnStandsAmongTheChildrenOfItsLastCharacterByItsName() {
        for letter in ["a", "z"] as [Unicode.Scalar] {
            var owner = TextWriter("m")
            let first = owner.type("one", at: 0)
            var other = TextWriter(letter)
            other.merge(first)
            let theirs = other.type("!", at: 3)
            let rest = owner.type(" two", at: 3)
            #expect(textInEveryOrder([first, theirs, rest]) == [scalars(letter == "a" ? "one! two" : "one two!")])
        }
    }

    @Test func whatHangsOnTheLastCharacterOfARunStaysWithItWhenTheRunIsCut() {
        for (letter, text) in [("f", "aYbcX"), ("p", "abcXY")] as [(Unicode.Scalar, String)] {
            var owner = TextWriter("m")
            let first = owner.type("a", at: 0)
            var early = TextWriter(letter)
            early.merge(first)
            let rest = owner.type("bc", at: 1)
            var late = TextWriter("z")
            late.merge(first, rest)
            let end = late.type("X", at: 3)
            let beside = early.type("Y", at: 1)
            #expect(textInEveryOrder([first, rest, end, beside]) == [scalars(text)])
        }
    }

    @Test func whatHangsWithinDroppedTextKeepsItsPlace() throws {
        let deltas = try [
            #"["AAAAAAA",-1,0,[3]]"#, #"["AAAAAAAAAAAAAB",[1,0],0,4,"!"]"#, #"["AAAAAAA",[0,3],0,4,[4]]"#,
            #"["AAAAAAAAAAAAAC",[1,0],0,10,"?"]"#,
        ].map { try TextDelta(json: $0) }
        #expect(textInEveryOrder(deltas) == [scalars("?!")])
    }

    /// Two who edit everywhere in a text of many pieces and see each other now and then.
    @Test func positionsStayRightInATextOfManyPieces() {
        var random = SplitMix64(seed: 0xF1)
        var all = [TextWriter("a"), TextWriter("b")]
        var unseen: [[TextDelta]] = [[], []]
        for step in 0..<4_000 {
            let index = random.below(2)
            var expected = all[index].sequence.content
            let start = random.below(expected.count + 1)
            if random.oneIn(3), start < expected.count {
                let count = min(1 + random.below(3), expected.count - start)
                expected.removeSubrange(start..<start + count)
                unseen[1 - index].append(all[index].delete(at: start, count: count))
            } else {
                let letter = Unicode.Scalar(UInt8(97 + step % 26))
                expected.insert(letter, at: start)
                unseen[1 - index].append(all[index].type(String(letter), at: start))
            }
            if all[index].sequence.content != expected {
                Issue.record("step \(step)")
                return
            }
            let reader = random.below(2)
            if random.oneIn(2) {
                for delta in unseen[reader] { all[reader].merge(delta) }
                unseen[reader] = []
            }
        }
        for reader in 0...1 { for delta in unseen[reader] { all[reader].merge(delta) } }
        #expect(all[0].sequence.content == all[1].sequence.content)
        #expect(all[0].sequence.misshape(&random) == nil && all[1].sequence.misshape(&random) == nil)
    }

    @Test func positionsAreUnicodeScalarsAlsoWithinACluster() {
        for text in ["👩‍👩‍👧‍👦", "🏳️‍🌈", "e\u{301}\u{323}", "\r\n", "油皮敏感", "क्षि", "🇨🇳🇩🇪"] {
            let count = text.unicodeScalars.count
            for position in 0...count {
                var (all, first) = writers(["a", "b"], of: text)
                let typed = all[0].type("\u{301}", at: position)
                let gone = position < count ? all[1].delete(at: position) : all[1].delete(at: 0)
                var expected = scalars(text)
                expected.insert("\u{301}", at: position)
                expected.remove(at: position < count ? position + 1 : 0)
                #expect(textInEveryOrder([first, typed, gone]) == [expected])
                #expect(typed.reread == typed && gone.reread == gone)
            }
        }
    }

    @Test func aTextOfSeveralChangesIsReadInPiecesWithTheirPlaces() {
        var (all, first) = writers(["a", "b"], of: "油皮")
        all[1].merge(first)
        _ = all[1].type("ab", at: 1)
        _ = all[1].delete(at: 1)
        var pieces: [String] = []
        all[1].sequence.forEachPiece { place, text in
            pieces.append("\(place.name.rawValue).\(place.offset) \(String(String.UnicodeScalarView(text)))")
        }
        #expect(pieces == ["97.0 油", "98.1 b", "97.1 皮"])
        #expect(all[1].sequence.contains(TextPlace(TextName(rawValue: 98), 0)))
        #expect(!all[1].sequence.contains(TextPlace(TextName(rawValue: 98), 2)))
        #expect(!all[1].sequence.contains(TextPlace(TextName(rawValue: 99), 0)))
    }
}
