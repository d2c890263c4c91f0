import Foundation
import Glibc
import ShoalCRDT

/// The home on disk: a directory that only its owner may enter, with one database, two lock files and, if it is encrypted, a
/// key file.
public struct HomeDirectory: HomeFiles {
    static let database = "replica.db"
    static let transactionLock = "lock"
    static let syncLock = "sync.lock"

    public static func databasePath(_ home: String) -> String { "\(home)/\(database)" }

    /// Other directories in which people edit notes of encrypted homes.
    private let drafts: [String]

    public init(drafts: [String] = []) { self.drafts = drafts }

    /// - Throws: `ReplicaError.home` when it cannot be told, for want of permission, or when only its database is gone.
    public func hasDatabase(_ home: String) throws -> Bool {
        if access(Self.databasePath(home), F_OK) == 0 { return true }
        guard errno == ENOENT || errno == ENOTDIR else { throw Self.failure(home) }
        try Self.refuseEmptied(home)
        return false
    }

    /// Refuses a home whose database was removed or emptied by something else, which the copies of its first pages tell from one
    /// that is new: opened, it would be made anew, and the copies with it.
    static func refuseEmptied(_ home: String) throws {
        func isEmpty(_ path: String) -> Bool? {
            var status = stat()
            return stat(path, &status) == 0 ? status.st_size == 0 : nil
        }
        let path = databasePath(home)
        let isThere = isEmpty(path)
        if isThere == false { return }
        let what = "its database is \(isThere == nil ? "gone" : "empty")"
        if isEmpty(path + "-wal") == false {
            // SQLite removes the log of an empty database.
            throw ReplicaError.home(
                home,
                reason:
                    "\(what), but what it was to take in is in replica.db-wal; put a copy of the database back beside it"
            )
        }
        guard isEmpty(SparePages.path(home)) == false else { return }
        throw ReplicaError.home(
            home,
            reason: "\(what), and what was in it too; put a copy of it back, or move the home away and enroll anew")
    }

    /// Makes the directory and what leads to it, and an empty database file; both for their owner only.
    public func create(_ home: String) throws {
        var path = home.hasPrefix("/") ? "" : "."
        for part in home.split(separator: "/") {
            let parent = path
            path += "/\(part)"
            if mkdir(path, 0o700) == 0 {
                // SQLite syncs the names in the home, but not the home's own.
                try Self.syncName(parent.isEmpty ? "/" : parent, home)
            } else if errno != EEXIST {
                throw Self.failure(home)
            }
        }
        // A database that is there is never opened here: closing it would drop the locks that SQLite has on it in this
        // process (POSIX).
        if try hasDatabase(home) { return }
        let descriptor = open(Self.databasePath(home), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 {
            close(descriptor)
        } else if errno != EEXIST {
            throw Self.failure(home)
        }
    }

    public func isReadOnly(_ home: String) -> Bool {
        access(Self.databasePath(home), W_OK) != 0 && errno == EROFS
    }

    public func removeCopies(_ home: String, of customers: Set<RecordID>?) throws {
        // Drafts are named after their home, as it was called when they were made, and customer: what lies in the home is its own.
        let begins = customers?.map { Self.draftName(home, of: $0) } ?? [Self.draftName(home, of: nil)]
        try Self.remove(in: home) { name in
            if name.hasPrefix(Self.database + ".") { return true }
            guard name.hasPrefix("note-") else { return false }
            return customers.map { customers in customers.contains { name.contains("-\($0)-") } } ?? true
        }
        for directory in drafts where access(directory, R_OK) == 0 {
            try Self.remove(in: directory) { name in begins.contains { name.hasPrefix($0) } }
        }
        try Self.synchronize(home, home)
    }

    public func removeDamaged(_ home: String) throws {
        try Self.remove(in: home) { $0.hasPrefix(Self.database + ".damaged-") }
    }

    /// The names of what was kept of the database because it was damaged, and of drafts that editors left in the home.
    static func copies(_ home: String) throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: home).filter {
                $0.hasPrefix(database + ".damaged-") || $0.hasPrefix("note-")
            }.sorted()
        } catch { throw ReplicaError.home(home, reason: error.localizedDescription) }
    }

    public func removeDatabase(_ home: String) throws {
        // Copies first: without the database nobody would know what they are of. Whether that succeeds or not, the rest goes too.
        let copies = Result { try removeCopies(home, of: nil) }
        // The database goes before its log: without it that is nobody's.
        for suffix in ["", "-wal", "-shm"] {
            let path = Self.databasePath(home) + suffix
            let descriptor = open(path, O_WRONLY | O_CLOEXEC)
            if descriptor < 0, errno == ENOENT { continue }
            guard descriptor >= 0 else { throw Self.failure(home) }
            defer { close(descriptor) }
            guard unlink(path) == 0 else { throw Self.failure(home) }
            Self.overwrite(descriptor)
        }
        try copies.get()
        try Self.synchronize(home, home)
    }

    /// Writes zeros over a file, where a file system without room lets it: the file is gone in any case.
    private static func overwrite(_ descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return }
        let zeros = [UInt8](repeating: 0, count: 1 << 16)
        var place: off_t = 0
        while place < status.st_size {
            let written = pwrite(descriptor, zeros, min(zeros.count, Int(status.st_size - place)), place)
            guard written > 0 else { break }
            place += off_t(written)
        }
        fsync(descriptor)
    }

    private static func remove(in directory: String, _ isMeant: (String) -> Bool) throws {
        guard let listing = opendir(directory) else { throw failure(directory) }
        defer { closedir(listing) }
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard isMeant(name) else { continue }
            let path = "\(directory)/\(name)"
            // Whatever cannot be written goes without.
            let descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
            defer { if descriptor >= 0 { close(descriptor) } }
            if unlink(path) != 0, errno != ENOENT { throw failure(directory) }
            if descriptor >= 0 { overwrite(descriptor) }
        }
    }

    /// How the names begin of the files in which people edit notes, all of a home's or those about one customer.
    public static func draftName(_ home: String, of customer: RecordID?) -> String {
        let resolved = realpath(home, nil)
        defer { free(resolved) }
        let path = resolved.map { String(cString: $0) } ?? home
        let hash = Array(path.utf8).withUnsafeBytes { SipHash.hash($0, key: (0, 0)) }
        return "note-\(String(hash, radix: 16))-" + (customer.map { "\($0)-" } ?? "")
    }

    public func spareKey(_ home: String) -> UInt64? { SparePages.key(home) }

    public func keepSpare(_ home: String, _ plan: SparePages.Plan) {
        // What another process writes meanwhile would be torn.
        guard let lock = try? lock(home, name: Self.transactionLock), lock.tryAcquire() else { return }
        defer { lock.release() }
        SparePages.take(plan, home: home)
    }

    public func finish(_ home: String) throws { try Self.finishSwap(home) }

    public func lock(_ home: String, name: String) throws -> any HomeLock { try FileLock(home: home, name: name) }

    private static func syncName(_ directory: String, _ home: String) throws {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        // One may be allowed to make a directory where one may not read.
        if descriptor < 0, errno == EACCES { return }
        guard descriptor >= 0 else { throw failure(home) }
        defer { close(descriptor) }
        // Some file systems have nothing to sync there and say so.
        if fsync(descriptor) != 0, errno == EIO { throw failure(home) }
    }

    static func failure(_ home: String) -> ReplicaError {
        .home(home, reason: String(cString: strerror(errno)))
    }

    /// Waits until a file, or the names in a directory, are on the disk.
    static func synchronize(_ path: String, _ home: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(home) }
        defer { close(descriptor) }
        if fsync(descriptor) != 0 { throw failure(home) }
    }

    /// Whether another process has the database open: it would go on writing into the file that is put away. SQLite
    /// holds a shared lock on these bytes for as long as it has a database in WAL mode open.
    static func isOpenElsewhere(_ home: String) -> Bool {
        let descriptor = open(databasePath(home), O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = 0x4000_0002
        lock.l_len = 510
        return fcntl(descriptor, F_GETLK, &lock) == 0 && lock.l_type != Int16(F_UNLCK)
    }
}
