import Glibc

/// How one form of a home's database takes the place of the other, so that a crash at any moment leaves a home that is whole.
///
/// The home is encrypted if and only if there is `key`, unless a swap is to be finished: then the whole other form lies beside
/// the database under a name that says which it is, and what remains to be done is done again from the beginning.
extension HomeDirectory {
    static let keyName = "key"
    /// The key of a database that is being encrypted.
    static let nextKeyName = "key.next"

    static func partPath(_ home: String) -> String { databasePath(home) + ".part" }
    private static func encryptedPath(_ home: String) -> String { databasePath(home) + ".encrypted" }
    private static func decryptedPath(_ home: String) -> String { databasePath(home) + ".decrypted" }

    /// The key file of an encrypted home; nil if the home is not encrypted.
    ///
    /// - Throws: `ReplicaError.home` when it cannot be told.
    public func keyFile(_ home: String) throws -> [UInt8]? {
        // Before the swap is finished it is the other form that counts.
        let isEncrypting = access(Self.encryptedPath(home), F_OK) == 0
        if !isEncrypting, access(Self.decryptedPath(home), F_OK) == 0 { return nil }
        for name in isEncrypting ? [Self.nextKeyName, Self.keyName] : [Self.keyName] {
            let descriptor = open("\(home)/\(name)", O_RDONLY | O_CLOEXEC)
            if descriptor < 0, errno == ENOENT || errno == ENOTDIR { continue }
            guard descriptor >= 0 else { throw Self.failure(home) }
            defer { close(descriptor) }
            var bytes = [UInt8](repeating: 0, count: 16_384)
            let count = read(descriptor, &bytes, bytes.count)
            guard count >= 0 else { throw Self.failure(home) }
            return Array(bytes.prefix(count))
        }
        return nil
    }

    /// Writes a key file whole and durably, in the place of an earlier one of that name; for its owner only.
    static func writeKey(_ bytes: [UInt8], as name: String, _ home: String) throws {
        let path = "\(home)/\(name)"
        let draft = path + ".draft"
        unlink(draft)
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(home) }
        defer { close(descriptor) }
        guard write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0, rename(draft, path) == 0
        else {
            let error = failure(home)
            unlink(draft)
            throw error
        }
        try synchronize(home, home)
    }

    /// Puts the database at `partPath`, which is whole and durable, in the place of the home's.
    static func commitSwap(_ home: String, encrypts: Bool) throws {
        let whole = encrypts ? encryptedPath(home) : decryptedPath(home)
        guard rename(partPath(home), whole) == 0 else { throw failure(home) }
        try synchronize(home, home)
        try finishSwap(home)
    }

    /// Finishes a swap that was begun; the transaction lock is held.
    static func finishSwap(_ home: String) throws {
        let (path, key) = (databasePath(home), "\(home)/\(keyName)")
        if access(encryptedPath(home), F_OK) == 0 {
            let next = "\(home)/\(nextKeyName)"
            if access(next, F_OK) == 0, rename(next, key) != 0 { throw failure(home) }
            try replace(path, by: encryptedPath(home), home)
        } else if access(decryptedPath(home), F_OK) == 0 {
            // The key goes first: with it a plain database would not open.
            if unlink(key) != 0, errno != ENOENT { throw failure(home) }
            try synchronize(home, home)
            try replace(path, by: decryptedPath(home), home)
        }
    }

    /// The write-ahead log belongs to the file beside which it was written: it goes before another takes that file's name.
    /// So do the spare pages.
    private static func replace(_ path: String, by other: String, _ home: String) throws {
        let spare = SparePages.path(home)
        if unlink(spare) != 0, errno != ENOENT { throw failure(home) }
        for suffix in ["-wal", "-shm"] where unlink(path + suffix) != 0 && errno != ENOENT { throw failure(home) }
        try synchronize(home, home)
        guard rename(other, path) == 0 else { throw failure(home) }
        try synchronize(home, home)
    }
}
