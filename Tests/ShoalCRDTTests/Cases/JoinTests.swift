import Testing

@testable import ShoalCRDT

/// Joining what another replica held, case by case.
@Suite struct JoinTests {
    private let here = ReplicaID(rawValue: 1)
    private let there = ReplicaID(rawValue: 2)

    private func row(_ entries: [Entry], envelope: Envelope? = Envelope(kind: Kind(rawValue: 1), scope: .workspace))
        -> Record
    {
        var row = Record(id: .sample)
        if let envelope { row.setEnvelope(envelope) }
        for entry in entries { row.appendInOrder(entry, from: []) }
        return row
    }

    private func entry(
        _ field: Field, _ kind: ValueKind = .integer, _ dot: Dot, covered: Bool = false, time: Int64 = 5,
        sequence: Int64 = 0, integer: Int64 = 0
    ) -> Entry {
        Entry(
            key: CellKey(field), kind: kind, isCovered: covered, dot: dot, time: time, sequence: sequence,
            integer: integer)
    }

    @Test func theSmallerTimeOfTwoIsTheTruth() {
        var record = row([entry(.year, .integer, Dot(there, 1), time: 7)])
        let earlier = row([entry(.year, .integer, Dot(there, 1), time: 3)])
        let later = row([entry(.year, .integer, Dot(there, 1), time: 9)])
        #expect(record.join(earlier, vector: VersionVector([there: 1]), sequence: 2) { _ in true })
        #expect(record.entries.map(\.time) == [3])
        #expect(record.sequence == 2)
        #expect(!record.join(later, vector: VersionVector([there: 1]), sequence: 3) { _ in true })
        #expect(record.entries.map(\.time) == [3])
    }

    /// Servers lower times each by its own clock. A derived identifier may be drawn by two.
    @Test func whoMadeTheRecordIsTheSameWhateverItsTime() {
        func common(_ id: RecordID, _ field: Field, _ kind: ValueKind) -> UInt32 {
            let rows = ([3, 7] as [Int64]).map { time in
                var row = Record(id: id)
                row.appendInOrder(entry(field, kind, Dot(there, 4), time: time), from: [])
                return row
            }
            return rows[0].common(with: rows[1], where: { _ in true })[there]
        }
        #expect(common(.sample, .created, .present) == 4)
        #expect(common(.sample, .year, .integer) == 0)
        #expect(common(RecordID(rawValue: 1 << 62 | 5), .created, .present) == 0)
    }

    @Test func whatEmptiesACellSaysSo() {
        var record = row([entry(.year, .integer, Dot(there, 1), sequence: 1)])
        #expect(record.join(row([]), vector: VersionVector([there: 1]), sequence: 2) { _ in true })
        #expect(record.markers == [.emptied])
        #expect(record.sequence == 2)
        #expect(!record.join(row([]), vector: VersionVector([there: 1]), sequence: 3) { _ in true })
    }

    /// Whatever a row claims: who made a record, and how far a counter was, is never taken back.
    @Test func whatNeverDiesIsNotRemovedByARowThatLacksIt() {
        var record = row([
            entry(.created, .present, Dot(there, 1)), entry(.visits, .count, Dot(there, 2), integer: 3),
        ])
        #expect(!record.join(row([]), vector: VersionVector([there: 9]), sequence: 2) { _ in true })
        #expect(record.sum(.visits) == 3 && record.isPresent)
    }

    /// A deletion that was sent again has covered an addition that only the relay brings.
    @Test func aCountersPartThatWasCoveredInAdvanceComesInCovered() {
        var record = row([
            entry(.created, .coveredAhead, Dot(there, 2)), entry(.visits, .count, Dot(there, 1), integer: 3),
        ])
        let relayed = row([entry(.visits, .count, Dot(there, 2), integer: 5)])
        #expect(record.join(relayed, vector: VersionVector([there: 2]), sequence: 2) { $0 == Dot(there, 1) })
        #expect(record.sum(.visits) == 5)
        #expect(!record.isPresent)
        #expect(!record.isOpen)
    }

    @Test func aCountersPartOfAnotherReplicaComesBesideIt() {
        var record = row([entry(.visits, .count, Dot(here, 4), integer: 3)])
        let relayed = row([
            entry(.visits, .count, Dot(here, 2), integer: 2), entry(.visits, .count, Dot(there, 1), integer: 4),
        ])
        #expect(
            record.join(relayed, vector: VersionVector([here: 3, there: 1]), sequence: 2) { $0.replica == here })
        #expect(record.sum(.visits) == 7)
    }

    /// A row without a vector adds; its operation may be superseded before its log brings it.
    @Test func whatCameWithoutAVectorAndWasSupersededStaysDead() {
        var record = row([entry(.created, .present, Dot(here, 1))])
        let relayed = row([entry(.year, .integer, Dot(there, 1))])
        #expect(record.join(relayed, vector: VersionVector(), sequence: 2) { $0.replica == here })
        var batch = Operations()
        batch.begin(record: .sample, time: 6)
        batch.edit(CellKey(.year), .integer, integer: 1990, supersedes: [Dot(there, 1)])
        batch.begin(record: .sample, time: 5)
        batch.edit(CellKey(.year), .integer, integer: 1980)
        record.apply(0, of: batch, dot: Dot(here, 2), time: 6, sequence: 3, isKnown: { $0.replica == here })
        #expect(record.isOpen)
        record.apply(1, of: batch, dot: Dot(there, 1), time: 5, sequence: 4, isKnown: { $0.replica == here })
        #expect(record.shown(.year) == .integer(1990))
        #expect(record.kept(.year).isEmpty)
        #expect(!record.isOpen)
    }

    /// Of an operation that left something here, what is not here was replaced: an older row does not bring it back.
    @Test func whatWasReplacedOfAnOperationThatIsKnownStaysAway() {
        let first = Dot(there, 1)
        var record = row([entry(.visits, .integer, first), entry(.year, .integer, Dot(here, 1))])
        let older = row([entry(.visits, .integer, first), entry(.year, .integer, first)])
        #expect(!record.join(older, vector: VersionVector(), sequence: 2) { $0.replica == here })
        #expect(record.kept(.year).isEmpty)
    }

    /// What died because the other row knows its operation, beyond its vector, stays dead when its log comes.
    @Test func whatDiedBeyondAVectorIsMarked() {
        let first = Dot(there, 1)
        var record = row([entry(.created, .present, first), entry(.year, .integer, first)])
        let newer = row([entry(.created, .present, first), entry(.year, .integer, Dot(here, 1))])
        #expect(record.join(newer, vector: VersionVector(), sequence: 2) { _ in false })
        #expect(record.liveDots(in: record.range(Cell(.year))) == [Dot(here, 1)])
        #expect(record.markers == [.deadAhead])
    }

    /// Equal rows say the same only of a record in which nothing waits: here the relayed one knows that 1 is dead.
    @Test func aRowThatEqualsAnOpenRecordSaysMore() {
        let three = Dot(here, 1)
        let open = row(
            [
                entry(.year, .deadAhead, Dot(there, 2), time: 0), entry(.year, .integer, three, integer: 3),
            ].sorted { $0.dot < $1.dot })
        let held = row([entry(.year, .integer, three, integer: 3)])
        let stale = row([entry(.year, .integer, Dot(there, 1), integer: 1)])
        #expect(open.hasSameEntries(as: held) && open.isOpen)
        var without = open
        without.join(stale, vector: VersionVector([there: 1]), sequence: 2) { $0 == three }
        #expect(without.liveDots(in: without.range(Cell(.year))).count == 2)
        var with = open
        let vector = VersionVector([there: 2, here: 1])
        with.join(held, vector: vector, sequence: 2) { $0 == three }
        #expect(!with.isOpen)
        with.join(stale, vector: VersionVector([there: 1]), sequence: 3) { vector.contains($0) }
        #expect(with.liveDots(in: with.range(Cell(.year))) == [three])
    }

    @Test func marksThatAreForgottenLeaveAnEmptyCell() {
        var record = row([
            entry(.created, .present, Dot(here, 1), sequence: 1),
            entry(.created, .coveredAhead, Dot(there, 2), time: 0, sequence: 4),
            entry(.year, .deadAhead, Dot(there, 1), time: 0, sequence: 3),
        ])
        #expect(record.forgetMarks() == 2)
        #expect(record.entries.map(\.kind) == [.present, .emptied])
        #expect(record.entries.map(\.sequence) == [1, 3])
        #expect(record.forgetMarks() == 0)
    }
}
