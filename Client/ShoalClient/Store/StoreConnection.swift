import GRDB
import Glibc
import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// The one connection that a process has to a home's database, and the store on it.
///
/// `@unchecked Sendable`: the store is used only inside `queue`, which runs one body at a time.
final class StoreConnection: @unchecked Sendable {
    private let queue: DatabaseQueue
    private var store: ReplicaStore?
    private let path: String
    private let home: String
    private let environment: Environment
    private var homes: any HomeFiles { environment.homes }
    /// Held for as long as the database is open where no other process can have it open too, for want of room: nobody waits
    /// for it then but on this lock, whose holder has a number.
    private let kept: (any HomeLock)?

    init(home: String, environment: Environment) throws {
        self.home = home
        self.environment = environment
        path = HomeDirectory.databasePath(home)
        // Before the lock: a person may have to type.
        let opened = try HomeKey.open(home, environment)
        let cipher = opened?.cipher
        if environment.homes.isReadOnly(home) {
            (queue, store) = try Self.openReadOnly(home, path, environment, cipher)
            kept = nil
            return
        }
        let lock = try environment.homes.lock(home, name: HomeDirectory.transactionLock)
        guard lock.acquire(waiting: ReplicaStore.lockWait, ticks: environment.ticks) else {
            throw ReplicaError.busy(home: home, pid: lock.holder)
        }
        var isKept = false
        defer { if !isKept { lock.release() } }
        try environment.homes.finish(home)
        try HomeDirectory.refuseEmptied(home)
        guard try environment.homes.keyFile(home) == opened?.file else {
            throw ReplicaError.home(home, reason: "another process has changed its encryption; try again")
        }
        let path = path
        (queue, store, isKept) = try StoreError.mapping(path: path) {
            try StoreFile.sharingIfRoom { isAlone in
                let queue = try DatabaseQueue(
                    path: try StoreFile.name(path, cipher: cipher),
                    configuration: StoreFile.configuration(label: "replica", cipher: cipher, isAlone: isAlone))
                let store = try Self.open(queue, home, path, environment, isAlone ? NoLock() : lock)
                return (queue, store, isAlone)
            }
        }
        kept = isKept ? lock : nil
    }

    private static func open(
        _ queue: DatabaseQueue, _ home: String, _ path: String, _ environment: Environment, _ lock: any HomeLock
    ) throws -> ReplicaStore {
        let migrator = ReplicaSchema.migrator
        try queue.inDatabase { database in
            try StoreFile.refuseNewer(migrator, database, path: path)
            // Not GRDB's own setting, which lowers `synchronous`.
            try database.execute(sql: "PRAGMA journal_mode = WAL")
        }
        try migrator.migrate(queue)
        return try queue.inDatabase {
            try ReplicaSchema.shape.refuseDamaged($0, path: path)
            try StoreFile.makeDurable($0, path: path)
            let store = try ReplicaStore($0, home: home, environment: environment, lock: lock)
            try store.settle()
            return store
        }
    }

    /// Opens a home that nobody can write, to be read as it is.
    private static func openReadOnly(
        _ home: String, _ path: String, _ environment: Environment, _ cipher: PageCipher?
    ) throws -> (DatabaseQueue, ReplicaStore) {
        // What the log holds is not in the database yet, and could not be moved there.
        guard Glibc.access(path + "-wal", F_OK) != 0 else {
            throw ReplicaError.home(
                home, reason: "it cannot be written, and not all of it is in its database yet; copy it elsewhere first")
        }
        let (name, configuration) = try StoreFile.immutable(path, label: "replica", cipher: cipher)
        return try StoreError.mapping(path: path) {
            let queue = try DatabaseQueue(path: name, configuration: configuration)
            let store = try queue.inDatabase { database in
                let migrator = ReplicaSchema.migrator
                try StoreFile.refuseNewer(migrator, database, path: path)
                guard try migrator.hasCompletedMigrations(database) else {
                    throw ReplicaError.home(
                        home, reason: "an earlier version wrote it, and it cannot be written; copy it elsewhere first")
                }
                try ReplicaSchema.shape.refuseDamaged(database, path: path)
                return try ReplicaStore(
                    database, home: home, environment: environment, lock: NoLock(), isReadOnly: true)
            }
            return (queue, store)
        }
    }

    deinit {
        // Nobody is left to tell; the write-ahead log stays and is read when the database is opened again.
        try? close()
    }

    func close() throws {
        let plan: SparePages.Plan? = try StoreError.mapping(path: path) {
            let plan = try queue.inDatabase { database in
                guard let store else { return nil as SparePages.Plan? }
                defer { self.store = nil }
                let plan = store.isReadOnly ? nil : try? SparePages.plan(database, kept: homes.spareKey(home))
                try store.close()
                return plan
            }
            try queue.close()
            return plan
        }
        kept?.release()
        if let plan { homes.keepSpare(home, plan) }
    }

    /// Closes the database and removes it, for good.
    ///
    /// - Throws: `ReplicaError.busy`, and as `HomeFiles.removeDatabase` does.
    func remove() throws {
        // What it cannot move into the database any more goes with it.
        queue.inDatabase { _ in
            do { try store?.close() } catch {}
            store = nil
        }
        try StoreError.mapping(path: path) { try queue.close() }
        kept?.release()
        let lock = try homes.lock(home, name: HomeDirectory.transactionLock)
        guard lock.acquire(waiting: ReplicaStore.lockWait, ticks: environment.ticks) else {
            throw ReplicaError.busy(home: home, pid: lock.holder)
        }
        defer { lock.release() }
        try homes.removeDatabase(home)
    }

    /// Whether no other process can open the home before this one has closed it.
    var isAlone: Bool { kept != nil }

    var isReadOnly: Bool { get throws { try access { $0.isReadOnly } } }

    /// Runs `body` on the connection's queue, outside a transaction.
    func access<T>(_ body: (ReplicaStore) throws -> T) throws -> T {
        try StoreError.mapping(path: path) {
            try queue.inDatabase { _ in
                guard let store else { throw ReplicaError.home(home, reason: "it is closed") }
                return try body(store)
            }
        }
    }

    /// Runs `body` on one state of the database.
    func read<T>(_ body: (ReplicaStore) throws -> T) throws -> T {
        try access { store in try store.reading { try body(store) } }
    }

    /// Runs `body` in a transaction before or while the replica is enrolled.
    func enrolling<T>(_ body: (ReplicaStore) throws -> T) throws -> T {
        try access { store in try store.transaction(enrolled: false) { try body(store) } }
    }
}
