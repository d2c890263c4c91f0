import ShoalCRDT

/// What a home needs beside its database: a place, and locks that exclude other processes.
///
/// On a file system `HomeDirectory` gives both. A home on a simulated disk has only the one process that simulates it, and
/// its database is reached by SQLite alone.
public protocol HomeFiles: Sendable {
    /// Whether there is a database in the home.
    ///
    /// - Throws: `ReplicaError.home` when it cannot be told.
    func hasDatabase(_ home: String) throws -> Bool
    /// Makes the place for a database, for its owner only.
    func create(_ home: String) throws
    /// Whether the home is where nobody can write.
    func isReadOnly(_ home: String) -> Bool
    /// Removes what was kept of the database under other names, as of one that was damaged, and drafts that editors left.
    ///
    /// - Parameter customers: to whose notes the drafts belong that are removed; nil for all.
    func removeCopies(_ home: String, of customers: Set<RecordID>?) throws
    /// Removes what was kept of the database because it was damaged.
    func removeDamaged(_ home: String) throws
    /// Removes the database for good, while this process has it not open and holds the transaction lock; what goes with it is
    /// overwritten where it lies.
    func removeDatabase(_ home: String) throws
    /// The key under which copies of such pages are kept already, as `keepSpare` was told.
    func spareKey(_ home: String) -> UInt64?
    /// Keeps copies of the pages without which nothing in the database can be found, while this process has it not open.
    func keepSpare(_ home: String, _ plan: SparePages.Plan)
    /// The key file of an encrypted home; nil if the home is not encrypted.
    ///
    /// - Throws: `ReplicaError.home` when it cannot be told.
    func keyFile(_ home: String) throws -> [UInt8]?
    /// Finishes the encryption or decryption of the home, if a crash has interrupted it; the transaction lock is held.
    func finish(_ home: String) throws
    /// A lock of the home; two of one name exclude each other, also within a process.
    func lock(_ home: String, name: String) throws -> any HomeLock
}

extension HomeFiles {
    public func isReadOnly(_ home: String) -> Bool { false }
    public func removeCopies(_ home: String, of customers: Set<RecordID>?) throws {}
    public func removeDamaged(_ home: String) throws {}
    public func spareKey(_ home: String) -> UInt64? { nil }
    public func keepSpare(_ home: String, _ plan: SparePages.Plan) {}
    public func keyFile(_ home: String) throws -> [UInt8]? { nil }
    public func finish(_ home: String) throws {}
}

/// An advisory lock, held for a transaction or for a sync.
public protocol HomeLock: Sendable {
    /// Takes the lock if it is free.
    func tryAcquire() -> Bool
    /// Waits for the lock, at most `nanoseconds` of `ticks`; false in vain.
    func acquire(waiting nanoseconds: UInt64, ticks: () -> UInt64) -> Bool
    func release()
    /// The process that took the lock last, if it is known.
    var holder: Int32? { get }
}

/// Stands where nobody need be kept from writing: nobody can, or the connection has the lock for as long as it is open.
struct NoLock: HomeLock {
    func tryAcquire() -> Bool { true }
    func acquire(waiting nanoseconds: UInt64, ticks: () -> UInt64) -> Bool { true }
    func release() {}
    var holder: Int32? { nil }
}
