import ShoalCRDT
import Testing

@testable import ShoalClient

/// Which rows of a log are believed, and what stands in for the others.
struct LogMendTests {
    private static let replica = ReplicaID(rawValue: 7)
    private static let stand = RecordID(rawValue: 99)

    private func log(_ count: Int) -> [Int64: LogRow] {
        var rows: [Int64: LogRow] = [:]
        var hash = OperationHash.start
        for position in 1...Int64(count) {
            var batch = Operations()
            batch.begin(record: RecordID(rawValue: position), time: position, salt: 5)
            batch.edit(CellKey(.name), text: "value \(position)")
            var bytes: [UInt8] = []
            batch.encode(0, into: &bytes)
            hash = bytes.withUnsafeBytes { hash.extended(by: $0) }
            rows[position] = LogRow(
                position: position, hash: hash, allocator: position * 10, operation: bytes, state: [])
        }
        return rows
    }

    private func mend(_ rows: [Int64: LogRow], upTo last: Int64 = 6, logs: [OwnLog]? = nil) -> LogMend {
        LogMend(
            rows, positions: 1...last, logs: logs ?? [OwnLog(replica: Self.replica, after: 0)],
            stands: { _ in Self.stand }, draw: { 0xABCD })
    }

    private func isEmpty(_ row: LogRow) -> Bool {
        var batch = Operations()
        guard (try? row.operation.withUnsafeBytes({ try batch.decode($0) })) != nil else { return false }
        return batch.operations[0].edits.isEmpty && batch.operations[0].record == Self.stand
            && row.state.contains(.keptHash)
    }

    @Test func aWholeLogStaysAsItIs() {
        let rows = log(6)
        let mend = mend(rows)
        #expect(mend.lost.isEmpty && mend.changed.isEmpty)
        #expect(mend.rows == rows.values.sorted { $0.position < $1.position })
    }

    @Test func bytesThatTheChainDoesNotContinueOverAreReplacedUnderTheirHash() {
        for position in 1...6 as ClosedRange<Int64> {
            var rows = log(6)
            rows[position]?.operation[8] ^= 1
            let mend = mend(rows)
            #expect(mend.lost == [position] && mend.changed == [position], "\(position)")
            #expect(isEmpty(mend.rows[Int(position) - 1]))
            #expect(mend.rows.map(\.hash) == (1...6).map { rows[$0]?.hash })
            #expect(mend.rows.map(\.position) == Array(1...6))
        }
    }

    @Test func aWrongHashIsComputedAnewWhenTheNextOperationVouchesForIt() {
        for position in 1...5 as ClosedRange<Int64> {
            var rows = log(6)
            let right = rows[position]?.hash
            rows[position]?.hash = OperationHash(rawValue: 1)
            let mend = mend(rows)
            #expect(mend.lost.isEmpty && mend.changed == [position], "\(position)")
            #expect(mend.rows[Int(position) - 1].hash == right)
        }
    }

    @Test func aMissingRowIsReplacedAndTheNextOneKeepsItsHash() {
        var rows = log(6)
        let hashes = (1...6).map { rows[Int64($0)]?.hash }
        rows[3] = nil
        let mend = mend(rows)
        #expect(mend.lost == [3] && mend.changed == [3, 4])
        #expect(isEmpty(mend.rows[2]) && mend.rows[2].hash.rawValue == 0xABCD)
        #expect(mend.rows[3].state.contains(.keptHash) && !isEmpty(mend.rows[3]))
        #expect(mend.rows[3].hash == hashes[3])
        #expect(mend.rows[4].state == [] && mend.rows[5].state == [])
        #expect(mend.rows[2].allocator > 20)
    }

    @Test func rowsMissingAtTheEndAreThereInName() {
        var rows = log(6)
        rows[5] = nil
        rows[6] = nil
        let mend = mend(rows)
        #expect(mend.lost == [5, 6] && mend.rows.count == 6)
    }

    @Test func aLogOfAnotherReplicaBeginsItsChainAnew() {
        var rows = log(6)
        var before = OperationHash.start
        for position in 4...6 as ClosedRange<Int64> {
            guard var row = rows[position] else { continue }
            before = row.operation.withUnsafeBytes { before.extended(by: $0) }
            row.hash = before
            rows[position] = row
        }
        let first = OwnLog(replica: Self.replica, after: 0, end: 3)
        let second = OwnLog(replica: ReplicaID(rawValue: 8), after: 3)
        #expect(mend(rows, logs: [first, second]).changed.isEmpty)
        #expect(!mend(rows, logs: [first]).changed.isEmpty)
    }

    @Test func whatWasRenumberedKeepsItsHashUnverified() {
        var rows = log(6)
        rows[3]?.state = .keptHash
        rows[3]?.hash = OperationHash(rawValue: 77)
        let bytes = rows[4]?.operation ?? []
        rows[4]?.hash = bytes.withUnsafeBytes { OperationHash(rawValue: 77).extended(by: $0) }
        rows[5] = nil
        rows[6] = nil
        #expect(mend(rows, upTo: 4).changed.isEmpty)
    }
}
