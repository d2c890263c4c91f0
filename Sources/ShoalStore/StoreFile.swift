import CSQLite
import GRDB

/// How a Shoal database file is opened: one writer connection, WAL, durable commits, our own checkpoints.
public enum StoreFile {
    /// The configuration of every connection.
    ///
    /// - Parameters:
    ///   - cacheKibibytes: the page cache of a connection.
    public static func configuration(label: String, cacheKibibytes: Int = 32_768) -> Configuration {
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

    /// Once a process, before its first connection; a later call is refused by SQLite and changes nothing.
    private static let processConfiguration = shoal_sqlite_configure()

    /// Checks that no migration is in the file that `migrator` does not know.
    public static func refuseNewer(_ migrator: DatabaseMigrator, _ database: Database, path: String) throws {
        if try migrator.hasBeenSuperseded(database) { throw StoreError.newerVersion(path: path) }
    }
}
