import Testing

@testable import ShoalCRDT

/// What two operators who did not see each other leave behind; each case is folded in every order.
@Suite struct ConflictTests {
    /// A record that everybody has seen, with a name written by replica 0.
    private func customer(replicas: Int) -> History {
        var history = History(replicas: replicas)
        history.perform(.all([.create, .write(.name, "Lin")]), by: 0, at: 10)
        history.showAll()
        return history
    }

    @Test func concurrentEditsToDifferentFieldsBothSurvive() {
        var history = customer(replicas: 2)
        history.perform(.write(.name, "Lin Mei"), by: 0, at: 20)
        history.perform(.writeInteger(.year, 1990), by: 1, at: 15)
        let record = history.folded()
        #expect(record.shown(.name) == .text("Lin Mei"))
        #expect(record.shown(.year) == .integer(1990))
        #expect(record.kept(.name).isEmpty && record.kept(.year).isEmpty)
    }

    @Test func aWriteReplacesWhatItsAuthorSawHoweverLateItsClock() {
        var history = customer(replicas: 2)
        history.perform(.write(.name, "earlier by the clock"), by: 1, at: -1_000_000)
        let record = history.folded()
        #expect(record.shown(.name) == .text("earlier by the clock"))
        #expect(record.kept(.name).isEmpty)
    }

    @Test func threeWritersOfOneFieldLeaveOneShownAndTwoKept() {
        var history = customer(replicas: 3)
        history.perform(.write(.name, "a"), by: 0, at: 30)
        history.perform(.write(.name, "b"), by: 1, at: 40)
        history.perform(.write(.name, "c"), by: 2, at: 20)
        let record = history.folded()
        #expect(record.shown(.name) == .text("b"))
        // The newest dot first, whatever the time.
        #expect(record.kept(.name) == [.text("c"), .text("a")])
    }

    /// Who does not know how values merge has not seen them: they stay beside whatever else is written.
    @Test func whatALaterVersionWroteIsNeitherShownNorAConflictNorSuperseded() {
        var batch = Operations()
        let id = RecordID(rawValue: 40)
        func dot(_ number: UInt32) -> Dot { Dot(ReplicaID(rawValue: 7), number) }
        batch.begin(record: id, time: 1, creates: Envelope(kind: Kind(rawValue: 1), scope: .workspace))
        batch.edit(CellKey(.name), text: "known")
        for value in ["[1]", "[2]"] {
            batch.begin(record: id, time: 9)
            batch.edit(CellKey(.name), .foreign7, slice: batch.store(value.utf8))
        }
        var record = Record(id: id)
        for index in 0..<3 { record.apply(index, of: batch, dot: dot(UInt32(index + 1)), time: Int64(1 + 8 * index)) }
        let cell = record.range(of: CellKey(.name))
        #expect(cell.count == 3)
        #expect(record.shown(in: cell)?.dot == dot(1))
        #expect(record.conflicting(in: cell).isEmpty)
        #expect(record.liveDots(in: cell) == [dot(1)])
        // Whoever deletes the record has seen it all the same.
        #expect(record.uncoveredDots() == [dot(1), dot(2), dot(3)])
        // Who knows them supersedes them like anything else.
        batch.begin(record: id, time: 20)
        batch.edit(CellKey(.name), .foreign7, slice: batch.store("[3]".utf8), supersedes: [dot(2), dot(3)])
        record.apply(3, of: batch, dot: dot(4), time: 20)
        #expect(record.entries[record.range(of: CellKey(.name))].map(\.dot) == [dot(1), dot(4)])
    }

    @Test func ofEqualTimesTheGreaterDotIsShown() {
        var history = customer(replicas: 2)
        history.perform(.write(.name, "a"), by: 0, at: 30)
        history.perform(.write(.name, "b"), by: 1, at: 30)
        #expect(history.folded().shown(.name) == .text("b"))
    }

    @Test func clocksIn1975And2099DecideOnlyWhichValueIsShown() {
        var history = customer(replicas: 3)
        history.perform(.write(.name, "1975"), by: 0, at: 157_766_400_000)
        history.perform(.write(.name, "2099"), by: 1, at: 4_102_444_799_999)
        history.perform(.write(.name, "2026"), by: 2, at: 1_770_000_000_000)
        let concurrent = history.folded()
        #expect(concurrent.shown(.name) == .text("2099"))
        #expect(concurrent.kept(.name) == [.text("2026"), .text("1975")])
        // Who saw all three replaces them, though their clock is the slowest.
        history.showAll()
        history.perform(.write(.name, "settled in 1975"), by: 0, at: 157_766_400_000)
        let settled = history.folded()
        #expect(settled.shown(.name) == .text("settled in 1975"))
        #expect(settled.kept(.name).isEmpty)
    }

    @Test func aTimeThatTheServerLoweredDecidesInPlaceOfTheWritersOwn() {
        var history = customer(replicas: 2)
        history.perform(.write(.name, "a"), by: 0, at: 4_102_444_800_000)
        history.perform(.write(.name, "b"), by: 1, at: 1_770_000_000_000)
        let batch = Operations(history.acts)
        var record = Record(id: .sample)
        for (index, act) in history.acts.enumerated() {
            record.apply(index, of: batch, dot: act.dot, time: min(act.time, 1_760_000_000_000))
        }
        #expect(record.shown(.name) == .text("b"))
        #expect(record.entries.allSatisfy { $0.time <= 1_760_000_000_000 })
    }

    @Test func equalConcurrentValuesAreNoConflict() {
        var history = customer(replicas: 2)
        history.perform(.write(.name, "same"), by: 0, at: 30)
        history.perform(.write(.name, "same"), by: 1, at: 40)
        let record = history.folded()
        #expect(record.shown(.name) == .text("same"))
        #expect(record.kept(.name).isEmpty)
        #expect(record.liveDots(in: record.range(Cell(.name))).count == 2)
    }

    @Test func aValueWrittenTwiceIsKeptOnceUnderItsNewestDot() {
        var history = customer(replicas: 4)
        history.perform(.write(.name, "shown"), by: 1, at: 90)
        history.perform(.write(.name, "twice"), by: 0, at: 50)
        history.perform(.write(.name, "once"), by: 2, at: 60)
        let newest = history.perform(.write(.name, "twice"), by: 3, at: 40)
        let record = history.folded()
        let kept = record.conflicting(in: record.range(Cell(.name)))
        #expect(kept.compactMap { record.value($0) } == [.text("twice"), .text("once")])
        #expect(kept.first?.dot == newest)
    }

    @Test func textsThatOnlyLookAlikeAreAConflict() {
        var history = customer(replicas: 2)
        history.perform(.write(.name, "\u{E9}"), by: 0, at: 30)
        history.perform(.write(.name, "e\u{301}"), by: 1, at: 40)
        #expect(history.folded().kept(.name) == [.text("\u{E9}")])
    }

    @Test func valuesOfTwoKindsAreAConflictEvenWhenTheyReadAlike() {
        var history = customer(replicas: 2)
        history.perform(.writeUnknown(.name, "1"), by: 0, at: 30)
        history.perform(.write(.name, "1"), by: 1, at: 40)
        #expect(history.folded().kept(.name) == [.json("1")])
    }

    @Test func clearingIsAValueLikeAnyOther() {
        var history = customer(replicas: 2)
        history.perform(.write(.name, ""), by: 0, at: 50)
        history.perform(.write(.name, "Lin Mei"), by: 1, at: 40)
        let record = history.folded()
        #expect(record.shown(.name) == .text(""))
        #expect(record.kept(.name) == [.text("Lin Mei")])
    }

    @Test func settlingReplacesAllThatWasSeenAndNothingWrittenMeanwhile() {
        var history = customer(replicas: 3)
        history.perform(.write(.name, "a"), by: 0, at: 30)
        history.perform(.write(.name, "b"), by: 1, at: 40)
        history.show(0, to: 2)
        history.show(1, to: 2)
        history.perform(.write(.name, "a"), by: 2, at: 50)
        // Replica 1 has seen neither the other value nor the settlement.
        history.perform(.write(.name, "b, again"), by: 1, at: 60)
        let record = history.folded()
        #expect(record.shown(.name) == .text("b, again"))
        #expect(record.kept(.name) == [.text("a")])
        history.showAll()
        history.perform(.write(.name, "b, again"), by: 0, at: 5)
        let settled = history.folded()
        #expect(settled.shown(.name) == .text("b, again"))
        #expect(settled.kept(.name).isEmpty)
    }

    @Test func twoWhoSettleAtOnceConflictOnlyIfTheySettleOtherwise() {
        var history = customer(replicas: 2)
        history.perform(.write(.name, "a"), by: 0, at: 30)
        history.perform(.write(.name, "b"), by: 1, at: 40)
        history.showAll()
        var alike = history
        alike.perform(.write(.name, "a"), by: 0, at: 50)
        alike.perform(.write(.name, "a"), by: 1, at: 50)
        #expect(alike.folded().kept(.name).isEmpty)
        history.perform(.write(.name, "a"), by: 0, at: 50)
        history.perform(.write(.name, "b"), by: 1, at: 60)
        #expect(history.folded().kept(.name) == [.text("a")])
    }

    @Test(arguments: [20, 90] as [Int64])
    func aRemovalThatSawOneOfTwoConcurrentAdditionsLeavesTheOtherHoweverOld(unseen: Int64) {
        for element in [7, "phone"] as [Element] {
            var history = customer(replicas: 3)
            history.perform(.add(.tags, element), by: 0, at: 50)
            history.perform(.add(.tags, element), by: 1, at: unseen)
            history.show(0, to: 2)
            history.perform(.remove(.tags, element), by: 2, at: 60)
            #expect(history.folded().elements(.tags) == [element])
            history.showAll()
            history.perform(.remove(.tags, element), by: 2, at: 70)
            #expect(history.folded().elements(.tags).isEmpty)
        }
    }

    @Test func elementsThatOnlyLookAlikeAreTwo() {
        var history = customer(replicas: 2)
        history.perform(.add(.phones, "\u{E9}"), by: 0, at: 30)
        history.perform(.add(.phones, "e\u{301}"), by: 1, at: 30)
        history.perform(.add(.phones, ""), by: 1, at: 30)
        history.perform(.add(.phones, .none), by: 1, at: 30)
        #expect(history.folded().elements(.phones) == ["\u{E9}", "e\u{301}", "", .none])
    }

    @Test func aFlagRaisedAndLoweredAtOnceStaysRaised() {
        var history = customer(replicas: 2)
        history.perform(.raise(.starred), by: 0, at: 20)
        history.showAll()
        history.perform(.raise(.starred), by: 0, at: 30)
        history.perform(.lower(.starred), by: 1, at: 90)
        #expect(history.folded().shown(.starred) == .present)
    }

    @Test func choosingReplacesTheChoicesSeenAndTwoAtOnceAreBothThere() {
        var history = customer(replicas: 2)
        history.perform(.choose(.stage, 1), by: 0, at: 20)
        history.showAll()
        history.perform(.choose(.stage, 2), by: 0, at: 30)
        history.perform(.choose(.stage, 3), by: 1, at: 40)
        #expect(history.folded().elements(.stage) == [2, 3])
        history.showAll()
        history.perform(.choose(.stage, 2), by: 1, at: 50)
        #expect(history.folded().elements(.stage) == [2])
        #expect(history.acts.last?.changes.count == 2)
    }

    @Test func additionsOfAllReplicasCount() {
        var history = customer(replicas: 3)
        history.perform(.count(.visits, 5), by: 0, at: 20)
        history.perform(.count(.visits, 5), by: 1, at: 20)
        history.perform(.count(.visits, -3), by: 1, at: 10)
        history.perform(.count(.visits, 1), by: 2, at: 20)
        let record = history.folded()
        #expect(record.sum(.visits) == 8)
        #expect(record.kept(.visits).isEmpty)
    }

    @Test func aWriteInACountersCellLeavesTheCount() {
        var history = customer(replicas: 2)
        let first = history.perform(.count(.visits, 5), by: 0, at: 20)
        history.show(0, to: 1)
        let write = history.perform(.write(.visits, "five"), by: 1, at: 30)
        history.alter(write) { $0.changes[0].supersedes = [first] }
        history.perform(.count(.visits, 2), by: 0, at: 40)
        #expect(history.folded().sum(.visits) == 7)
    }

    @Test func unknownOperationsLieBesideEachOtherUnderTheirDots() {
        var history = customer(replicas: 2)
        history.perform(.unknown(9, "{\"n\":1}"), by: 0, at: 20)
        history.perform(.unknown(9, "{\"n\":2}"), by: 1, at: 30)
        history.showAll()
        history.perform(.unknown(9, "{\"n\":1}"), by: 0, at: 40)
        history.perform(.unknown(12, "[]"), by: 0, at: 40)
        let record = history.folded()
        let kept = record.entries[record.range(of: .unknownOperation)].compactMap { record.value($0) }
        #expect(kept == [.json("{\"n\":1}"), .json("{\"n\":1}"), .json("{\"n\":2}"), .json("[]")])
    }
}
