import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// A stretch of this replica's operations and the log in which they have their places.
///
/// Positions count everything that this replica ever wrote; the operation at position p has the number p − base in its log.
struct OwnLog: Equatable {
    var replica: ReplicaID
    /// The position before its first operation.
    var start: Int64
    var base: Int64
    /// Everything up to this number is acknowledged, in this epoch; `hash` is that of this number.
    var acknowledged: UInt32
    var hash: OperationHash
    /// The last number; of the log that is written now it grows.
    var end: UInt32
    /// The last number that a request ever named.
    var sent: UInt32
    /// The last number that an earlier epoch acknowledged, while rows of that epoch are still here.
    var proven: UInt32 = 0
    /// The last number that any earlier epoch acknowledged: what stands up to there stood there then.
    var vouched: UInt32 = 0
    /// The last number that any earlier epoch may have taken.
    var claimed: UInt32 = 0
    /// Whether it is this replica's to push. Otherwise its operations are known to the server under numbers of another
    /// copy's log.
    var isOwn: Bool

    init(replica: ReplicaID, after position: Int64, end: UInt32 = 0) {
        self.replica = replica
        start = position
        base = position
        acknowledged = 0
        hash = .start
        self.end = end
        sent = 0
        isOwn = true
    }

    /// A run of operations that the server knows in another log, the first of them at `dot`.
    init(known dot: Dot, after position: Int64, count: Int, hash: OperationHash) {
        replica = dot.replica
        start = position
        base = position + 1 - Int64(dot.number)
        end = dot.number + UInt32(truncatingIfNeeded: count - 1)
        acknowledged = end
        self.hash = hash
        sent = end
        isOwn = false
    }

    /// The same, believing no number that lies beyond a position.
    ///
    /// What the server has acknowledged can always be asked for anew: it passes over what it knows.
    func fitted(to last: Int64) -> OwnLog {
        var log = self
        let most = UInt32(clamping: max(0, last - base))
        log.end = min(end, most)
        if !isOwn {
            log.acknowledged = min(acknowledged, most)
        } else if acknowledged > most {
            log.acknowledged = 0
            log.hash = .start
        }
        log.sent = min(sent, most)
        log.proven = min(proven, most)
        log.vouched = min(vouched, most)
        log.claimed = min(claimed, most)
        return log
    }

    var standing: LogPosition { LogPosition(replica: replica, position: acknowledged, hash: hash, end: end) }
    var acknowledgedPosition: Int64 { base + Int64(acknowledged) }
    var endPosition: Int64 { base + Int64(end) }
    var pending: Int { Int(max(end, acknowledged) - acknowledged) }
}

extension [OwnLog] {
    /// The log in which the operation at a position stands.
    ///
    /// One of which nothing is left, and which is kept because others may name its places, may begin within a longer one that has
    /// its operations now.
    func owner(of position: Int64) -> OwnLog? {
        if let last, last.start < position { return last }
        return last { $0.start < position && $0.endPosition >= position } ?? last { $0.start < position }
    }
}

/// Reads and writes the list of logs.
enum OwnLogStore {
    /// More operations than any home can write; sums of it and numbers of operations fit an integer.
    private static let mostPositions: Int64 = 1 << 48

    /// All logs in the order of their positions; the last one is the one that is written now, with its stored end.
    ///
    /// - Throws: `StoreError.damaged`, also when there is none, or not from the first position to the end of what was written.
    static func read(_ database: Database) throws -> [OwnLog] {
        let rows = try Row.fetchAll(database.cachedStatement(sql: "SELECT * FROM own_log ORDER BY ordinal"))
        let logs = try rows.map(log)
        let finish = try rows.last.flatMap { try $0.checked("finish", as: Int64?.self) }
        guard logs.first?.start == 0, finish == nil else {
            throw StoreError.damaged(path: "own_log", reason: "which logs the home wrote is lost")
        }
        return logs
    }

    private static func log(_ row: Row) throws -> OwnLog {
        func number(_ name: String) throws -> UInt32 {
            guard let number = UInt32(exactly: try row.checked(name, as: Int64.self)) else {
                throw StoreError.damaged(path: "own_log", reason: "\(name) is no number of an operation")
            }
            return number
        }
        let finish = try row.checked("finish", as: Int64?.self).map { UInt32(truncatingIfNeeded: $0) }
        var log = try OwnLog(
            replica: ReplicaID(rawValue: number("replica")), after: row.checked("start"), end: finish ?? 0)
        log.base = try row.checked("base")
        log.acknowledged = try number("acknowledged")
        log.hash = try OperationHash(rawValue: UInt64(bitPattern: row.checked("hash", as: Int64.self)))
        log.sent = try number("sent")
        log.proven = try number("proven")
        log.vouched = try number("vouched")
        log.claimed = try number("claimed")
        log.isOwn = try row.checked("own")
        // Positions are counted, and the last log's end is read from the log itself.
        guard 0...mostPositions ~= log.start, log.base.magnitude <= UInt64(log.start) + UInt64(UInt32.max),
            finish.map({ $0 >= log.acknowledged }) ?? true
        else { throw StoreError.damaged(path: "own_log", reason: "the numbers of a log do not fit") }
        return log
    }

    /// Replaces the whole list.
    static func write(_ logs: [OwnLog], _ database: Database) throws {
        try database.execute(sql: "DELETE FROM own_log")
        for (index, log) in logs.enumerated() {
            try database.cachedStatement(
                sql: """
                    INSERT INTO own_log
                        (ordinal, replica, start, base, acknowledged, hash, finish, sent, proven, vouched, claimed, own)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(arguments: [
                index + 1, Int64(log.replica.rawValue), log.start, log.base, Int64(log.acknowledged),
                Int64(bitPattern: log.hash.rawValue), index == logs.count - 1 ? nil : Int64(log.end), Int64(log.sent),
                Int64(log.proven), Int64(log.vouched), Int64(log.claimed), log.isOwn,
            ])
        }
    }

    static func writeAcknowledged(_ log: OwnLog, _ database: Database) throws {
        try database.cachedStatement(sql: "UPDATE own_log SET acknowledged = ?, hash = ? WHERE replica = ? AND own")
            .execute(arguments: [
                Int64(log.acknowledged), Int64(bitPattern: log.hash.rawValue), Int64(log.replica.rawValue),
            ])
    }

    /// The rows are those of this epoch now.
    static func forgetProven(_ database: Database) throws {
        try database.cachedStatement(sql: "UPDATE own_log SET proven = 0 WHERE proven > 0").execute()
    }

    static func writeSent(_ number: UInt32, of replica: ReplicaID, _ database: Database) throws {
        try database.cachedStatement(sql: "UPDATE own_log SET sent = max(sent, ?) WHERE replica = ? AND own")
            .execute(arguments: [Int64(number), Int64(replica.rawValue)])
    }
}
