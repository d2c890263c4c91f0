import Testing

@testable import ShoalCRDT

/// Texts as cells of records.
@Suite struct TextRecordTests {
    @Test func aRecordsTextAndBytesAreTheSameForEveryOrderOfItsLogs() {
        law(generate: TextScript.random, smaller: \.smaller) { script, random in
            var (play, fault) = TextPlay.of(script, &random)
            if let fault { return fault }
            var history = TextHistory()
            history.add(by: 9) { _ in }
            for delta in play.changes {
                let author = delta.runs.first.map { delta.names[$0.name] }
                let index = play.authors.firstIndex { $0.name == author } ?? random.below(play.authors.count)
                history.change(by: index, delta)
            }
            let (first, second) = (history.record(), history.record(history.interleaving(&random)))
            if first.canonicalBytes != second.canonicalBytes { return "the order of arrival is seen in the bytes" }
            play.deliverAll(&random)
            let text = play.authors[0].sequence
            if first.openedText.content != text.content {
                return "the record says \(first.openedText.text.debugDescription)"
            }
            if first.history != second.history { return "\(first.history)\n  and \(second.history)" }
            let parts = first.textHistory(in: first.textCell)
            if parts.map(\.text).joined().unicodeScalars.map({ $0 }) != text.content {
                return "the history says \(parts)"
            }
            return joinFault(first, history, &random)
        }
    }

    /// Whatever hangs on what: who shares a name with another breaks the protocol, and all replicas still agree.
    @Test func aRecordWhoseAuthorsShareANameIsTheSameForEveryOrder() {
        law(generate: TextScript.random, smaller: \.smaller) { script, random in
            let (play, fault) = TextPlay.of(script, &random)
            if let fault { return fault }
            var history = TextHistory()
            history.add(by: 9) { _ in }
            for var delta in play.changes {
                for index in delta.names.indices where delta.names[index] == play.authors[1].name {
                    delta.setName(play.authors[0].name, at: index)
                }
                // What says a name twice is no change.
                if delta.reread != nil { history.change(by: random.below(play.authors.count), delta) }
            }
            let (first, second) = (history.record(), history.record(history.interleaving(&random)))
            if first.canonicalBytes != second.canonicalBytes { return "the order of arrival is seen in the bytes" }
            let text = first.openedText
            if text.content != second.openedText.content { return "the order of arrival is seen in the text" }
            if first.history != second.history { return "\(first.history)\n  and \(second.history)" }
            return text.waitingRuns > 0 ? "something waits" : text.misshape(&random)
        }
    }

    /// Two rows, each the fold of a part, joined are the fold of all.
    private func joinFault(_ whole: Record, _ history: TextHistory, _ random: inout SplitMix64) -> String? {
        var rows = [Record(id: TextHistory.id), Record(id: TextHistory.id)]
        var vectors = [VersionVector(), VersionVector()]
        for side in rows.indices {
            var isOver: Set<ReplicaID> = []
            for index in history.dots.indices where !isOver.contains(history.dots[index].replica) {
                if index > 0, random.oneIn(4) {
                    isOver.insert(history.dots[index].replica)
                    continue
                }
                history.apply(index, to: &rows[side])
                vectors[side].advance(history.dots[index].replica, to: history.dots[index].number)
            }
        }
        var (left, right) = (rows[0], rows[1])
        left.join(rows[1], vector: vectors[1], sequence: 99) { vectors[0].contains($0) }
        right.join(rows[0], vector: vectors[0], sequence: 99) { vectors[1].contains($0) }
        if left.canonicalBytes != right.canonicalBytes { return "joined either way the rows differ" }
        for index in history.dots.indices
        where !vectors[0].contains(history.dots[index]) && !vectors[1].contains(history.dots[index]) {
            history.apply(index, to: &left)
        }
        return left.canonicalBytes == whole.canonicalBytes ? nil : "the joined rows are not the whole"
    }

    @Test func deletedTextLeavesTheRowAndItsLengthStays() throws {
        var writer = TextWriter("a")
        var other = TextWriter("b")
        var history = TextHistory()
        history.add(by: 0) { _ in }
        let typed = writer.type("keep secret keep", at: 0)
        history.change(by: 0, typed)
        let gone = writer.delete(at: 5, count: 7)
        other.merge(typed)
        let beside = other.type("!", at: 8)
        history.change(by: 0, gone)
        history.change(by: 1, beside)
        for record in history.records() {
            #expect(record.openedText.text == "keep !keep")
            let row = String(decoding: record.canonicalBytes, as: UTF8.self)
            #expect(!row.contains("sec") && !row.contains("ret") && row.contains("keep "))
            let packed = try record.bytes.withUnsafeBytes { try Record(id: record.id, sequence: 0, packed: $0) }
            #expect(packed.openedText.text == "keep !keep")
            // Whoever sends the operation again is recognised.
            #expect(record.holds(1, of: history.batch, at: history.dots[1]))
            #expect(!record.holds(2, of: history.batch, at: history.dots[1]))
        }
        // The deletion alone changes what another operation wrote: whoever is behind is told.
        let record = history.record()
        #expect(record.entries[record.textCell.lowerBound].sequence == 3)
    }

    @Test func theFirstChangesOfARegisterRepeatItsValueAndItIsThereOnce() throws {
        for value in ["Kunde: 油皮", "a", String(repeating: "长", count: 3000)] {
            var history = TextHistory()
            let register = history.write(by: 0, value)
            let before = history.record()
            #expect(!before.isText(before.textCell))
            #expect(before.openedText.text == value)
            for author in 1...2 {
                let base = try #require(before.textBase(in: before.textCell))
                #expect(base.dots == [register])
                var writer = TextWriter(author == 1 ? "a" : "b")
                var delta = base.delta
                writer.sequence = before.openedText
                delta.add(writer.type(author == 1 ? "[" : "]", at: author == 1 ? 0 : value.unicodeScalars.count))
                history.change(by: author, delta, supersedes: [register])
            }
            for record in history.records() {
                #expect(record.isText(record.textCell))
                #expect(record.openedText.text == "[" + value + "]")
                #expect(record.conflictingTexts == [])
                #expect(record.liveDots(in: record.textCell) == [])
                #expect(record.history == ["2@101 [", "1@100 \(value)", "3@102 ]"])
            }
        }
    }

    @Test func equalValuesAreOneBaseAndOtherValuesAnother() throws {
        func base(_ value: String, by author: Int) throws -> (delta: TextDelta, dots: [Dot]) {
            var history = TextHistory()
            for _ in 0...author { history.write(by: author, value) }
            let record = history.record()
            return try #require(record.textBase(in: record.textCell))
        }
        #expect(try base("a", by: 0).delta.names == base("a", by: 1).delta.names)
        #expect(try base("a", by: 0).delta.names != base("b", by: 0).delta.names)
        #expect(try base("a", by: 1).dots.count == 2)
        #expect(try base("油皮", by: 0).delta.names[0].rawValue == 0x205_E19B_84E3)
        let empty = TextHistory().record()
        #expect(empty.textBase(in: empty.textCell) == nil)
    }

    @Test func aValueThatAnOlderProgramWritesBesideATextIsAConflict() throws {
        var history = TextHistory()
        let register = history.write(by: 0, "first")
        let before = history.record()
        let base = try #require(before.textBase(in: before.textCell))
        history.change(by: 1, base.delta, supersedes: [register])
        let other = history.write(by: 2, "written over it", supersedes: [register])
        history.write(by: 3, "first", supersedes: [register])
        for record in history.records() {
            #expect(record.openedText.text == "first")
            #expect(record.shown(in: record.textCell)?.kind == .textChange)
            // What says the same as the text is no conflict.
            #expect(record.conflictingTexts == ["written over it"])
            #expect(record.liveDots(in: record.textCell).contains(other))
        }
        history.change(by: 1, TextWriter("x").started("!"), supersedes: [other])
        #expect(history.record().conflictingTexts == ["first"])
    }

    @Test func aChangeIsNeverSuperseded() {
        var history = TextHistory()
        let change = history.change(by: 0, TextWriter("a").started("stays"))
        history.write(by: 1, "beside", supersedes: [change])
        for known in [true, false] {
            for order in [[0, 1], [1, 0]] {
                var record = Record(id: TextHistory.id)
                for (step, index) in order.enumerated() {
                    record.apply(
                        index, of: history.batch, dot: history.dots[index], time: 5, sequence: 1,
                        isKnown: { dot in known || order[..<step].contains { history.dots[$0] == dot } })
                }
                #expect(record.openedText.text == "stays")
                #expect(!record.isOpen)
                // Nor by a row that claims to know it and has it not.
                record.join(
                    Record(id: TextHistory.id), vector: VersionVector([change.replica: 9]), sequence: 2
                ) { _ in true }
                #expect(record.openedText.text == "stays")
            }
        }
    }

    @Test func oneNameForTwoTextsLosesNeither() {
        var history = TextHistory()
        history.change(by: 0, TextWriter("a").started("mine"))
        history.change(by: 1, TextWriter("a").started("his own"))
        history.change(by: 2, TextWriter("a").started("mine"))
        for record in history.records() {
            let text = record.openedText.text
            #expect(text.contains("mine") && text.contains("his own") && text.count == 11)
            #expect(Set(record.history) == ["1@100 mine", "2@101 his own"])
        }
    }

    @Test func theHistoryTellsWhoWroteWhat() {
        var (first, second) = (TextWriter("a"), TextWriter("b"))
        var history = TextHistory()
        let typed = first.type("敏感肌 second visit", at: 0)
        history.change(by: 0, typed)
        second.merge(typed)
        history.change(by: 1, second.type("👩‍👩‍👧‍👦", at: 3))
        history.change(by: 1, second.delete(at: 0))
        history.change(by: 0, first.type("!", at: 16))
        for record in history.records() {
            #expect(record.history == ["1@100 感肌", "2@101 👩‍👩‍👧‍👦", "1@100  second visit", "1@103 !"])
        }
        var plain = TextHistory()
        plain.write(by: 4, "a register")
        #expect(plain.record().history == ["5@100 a register"])
        let empty = Record(id: TextHistory.id)
        #expect(empty.history == [])
    }

    @Test func whatHangsOnALostChangeIsShownAndNotLost() {
        var (first, second) = (TextWriter("a"), TextWriter("b"))
        second.merge(first.type("lost", at: 0))
        var history = TextHistory()
        history.change(by: 1, second.type(" found", at: 4))
        let gone = second.delete(at: 0)
        history.change(by: 1, gone)
        #expect(history.record().openedText.text == " found")
        #expect(history.record().history == ["2@100  found"])
    }
}

extension TextWriter {
    /// What this writer types who has seen nothing.
    fileprivate func started(_ text: String) -> TextDelta {
        var copy = self
        return copy.type(text, at: 0)
    }
}
