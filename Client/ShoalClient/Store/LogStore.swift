import GRDB
import ShoalCRDT
import ShoalStore

import struct ShoalCRDT.Record
import class ShoalStore.Statement

/// The log of this replica's own operations, and the tail: those that still overlay the server's records.
final class LogStore {
    private let insertLog: Statement
    private let insertTail: Statement
    private let selectTail: Statement
    private let selectOperation: Statement
    private let selectHash: Statement
    private let selectState: Statement
    private let selectFrom: Statement
    private let deleteTail: Statement
    private let selectTailRecords: Statement
    private let selectTailUpTo: Statement
    private let updateOperation: Statement
    private let moveTail: Statement
    private let updateAllocator: Statement

    /// What `state` of a row may say.
    struct State: OptionSet {
        let rawValue: Int64
        /// The hash is the one that the operation got when it was written; its bytes have changed since.
        static let keptHash = State(rawValue: 1)
        static let refused = State(rawValue: 2)
        /// What it said was erased.
        static let voided = State(rawValue: 4)
    }

    /// Every log that this replica ever wrote, in the order of their positions.
    var logs: [OwnLog] = []
    /// One operation, decoded; filled and emptied again by each read.
    private var scratch = Operations()

    init(_ database: Database) throws {
        insertLog = try Statement(
            database, "INSERT INTO log (position, hash, allocator, operation) VALUES (?1, ?2, ?3, ?4)")
        insertTail = try Statement(database, "INSERT INTO tail (record, position) VALUES (?1, ?2)")
        selectTail = try Statement(
            database,
            """
            SELECT t.position, l.operation FROM tail t CROSS JOIN log l ON l.position = t.position
            WHERE t.record = ?1 ORDER BY t.position
            """)
        selectOperation = try Statement(database, "SELECT operation FROM log WHERE position = ?1")
        selectHash = try Statement(database, "SELECT hash FROM log WHERE position = ?1")
        selectState = try Statement(database, "SELECT state FROM log WHERE position = ?1")
        selectFrom = try Statement(
            database,
            "SELECT operation, hash, state FROM log WHERE position BETWEEN ?1 AND ?2 ORDER BY position")
        deleteTail = try Statement(database, "DELETE FROM tail WHERE record = ?1 AND position = ?2")
        selectTailRecords = try Statement(database, "SELECT DISTINCT record FROM tail")
        updateOperation = try Statement(
            database, "UPDATE log SET operation = ?2, state = state | ?3 WHERE position = ?1")
        moveTail = try Statement(database, "UPDATE tail SET record = ?2 WHERE record = ?1 AND position = ?3")
        updateAllocator = try Statement(
            database, "UPDATE log SET allocator = ?1 WHERE position = (SELECT max(position) FROM log)")
        selectTailUpTo = try Statement(database, "SELECT record, position FROM tail WHERE position <= ?1")
    }

    func append(
        position: Int64, hash: OperationHash, allocator: Int64, record: RecordID, bytes: [UInt8]
    ) throws {
        try insertLog.bind(1, position)
        try insertLog.bind(2, Int64(bitPattern: hash.rawValue))
        try insertLog.bind(3, allocator)
        try insertLog.bind(4, bytes)
        try insertLog.run()
        try insertTail.bind(1, record.rawValue)
        try insertTail.bind(2, position)
        try insertTail.run()
    }

    /// The dot of the operation at a position.
    private func dot(at position: Int64) -> Dot? {
        guard let log = logs.owner(of: position) else { return nil }
        return Dot(log.replica, UInt32(truncatingIfNeeded: position - log.base))
    }

    /// Applies the record's tail to it, in order.
    ///
    /// - Parameter after: only operations at later positions.
    func overlay(_ record: inout Record, after position: Int64 = 0) throws {
        try selectTail.bind(1, record.id.rawValue)
        defer { selectTail.reset() }
        while try selectTail.step() {
            let place = selectTail.integer(0)
            if place <= position { continue }
            guard let dot = dot(at: place) else { throw damaged(place, "it belongs to no log") }
            scratch.removeAll()
            try decode(selectTail.bytes(1), at: place, into: &scratch)
            record.apply(0, of: scratch, dot: dot, time: scratch.operations[0].time)
        }
    }

    private func decode(_ bytes: UnsafeRawBufferPointer, at position: Int64, into batch: inout Operations) throws {
        do throws(DecodingFailure) { try batch.decode(bytes) } catch { throw damaged(position, error.description) }
    }

    private func damaged(_ position: Int64, _ reason: String) -> StoreError {
        .damaged(path: "operation \(position) of the log", reason: reason)
    }

    /// Appends the operation at a position to `batch`; false if there is none.
    func read(_ position: Int64, into batch: inout Operations) throws -> Bool {
        try selectOperation.bind(1, position)
        defer { selectOperation.reset() }
        guard try selectOperation.step() else { return false }
        try decode(selectOperation.bytes(0), at: position, into: &batch)
        return true
    }

    func hash(at position: Int64) throws -> OperationHash? {
        try selectHash.bind(1, position)
        defer { selectHash.reset() }
        guard try selectHash.step() else { return nil }
        return OperationHash(rawValue: UInt64(bitPattern: selectHash.integer(0)))
    }

    /// The first operations of a log after what is acknowledged that fit a frame; a command is never split unless it fits
    /// no frame. With them what an earlier epoch refused of them, by number.
    func frame(
        of log: OwnLog, operations limit: Int, bytes weight: Int
    ) throws -> (operations: Operations, refused: [UInt32]) {
        var frame = Operations()
        var refused: [UInt32] = []
        var size = 0
        let position = log.acknowledgedPosition
        try selectFrom.bind(1, position + 1)
        try selectFrom.bind(2, log.endPosition)
        defer { selectFrom.reset() }
        var place = position
        var lastCommand = 0
        while try selectFrom.step() {
            place += 1
            let bytes = selectFrom.bytes(0)
            size += bytes.count + 8
            let count = frame.count
            // Bit 4 of the first byte: the operation continues the command before it.
            let continues = (bytes.first ?? 0) & 4 != 0
            if count == limit || (count > 0 && size > weight) {
                let whole = continues ? trimmed(frame, to: lastCommand) : frame
                return (whole, refused.filter { Int64($0) <= Int64(log.acknowledged) + Int64(whole.count) })
            }
            try decode(bytes, at: place, into: &frame)
            let state = State(rawValue: selectFrom.integer(2))
            if state.contains(.keptHash) {
                frame.setKeptHash(OperationHash(rawValue: UInt64(bitPattern: selectFrom.integer(1))), at: count)
            }
            if state.contains(.refused) { refused.append(log.acknowledged + UInt32(count + 1)) }
            if !continues { lastCommand = count }
        }
        return (frame, refused)
    }

    /// The hashes of up to `limit` operations after a position.
    func hashes(after position: Int64, upTo last: Int64, limit: Int) throws -> [OperationHash] {
        var hashes: [OperationHash] = []
        try selectFrom.bind(1, position + 1)
        try selectFrom.bind(2, last)
        defer { selectFrom.reset() }
        while hashes.count < limit, try selectFrom.step() {
            hashes.append(OperationHash(rawValue: UInt64(bitPattern: selectFrom.integer(1))))
        }
        return hashes
    }

    /// Renames what the operations after a position name, in the log and in the tail. They keep their hashes.
    ///
    /// - Parameter renumbered: the last of them that got another number. Those up to it say that they keep their hashes,
    ///   renamed or not: another copy may have pushed them under other numbers still.
    func rename(after position: Int64, upTo last: Int64, _ renaming: Renaming, renumbered: Int64) throws {
        var place = position
        while place < last {
            place += 1
            var batch = Operations()
            guard try read(place, into: &batch), let hash = try hash(at: place) else { continue }
            let isRenamed = batch.names(anythingOf: renaming, at: 0)
            guard isRenamed || place <= renumbered else { continue }
            var renamed = Operations()
            renamed.append(0, of: batch, renaming: renaming, keptHash: hash)
            var bytes: [UInt8] = []
            renamed.encode(0, into: &bytes)
            try updateOperation.bind(1, place)
            try updateOperation.bind(2, bytes)
            try updateOperation.bind(3, State.keptHash.rawValue)
            try updateOperation.run()
            let (old, new) = (batch.operations[0].record, renamed.operations[0].record)
            guard old != new else { continue }
            try moveTail.bind(1, old.rawValue)
            try moveTail.bind(2, new.rawValue)
            try moveTail.bind(3, place)
            try moveTail.run()
        }
    }

    /// The records of the operations after a position that name anything that `renaming` renames, each once.
    func records(after position: Int64, upTo last: Int64, naming renaming: Renaming) throws -> Set<RecordID> {
        var records: Set<RecordID> = []
        var place = position
        while place < last {
            place += 1
            var batch = Operations()
            guard try read(place, into: &batch), batch.names(anythingOf: renaming, at: 0) else { continue }
            records.insert(batch.operations[0].record)
        }
        return records
    }

    /// Lets an operation say nothing any more. It keeps its place, its hash and its part in its command.
    func void(_ position: Int64, _ operation: Operations.Operation) throws {
        var empty = Operations()
        empty.begin(record: operation.record, time: 0, continuesCommand: operation.continuesCommand)
        var bytes: [UInt8] = []
        empty.encode(0, into: &bytes)
        try updateOperation.bind(1, position)
        try updateOperation.bind(2, bytes)
        try updateOperation.bind(3, State([.keptHash, .voided]).rawValue)
        try updateOperation.run()
    }

    /// Whether what the operation at a position said was erased.
    func isVoid(_ position: Int64) throws -> Bool {
        try selectState.bind(1, position)
        defer { selectState.reset() }
        return try selectState.step() && State(rawValue: selectState.integer(0)).contains(.voided)
    }

    func setAllocator(_ state: Int64) throws {
        try updateAllocator.bind(1, state)
        try updateAllocator.run()
    }

    /// Keeps the first operations; all of them when that would be none, for a command that fits no frame.
    private func trimmed(_ frame: Operations, to count: Int) -> Operations {
        if count == 0 { return frame }
        var result = Operations()
        result.reserve(operations: count, bytes: frame.arena.count)
        for index in 0..<count { result.append(index, of: frame) }
        return result
    }

    func leaveTail(_ record: RecordID, _ position: Int64) throws {
        try deleteTail.bind(1, record.rawValue)
        try deleteTail.bind(2, position)
        try deleteTail.run()
    }

    /// The records that the tail overlays, with the positions of their operations up to a limit, ascending.
    func tailPositions(upTo position: Int64) throws -> [RecordID: [Int64]] {
        var result: [RecordID: [Int64]] = [:]
        try selectTailUpTo.bind(1, position)
        defer { selectTailUpTo.reset() }
        while try selectTailUpTo.step() {
            result[RecordID(rawValue: selectTailUpTo.integer(0)), default: []].append(selectTailUpTo.integer(1))
        }
        return result
    }

    func tailRecords() throws -> Set<RecordID> {
        var result: Set<RecordID> = []
        defer { selectTailRecords.reset() }
        while try selectTailRecords.step() { result.insert(RecordID(rawValue: selectTailRecords.integer(0))) }
        return result
    }
}
