import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import class ShoalStore.Statement

/// The one row of `collection`, and what is kept in memory beside it.
struct CollectionState: Hashable {
    /// A cursor whose floor is below this is behind: what it has not been told may be gone.
    var collected: Int64 = 0
    /// The feed has been swept up to here.
    var swept: Int64 = 0
    /// Hashes of operations that commits up to this one took may be gone.
    var hashes: Int64 = 0
    /// How many records and cells were collected ever.
    var records: Int64 = 0
    var cells: Int64 = 0
}

/// The statements of collection, prepared once on the writer connection.
final class CollectionQueries {
    private let database: Database
    let members: MemberQueries
    private let visibility: VisibilityQueries
    private let selectFeed: Statement
    private let deleteFeed: Statement
    private let rewriteRecord: Statement
    private let rewriteDetail: Statement
    private let deleteRecord: Statement
    private let deleteDetail: Statement
    private let insertCollected: Statement
    private let deleteCollected: Statement
    private let updateState: Statement
    private let upsertLease: Statement
    private let deleteTags: Statement

    init(_ database: Database, _ visibility: VisibilityQueries) throws(StoreError) {
        self.database = database
        self.visibility = visibility
        members = try MemberQueries(database)
        selectFeed = try Statement(
            database, "SELECT sequence, record FROM feed WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence")
        deleteFeed = try Statement(database, "DELETE FROM feed WHERE sequence <= ?1")
        rewriteRecord = try Statement(database, "UPDATE record SET sequence = ?2, cells = ?3 WHERE id = ?1")
        rewriteDetail = try Statement(database, "UPDATE detail SET sequence = ?2, cells = ?3 WHERE id = ?1")
        deleteRecord = try Statement(database, "DELETE FROM record WHERE id = ?1")
        deleteDetail = try Statement(database, "DELETE FROM detail WHERE id = ?1")
        insertCollected = try Statement(database, "INSERT OR REPLACE INTO collected (record, clock) VALUES (?1, ?2)")
        deleteCollected = try Statement(database, "DELETE FROM collected WHERE record = ?1")
        updateState = try Statement(
            database,
            """
            UPDATE collection SET epoch = ?1, collected = ?2, swept = ?3, clock = ?4, hashes = ?5, records = ?6, cells = ?7
            """)
        upsertLease = try Statement(
            database,
            """
            INSERT OR REPLACE INTO lease (replica, reached, acknowledged, began, contact)
            VALUES (?1, ?2, ?3, ?4, ?5)
            """)
        deleteTags = try Statement(
            database,
            """
            DELETE FROM commit_tag WHERE sequence <= ?1 AND sequence <= (
                SELECT max(sequence) FROM (SELECT sequence FROM commit_tag ORDER BY sequence LIMIT ?2))
            AND sequence < (SELECT max(sequence) FROM commit_tag)
            """)
    }

    // MARK: State

    /// What the file holds. What was reached in an earlier epoch says nothing about this one.
    func load(length: Int64, into state: inout StoreWriter.State) throws -> Leases {
        guard let row = try Row.fetchOne(database.cachedStatement(sql: "SELECT * FROM collection")) else {
            throw StoreError.damaged(path: "collection", reason: "its row is missing")
        }
        state.collection = CollectionState(
            collected: row["collected"], swept: row["swept"], hashes: row["hashes"], records: row["records"],
            cells: row["cells"])
        var standings: [ReplicaID: Leases.Standing] = [:]
        let rows = try Row.fetchCursor(database.cachedStatement(sql: "SELECT * FROM lease"))
        while let row = try rows.next() {
            standings[Self.replica(row["replica"])] = Leases.Standing(
                reached: row["reached"], acknowledged: UInt32(truncatingIfNeeded: row["acknowledged"] as Int64),
                began: row["began"], contact: row["contact"])
        }
        let collected = try Int64.fetchSet(database.cachedStatement(sql: "SELECT record FROM collected"))
        state.collected = Set(collected.map(RecordID.init(rawValue:)))
        var leases = Leases(
            length: length, epoch: UInt64(bitPattern: row["epoch"] as Int64), clock: row["clock"], standings: standings)
        leases.enter(epoch: state.epoch)
        return leases
    }

    private static func replica(_ number: Int64) -> ReplicaID {
        ReplicaID(rawValue: UInt32(truncatingIfNeeded: number))
    }

    /// The replicas that enrolment handed out: those of forks follow the logs that they continue.
    func enrolled() throws -> [ReplicaID] {
        try Int64.fetchAll(database.cachedStatement(sql: "SELECT replica FROM credential")).map(Self.replica)
    }

    func store(_ state: CollectionState, _ leases: Leases) throws(StoreError) {
        let values = [
            Int64(bitPattern: leases.epoch), state.collected, state.swept, leases.clock, state.hashes, state.records,
            state.cells,
        ]
        for (index, value) in values.enumerated() { try updateState.bind(Int32(index + 1), value) }
        try updateState.run()
        for replica in leases.changed {
            guard let standing = leases.standings[replica] else { continue }
            let values = [
                Int64(replica.rawValue), standing.reached, Int64(standing.acknowledged), standing.began,
                standing.contact,
            ]
            for (index, value) in values.enumerated() { try upsertLease.bind(Int32(index + 1), value) }
            try upsertLease.run()
        }
    }

    // MARK: Feed and records

    /// The next rows of the feed, at most `limit`.
    func feed(after sequence: Int64, upTo end: Int64, limit: Int) throws(StoreError) -> [(
        sequence: Int64, record: RecordID
    )] {
        try selectFeed.bind(1, sequence)
        try selectFeed.bind(2, end)
        defer { selectFeed.reset() }
        var rows: [(sequence: Int64, record: RecordID)] = []
        while rows.count < limit, try selectFeed.step() {
            rows.append((selectFeed.integer(0), RecordID(rawValue: selectFeed.integer(1))))
        }
        return rows
    }

    func deleteFeed(upTo sequence: Int64) throws(StoreError) {
        try deleteFeed.bind(1, sequence)
        try deleteFeed.run()
    }

    func rewrite(_ id: RecordID, _ envelope: Envelope, sequence: Int64, packed: [UInt8]) throws(StoreError) {
        let statement = RecordTable.isDetail(id, envelope) ? rewriteDetail : rewriteRecord
        try statement.bind(1, id.rawValue)
        try statement.bind(2, sequence)
        try statement.bind(3, packed)
        try statement.run()
    }

    /// Deletes a row.
    func delete(_ id: RecordID, _ envelope: Envelope) throws(StoreError) {
        let statement = RecordTable.isDetail(id, envelope) ? deleteDetail : deleteRecord
        try statement.bind(1, id.rawValue)
        try statement.run()
        try members.remove(id, envelope)
        if envelope.scope == .customer(id) { try visibility.forget(scope: id) }
    }

    // MARK: Collected records

    func remember(_ id: RecordID, clock: Int64) throws(StoreError) {
        try insertCollected.bind(1, id.rawValue)
        try insertCollected.bind(2, clock)
        try insertCollected.run()
    }

    func forget(_ id: RecordID) throws(StoreError) {
        try deleteCollected.bind(1, id.rawValue)
        try deleteCollected.run()
    }

    /// Some of those that were collected before `clock` and of which no row is left.
    func expiredCollected(before clock: Int64, limit: Int) throws -> [RecordID] {
        try Int64.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT record FROM collected WHERE clock < ?
                    AND NOT EXISTS (SELECT 1 FROM record WHERE id = collected.record)
                    AND NOT EXISTS (SELECT 1 FROM detail WHERE id = collected.record) LIMIT ?
                    """), arguments: [clock, limit]
        ).map(RecordID.init(rawValue:))
    }

    // MARK: Commits

    /// Deletes the oldest tags of commits up to `sequence`, at most `limit`, and never the newest.
    func deleteTags(upTo sequence: Int64, limit: Int) throws(StoreError) -> Int {
        try deleteTags.bind(1, sequence)
        try deleteTags.bind(2, Int64(limit))
        try deleteTags.run()
        return database.changedRows
    }
}
