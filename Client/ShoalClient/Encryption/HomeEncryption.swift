import GRDB
import Glibc
import ShoalStore

/// Encrypts a home that is there, decrypts it, and gives it another secret.
///
/// The other form of the database is written beside it, and takes its place as a whole: a crash at any moment leaves the one
/// or the other. Nothing in this process may have the home open. What must be finished is found and finished when the home is next opened (`HomeDirectory.finishSwap`).
public struct HomeEncryption {
    private let home: String
    private let environment: Environment
    private var path: String { HomeDirectory.databasePath(home) }

    public init(home: String, environment: Environment) {
        self.home = home
        self.environment = environment
    }

    /// Whether the home is encrypted; what its secret is kept by, if it is.
    ///
    /// - Throws: `ReplicaError`.
    public func lock() throws -> KeyFile.Lock? {
        guard let bytes = try environment.homes.keyFile(home) else { return nil }
        do { return try KeyFile(decoding: bytes).lock } catch {
            throw ReplicaError.home(home, reason: "its key file is damaged: put a copy of it back in its place")
        }
    }

    /// Prepares a home that has nothing in it yet to be an encrypted one.
    ///
    /// - Throws: `ReplicaError.home` when there is a database.
    public func prepare(_ secret: HomeSecret) throws {
        try environment.homes.create(home)
        try exclusively {
            var status = stat()
            guard stat(path, &status) == 0, status.st_size == 0, try lock() == nil else {
                throw ReplicaError.home(home, reason: "there is something in it already: shoal encrypt encrypts that")
            }
            try HomeDirectory.writeKey(try HomeKey.make(secret, environment), as: HomeDirectory.keyName, home)
        }
    }

    /// Encrypts the database.
    ///
    /// - Throws: `ReplicaError.home` if it is encrypted already, `.busy` while another process has it open, `.locked` and
    ///   `.outOfContact` as other commands do.
    public func encrypt(_ secret: HomeSecret) throws {
        try exclusively {
            guard try lock() == nil else { throw ReplicaError.home(home, reason: "it is encrypted already") }
            try refuseReadable()
            let bytes = try HomeKey.make(secret, environment)
            let key = try KeyFile(decoding: bytes).unlocked(with: secret.bytes)
            guard let key else { throw ReplicaError.wrongSecret(home: home) }
            let cipher = PageCipher(key: key, random: environment.random)
            try HomeDirectory.writeKey(bytes, as: HomeDirectory.nextKeyName, home)
            try copy(from: nil, to: cipher)
            try HomeDirectory.commitSwap(home, encrypts: true)
        }
    }

    /// The doctor's copies and drafts of editors may be all that is left of somebody's work, so nobody but a person removes them.
    private func refuseReadable() throws {
        let names = try HomeDirectory.copies(home)
        if names.isEmpty { return }
        throw ReplicaError.home(
            home,
            reason:
                "\(names.joined(separator: ", ")) would stay readable beside the encrypted database: look whether you need what is "
                + "in it, move it away or remove it, and try again")
    }

    /// Writes the database as plain text again.
    ///
    /// - Throws: `ReplicaError.home` if it is not encrypted, and as `encrypt` does.
    public func decrypt() throws {
        let opened = try HomeKey.open(home, environment)
        guard let (cipher, file) = opened else { throw try notEncrypted() }
        try exclusively {
            try refuseChanged(file)
            try copy(from: cipher, to: nil)
            try HomeDirectory.commitSwap(home, encrypts: false)
        }
    }

    /// Locks the database's key with another secret; the database stays as it is. Not that of a locked home, which would hide it
    /// from the server's word.
    ///
    /// - Parameter secret: asked for when the one that the home has is known to be right.
    public func change(to secret: () throws -> HomeSecret) throws {
        guard let bytes = try environment.homes.keyFile(home) else { throw try notEncrypted() }
        let key = try HomeKey.unlock(bytes, home, environment)
        let new = try HomeKey.make(secret(), key: key, environment)
        let lock = try environment.homes.lock(home, name: HomeDirectory.transactionLock)
        guard lock.acquire(waiting: ReplicaStore.lockWait, ticks: environment.ticks) else {
            throw ReplicaError.busy(home: home, pid: lock.holder)
        }
        defer { lock.release() }
        try HomeDirectory.finishSwap(home)
        try refuseChanged(bytes)
        let cipher = PageCipher(key: key, random: environment.random)
        try FileExamination.examine(path, cipher) { try admit($0, needsContact: false) }
        try HomeDirectory.writeKey(new, as: HomeDirectory.keyName, home)
    }

    /// What to say of a home that has no key file.
    ///
    /// - Throws: `StoreError.noKey` if it has only lost it.
    private func notEncrypted() throws -> ReplicaError {
        try refuseWithoutKey()
        return .home(home, reason: "it is not encrypted")
    }

    /// - Throws: `StoreError.noKey` if the home is encrypted and its key file is gone.
    public func refuseWithoutKey() throws {
        try StoreError.mapping(path: path) {
            try DatabaseQueue(path: path, configuration: StoreFile.configuration(label: "key")).close()
        }
    }

    /// Somebody else may have encrypted or decrypted the home while a person typed.
    private func refuseChanged(_ file: [UInt8]) throws {
        guard try environment.homes.keyFile(home) == file else {
            throw ReplicaError.home(home, reason: "another process has changed its encryption; try again")
        }
    }

    /// Runs `body` while nobody else has the home open or can open it.
    private func exclusively(_ body: () throws -> Void) throws {
        let sync = try environment.homes.lock(home, name: HomeDirectory.syncLock)
        guard sync.tryAcquire() else { throw ReplicaError.syncing(home: home, pid: sync.holder) }
        defer { sync.release() }
        let lock = try environment.homes.lock(home, name: HomeDirectory.transactionLock)
        guard lock.acquire(waiting: ReplicaStore.lockWait, ticks: environment.ticks) else {
            throw ReplicaError.busy(home: home, pid: lock.holder)
        }
        defer { lock.release() }
        try HomeDirectory.finishSwap(home)
        guard !HomeDirectory.isOpenElsewhere(home) else { throw ReplicaError.busy(home: home, pid: nil) }
        try body()
    }

    /// Writes all of the database, its log included, into a new file in the other form.
    private func copy(from old: PageCipher?, to new: PageCipher?) throws {
        let part = HomeDirectory.partPath(home)
        for suffix in ["", "-journal", "-wal", "-shm"] { unlink(part + suffix) }
        try FileConversion.run(path, from: old, to: part, new) { try admit($0) }
        chmod(part, 0o600)
        try HomeDirectory.synchronize(part, home)
    }

    private func admit(_ database: Database, needsContact: Bool = true) throws {
        // One of an earlier version is brought up to date by the next command, and admitted by none before.
        guard try database.tableExists("locked") else { return }
        do {
            let standing = try StandingStore.read(database, home: home)
            try standing.admit(to: home, needsContact: needsContact, now: environment.now)
        } catch {
            if case ReplicaError.notEnrolled = error { return }
            throw error
        }
    }
}
