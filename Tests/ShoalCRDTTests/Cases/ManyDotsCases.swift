import Testing

@testable import ShoalCRDT

/// What names very many dots costs a pass, not a search each, and means the same.
@Suite struct ManyDotsCases {
    private static let replica = ReplicaID(rawValue: 65_537)
    private static let field = Field(rawValue: 20)

    /// A record with `count` concurrent values in one cell.
    private static func crowded(_ count: UInt32) -> Record {
        var batch = Operations()
        var record = Record(id: RecordID(rawValue: 1 << 40))
        batch.begin(record: record.id, time: 1, creates: Envelope(kind: Kind(rawValue: 2), scope: .workspace))
        record.apply(0, of: batch, dot: Dot(replica, 1), time: 1)
        for number in 2...count {
            batch.begin(record: record.id, time: 1)
            batch.edit(CellKey(field), text: "v\(number)")
            record.apply(batch.count - 1, of: batch, dot: Dot(replica, number), time: 1)
        }
        return record
    }

    @Test func aDeletionThatNamesTheSameDotsManyTimesCoversThemOnce() {
        var record = Self.crowded(2_000)
        var batch = Operations()
        batch.begin(record: record.id, time: 2)
        let dots = (1...2_000).map { Dot(Self.replica, UInt32($0)) }
        batch.cover((0..<100).flatMap { _ in dots })
        let clock = ContinuousClock()
        let time = clock.measure { record.apply(0, of: batch, dot: Dot(Self.replica, 2_001), time: 2) }
        #expect(!record.isPresent)
        // 400 million comparisons would take longer.
        #expect(time < .milliseconds(400))
    }

    @Test func aWriteThatNamesManyDeadDotsSupersedesTheLiveOnesAmongThem() {
        var record = Self.crowded(300)
        var batch = Operations()
        batch.begin(record: record.id, time: 2)
        let unknown = Dot(ReplicaID(rawValue: 9), 5)
        let dead = (400..<60_000).map { Dot(Self.replica, UInt32($0)) }
        let live = (2..<300).map { Dot(Self.replica, UInt32($0)) }
        batch.edit(CellKey(Self.field), text: "last", supersedes: dead + live + live + [unknown])
        record.apply(0, of: batch, dot: Dot(Self.replica, 100_000), time: 2) { $0.replica == Self.replica }
        let cell = record.range(of: CellKey(Self.field))
        #expect(Set(record.liveDots(in: cell)) == [Dot(Self.replica, 300), Dot(Self.replica, 100_000)])
        #expect(record.entries[cell].contains { $0.kind == .deadAhead && $0.dot == unknown })
    }
}
