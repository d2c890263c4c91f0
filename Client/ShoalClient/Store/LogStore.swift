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
    private let selectFrom: Statement
    private let deleteTail: Statement
    private let selectTailRecords: Statement
    private let selectTailUpTo: Statement

    /// Every log that this replica ever wrote, by ascending base: the operation with number n has the position base + n.
    var logs: [(replica: ReplicaID, base: Int64)] = []
    /// One operation, decoded; filled and emptied again by each read.
    private var scratch = Operations()

    init(_ database: Database) throws {
        insertLog = try Statement(
            database, "INSERT INTO log (position, ordinal, hash, allocator, operation) VALUES (?1, ?2, ?3, ?4, ?5)")
        insertTail = try Statement(database, "INSERT INTO tail (record, position) VALUES (?1, ?2)")
        selectTail = try Statement(
            database,
            """
            SELECT t.position, l.operation FROM tail t CROSS JOIN log l ON l.position = t.position
            WHERE t.record = ?1 ORDER BY t.position
            """)
        selectOperation = try Statement(database, "SELECT operation FROM log WHERE position = ?1")
        selectHash = try Statement(database, "SELECT hash FROM log WHERE position = ?1")
        selectFrom = try Statement(database, "SELECT operation FROM log WHERE position > ?1 ORDER BY position")
        deleteTail = try Statement(database, "DELETE FROM tail WHERE record = ?1 AND position = ?2")
        selectTailRecords = try Statement(database, "SELECT DISTINCT record FROM tail")
        selectTailUpTo = try Statement(database, "SELECT record, position FROM tail WHERE position <= ?1")
    }

    func append(
        position: Int64, ordinal: Int64, hash: OperationHash, allocator: Int64, record: RecordID, bytes: [UInt8]
    ) throws {
        try insertLog.bind(1, position)
        try insertLog.bind(2, ordinal)
        try insertLog.bind(3, Int64(bitPattern: hash.rawValue))
        try insertLog.bind(4, allocator)
        try insertLog.bind(5, bytes)
        try insertLog.run()
        try insertTail.bind(1, record.rawValue)
        try insertTail.bind(2, position)
        try insertTail.run()
    }

    /// The dot of the operation at a position.
    private func dot(at position: Int64) -> Dot? {
        guard let log = logs.last(where: { $0.base < position }) else { return nil }
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

    /// The first operations after a position that fit a frame; a command is never split unless it fits no frame.
    func frame(after position: Int64, operations limit: Int, bytes weight: Int) throws -> Operations {
        var frame = Operations()
        var size = 0
        try selectFrom.bind(1, position)
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
                return continues ? trimmed(frame, to: lastCommand) : frame
            }
            try decode(bytes, at: place, into: &frame)
            if !continues { lastCommand = count }
        }
        return frame
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
