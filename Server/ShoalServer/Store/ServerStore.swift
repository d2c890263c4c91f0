import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Synchronization

import struct ShoalCRDT.Record

/// The server's database: records, logs, accounts. Safe to use from any thread.
///
/// One writer connection, on which everything that changes the file runs in turn, and readers beside it. What a call
/// returned is durable.
public final class ServerStore: Sendable {
    /// What readers need to know of the writer's state.
    struct Published: Sendable {
        var epoch: UInt64
        var recovery = false
        /// Whether something that came by a relay may stand at the places of operations whose logs have not brought them.
        var hasRelays = false
    }

    /// Holds the writer for its queue.
    ///
    /// `@unchecked Sendable`: `writer` is touched only inside `pool.writeWithoutTransaction`, which runs one at a time.
    private final class WriterBox: @unchecked Sendable {
        var writer: StoreWriter?
    }

    public let path: String
    let pool: DatabasePool
    /// Of no epoch in particular.
    let seal: Seal
    /// The records whose rows could not be read.
    public let quarantine = Quarantine()
    /// What was ever erased, kept apart from the database.
    let ledger: ErasureLedger?
    /// What ever stopped to let somebody in, kept apart from the database.
    let revocations: RevocationLedger?
    /// For how many whole days replicas may go on alone, as long as collection waits for them.
    let leaseDays: Int
    private let published: Mutex<Published>
    private let box = WriterBox()

    /// Opens the database at `path`, and makes it when there is none.
    ///
    /// - Parameters:
    ///   - environment: draws the keys of a new database and the tags of commits.
    ///   - lease: for how many milliseconds collection waits for a silent replica.
    ///   - ledger: what is erased again if the database has it; nil remembers erasures in the database alone.
    ///   - revocations: what is revoked again if the database lets it in; nil remembers revocations in the database alone.
    /// - Throws: `StoreError`; `.newerVersion` for a file of a newer version, which is left as it is.
    public init(
        path: String, environment: ServerEnvironment, lease: Int64 = ServerStore.defaultLease,
        ledger: ErasureLedger? = nil, revocations: RevocationLedger? = nil
    ) throws {
        self.path = path
        self.ledger = ledger
        self.revocations = revocations
        leaseDays = Int(clamping: min(max(lease / 86_400_000, Limits.lease.lowerBound), Limits.lease.upperBound))
        var opened: DatabasePool?
        do {
            let pool = try StoreError.mapping(path: path) {
                try DatabasePool(path: path, configuration: Self.configuration())
            }
            opened = pool
            let migrator = ServerSchema.migrator
            let opening = try StoreError.mapping(path: path) {
                try pool.read { try StoreFile.refuseNewer(migrator, $0, path: path) }
                try migrator.migrate(pool)
                return try pool.write { database in
                    try ServerSchema.shape.refuseDamaged(database, path: path)
                    try Self.begin(database, environment)
                    return (seal: try Self.seal(database), state: try Self.state(database))
                }
            }
            self.pool = pool
            seal = opening.seal
            published = Mutex(Published(epoch: opening.state.epoch))
            try StoreError.mapping(path: path) {
                try pool.writeWithoutTransaction { database in
                    try StoreFile.makeDurable(database, path: path)
                    try quarantine.load(database)
                    var state = opening.state
                    try Self.readRights(database, into: &state)
                    let writer = try StoreWriter(
                        database, state: state, seal: opening.seal, quarantine: quarantine,
                        lease: lease, random: environment.random)
                    try writer.settle()
                    box.writer = writer
                    published.withLock {
                        $0.recovery = writer.state.recovery
                        $0.hasRelays = !writer.state.relaySources.isEmpty
                    }
                }
            }
        } catch {
            try? opened?.close()
            throw error
        }
        do {
            try applyLedger()
            try applyRevocations(time: environment.now())
        } catch {
            try? close()
            throw error
        }
    }

    private static func configuration() -> Configuration {
        var configuration = StoreFile.configuration(label: "shoald")
        configuration.prepareDatabase { database in
            // Pages are read in order and once; only the writer profits from a large cache.
            if database.configuration.readonly { try database.execute(sql: "PRAGMA cache_size = -4096") }
        }
        return configuration
    }

    /// Gives a new database its keys, epoch and first commit.
    private static func begin(_ database: Database, _ environment: ServerEnvironment) throws {
        guard try Int.fetchOne(database, sql: "SELECT count(*) FROM server") == 0 else { return }
        try database.execute(
            sql: """
                INSERT INTO server (id, epoch, seal, replica_epoch, replicas, allocator) VALUES (1, ?, ?, 0, 0, -1)
                """,
            arguments: [
                Int64(bitPattern: environment.randomUInt64()), Data(environment.random(Seal.keyLength)),
            ])
        try database.execute(
            sql: "INSERT INTO commit_tag (sequence, tag) VALUES (0, ?)",
            arguments: [Int64(environment.randomUInt32())])
    }

    private static func seal(_ database: Database) throws -> Seal {
        guard let key = try Data.fetchOne(database, sql: "SELECT seal FROM server") else {
            throw StoreError.damaged(path: "server", reason: "the server's own row is missing")
        }
        return Seal(key: Array(key), epoch: 0)
    }

    private static func state(_ database: Database) throws -> StoreWriter.State {
        var logs: [ReplicaID: LogState] = [:]
        let rows = try Row.fetchCursor(database, sql: "SELECT replica, account, position, hash, refusals FROM log")
        while let row = try rows.next() {
            let replica = try ReplicaID(rawValue: UInt32(truncatingIfNeeded: row.checked(0, as: Int64.self)))
            logs[replica] = try LogState(
                account: RecordID(rawValue: row.checked(1)),
                position: UInt32(truncatingIfNeeded: row.checked(2, as: Int64.self)),
                hash: OperationHash(rawValue: UInt64(bitPattern: row.checked(3, as: Int64.self))),
                refusals: row.checked(4))
        }
        guard let mark = try newestCommit(database) else {
            throw StoreError.damaged(path: "commit_tag", reason: "there is no commit")
        }
        guard let row = try Row.fetchOne(database, sql: "SELECT epoch, recovers, replicas FROM server") else {
            throw StoreError.damaged(path: "server", reason: "the server's own row is missing")
        }
        let recovers = try row.checked("recovers", as: Int64.self)
        return try StoreWriter.State(
            logs: logs, commit: mark, sequence: mark.sequence,
            epoch: UInt64(bitPattern: row.checked("epoch", as: Int64.self)), recovers: recovers & 1 != 0,
            hasRecovered: recovers & 2 != 0, replicaEpoch: 0,
            replicas: UInt16(truncatingIfNeeded: row.checked("replicas", as: Int64.self)))
    }

    static func newestCommit(_ database: Database) throws -> CommitMark? {
        try Row.fetchOne(
            database.cachedStatement(sql: "SELECT sequence, tag FROM commit_tag ORDER BY sequence DESC LIMIT 1")
        ).map {
            try CommitMark(
                sequence: $0.checked("sequence"), tag: UInt32(truncatingIfNeeded: $0.checked("tag", as: Int64.self)))
        }
    }

    /// The epoch of this server: 64 random bits.
    public var epoch: UInt64 { published.withLock { $0.epoch } }

    /// Whether replicas are asked for what they held before this server lost something.
    public var isRecovering: Bool { published.withLock { $0.recovery } }

    /// Whether a replica's own values may be left out of its pages: not while relays may have brought others to their places.
    var mayLeaveOwnOut: Bool { published.withLock { !$0.hasRelays } }

    /// Finishes what is under way, moves the write-ahead log into the file and closes.
    public func close() throws {
        try StoreError.mapping(path: path) {
            try pool.writeWithoutTransaction { _ in
                defer {
                    box.writer?.detach()
                    box.writer = nil
                }
                try box.writer?.truncateLog()
            }
            try pool.close()
        }
    }

    /// Runs `body` on the writer's queue.
    func withWriter<T>(_ body: (StoreWriter, Database) throws -> T) throws -> T {
        try StoreError.mapping(path: path) {
            try pool.writeWithoutTransaction { database in
                guard let writer = box.writer else { throw StoreError.cannotOpen(path: path, reason: "it is closed") }
                defer {
                    published.withLock {
                        $0 = Published(
                            epoch: writer.state.epoch, recovery: writer.state.recovery,
                            hasRelays: !writer.state.relaySources.isEmpty)
                    }
                }
                return try body(writer, database)
            }
        }
    }
}

// MARK: - Committing

extension ServerStore {
    /// Checks a push and works out what needs no database; callers do this side by side.
    public func prepare(_ push: ServerSession.Push) throws(SyncProblem) -> PreparedPush {
        do { return try PreparedPush(push, seal: seal) } catch {
            // The tokens are another server's because the replica is.
            if case .foreignToken = error, push.epoch != epoch { throw .otherEpoch }
            throw error
        }
    }

    /// Commits a group of pushes in one durable transaction. A push of any size is taken; the protocol's limits are the
    /// handler's business.
    ///
    /// - Returns: for each push its receipt, or why it was refused as a whole.
    /// - Throws: `StoreError`, and then nothing of the group was stored.
    public func commit(_ group: [PreparedPush]) throws -> [Result<ServerSession.Receipt, SyncProblem>] {
        try eraseAgain(Set(group.flatMap(\.erased)), time: group.map(\.time).max() ?? 0)
        return try withWriter { writer, database in
            let outcomes = try commitAroundDamage(group, writer, database)
            writer.noteReached(group, outcomes)
            return zip(group, outcomes).map { push, outcome in receipt(outcome, of: push, writer.state) }
        }
    }

    /// Commits a group of pushes in one durable transaction.
    ///
    /// - Returns: their receipts, in order.
    /// - Throws: `SyncProblem` if a push is refused as a whole, `StoreError` if the store fails.
    public func commit(group: [ServerSession.Push]) throws -> [ServerSession.Receipt] {
        var prepared: [PreparedPush] = []
        for push in group { prepared.append(try prepare(push)) }
        return try commit(prepared).map { try $0.get() }
    }

    /// An acknowledgement is of the epoch that the replica is in after it has the answer.
    private func receipt(
        _ outcome: PushOutcome?, of push: PreparedPush, _ state: StoreWriter.State
    ) -> Result<ServerSession.Receipt, SyncProblem> {
        func acknowledgement(_ epoch: UInt64) -> String { seal.of(epoch: epoch).close(state.commit, for: push.account) }
        return switch outcome {
        case .taken(let upTo, let verdicts):
            .success(
                .init(
                    answer: .taken(
                        upTo: upTo, acknowledgement: acknowledgement(push.epoch), verdicts: verdicts)))
        case .identifierTaken(let number, let upTo, let verdicts):
            .success(
                .init(
                    answer: .identifierTaken(
                        number: number, upTo: upTo, acknowledgement: acknowledgement(push.epoch),
                        verdicts: verdicts)))
        case .fork(let fork):
            .success(
                .init(
                    answer: .fork(
                        .init(
                            of: fork.of, replica: fork.replica, known: fork.known,
                            acknowledgement: fork.replica == nil ? "" : acknowledgement(push.epoch),
                            skipped: fork.skipped))))
        case .rollback(let replica, let logs):
            .success(
                .init(
                    answer: .rollback(
                        .init(
                            of: push.epoch, epoch: state.epoch, replica: replica,
                            acknowledgement: acknowledgement(state.epoch), logs: logs))))
        case .refused(let problem): .failure(problem)
        case nil: .failure(.malformed("the request names no log"))
        }
    }

    /// Moves the write-ahead log into the file if it has grown long; for moments when nobody waits.
    public func checkpointIfLong() throws { try withWriter { writer, _ in try writer.checkpointIfLong() } }

    /// Prepares for many commits; see `WriteAheadLog.extendFile`.
    public func stayOpen() throws { try withWriter { writer, _ in writer.extendLogFile() } }

    /// Moves the write-ahead log into the file and empties it.
    public func truncateLog() throws { try withWriter { writer, _ in try writer.truncateLog() } }
}
