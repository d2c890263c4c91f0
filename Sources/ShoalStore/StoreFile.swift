import CSQLite
import GRDB

/// How a Shoal database file is opened: one writer connection, WAL, durable commits, our own checkpoints.
public enum StoreFile {
    /// The configuration of every connection.
    ///
    /// - Parameters:
    ///   - cacheKibibytes: the page cache of a connection.
    public static func configuration(label: String, cacheKibibytes: Int = 65_536) -> Configuration {
        _ = processConfiguration
        var configuration = Configuration()
        configuration.label = label
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { database in
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

    /// The configuration of a connection to a file that nobody can write, and the name to open it by: neither locks nor a
    /// write-ahead log are looked for beside it.
    public static func immutable(_ path: String, label: String) -> (name: String, configuration: Configuration) {
        var configuration = configuration(label: label)
        configuration.readonly = true
        // SQLite takes a name that begins so for a URI, in which these stand for something else.
        var name = "file:"
        for byte in path.utf8 {
            if [0x23, 0x25, 0x3F].contains(byte) {
                name += "%" + String(byte, radix: 16)
            } else {
                name.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        return (name + "?immutable=1", configuration)
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
        if try migrator.hasBeenSuperseded(database) { throw StoreError.newerVersion(path: path) }
    }
}
