import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// A replica: the operator's own copy of the data in a directory, the *home*.
///
/// Every call works on the local database and returns when its change is durable; only `SyncDriver` and `enroll` use
/// the network. Calls are synchronous and may come from any thread; several processes may share a home. A call waits up
/// to 10 s for another process and then throws `ReplicaError.busy`.
///
/// Errors are `ReplicaError`, and `StoreError` where disk or database fail.
public final class Replica: Sendable {
    /// What a program may set.
    public struct Options: Sendable {
        /// A commit that leaves more records than this waiting for the text index moves them into it; nil never does, and
        /// `drainTextIndex` is the caller's.
        public var textQueueBound: Int?
        /// The most operations that a request carries; smaller ones than the protocol's are for tests.
        public var frameOperations: Int
        public init(textQueueBound: Int? = 5_000, frameOperations: Int = Limits.operations) {
            self.textQueueBound = textQueueBound
            self.frameOperations = frameOperations
        }
    }

    /// The directory.
    public let home: String
    public let environment: Environment
    let options: Options
    let connection: StoreConnection
    private let observers = Observers()

    /// Opens the replica in `home`.
    ///
    /// - Throws: `ReplicaError.notEnrolled` if there is none, `StoreError.newerVersion` if a newer version wrote it.
    ///   `.locked` if its server has locked it.
    /// - Parameter mayHandOver: whether a home that is locked may be opened to hand over what it had not sent, which
    ///   `SyncDriver.sync` does; nothing else can be done with it.
    public convenience init(
        home: String, environment: Environment, options: Options = Options(), mayHandOver: Bool = false
    ) throws {
        guard try environment.homes.hasDatabase(home) else { throw ReplicaError.notEnrolled(home: home) }
        try self.init(opening: home, environment, options)
        try refuseLocked(allowing: mayHandOver ? .handingOver : nil)
        guard try connection.access({ try StandingStore.isEnrolled($0.database) }) else {
            throw ReplicaError.notEnrolled(home: home)
        }
        try connection.access { try $0.deriveIfUnderived() }
        scrubIfNeeded()
    }

    private init(opening home: String, _ environment: Environment, _ options: Options) throws {
        self.home = home
        self.environment = environment
        self.options = options
        connection = try StoreConnection(home: home, environment: environment)
    }

    /// Moves the write-ahead log into the database and closes it. Also happens when the replica goes away.
    public func close() throws {
        observers.finish()
        try connection.close()
    }

    // MARK: Enrolment

    /// Makes a home (mode 0700) and enrols it, or goes on with an enrolment whose answer was lost: the key is stored
    /// before it is sent, and the same code and key get the same answer. Does not sync. A home that is enrolled already
    /// is enrolled again if its server has lost it, and keeps all that it has.
    ///
    /// - Parameters:
    ///   - device: what people call this machine; nil names it not.
    ///   - trust: what the transport trusts the server by, to be remembered.
    /// - Throws: `ReplicaError.alreadyEnrolled`, `SyncError`.
    public static func enroll(
        home: String, url: String, code: String, device: String? = nil, trust: ServerTrust = ServerTrust(),
        transport: any Transport, environment: Environment, options: Options = Options()
    ) async throws -> Replica {
        let server = try Endpoint.normalized(url)
        let replica: Replica
        do { replica = try create(home, environment, options) } catch ReplicaError.alreadyEnrolled {
            return try await enrollAgain(
                home: home, server: server, code: code, device: device, trust: trust, transport: transport,
                environment: environment,
                options: options)
        }
        let key = try replica.connection.enrolling { store in
            let key = try StandingStore.begin(
                server: server, code: code, key: Endpoint.key(environment.random), store.database, home: home)
            try TrustStore.remember(trust, of: server, store.database)
            return key
        }
        let answer = try await Endpoint(server: server, key: "", transport: transport).enroll(
            code: code, key: key, device: device)
        try replica.connection.enrolling { store in
            try StandingStore.finish(answer, key: key, now: environment.now(), store.database, home: home)
        }
        return replica
    }

    /// Makes a home and enrols it with an answer obtained elsewhere: for simulators and benchmarks.
    public static func create(
        home: String, server: String, key: String, enrolment: EnrollResponse, environment: Environment,
        options: Options = Options()
    ) throws -> Replica {
        let replica = try create(home, environment, options)
        try replica.connection.enrolling { store in
            let key = try StandingStore.begin(server: server, code: "", key: key, store.database, home: home)
            try StandingStore.finish(enrolment, key: key, now: environment.now(), store.database, home: home)
        }
        return replica
    }

    /// Makes a copied home that never wrote a replica of its own, instead of filling an empty one: for benchmarks.
    public func adopt(_ enrolment: EnrollResponse, key: String) throws {
        try connection.enrolling { try StandingStore.adopt(enrolment, key: key, now: environment.now(), $0.database) }
    }

    /// Prepares for many commits, in a program that stays open: they get a third faster. A failure changes nothing.
    ///
    /// - Throws: `StoreError.full` where there is so little room that no other process could open the home meanwhile.
    public func stayOpen() throws {
        if connection.isAlone { throw StoreError.full(path: home) }
        try connection.access { $0.extendLogFile() }
    }

    private static func create(_ home: String, _ environment: Environment, _ options: Options) throws -> Replica {
        try environment.homes.create(home)
        let replica = try Replica(opening: home, environment, options)
        try replica.refuseLocked(allowing: .wiped)
        if let known = try replica.connection.access({ try StandingStore.credential($0.database) }) {
            throw ReplicaError.alreadyEnrolled(home: home, server: known.server)
        }
        return replica
    }

    /// Makes a home with nothing in it but why it is empty.
    static func leaveWord(
        _ lockout: Lockout, _ home: String, _ environment: Environment, _ options: Options
    ) throws {
        try environment.homes.create(home)
        let replica = try Replica(opening: home, environment, options)
        try replica.connection.enrolling { try LockoutStore.write(lockout, $0.database) }
        try replica.close()
    }

    func reenrolling<T>(_ body: (ReplicaStore) throws -> T) throws -> T { try connection.enrolling(body) }

    /// Where the server is and with which key to speak to it.
    public func credential() throws -> (server: String, key: String) {
        guard let known = try connection.access({ try StandingStore.credential($0.database) }) else {
            throw ReplicaError.notEnrolled(home: home)
        }
        return known
    }

    /// What its server is trusted by: the transport's.
    public func trust() throws -> ServerTrust { try connection.access { try TrustStore.read($0.database) } }

    // MARK: Writing

    /// Runs several commands in one durable transaction: all of them happen or, if `body` throws, none.
    ///
    /// The lock is held while `body` runs: do not wait for a network or a person in it. A home that is out of contact takes
    /// commands as ever, since a clock that jumped ahead looks the same; they name nothing that they were not given.
    @discardableResult
    public func write<T>(_ body: (Commands) throws -> T) throws -> T {
        try transaction(isRemote: false) { store in
            try store.admit(needsContact: false)
            return try withoutNames(store) { try body(Commands(store)) }
        }
    }

    /// Runs `body`, whose errors name nothing that it was not given while the home is out of contact.
    private func withoutNames<T>(_ store: ReplicaStore, _ body: () throws -> T) throws -> T {
        do { return try body() } catch let error as ReplicaError {
            guard let days = store.daysOutOfContact else { throw error }
            throw error.withoutNames(days: days)
        }
    }

    private func transaction<T>(isRemote: Bool, _ body: (ReplicaStore) throws -> T) throws -> T {
        try connection.access { store in
            defer { note(store) }
            let result = try store.transaction(isRepeatable: isRemote) { try body(store) }
            observers.send(store.projection.table.touched, isRemote: isRemote)
            if let bound = options.textQueueBound, store.projection.table.queued > bound { drain(store, to: bound) }
            return result
        }
    }

    /// Upkeep after a commit: if it fails the queue stays longer, and the command, which is durable, has not failed. Told
    /// that it had, a person would give it again.
    private func drain(_ store: ReplicaStore, to bound: Int) {
        do { while try store.drainText(limit: 1_000) > bound {} } catch {}
    }

    func remember(_ conflicts: [Conflict], of record: RecordID?) throws {
        try transaction(isRemote: false) { try $0.remember(conflicts, of: record) }
    }

    /// Whether nobody can write where the home is; it can be read.
    var isReadOnly: Bool { get throws { try connection.isReadOnly } }

    // MARK: Syncing

    /// Where the replica stands, with the first frame of its tail: what to ask the server next.
    public func nextRequest() throws -> SyncRequest {
        try connection.read { try $0.nextRequest(operations: options.frameOperations) }
    }

    /// The same with hashes of the tail instead of operations, after `count` that the server knows.
    func tailRequest(skipping count: Int) throws -> SyncRequest {
        try connection.read { try $0.tailRequest(skipping: count, limit: options.frameOperations) }
    }

    /// Makes durable, before a request goes out, the cursor that it presents, and remembers what it sends: after a rollback
    /// such operations keep their numbers.
    func noteSent(_ request: SyncRequest) throws {
        try connection.access { try $0.makeCursorDurable() }
        guard let log = request.logs.last, !request.operations.isEmpty else { return }
        let number = log.position + UInt32(truncatingIfNeeded: request.operations.count)
        if try connection.read({ $0.isSent(number, of: log.replica) }) { return }
        try connection.access { store in try store.transaction { try store.setSent(number, of: log.replica) } }
    }

    /// Makes the logs continue the server's again, in one durable transaction.
    func heal(_ healing: ClientSession.Healing) throws {
        try transaction(isRemote: false) { try Healing($0).run(healing) }
    }

    /// What of the stock is relayed next, as the body of a request; nil when nothing is left.
    func nextRelay(isFirst: Bool) throws -> (body: [UInt8], batch: RelayBatch)? {
        var weight = Limits.page
        while true {
            let next = try transaction(isRemote: true) { try $0.nextRelay(isFirst: isFirst, weight: weight) }
            guard let (request, batch) = next else { return nil }
            let body = try request.encoded()
            if body.count <= Limits.body { return (body, batch) }
            // What cannot be compressed goes in smaller parts, and what fits no body alone stays here.
            if batch.records.count == 1 { try transaction(isRemote: true) { try StockStore($0).passOver(batch) } }
            weight /= 2
        }
    }

    /// Drops what the server has acknowledged.
    func dropRelayed(_ batch: RelayBatch) throws { try transaction(isRemote: true) { try StockStore($0).drop(batch) } }

    /// Remembers for people how many records the server got back.
    func noteRelayed(_ count: Int) throws {
        try transaction(isRemote: true) { store in
            try StockStore(store).note(relayed: count, at: store.correctedTime, replica: store.current.replica)
        }
    }

    /// Stores a server's answer in one durable transaction.
    @discardableResult
    ///
    /// - Parameter clockOffset: by how many milliseconds the server's clock is ahead, if that is known better than from
    ///   the answer alone.
    public func commit(_ commit: ClientSession.Commit, clockOffset: Int64? = nil) throws -> CommitOutcome {
        let outcome = try transaction(isRemote: true) { store in
            var page = try PageStore(store, commit, clockOffset: clockOffset)
            let outcome = try page.run()
            // Before it is durable, so that no crash leaves them: the doctor's copies hold what went, too.
            if outcome.hasEvicted { try environment.homes.removeDamaged(home) }
            return outcome
        }
        if !commit.erased.isEmpty { scrubIfNeeded() }
        return outcome
    }

    /// Makes rows what the server says they are, in one transaction.
    func repair(_ repair: DigestSession.Repair) throws -> RepairOutcome {
        try transaction(isRemote: true) { store in
            var run = RepairStore(store)
            return try run.run(repair)
        }
    }

    /// Looks for damage that only the replica itself can tell, and mends what it can without a server.
    ///
    /// - Parameter rebuilds: whether derived tables and text index are derived anew even if they are right.
    public func examine(rebuilds: Bool = false) throws -> [Finding] {
        try connection.access { try Examination($0).run(rebuilds: rebuilds) }
    }

    /// Damages rows so that they are other than the server's: for benchmarks of the comparison.
    public func forget(_ records: [RecordID]) throws {
        try transaction(isRemote: true) { store in
            var run = RepairStore(store)
            _ = try run.run(DigestSession.Repair(page: RecordPage(), gone: records))
        }
    }

    /// Lets the next sync fetch all records anew.
    public func fetchAnew() throws {
        try transaction(isRemote: false) { store in
            var standing = store.standing
            standing.cursor = ""
            standing.fill = .none
            try store.setStanding(standing)
        }
    }

    /// Runs `body` as the only sync of this home.
    func exclusively<T>(_ body: () async throws -> T) async throws -> T {
        let lock = try environment.homes.lock(home, name: HomeDirectory.syncLock)
        guard lock.tryAcquire() else { throw ReplicaError.syncing(home: home, pid: lock.holder) }
        defer { lock.release() }
        return try await body()
    }

    // MARK: Reading

    /// Runs `body` on one state of the database, if the home shows anything at all.
    ///
    /// - Parameter needsContact: false for what says nothing of the data.
    func read<T>(needsContact: Bool = true, _ body: (ReplicaStore) throws -> T) throws -> T {
        try connection.access { store in
            defer { note(store) }
            return try store.reading {
                try store.admit(needsContact: needsContact)
                return try withoutNames(store) { try body(store) }
            }
        }
    }

    /// Upkeep: if the time cannot be stored now, the next command stores it.
    private func note(_ store: ReplicaStore) {
        do { try store.noteTime() } catch {}
    }

    /// How many operations the server has not acknowledged.
    func pending() throws -> Int { try connection.read { $0.pending } }

    /// The replicas whose logs this home has written.
    func ownReplicas() throws -> Set<String> {
        try connection.read { store in Set(store.log.logs.filter(\.isOwn).map(\.replica.text)) }
    }

    /// What each commit of this process changes from now on. A slow reader loses the oldest.
    public func changes() -> AsyncStream<ReplicaChange> { observers.stream() }

    /// Derives all tables anew from records and tail, and queues all text: after damage, or to check that they are right.
    public func rebuildProjections() throws {
        try transaction(isRemote: false) { try $0.rebuildProjections() }
    }

    /// Moves up to `limit` records from the queue into the text index. Searching does not need it; it keeps it fast.
    ///
    /// - Returns: how many are left.
    @discardableResult
    public func drainTextIndex(limit: Int = 1_000) throws -> Int {
        try connection.access { try $0.drainText(limit: limit) }
    }
}

// MARK: - Single commands

/// Each of these is one durable transaction of one command; see `Commands` for what they do.
extension Replica {
    public func addCustomer(name: String, fields: [FieldValue] = []) throws -> RecordID {
        try write { try $0.addCustomer(name: name, fields: fields) }
    }
    public func setFields(of customer: RecordID, _ fields: [FieldValue]) throws {
        try write { try $0.setFields(of: customer, fields) }
    }
    public func deleteCustomer(_ id: RecordID) throws { try write { try $0.deleteCustomer(id) } }
    public func follow(_ customer: RecordID, account: String) throws {
        try write { try $0.follow(customer, account: account) }
    }
    /// - Parameter account: nil for one's own.
    public func unfollow(_ customer: RecordID, account: String? = nil) throws {
        try write { try $0.unfollow(customer, account: account) }
    }
    /// - Returns: the tags that had to be made.
    @discardableResult
    public func editTags(of customers: [RecordID], _ changes: [TagChange]) throws -> [CreatedTag] {
        try write { try $0.editTags(of: customers, changes) }
    }
    public func addTag(_ name: String, single: Bool = false) throws -> RecordID {
        try write { try $0.addTag(name, single: single) }
    }
    public func renameTag(_ tag: String, to name: String) throws { try write { try $0.renameTag(tag, to: name) } }
    public func mergeTag(_ tag: String, into other: String) throws {
        try write { try $0.mergeTag(tag, into: other) }
    }
    public func splitTag(_ tag: String) throws { try write { try $0.splitTag(tag) } }
    public func deleteTag(_ tag: String) throws { try write { try $0.deleteTag(tag) } }
    public func addNote(to customer: RecordID, _ body: String) throws -> RecordID {
        try write { try $0.addNote(to: customer, body) }
    }
    public func editNote(_ id: RecordID, _ body: String) throws {
        try write { try $0.editNote(id, body) }
    }
    public func editNote(_ draft: TextDraft, _ body: String) throws {
        try write { try $0.editNote(draft, body) }
    }
    public func deleteNote(_ id: RecordID) throws { try write { try $0.deleteNote(id) } }
    /// - Parameters:
    ///   - field: may be nil when one field is in conflict.
    ///   - choice: 0 for the shown value, n for `others[n - 1]`.
    ///   - token: of the `Conflict` that was chosen from; nil for the listing remembered last.
    public func settle(_ record: RecordID, field: String? = nil, choice: Int, token: UInt64? = nil) throws {
        try write { try $0.settle(record, field: field, choice: choice, token: token) }
    }
}
