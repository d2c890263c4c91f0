import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has a type of the same name.
import class ShoalStore.Statement

/// Where a replica's log stands.
struct LogState: Hashable {
    var account: RecordID
    var position: UInt32
    var hash: OperationHash
    /// How many of its operations were refused.
    var refusals: Int64
}

/// The statements of a commit, prepared once on the writer connection and used only on its queue.
final class CommitQueries {
    private let beginStatement: Statement
    private let commitStatement: Statement
    private let rollbackStatement: Statement
    private let selectRecord: Statement
    private let insertRecord: Statement
    private let insertDetail: Statement
    private let updateRecord: Statement
    private let updateDetail: Statement
    private let insertFeed: Statement
    private let insertTag: Statement
    private let selectTag: Statement
    private let insertLogStatement: Statement
    private let updateLogStatement: Statement
    private let insertDeviceReplica: Statement
    private let insertHashes: Statement
    private let selectHashes: Statement
    private let insertVerdict: Statement
    private let members: MemberQueries
    private let selectVerdicts: Statement
    private let deleteRecord: Statement
    private let updateServerStatement: Statement
    private let insertFormerEpoch: Statement
    private let selectFormerEpoch: Statement
    private let insertMade: Statement
    private let selectMade: Statement
    private let selectFirstMade: Statement
    private let database: Database

    init(_ database: Database) throws(StoreError) {
        self.database = database
        members = try MemberQueries(database)
        beginStatement = try Statement(database, "BEGIN IMMEDIATE")
        commitStatement = try Statement(database, "COMMIT")
        rollbackStatement = try Statement(database, "ROLLBACK")
        selectRecord = try Statement(
            database,
            """
            SELECT sequence, cells, audit FROM record WHERE id = ?1
            UNION ALL SELECT sequence, cells, audit FROM detail WHERE id = ?1
            """)
        insertRecord = try Statement(
            database, "INSERT INTO record (id, sequence, cells, audit) VALUES (?1, ?2, ?3, ?4)")
        insertDetail = try Statement(
            database, "INSERT INTO detail (id, sequence, cells, audit) VALUES (?1, ?2, ?3, ?4)")
        updateRecord = try Statement(
            database, "UPDATE record SET sequence = ?2, cells = ?3, audit = max(audit, ?4) WHERE id = ?1")
        updateDetail = try Statement(
            database, "UPDATE detail SET sequence = ?2, cells = ?3, audit = max(audit, ?4) WHERE id = ?1")
        insertFeed = try Statement(database, "INSERT INTO feed (sequence, record, scope) VALUES (?1, ?2, ?3)")
        insertTag = try Statement(database, "INSERT INTO commit_tag (sequence, tag) VALUES (?1, ?2)")
        selectTag = try Statement(database, "SELECT tag FROM commit_tag WHERE sequence = ?1")
        insertLogStatement = try Statement(
            database,
            "INSERT INTO log (replica, account, position, hash, refusals, sequence) VALUES (?1, ?2, 0, 0, 0, 0)")
        updateLogStatement = try Statement(
            database, "UPDATE log SET position = ?2, hash = ?3, refusals = ?4, sequence = ?5 WHERE replica = ?1")
        insertDeviceReplica = try Statement(
            database, "INSERT OR IGNORE INTO device_replica (replica, device) VALUES (?1, ?2)")
        insertHashes = try Statement(database, "INSERT INTO log_hashes (replica, first, hashes) VALUES (?1, ?2, ?3)")
        selectHashes = try Statement(
            database,
            """
            SELECT first, hashes FROM log_hashes
            WHERE replica = ?1 AND first <= ?3 AND first >= coalesce(
                (SELECT max(first) FROM log_hashes WHERE replica = ?1 AND first <= ?2), 0)
            ORDER BY first
            """)
        insertVerdict = try Statement(database, "INSERT INTO verdict (replica, number, reason) VALUES (?1, ?2, ?3)")
        deleteRecord = try Statement(database, "DELETE FROM record WHERE id = ?1")
        updateServerStatement = try Statement(
            database, "UPDATE server SET epoch = ?1, recovers = ?2, replica_epoch = ?3, replicas = ?4")
        insertFormerEpoch = try Statement(database, "INSERT OR IGNORE INTO former_epoch (epoch) VALUES (?1)")
        insertMade = try Statement(
            database, "INSERT OR REPLACE INTO made (replica, number, record) VALUES (?1, ?2, ?3)")
        selectMade = try Statement(database, "SELECT record FROM made WHERE replica = ?1 AND number = ?2")
        selectFirstMade = try Statement(
            database, "SELECT number FROM made WHERE replica = ?1 ORDER BY number LIMIT 1")
        selectFormerEpoch = try Statement(database, "SELECT 1 FROM former_epoch WHERE epoch = ?1")
        selectVerdicts = try Statement(
            database,
            "SELECT number, reason FROM verdict WHERE replica = ?1 AND number BETWEEN ?2 AND ?3 ORDER BY number")
    }

    // MARK: Transactions

    func begin() throws(StoreError) { try beginStatement.run() }
    func commit() throws(StoreError) { try commitStatement.run() }

    /// Ends a transaction that failed; SQLite may have rolled it back already.
    func rollback() throws(StoreError) {
        if database.isInsideTransaction { try rollbackStatement.run() }
    }

    // MARK: Records

    /// Appends the packed row of a record to `arena`.
    ///
    /// - Returns: the row's sequence, and its mark in the audit; nil if there is no such record.
    func readRecord(
        _ id: RecordID, into arena: inout [UInt8]
    ) throws(StoreError) -> (sequence: Int64, audit: Int64)? {
        try selectRecord.bind(1, id.rawValue)
        defer { selectRecord.reset() }
        guard try selectRecord.step() else { return nil }
        arena.append(contentsOf: selectRecord.bytes(1))
        return (selectRecord.integer(0), selectRecord.integer(2))
    }

    /// - Parameter audit: the mark of the row of the audit that mentions it last; 0 leaves it what it was.
    func writeRecord(
        _ id: RecordID, _ envelope: Envelope, sequence: Int64, packed: [UInt8], isNew: Bool, wasUnmade: Bool,
        audit: Int64 = 0
    ) throws(StoreError) {
        let isDetail = RecordTable.isDetail(id, envelope)
        if isDetail, !isNew, wasUnmade {
            // Until it was made nobody knew where it belongs.
            try deleteRecord.bind(1, id.rawValue)
            try deleteRecord.run()
        }
        let isNew = isNew || (isDetail && wasUnmade)
        let statement = isNew ? (isDetail ? insertDetail : insertRecord) : (isDetail ? updateDetail : updateRecord)
        try statement.bind(1, id.rawValue)
        try statement.bind(2, sequence)
        try statement.bind(4, audit)
        try statement.run(3, packed)
        if isNew || wasUnmade, envelope.kind != .none { try members.add(id, envelope) }
    }

    func appendFeed(_ id: RecordID, _ envelope: Envelope, sequence: Int64) throws(StoreError) {
        try insertFeed.bind(1, sequence)
        try insertFeed.bind(2, id.rawValue)
        try insertFeed.bind(3, envelope.scope.routing)
        try insertFeed.run()
    }

    // MARK: Commits

    func appendTag(_ mark: CommitMark) throws(StoreError) {
        try insertTag.bind(1, mark.sequence)
        try insertTag.bind(2, Int64(mark.tag))
        try insertTag.run()
    }

    func hasTag(_ sequence: Int64) throws(StoreError) -> Bool {
        try selectTag.bind(1, sequence)
        defer { selectTag.reset() }
        return try selectTag.step()
    }

    func isKnown(_ mark: CommitMark) throws(StoreError) -> Bool {
        try selectTag.bind(1, mark.sequence)
        defer { selectTag.reset() }
        return try selectTag.step() && selectTag.integer(0) == Int64(mark.tag)
    }

    // MARK: Epochs

    func updateServer(_ state: StoreWriter.State) throws(StoreError) {
        try updateServerStatement.bind(1, Int64(bitPattern: state.epoch))
        try updateServerStatement.bind(2, (state.recovers ? 1 : 0) + (state.hasRecovered ? 2 : 0))
        try updateServerStatement.bind(3, Int64(state.replicaEpoch))
        try updateServerStatement.bind(4, Int64(state.replicas))
        try updateServerStatement.run()
    }

    /// Remembers an epoch that is over.
    func addFormerEpoch(_ epoch: UInt64) throws(StoreError) {
        try insertFormerEpoch.bind(1, Int64(bitPattern: epoch))
        try insertFormerEpoch.run()
    }

    func isFormerEpoch(_ epoch: UInt64) throws(StoreError) -> Bool {
        try selectFormerEpoch.bind(1, Int64(bitPattern: epoch))
        defer { selectFormerEpoch.reset() }
        return try selectFormerEpoch.step()
    }

    // MARK: Logs

    func insertLog(_ replica: ReplicaID, account: RecordID) throws(StoreError) {
        try insertLogStatement.bind(1, Int64(replica.rawValue))
        try insertLogStatement.bind(2, account.rawValue)
        try insertLogStatement.run()
    }

    /// Remembers which device writes a log.
    func note(_ replica: ReplicaID, of device: ReplicaID) throws(StoreError) {
        try insertDeviceReplica.bind(1, Int64(replica.rawValue))
        try insertDeviceReplica.bind(2, Int64(device.rawValue))
        try insertDeviceReplica.run()
    }

    func updateLog(_ replica: ReplicaID, _ state: LogState, sequence: Int64) throws(StoreError) {
        try updateLogStatement.bind(1, Int64(replica.rawValue))
        try updateLogStatement.bind(2, Int64(state.position))
        try updateLogStatement.bind(3, Int64(bitPattern: state.hash.rawValue))
        try updateLogStatement.bind(4, state.refusals)
        try updateLogStatement.bind(5, sequence)
        try updateLogStatement.run()
    }

    func appendHashes(_ replica: ReplicaID, first: UInt32, _ hashes: ArraySlice<OperationHash>) throws(StoreError) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(hashes.count * 8)
        for hash in hashes { withUnsafeBytes(of: hash.rawValue.littleEndian) { bytes.append(contentsOf: $0) } }
        try insertHashes.bind(1, Int64(replica.rawValue))
        try insertHashes.bind(2, Int64(first))
        try insertHashes.bind(3, bytes)
        try insertHashes.run()
    }

    /// Calls `body` with each stored hash of a log from number `first` to number `last`, ascending.
    func forEachHash(
        _ replica: ReplicaID, _ numbers: ClosedRange<UInt32>, _ body: (UInt32, OperationHash) -> Void
    ) throws(StoreError) {
        try selectHashes.bind(1, Int64(replica.rawValue))
        try selectHashes.bind(2, Int64(numbers.lowerBound))
        try selectHashes.bind(3, Int64(numbers.upperBound))
        defer { selectHashes.reset() }
        while try selectHashes.step() {
            let first = selectHashes.integer(0)
            let bytes = selectHashes.bytes(1)
            for index in 0..<bytes.count / 8 {
                guard let number = UInt32(exactly: first + Int64(index)), numbers.contains(number) else { continue }
                let word = bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
                body(number, OperationHash(rawValue: UInt64(littleEndian: word)))
            }
        }
    }

    /// Remembers which record a renumbered operation made.
    func appendMade(_ dot: Dot, _ record: RecordID) throws(StoreError) {
        try insertMade.bind(1, Int64(dot.replica.rawValue))
        try insertMade.bind(2, Int64(dot.number))
        try insertMade.bind(3, record.rawValue)
        try insertMade.run()
    }

    func made(by dot: Dot) throws(StoreError) -> RecordID? {
        try selectMade.bind(1, Int64(dot.replica.rawValue))
        try selectMade.bind(2, Int64(dot.number))
        defer { selectMade.reset() }
        return try selectMade.step() ? RecordID(rawValue: selectMade.integer(0)) : nil
    }

    /// The first operation of a log of which it is remembered what it made.
    func firstMade(in replica: ReplicaID) throws(StoreError) -> UInt32? {
        try selectFirstMade.bind(1, Int64(replica.rawValue))
        defer { selectFirstMade.reset() }
        return try selectFirstMade.step() ? UInt32(truncatingIfNeeded: selectFirstMade.integer(0)) : nil
    }

    // MARK: Verdicts

    func appendVerdict(_ replica: ReplicaID, _ verdict: Verdict) throws(StoreError) {
        try insertVerdict.bind(1, Int64(replica.rawValue))
        try insertVerdict.bind(2, Int64(verdict.number))
        try insertVerdict.bind(3, verdict.reason.rawValue)
        try insertVerdict.run()
    }

    func verdicts(_ replica: ReplicaID, _ numbers: ClosedRange<UInt32>) throws(StoreError) -> [Verdict] {
        try selectVerdicts.bind(1, Int64(replica.rawValue))
        try selectVerdicts.bind(2, Int64(numbers.lowerBound))
        try selectVerdicts.bind(3, Int64(numbers.upperBound))
        defer { selectVerdicts.reset() }
        var verdicts: [Verdict] = []
        while try selectVerdicts.step() {
            guard let number = UInt32(exactly: selectVerdicts.integer(0)),
                let reason = RefusalReason(rawValue: selectVerdicts.string(1))
            else {
                throw .damaged(path: "verdict of \(replica.rawValue)", reason: "the verdict names no reason")
            }
            verdicts.append(Verdict(number: number, reason: reason))
        }
        return verdicts
    }
}
