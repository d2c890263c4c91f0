import Testing

@testable import ShoalCRDT

/// Entries follow their operations to new places.
@Suite struct RenamingTests {
    private let here = ReplicaID(rawValue: 1)
    private let there = ReplicaID(rawValue: 2)

    private func row(_ dots: [Dot]) -> Record {
        var row = Record(id: .sample)
        row.setEnvelope(Envelope(kind: Kind(rawValue: 1), scope: .workspace))
        for dot in dots {
            row.appendInOrder(
                Entry(
                    key: CellKey(.year), kind: .integer, isCovered: false, dot: dot, time: Int64(dot.number),
                    sequence: 0,
                    integer: 0), from: [])
        }
        return row
    }

    private func readsBack(_ record: Record) throws -> Bool {
        var bytes: [UInt8] = []
        record.encode(sequence: 0, into: &bytes)
        return try bytes.withUnsafeBytes { try Record(id: record.id, sequence: 0, packed: $0) }.entries.map(\.dot)
            == record.entries.map(\.dot)
    }

    @Test func aCellStaysInTheOrderOfItsPlaces() throws {
        var record = row([Dot(here, 1), Dot(here, 2)])
        let isRenamed = record.rename(Renaming(dots: [Dot(here, 1): Dot(there, 9)]))
        #expect(isRenamed)
        #expect(record.entries.map(\.dot) == [Dot(here, 2), Dot(there, 9)])
        #expect(try readsBack(record))
    }

    @Test func placesThatAreTakenInTurnAreGivenAtOnce() throws {
        var record = row([Dot(here, 1), Dot(here, 2)])
        let isRenamed = record.rename(Renaming(dots: [Dot(here, 1): Dot(here, 2), Dot(here, 2): Dot(here, 3)]))
        #expect(isRenamed)
        #expect(record.entries.map(\.time) == [1, 2])
        #expect(record.entries.map(\.dot) == [Dot(here, 2), Dot(here, 3)])
    }

    /// The rows of an epoch before may hold another operation there.
    @Test func twoOperationsNeverShareAPlace() throws {
        var record = row([Dot(here, 1), Dot(here, 2), Dot(there, 1), Dot(there, 5)])
        let renaming = Renaming(dots: [
            Dot(here, 2): Dot(there, 1), Dot(here, 1): Dot(here, 2), Dot(there, 5): Dot(there, 6),
        ])
        let isRenamed = record.rename(renaming)
        #expect(isRenamed)
        #expect(record.entries.map(\.dot) == [Dot(here, 1), Dot(here, 2), Dot(there, 1), Dot(there, 6)])
        #expect(record.entries.map(\.time) == [1, 2, 1, 5])
        #expect(try readsBack(record))
    }

    @Test func whatIsNotThereRenamesNothing() {
        var record = row([Dot(here, 1)])
        let isRenamed = record.rename(Renaming(dots: [Dot(there, 1): Dot(here, 1)]))
        #expect(!isRenamed)
    }
}
