import CSQLite
import GRDB

/// How a Shoal database file is opened: one writer connection, WAL, durable commits, our own checkpoints.
public enum StoreFile {
    /// The configuration of every connection.
    ///
    /// - Parameters:
    ///   - cacheKibibytes: the page cache of a connection.
    ///   - cipher: what the file is encrypted with; its name is then `name(_:cipher:)`.
    ///   - isAlone: whether no other connection can have the file open meanwhile; see `sharingIfRoom`.
    public static func configuration(
        label: String, cacheKibibytes: Int = 65_536, cipher: PageCipher? = nil, isAlone: Bool = false
    ) -> Configuration {
        _ = processConfiguration
        var configuration = Configuration()
        configuration.label = label
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { database in
            if cipher != nil {
                try reserve(database)
            } else if let connection = database.sqliteConnection, try EncryptedContent.isLikely(connection) {
                throw StoreError.noKey(path: String(cString: sqlite3_db_filename(connection, "main")))
            }
            // Before anything looks at the file: the index is shared or not from then on.
            if isAlone { try database.execute(sql: "PRAGMA locking_mode = EXCLUSIVE") }
            try database.execute(
                sql: """
                    PRAGMA synchronous = FULL;
                    PRAGMA mmap_size = 0;
                    PRAGMA secure_delete = ON;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA cache_size = -\(cacheKibibytes);
                    PRAGMA wal_autocheckpoint = 0;
                    """)
        }
        return configuration
    }

    /// Runs `open` with false, and once more with true if the disk has no room for the index of the write-ahead log that
    /// connections share (`-shm`): one that is alone keeps it in its memory. SQLite's own locks keep the others out for as
    /// long as it is open, and it from a file that others have open, which is `StoreError.busy`.
    public static func sharingIfRoom<T>(_ open: (_ isAlone: Bool) throws -> T) throws -> T {
        do { return try open(false) } catch let error as DatabaseError {
            guard error.extendedResultCode == .SQLITE_IOERR_SHMSIZE else { throw error }
            return try open(true)
        }
    }

    /// The configuration of a connection to a file that nobody can write, and the name to open it by: neither locks nor a
    /// write-ahead log are looked for beside it.
    public static func immutable(
        _ path: String, label: String, cipher: PageCipher? = nil
    ) throws(StoreError) -> (name: String, configuration: Configuration) {
        var configuration = configuration(label: label, cipher: cipher)
        configuration.readonly = true
        return (uri(path, ["immutable=1"] + (try parameters(cipher, path))), configuration)
    }

    /// The name by which SQLite opens a file: the path itself, unless the file is encrypted. The cipher must live until it is
    /// open.
    public static func name(_ path: String, cipher: PageCipher?) throws(StoreError) -> String {
        cipher == nil ? path : uri(path, try parameters(cipher, path))
    }

    /// The name by which a connection to an encrypted file opens one that is not.
    public static func plainName(_ path: String) throws(StoreError) -> String {
        guard let name = sqlite3_vfs_find(nil)?.pointee.zName else {
            throw .cannotOpen(path: path, reason: "SQLite has no file system")
        }
        return uri(path, ["vfs=\(String(cString: name))"])
    }

    private static func parameters(_ cipher: PageCipher?, _ path: String) throws(StoreError) -> [String] {
        guard let cipher else { return [] }
        guard EncryptedFileSystem.isRegistered else {
            throw .cannotOpen(path: path, reason: "SQLite takes no file system for encrypted files")
        }
        return ["vfs=\(EncryptedFileSystem.name)", "cipher=\(cipher.number)"]
    }

    private static func uri(_ path: String, _ parameters: [String]) -> String {
        // SQLite takes a name that begins so for a URI, in which these stand for something else.
        var name = "file:"
        for byte in path.utf8 {
            if [0x23, 0x25, 0x3F].contains(byte) || byte >= 0x80 {
                name += "%" + String(byte, radix: 16)
            } else {
                name.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        return name + "?" + parameters.joined(separator: "&")
    }

    /// Leaves room at the end of each page of a database that is about to be made, for what an encrypted page needs more.
    public static func reserve(_ database: Database) throws {
        var count = Int32(PageCipher.reserved)
        let code = sqlite3_file_control(database.sqliteConnection, "main", SQLITE_FCNTL_RESERVE_BYTES, &count)
        guard code == SQLITE_OK else { throw StoreError.other(code: code, reason: "no room is left in the pages") }
    }

    /// Makes every commit of this connection wait for the disk, and makes sure of it: opening a pool lowers what the
    /// configuration has set.
    ///
    /// - Throws: `StoreError.other` if the connection does not take the setting; it must not be used then.
    public static func makeDurable(_ database: Database, path: String) throws {
        try database.execute(sql: "PRAGMA synchronous = FULL")
        guard try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2 else {
            throw StoreError.other(code: SQLITE_ERROR, reason: "commits to \(path) cannot be made durable")
        }
    }

    /// Once a process, before its first connection; a later call is refused by SQLite and changes nothing.
    private static let processConfiguration = shoal_sqlite_configure()

    /// Checks that no migration is in the file that `migrator` does not know.
    public static func refuseNewer(_ migrator: DatabaseMigrator, _ database: Database, path: String) throws {
        guard try migrator.hasBeenSuperseded(database) else { return }
        // A newer version has done all that this one knows; a list of which one is missing is damaged.
        if try migrator.hasCompletedMigrations(database) { throw StoreError.newerVersion(path: path) }
        throw StoreError.damaged(path: path, reason: "the list of its versions is not in form")
    }
}
