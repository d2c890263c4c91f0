import CSQLite
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record
import class ShoalStore.Statement

/// The replica's database: records as of the cursor, the log and its tail, and the tables derived from both.
///
/// Used only on the queue of the one connection that the process has. A transaction holds the home's lock, so another
/// process may have written between two of them; `PRAGMA data_version` tells, and what is kept in memory is read anew.
final class ReplicaStore {
    static let lockWait: UInt64 = 10_000_000_000

    let database: Database
    let records: RecordTable
    let log: LogStore
    let projection: ProjectionStore
    let text: TextIndexStore
    let scopes: ScopeStore
    let home: String
    let environment: Environment
    private let lock: any HomeLock
    /// Whether nobody can write where the home is.
    let isReadOnly: Bool
    private let wal: WriteAheadLog
    private let beginStatement: Statement
    private let beginReading: Statement
    private let rollbackStatement: Statement
    private let commitStatement: Statement
    private let dataVersion: Statement
    private let lastLog: Statement

    private(set) var standing = Standing()
    private var version: Int64 = -1
    private var isStale = true
    /// Whether a loss of power may take back the end of a pull; see `makeCursorDurable`.
    var mayLoseCursor = false
    /// The disk has failed, or the connection could not be told to make commits durable: nothing more is written.
    private var isBroken = false

    // The end of the log, as of the running transaction.
    private var position: Int64 = 0
    private var hash = OperationHash.start
    private var allocator = RecordIDAllocator()
    /// Whether this process has drawn an identifier yet.
    private var hasLeapt = false

    private var book: TagBook?

    /// The record written last, effective: commands in a row often write the same one.
    private var cached: Record?
    private var hasSalt = false
    private var scratch: [UInt8] = []

    init(_ database: Database, home: String, environment: Environment, lock: any HomeLock, isReadOnly: Bool = false)
        throws
    {
        self.database = database
        self.home = home
        self.environment = environment
        self.lock = lock
        self.isReadOnly = isReadOnly
        records = try RecordTable(database)
        log = try LogStore(database)
        projection = try ProjectionStore(database)
        text = try TextIndexStore(database)
        scopes = try ScopeStore(database)
        wal = WriteAheadLog(database)
        beginStatement = try Statement(database, "BEGIN IMMEDIATE")
        beginReading = try Statement(database, "BEGIN DEFERRED")
        commitStatement = try Statement(database, "COMMIT")
        rollbackStatement = try Statement(database, "ROLLBACK")
        dataVersion = try Statement(database, "PRAGMA data_version")
        lastLog = try Statement(database, "SELECT position, hash, allocator FROM log ORDER BY position DESC LIMIT 1")
    }

    /// Detaches from the connection, which is about to close, and leaves a database without a write-ahead log.
    func close() throws {
        defer { wal.detach() }
        if isReadOnly { return }
        guard lock.acquire(waiting: Self.lockWait, ticks: environment.ticks) else { return }
        defer { lock.release() }
        if !isBroken { try wal.truncate() }
    }

    /// Makes durable what an earlier process may not have; the lock is held.
    func settle() throws { try wal.settle() }

    /// Waits for the disk if a loss of power may take back the end of a pull. The server counts on it that whoever presents a
    /// cursor at which one ended never writes again without having seen all that is below (SPEC.md §4.1).
    func makeCursorDurable() throws {
        if isReadOnly || !mayLoseCursor { return }
        do { try wal.makeDurable() } catch {
            stopAfter(error)
            throw error
        }
        mayLoseCursor = false
    }

    /// For programs that stay open; see `WriteAheadLog.extendFile`.
    func extendLogFile() {
        if isReadOnly { return }
        guard lock.acquire(waiting: Self.lockWait, ticks: environment.ticks) else { return }
        defer { lock.release() }
        wal.extendFile()
    }

    // MARK: Transactions

    /// Runs `body` in one durable transaction under the home's lock; nothing of it stays if it throws.
    ///
    /// - Parameters:
    ///   - enrolled: false while the replica is being enrolled and has no standing yet.
    ///   - isRepeatable: whether the server would send the same again. Such a transaction is atomic but waits for no
    ///     disk: a loss of power may undo it and what came after it, as if the answer had been lost, until a write of
    ///     the operator or a checkpoint makes it durable.
    func transaction<T>(enrolled: Bool = true, isRepeatable: Bool = false, _ body: () throws -> T) throws -> T {
        if isReadOnly { throw StoreError.readOnly(path: home) }
        guard lock.acquire(waiting: Self.lockWait, ticks: environment.ticks) else {
            throw ReplicaError.busy(home: home, pid: lock.holder)
        }
        defer { lock.release() }
        if isBroken { throw StoreError.inputOutput(path: home, reason: "the connection failed before") }
        if isRepeatable { waitForDisk(false) }
        defer { if isRepeatable { waitForDisk(true) } }
        try beginStatement.run()
        let result: T
        do {
            projection.table.touched.removeAll(keepingCapacity: true)
            if enrolled { try refresh() }
            hasSalt = false
            result = try body()
            try projection.settle(effective)
            try commitStatement.run()
        } catch {
            undo()
            stopAfter(error)
            throw error
        }
        if !enrolled { isStale = true }
        if !isRepeatable { mayLoseCursor = false }
        // Upkeep: what was committed is durable and has not failed. The log is moved by the next call that can.
        do { try wal.checkpointIfLong(isRepeatable ? WriteAheadLog.bulkLimit : WriteAheadLog.smallLimit) } catch {
            stopAfter(error)
        }
        return result
    }

    /// After an error of the disk nothing is written any more: what was not synced may be gone, and a second fsync would
    /// report success.
    private func stopAfter(_ error: any Error) {
        if StoreError.isDiskFailure(error) { isBroken = true }
    }

    /// Whether commits wait for the disk. Not a prepared statement: SQLite obeys this pragma when it is prepared.
    private func waitForDisk(_ waits: Bool) {
        guard let connection = database.sqliteConnection else { return }
        let code = sqlite3_exec(connection, "PRAGMA synchronous = \(waits ? "FULL" : "NORMAL")", nil, nil, nil)
        // Nothing may be written on a connection of which it is not known whether its commits are durable.
        if code != SQLITE_OK { isBroken = true }
    }

    /// Runs upkeep that is no transaction, such as a checkpoint, under the home's lock.
    func maintaining(_ body: () throws -> Void) throws {
        if isReadOnly { throw StoreError.readOnly(path: home) }
        guard lock.acquire(waiting: Self.lockWait, ticks: environment.ticks) else {
            throw ReplicaError.busy(home: home, pid: lock.holder)
        }
        defer { lock.release() }
        if isBroken { throw StoreError.inputOutput(path: home, reason: "the connection failed before") }
        do { try body() } catch {
            stopAfter(error)
            throw error
        }
    }

    // MARK: Admission

    /// The days of the lease, if the server must be asked before anything is shown.
    var daysOutOfContact: Int? {
        standing.lease.isExpired(now: environment.now(), offset: standing.clockOffset) ? standing.lease.days : nil
    }

    /// Throws if the home is locked, or if the server must be asked before anything is shown.
    func admit(needsContact: Bool = true) throws {
        try standing.admit(to: home, needsContact: needsContact, now: environment.now)
    }

    /// Stores the latest time seen when it has gone on.
    func noteTime() throws {
        if isReadOnly || standing.lease.days == nil { return }
        let now = environment.now()
        guard standing.lease.isWorthStoring(now: now, offset: standing.clockOffset) else { return }
        try transaction(isRepeatable: true) {
            var standing = standing
            standing.lease.seen = standing.lease.latest(now: now, offset: standing.clockOffset)
            try setStanding(standing)
        }
    }

    /// Runs `body` on one state of the database, which others may go on writing.
    func reading<T>(_ body: () throws -> T) throws -> T {
        try beginReading.run()
        // A failed rollback leaves the transaction to the next BEGIN, which then fails and says so.
        defer { try? rollbackStatement.run() }
        try refresh()
        return try body()
    }

    private func undo() {
        if let connection = database.sqliteConnection, sqlite3_get_autocommit(connection) == 0 {
            try? rollbackStatement.run()
        }
        isStale = true
        cached = nil
        projection.reset()
    }

    /// Reads what is kept in memory anew if somebody else has written, or if it is not known.
    func refresh() throws {
        _ = try dataVersion.step()
        let now = dataVersion.integer(0)
        dataVersion.reset()
        if now == version, !isStale { return }
        // Another program may have stored a page.
        if version >= 0, now != version { mayLoseCursor = true }
        standing = try StandingStore.read(database, home: home)
        log.logs = try OwnLogStore.read(database)
        try readEnd()
        cached = nil
        projection.bookChanged = true
        version = now
        isStale = false
    }

    /// Reads the end of the log that is written now.
    private func readEnd() throws {
        position = current.start
        hash = .start
        allocator = RecordIDAllocator()
        if try lastLog.step() {
            position = lastLog.integer(0)
            if position > current.start { hash = OperationHash(rawValue: UInt64(bitPattern: lastLog.integer(1))) }
            allocator = RecordIDAllocator(state: lastLog.integer(2))
        }
        lastLog.reset()
        setEnd()
    }

    private func setEnd() {
        guard let last = log.logs.indices.last else { return }
        log.logs[last].end = UInt32(truncatingIfNeeded: position - log.logs[last].base)
    }

    func setStanding(_ standing: Standing) throws {
        try StandingStore.writeStanding(standing, database)
        self.standing = standing
    }

    /// - Parameter index: of the log in `log.logs`.
    func setAcknowledged(_ number: UInt32, _ hash: OperationHash, of index: Int) throws {
        log.logs[index].acknowledged = number
        log.logs[index].hash = hash
        try OwnLogStore.writeAcknowledged(log.logs[index], database)
    }

    /// Whether a request has named the operation with that number before.
    func isSent(_ number: UInt32, of replica: ReplicaID) -> Bool {
        log.logs.contains { $0.isOwn && $0.replica == replica && $0.sent >= number }
    }

    /// Remembers before a request goes out that its operations may become known.
    func setSent(_ number: UInt32, of replica: ReplicaID) throws {
        guard let index = log.logs.firstIndex(where: { $0.isOwn && $0.replica == replica }) else { return }
        log.logs[index].sent = max(log.logs[index].sent, number)
        try OwnLogStore.writeSent(number, of: replica, database)
    }

    /// The rows are those of this epoch now.
    func forgetProven() throws {
        try OwnLogStore.forgetProven(database)
        for index in log.logs.indices { log.logs[index].proven = 0 }
    }

    /// Replaces the list of logs, after operations were given other places.
    func setLogs(_ logs: [OwnLog]) throws {
        log.logs = logs
        try OwnLogStore.write(logs, database)
        try readEnd()
        cached = nil
    }

    /// Forgets what it keeps about records: the caller has changed them.
    func forgetCached() { cached = nil }

    // MARK: Reading

    /// The log that is written now.
    var current: OwnLog { log.logs.last ?? OwnLog(replica: ReplicaID(rawValue: 0), after: 0) }
    /// The log that is pushed next: the oldest that is not acknowledged whole.
    var pushed: OwnLog { log.logs.first { $0.isOwn && $0.pending > 0 } ?? current }
    var pending: Int { log.logs.reduce(0) { $0 + $1.pending } }

    /// The record as the operator sees it: the server's state with the tail applied.
    func effective(_ id: RecordID) throws -> Record {
        if let cached, cached.id == id { return cached }
        var record = try records.read(id) ?? Record(id: id)
        try log.overlay(&record)
        return record
    }

    /// The tag book and the accounts, read anew when they changed.
    func readBook() throws -> TagBook {
        if let book, !projection.bookChanged { return book }
        let fresh = try TagBook(database)
        book = fresh
        projection.bookChanged = false
        return fresh
    }

    // MARK: Writing

    /// The time that operations of this transaction carry by the corrected clock.
    var correctedTime: Int64 {
        ServerTime.now(environment.now(), offset: standing.clockOffset, contact: standing.lease.contact)
    }

    /// Draws an identifier that is not written down with an operation, but with the last one written.
    func replacementID(time: Int64) throws -> RecordID {
        let id = try newID(time: time)
        try log.setAllocator(allocator.state)
        return id
    }

    /// An identifier that no record here has: a copy of this home with the same state of its allocator may have made one.
    func newID(time: Int64) throws -> RecordID {
        // A copy of this home is opened by another process than the one that wrote the original.
        var leap = hasLeapt ? 0 : UInt32(truncatingIfNeeded: environment.random())
        hasLeapt = true
        while let id = allocator.next(time: time, replica: current.replica, leap: leap) {
            leap = 0
            if try !records.has(id) { return id }
        }
        throw ReplicaError.noMoreIDs
    }

    /// Fresh random bits on the first operation of a transaction; the hash chain carries them on.
    func nextSalt() -> UInt32? {
        if hasSalt { return nil }
        hasSalt = true
        return UInt32(truncatingIfNeeded: environment.random())
    }

    /// Refuses now what the server would refuse later, or what no request could carry.
    private func refuseOversized(_ batch: borrowing Operations, _ record: Record) throws {
        if scratch.count > Limits.operation {
            throw ReplicaError.tooLarge("\(scratch.count) bytes in one command are more than \(Limits.operation)")
        }
        for edit in batch.edits {
            let name = edit.key.elementKind == .text ? edit.key.elementSlice.count : 0
            let value = edit.kind.isSlice ? edit.slice.count : 0
            guard max(name, value) > Limits.text else { continue }
            throw ReplicaError.tooLarge(
                "the \(name > value ? "name" : "value") of \(Schema.name(of: edit.key.field)) is longer than \(Limits.text) bytes"
            )
        }
        // The arena also holds what was replaced since; only a record that may be too large is measured.
        let footprint = batch.footprint(of: 0)
        guard footprint.writes, record.arena.count + record.entries.count * 32 + footprint.bytes > Limits.record else {
            return
        }
        var packed: [UInt8] = []
        record.encode(sequence: 0, into: &packed)
        if packed.count + footprint.bytes > Limits.record {
            throw ReplicaError.tooLarge("\(record.id) would have more than \(Limits.record) bytes")
        }
    }

    /// Appends the one operation of `batch` to the log and to the tail, and updates the derived tables.
    ///
    /// - Parameter record: the effective record that the operation was computed from.
    func append(_ batch: borrowing Operations, to old: Record) throws {
        guard current.end < UInt32.max else { throw ReplicaError.logFull }
        cached = nil
        scratch.removeAll(keepingCapacity: true)
        batch.encode(0, into: &scratch)
        try refuseOversized(batch, old)
        let previous = hash
        hash = scratch.withUnsafeBytes { previous.extended(by: $0) }
        position += 1
        try log.append(
            position: position, hash: hash, allocator: allocator.state, record: old.id, bytes: scratch)
        setEnd()
        var record = old
        record.apply(0, of: batch, dot: Dot(current.replica, current.end), time: batch.operations[0].time)
        try projection.update(from: old, to: record)
        projection.table.touched.append(old.id)
        cached = record
    }
}
