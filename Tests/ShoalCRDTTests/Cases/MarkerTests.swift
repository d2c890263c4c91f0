import Testing

@testable import ShoalCRDT

/// What a record notes about operations that have not arrived, and about cells that lost everything.
@Suite struct MarkerTests {
    private let here = ReplicaID(rawValue: 1)
    private let there = ReplicaID(rawValue: 2)

    /// Applies one operation; of those before it the dots in `known` have arrived.
    @discardableResult
    private func apply(
        _ dot: Dot, to record: inout Record, sequence: Int64, known: Set<Dot> = [], _ body: (inout Operations) -> Void
    ) -> Bool {
        var batch = Operations()
        batch.begin(record: record.id, time: Int64(sequence))
        body(&batch)
        return record.apply(
            0, of: batch, dot: dot, time: Int64(sequence), sequence: sequence, isKnown: { known.contains($0) })
    }

    @Test func aValueSupersededBeforeItArrivesIsNeverLive() {
        var record = Record(id: .sample)
        apply(Dot(here, 1), to: &record, sequence: 1) {
            $0.edit(CellKey(.name), text: "new", supersedes: [Dot(there, 1)])
        }
        #expect(record.markers == [.deadAhead])
        #expect(record.shown(.name) == .text("new"))
        #expect(record.liveDots(in: record.range(Cell(.name))) == [Dot(here, 1)])
        #expect(apply(Dot(there, 1), to: &record, sequence: 2) { $0.edit(CellKey(.name), text: "old") })
        #expect(record.markers.isEmpty)
        #expect(record.shown(.name) == .text("new"))
        #expect(record.kept(.name).isEmpty)
        #expect(record.sequence == 2)
    }

    @Test func aKnownDotThatIsNotLiveIsNotMarked() {
        var record = Record(id: .sample)
        apply(Dot(here, 1), to: &record, sequence: 1, known: [Dot(there, 1)]) {
            $0.edit(CellKey(.name), text: "new", supersedes: [Dot(there, 1)])
            $0.cover([Dot(there, 1)])
        }
        #expect(record.markers.isEmpty)
    }

    @Test func aValueDeadInAdvanceStillSupersedesWhatItsAuthorSaw() {
        // 1 is superseded by 2 is superseded by 3; they arrive in the order 3, 1, 2 and 3, 2, 1.
        for isOldestFirst in [true, false] {
            var record = Record(id: .sample)
            let one = Dot(there, 1)
            let two = Dot(here, 1)
            apply(Dot(ReplicaID(rawValue: 3), 1), to: &record, sequence: 1) {
                $0.edit(CellKey(.name), text: "3", supersedes: [two])
            }
            let first = { (record: inout Record) in
                _ = apply(one, to: &record, sequence: 2, known: [two]) { $0.edit(CellKey(.name), text: "1") }
            }
            let second = { (record: inout Record) in
                let changed = apply(two, to: &record, sequence: 3, known: isOldestFirst ? [one] : []) {
                    $0.edit(CellKey(.name), text: "2", supersedes: [one])
                }
                #expect(changed)
            }
            if isOldestFirst {
                first(&record)
                #expect(record.liveDots(in: record.range(Cell(.name))) == [one, Dot(ReplicaID(rawValue: 3), 1)])
                second(&record)
            } else {
                second(&record)
                #expect(record.markers == [.deadAhead])
                first(&record)
            }
            #expect(record.markers.isEmpty)
            #expect(record.entries.count == 1)
            #expect(record.shown(.name) == .text("3"))
            #expect(record.sequence == (isOldestFirst ? 3 : 2))
        }
    }

    @Test func deathInAdvanceIsOfOneCellOnly() {
        var record = Record(id: .sample)
        apply(Dot(here, 1), to: &record, sequence: 1) {
            $0.edit(CellKey(.name), text: "new", supersedes: [Dot(there, 1)])
        }
        apply(Dot(there, 1), to: &record, sequence: 2) {
            $0.edit(CellKey(.name), text: "old")
            $0.edit(CellKey(.year), .integer, integer: 1990)
        }
        #expect(record.shown(.name) == .text("new"))
        #expect(record.shown(.year) == .integer(1990))
    }

    @Test func anElementOfTextMayDieInAdvance() {
        var record = Record(id: .sample)
        let removed = apply(Dot(here, 1), to: &record, sequence: 1) {
            $0.edit(CellKey(.phones, text: $0.store("138".utf8)), .absent, supersedes: [Dot(there, 1)])
        }
        #expect(removed)
        let other = apply(Dot(there, 1), to: &record, sequence: 2) {
            $0.edit(CellKey(.phones, text: $0.store("138".utf8)), .present)
            $0.edit(CellKey(.phones, text: $0.store("139".utf8)), .present)
        }
        #expect(other)
        #expect(record.elements(.phones) == ["139"])
        #expect(record.markers.isEmpty)
    }

    @Test func everyEntryOfAnOperationCoveredInAdvanceIsCovered() {
        var record = Record(id: .sample)
        let deleted = apply(Dot(here, 1), to: &record, sequence: 1) { $0.cover([Dot(there, 1), Dot(there, 2)]) }
        #expect(deleted)
        #expect(record.markers == [.coveredAhead, .coveredAhead])
        #expect(record.sequence == 1)
        #expect(record.uncoveredDots().isEmpty)
        var batch = Operations()
        batch.begin(record: .sample, time: 5, creates: Envelope(kind: Kind(rawValue: 1), scope: .workspace))
        batch.edit(CellKey(.name), text: "Lin")
        batch.edit(CellKey(.visits), .count, integer: 2)
        record.apply(0, of: batch, dot: Dot(there, 1), time: 5, sequence: 2, isKnown: { _ in false })
        #expect(record.markers == [.coveredAhead])
        #expect(!record.entries.contains { !$0.kind.isMarker && !$0.isCovered })
        #expect(record.isMade && !record.isPresent)
        apply(Dot(there, 2), to: &record, sequence: 3) { $0.edit(CellKey(.visits), .count, integer: 1) }
        #expect(record.markers.isEmpty)
        #expect(!record.isPresent)
        apply(Dot(there, 3), to: &record, sequence: 4) { $0.edit(CellKey(.visits), .count, integer: 1) }
        #expect(record.isPresent)
        #expect(record.sum(.visits) == 4)
    }

    @Test func aMarkerThatGoesIsToldToReplicasBehind() {
        var record = Record(id: .sample)
        apply(Dot(here, 1), to: &record, sequence: 1) { $0.cover([Dot(there, 1)]) }
        // The operation leaves nothing but the loss of the marker: its only value is dead in advance.
        apply(Dot(here, 2), to: &record, sequence: 2) {
            $0.edit(CellKey(.name), text: "x", supersedes: [Dot(there, 1)])
        }
        #expect(apply(Dot(there, 1), to: &record, sequence: 3) { $0.edit(CellKey(.name), text: "y") })
        #expect(record.entries.map(\.kind) == [.emptied, .text])
        #expect(record.entries.map(\.sequence) == [3, 3])
    }

    @Test func twoThatSupersedeEachOtherEmptyTheCellWhicheverComesFirst() {
        var one = Record(id: .sample)
        var other = Record(id: .sample)
        let first = Dot(here, 1)
        let second = Dot(there, 1)
        apply(first, to: &one, sequence: 1) { $0.edit(CellKey(.name), text: "a", supersedes: [second]) }
        apply(second, to: &one, sequence: 2, known: [first]) { $0.edit(CellKey(.name), text: "b", supersedes: [first]) }
        apply(second, to: &other, sequence: 1) { $0.edit(CellKey(.name), text: "b", supersedes: [first]) }
        apply(first, to: &other, sequence: 2, known: [second]) {
            $0.edit(CellKey(.name), text: "a", supersedes: [second])
        }
        for record in [one, other] {
            #expect(record.markers == [.emptied])
            #expect(record.sequence == 2)
            #expect(record.shown(.name) == nil)
            #expect(record.liveDots(in: record.range(Cell(.name))).isEmpty)
        }
        #expect(one.bytes == other.bytes)
    }

    @Test func anEmptiedCellIsToldOfAgainAndForgottenWhenSomethingComes() {
        var record = Record(id: .sample)
        let first = Dot(here, 1)
        let second = Dot(there, 1)
        let third = Dot(ReplicaID(rawValue: 3), 1)
        apply(first, to: &record, sequence: 1) { $0.edit(CellKey(.name), text: "a", supersedes: [second, third]) }
        apply(second, to: &record, sequence: 2, known: [first]) {
            $0.edit(CellKey(.name), text: "b", supersedes: [first])
        }
        #expect(record.markers == [.deadAhead])
        #expect(record.sequence == 2)
        // The last marker goes too, and the cell tells that it is empty.
        #expect(apply(third, to: &record, sequence: 3) { $0.edit(CellKey(.name), text: "c") })
        #expect(record.markers == [.emptied])
        #expect(record.sequence == 3)
        #expect(apply(Dot(here, 2), to: &record, sequence: 4) { $0.edit(CellKey(.name), text: "d") })
        #expect(record.markers.isEmpty)
        #expect(record.shown(.name) == .text("d"))
    }

    @Test func anOperationThatNamesItselfStays() {
        var record = Record(id: .sample)
        apply(Dot(here, 1), to: &record, sequence: 1) {
            $0.edit(CellKey(.name), text: "a", supersedes: [Dot(here, 1)])
            $0.cover([Dot(here, 1)])
        }
        #expect(record.shown(.name) == .text("a"))
        #expect(record.uncoveredDots().isEmpty)
        apply(Dot(here, 2), to: &record, sequence: 2) { $0.cover([Dot(here, 2)]) }
        #expect(record.markers.isEmpty)
    }

    @Test func markersSurviveTheRowAndThePull() throws {
        var record = Record(id: .sample)
        apply(Dot(here, 1), to: &record, sequence: 1) {
            $0.edit(CellKey(.name), text: "a", supersedes: [Dot(there, 1)])
            $0.cover([Dot(there, 2)])
        }
        apply(Dot(here, 2), to: &record, sequence: 2) {
            $0.edit(CellKey(.year), .integer, integer: 3, supersedes: [Dot(there, 3)])
        }
        apply(Dot(there, 3), to: &record, sequence: 3, known: [Dot(here, 2)]) {
            $0.edit(CellKey(.year), .integer, integer: 4, supersedes: [Dot(here, 2)])
        }
        let read = try #require(record.repacked)
        #expect(read.markers == [.coveredAhead, .deadAhead, .emptied])
        #expect(read.bytes == record.bytes)
        var pulled = Record(id: .sample)
        record.forEachCell { pulled.replaceCell(with: record.entries[$0], from: record.arena) }
        #expect(pulled.bytes == record.bytes)
        #expect(pulled.entries.map(\.sequence) == record.entries.map(\.sequence))
    }

    @Test func aReplacedCellHoldsOnlyWhatItWasReplacedWith() {
        var theirs = Record(id: .sample)
        apply(Dot(there, 1), to: &theirs, sequence: 4) {
            $0.edit(CellKey(.phones, text: $0.store("138".utf8)), .absent)
        }
        var mine = Record(id: .sample)
        apply(Dot(here, 1), to: &mine, sequence: 1) { $0.edit(CellKey(.phones, text: $0.store("138".utf8)), .present) }
        apply(Dot(here, 2), to: &mine, sequence: 2) { $0.edit(CellKey(.phones, text: $0.store("139".utf8)), .present) }
        mine.replaceCell(with: theirs.entries[...], from: theirs.arena)
        #expect(mine.entries.map(\.dot) == [Dot(there, 1), Dot(here, 2)])
        #expect(mine.elements(.phones) == ["139"])
    }
}
