import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// The one writer: the state that every commit needs, kept in memory beside the statements.
///
/// Used only on the queue of the pool's writer connection. What a transaction changes here counts only once it is
/// durable: `transaction` puts the old state back when it fails.
final class StoreWriter {
    let queries: CommitQueries
    let collection: CollectionQueries
    let hashes: HashQueries
    let relays: RelayQueries
    let places: EarlierPlaceQueries
    let visibility: VisibilityQueries
    let audit: AuditQueries
    let erasures: ErasureQueries
    let random: @Sendable (Int) -> [UInt8]
    let quarantine: Quarantine
    let seal: Seal
    private let wal: WriteAheadLog

    /// What a transaction may change.
    struct State {
        var logs: [ReplicaID: LogState]
        /// The newest commit.
        var commit: CommitMark
        /// The last sequence given out; that of the newest commit between transactions.
        var sequence: Int64
        var epoch: UInt64
        /// Whether the epoch was begun because the server had lost something, and somebody may still bring that.
        var recovers: Bool
        /// Whether all who were waited for have brought it. Who comes later is taken in as before, but not believed about what
        /// its account may see.
        var hasRecovered = false
        /// The upper half of the replicas handed out since the server started.
        var replicaEpoch: UInt16
        /// How many replicas were ever handed out, modulo 65,536.
        var replicas: UInt16
        /// Whether replicas are asked for what they held; §3.6.
        var recovery = false
        /// The vectors of what was relayed, as long as a log has not reached them.
        var relaySources: [Int64: RelaySource] = [:]
        /// Where operations stood in earlier epochs.
        var earlier = EarlierPlaces()
        /// Replicas handed out in the transaction under way, not yet named in the records of their accounts.
        var handedOut: [ReplicaID] = []
        /// Which replica a fork or a rollback was answered with, since the server started.
        var answered: [HandOut: ReplicaID] = [:]
        var collection = CollectionState()
        /// What each account may do.
        var roles: [RecordID: Role] = [:]
        /// Who may edit the tag book.
        var tagEditors = TagEditors.everyone
        /// Records that were collected and that somebody may still write to.
        var collected: Set<RecordID> = []
        /// Records of which everything was erased, for good.
        var erased: Set<RecordID> = []
        /// Additions of followers of which it is not known that their author could make them.
        var unproven: [RecordID: Set<Dot>] = [:]
        /// Where the audit ends.
        var audit = AuditHead()
        /// The last mark given to a row of the audit.
        var auditMark: Int64 = 0
    }
    var state: State
    /// Who is waited for. Not part of the state: it is noted after commits, and to have lost some of it waits longer.
    var leases: Leases
    /// Upkeep of the hashes that is under way.
    var upkeep = HashUpkeep()
    /// How many operations each log had when the server started.
    let positionsAtStart: [ReplicaID: UInt32]
    private var isFailed = false

    init(
        _ database: Database, state: State, seal: Seal, quarantine: Quarantine, lease: Int64,
        random: @escaping @Sendable (Int) -> [UInt8]
    ) throws {
        self.quarantine = quarantine
        queries = try CommitQueries(database)
        relays = try RelayQueries(database)
        places = try EarlierPlaceQueries(database)
        visibility = try VisibilityQueries(database)
        audit = try AuditQueries(database, secret: random(32))
        erasures = try ErasureQueries(database)
        collection = try CollectionQueries(database, visibility)
        hashes = try HashQueries(database)
        wal = WriteAheadLog(database)
        self.state = state
        positionsAtStart = state.logs.mapValues(\.position)
        leases = try collection.load(length: lease, into: &self.state)
        self.seal = seal
        self.random = random
        self.state.audit = try AuditQueries.head(database)
        self.state.auditMark = try audit.lastMark()
        self.state.replicaEpoch = drawReplicaEpoch()
        self.state.recovery = try relays.isRecovering()
        self.state.relaySources = try relays.sources()
        self.state.earlier = try places.load()
        self.state.unproven = try visibility.unproven()
        self.state.erased = try erasures.records()
    }

    /// Runs `body` in one durable transaction; on an error nothing of it remains, in the file or here.
    ///
    /// - Throws: what `body` throws, or `StoreError`. After `inputOutput` the disk's state is unknown, and every later
    ///   transaction is refused: trying an fsync again may report success for pages that were lost.
    func transaction<T>(_ body: () throws -> T) throws -> T {
        try refuseAfterFailure()
        let before = state
        do {
            try queries.begin()
            let result = try body()
            if state.audit != before.audit { try audit.write(state.audit) }
            try queries.commit()
            return result
        } catch {
            state = before
            stopAfter(error)
            try queries.rollback()
            throw error
        }
    }

    /// Marks the commit under way; called once everything else of it is written.
    func markCommit() throws {
        let tag = random(4).reduce(0) { $0 << 8 | UInt32($1) }
        state.sequence += 1
        state.commit = CommitMark(sequence: state.sequence, tag: tag)
        try queries.appendTag(state.commit)
    }

    /// Makes durable what an earlier process may not have.
    func settle() throws { try stopping { try wal.settle() } }
    func checkpointIfLong() throws { try stopping { try wal.checkpointIfLong() } }
    func truncateLog() throws { try stopping { try wal.truncate() } }

    /// Runs upkeep that is no transaction, and stops for good if the disk fails.
    func stopping(_ body: () throws -> Void) throws {
        try refuseAfterFailure()
        do { try body() } catch {
            stopAfter(error)
            throw error
        }
    }

    private func refuseAfterFailure() throws(StoreError) {
        if isFailed { throw .inputOutput(path: "the database", reason: "it failed before") }
    }

    private func stopAfter(_ error: any Error) {
        if StoreError.isDiskFailure(error) { isFailed = true }
    }

    func extendLogFile() { wal.extendFile() }
    func detach() { wal.detach() }
}
