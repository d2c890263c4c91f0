import GRDB
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

    init(home: String, environment: Environment) throws {
        self.home = home
        path = HomeDirectory.databasePath(home)
        let lock = try environment.homes.lock(home, name: HomeDirectory.transactionLock)
        guard lock.acquire(waiting: ReplicaStore.lockWait, ticks: environment.ticks) else {
            throw ReplicaError.busy(home: home, pid: lock.holder)
        }
        defer { lock.release() }
        let path = path
        queue = try StoreError.mapping(path: path) {
            try DatabaseQueue(path: path, configuration: StoreFile.configuration(label: "replica"))
        }
        let queue = queue
        store = try StoreError.mapping(path: path) {
            let migrator = ReplicaSchema.migrator
            try queue.inDatabase { database in
                try StoreFile.refuseNewer(migrator, database, path: path)
                // Not GRDB's own setting, which lowers `synchronous`.
                try database.execute(sql: "PRAGMA journal_mode = WAL")
            }
            try migrator.migrate(queue)
            return try queue.inDatabase {
                try StoreFile.makeDurable($0, path: path)
                let store = try ReplicaStore($0, home: home, environment: environment, lock: lock)
                try store.settle()
                return store
            }
        }
    }

    deinit {
        // Nobody is left to tell; the write-ahead log stays and is read when the database is opened again.
        try? close()
    }

    func close() throws {
        try StoreError.mapping(path: path) {
            try queue.inDatabase { _ in
                defer { store = nil }
                try store?.close()
            }
            try queue.close()
        }
    }

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
