import Foundation
import GRDB
import ShoalCRDT

/// A row of the log as it was found.
struct LogRow: Equatable {
    var position: Int64
    var hash: OperationHash
    var allocator: Int64
    var operation: [UInt8]
    var state: LogStore.State
}

extension LogRow {
    /// A row of the columns position, hash, allocator, operation and state; nil where they do not hold what they must.
    init?(_ row: Row) {
        guard let position = Int64.fromDatabaseValue(row[0]), let hash = Int64.fromDatabaseValue(row[1]),
            let allocator = Int64.fromDatabaseValue(row[2]), let operation = Data.fromDatabaseValue(row[3]),
            let state = Int64.fromDatabaseValue(row[4])
        else { return nil }
        self.init(
            position: position, hash: OperationHash(rawValue: UInt64(bitPattern: hash)), allocator: allocator,
            operation: Array(operation), state: LogStore.State(rawValue: state))
    }
}

/// Tells which rows of a log say what was written, by the hash chain, and closes the gaps.
///
/// Numbers must stay dense and hashes are identities, so an operation that cannot be read is replaced by an empty one in
/// its place with its hash: everything after it keeps its number, its hash and its meaning.
struct LogMend {
    private(set) var rows: [LogRow] = []
    /// Positions whose operation is lost.
    private(set) var lost: [Int64] = []
    /// Positions whose row was written anew; the lost ones among them.
    private(set) var changed: [Int64] = []
    /// How many hashes were computed anew.
    private(set) var rehashed = 0

    /// So many operations may be missing of a log in all: a number that says that there are more is damaged itself.
    static let mostMissing: Int64 = 10_000

    /// The last position that is believed of a log of which these are there.
    static func bound(_ positions: some Sequence<Int64>) -> Int64 {
        var bound = mostMissing
        for position in positions.sorted() where position > 0 {
            guard position <= bound else { break }
            bound += 1
        }
        return bound
    }

    /// - Parameters:
    ///   - positions: all that there should be.
    ///   - logs: in which logs they stand.
    ///   - stands: a record for an operation that says nothing, by the position of the lost one.
    ///   - draw: hashes for operations whose own is not known.
    init(
        _ found: [Int64: LogRow], positions: ClosedRange<Int64>, logs: [OwnLog], stands: (Int64) -> RecordID,
        draw: () -> UInt64
    ) {
        var before: OperationHash? = .start
        var allocator: Int64 = -1
        for position in positions {
            if logs.contains(where: { $0.isOwn && $0.start == $0.base && $0.start + 1 == position }) { before = .start }
            let next = found[position + 1].flatMap { row in
                logs.contains { $0.start == position } ? nil : row
            }
            if var row = found[position], Self.isReadable(row) {
                switch Self.judge(row, after: before, next: next) {
                case .right: break
                case .unverified:
                    // What came before is lost, so that the chain cannot be computed from here.
                    row.state.insert(.keptHash)
                    changed.append(position)
                case .wrongHash(let hash):
                    row.hash = hash
                    rehashed += 1
                    changed.append(position)
                case .wrongBytes:
                    row = Self.empty(
                        position, hash: row.hash, allocator: max(allocator, row.allocator), stands(position))
                    lost.append(position)
                    changed.append(position)
                }
                rows.append(row)
                before = row.hash
                allocator = max(allocator, row.allocator)
            } else {
                let known = found[position].map(\.hash) ?? OperationHash(rawValue: draw())
                // The sequence of identifiers must not go back: beyond what any lost operation may have used.
                allocator = max(allocator, found[position]?.allocator ?? allocator + 32)
                rows.append(Self.empty(position, hash: known, allocator: allocator, stands(position)))
                lost.append(position)
                changed.append(position)
                before = found[position] == nil ? nil : known
            }
        }
    }

    private enum Judgement { case right, unverified, wrongBytes, wrongHash(OperationHash) }

    private static func judge(_ row: LogRow, after before: OperationHash?, next: LogRow?) -> Judgement {
        if row.state.contains(.keptHash) { return .right }
        guard let before else { return .unverified }
        let computed = extended(before, row.operation)
        if computed == row.hash { return .right }
        // One of the two is wrong; the next row tells which.
        guard let next, !next.state.contains(.keptHash) else { return .wrongBytes }
        return extended(computed, next.operation) == next.hash ? .wrongHash(computed) : .wrongBytes
    }

    private static func extended(_ hash: OperationHash, _ bytes: [UInt8]) -> OperationHash {
        bytes.withUnsafeBytes { hash.extended(by: $0) }
    }

    private static func isReadable(_ row: LogRow) -> Bool {
        var batch = Operations()
        do {
            try row.operation.withUnsafeBytes { try batch.decode($0) }
            return true
        } catch { return false }
    }

    private static func empty(
        _ position: Int64, hash: OperationHash, allocator: Int64, _ record: RecordID
    ) -> LogRow {
        var batch = Operations()
        batch.begin(record: record, time: 0)
        var bytes: [UInt8] = []
        batch.encode(0, into: &bytes)
        return LogRow(position: position, hash: hash, allocator: allocator, operation: bytes, state: .keptHash)
    }
}

extension Operations {
    /// Whether an operation is one that only stands for another, which could not be read.
    func saysNothing(_ index: Int) -> Bool {
        operations[index].creates == nil && operations[index].edits.isEmpty && operations[index].covers.isEmpty
    }
}
