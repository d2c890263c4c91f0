import GRDB
import ShoalStore

/// The tables of the server's database. A migration is never edited once shipped; a test holds their hash.
public enum ServerSchema {
    public static let migrations: [(name: String, sql: [String])] = [
        (
            "1 records, feed, logs, accounts",
            [
                RecordTable.schema,
                // One row for each record that a commit changed, under the sequence of that change. An entry is current
                // while its record's sequence is the entry's; the others are passed over.
                "CREATE TABLE feed (sequence INTEGER PRIMARY KEY, record INTEGER NOT NULL)",
                // Every commit that changed something, and the random tag that proves that it happened here. Its sequence
                // is above those of all its changes.
                "CREATE TABLE commit_tag (sequence INTEGER PRIMARY KEY, tag INTEGER NOT NULL)",
                // Where each replica's log stands. `sequence` is that of the commit that moved it last.
                """
                CREATE TABLE log (
                    replica INTEGER PRIMARY KEY, account INTEGER NOT NULL, position INTEGER NOT NULL,
                    hash INTEGER NOT NULL, refusals INTEGER NOT NULL, sequence INTEGER NOT NULL
                )
                """,
                "CREATE INDEX log_sequence ON log (sequence)",
                // The hashes of the operations from number `first` on, 8 bytes each, little-endian; a row a push.
                """
                CREATE TABLE log_hashes (
                    replica INTEGER NOT NULL, first INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (replica, first)
                ) WITHOUT ROWID
                """,
                """
                CREATE TABLE verdict (
                    replica INTEGER NOT NULL, number INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (replica, number)
                ) WITHOUT ROWID
                """,
                // Accounts by name, derived from the records of their kind.
                "CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL)",
                // Codes and keys only as SHA-256. A used code keeps the key that used it and the replica it got.
                """
                CREATE TABLE enrolment (
                    code BLOB PRIMARY KEY, account INTEGER NOT NULL, expires INTEGER NOT NULL, key BLOB, replica INTEGER
                ) WITHOUT ROWID
                """,
                """
                CREATE TABLE credential (
                    key BLOB PRIMARY KEY, account INTEGER NOT NULL, replica INTEGER NOT NULL, created INTEGER NOT NULL
                ) WITHOUT ROWID
                """,
                // One row. `replicas` counts the identifiers handed out in this epoch; 0 is the server's own.
                """
                CREATE TABLE server (
                    id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, seal BLOB NOT NULL,
                    replica_epoch INTEGER NOT NULL, replicas INTEGER NOT NULL, allocator INTEGER NOT NULL
                )
                """,
            ]
        ),
        (
            "2 epochs",
            [
                // Whether the epoch was begun because the server had lost something.
                "ALTER TABLE server ADD COLUMN recovers INTEGER NOT NULL DEFAULT 0",
                // Epochs that ended here, or that a replica proved to have been.
                "CREATE TABLE former_epoch (epoch INTEGER PRIMARY KEY)",
                // What renumbered operations made: its identifier may be another one than when they were written.
                """
                CREATE TABLE made (
                    replica INTEGER NOT NULL, number INTEGER NOT NULL, record INTEGER NOT NULL,
                    PRIMARY KEY (replica, number)
                ) WITHOUT ROWID
                """,
            ]
        ),
        (
            "4 quarantine",
            [
                // Rows that could not be read, as they were, and why. Nobody is shown them and nobody writes them until
                // they are mended.
                """
                CREATE TABLE quarantine (
                    record INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, cells BLOB NOT NULL, reason TEXT NOT NULL
                )
                """
            ]
        ),
        (
            "5 relay",
            [
                // Whether replicas are asked for what they held before the server lost something.
                "ALTER TABLE server ADD COLUMN recovery INTEGER NOT NULL DEFAULT 0",
                // Who relayed, up to where the relayed rows are the fold of all logs: a replica and a number, 4 bytes each,
                // little-endian, by ascending replica.
                "CREATE TABLE relay_source (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, vector BLOB NOT NULL)",
                // Which records came from which source. An operation within one of their vectors is in effect in them.
                """
                CREATE TABLE relay_record (record INTEGER NOT NULL, source INTEGER NOT NULL, PRIMARY KEY (record, source))
                WITHOUT ROWID
                """,
                "CREATE INDEX relay_record_source ON relay_record (source)",
            ]
        ),
        (collectionMigration, collection),
        ("6 earlier places", EarlierPlaceQueries.schema),
        (VisibilitySchema.migration, VisibilitySchema.statements),
        (
            "7 devices",
            [
                // Since when it is disabled, in milliseconds since 1970.
                "ALTER TABLE account ADD COLUMN disabled INTEGER",
                // A key is a device's. `revoked`: since when nothing but its unsent work is taken from it, and not even that
                // if it is `discarded`, or when that work was handed over.
                "ALTER TABLE credential ADD COLUMN name TEXT NOT NULL DEFAULT ''",
                "ALTER TABLE credential ADD COLUMN revoked INTEGER",
                "ALTER TABLE credential ADD COLUMN discarded INTEGER NOT NULL DEFAULT 0",
                "ALTER TABLE credential ADD COLUMN handed_over INTEGER",
                "CREATE INDEX credential_replica ON credential (replica)",
                // Which device writes which log: the replica that it was enrolled as, and those that it got since.
                "CREATE TABLE device_replica (replica INTEGER PRIMARY KEY, device INTEGER NOT NULL)",
                "INSERT INTO device_replica (replica, device) SELECT replica, replica FROM credential",
                "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
            ]
        ),
        (AuditSchema.migration, AuditSchema.statements),
        (ErasureQueries.migration, ErasureQueries.schema),
        (ErasureQueries.formerMembersMigration, ErasureQueries.formerMembers),
        (AuditSchema.linksMigration, AuditSchema.links),
        (VisibilitySchema.indexMigration, VisibilitySchema.index),
        (RelayedAccountQueries.migration, RelayedAccountQueries.schema),
        (
            "12 handovers",
            [
                // How often a revoked device, or a copy of it, has handed over to the end.
                "ALTER TABLE credential ADD COLUMN handovers INTEGER NOT NULL DEFAULT 0",
                "UPDATE credential SET handovers = 1 WHERE handed_over IS NOT NULL",
            ]
        ),
        (
            "13 log checks",
            [
                // What tells whose logs a vector speaks of: 24 bits, 4 bytes each, little-endian, in the order of the vector; 0 where
                // that was not said, and the highest bit where the log is another one here.
                "ALTER TABLE relay_source ADD COLUMN checks BLOB NOT NULL DEFAULT x''"
            ]
        ),
        (ErasureQueries.formerLivesMigration, ErasureQueries.formerLives),
        (
            "14 handovers begun",
            [
                // What a revoked device, or a copy of it, said that it would hand over: the log that it writes and where that
                // ends; and since when, by the lease clock.
                """
                CREATE TABLE handover (
                    device INTEGER NOT NULL, replica INTEGER NOT NULL, length INTEGER NOT NULL, began INTEGER NOT NULL,
                    PRIMARY KEY (device, replica, length)
                ) WITHOUT ROWID
                """
            ]
        ),
        (ErasureQueries.formerOrderMigration, ErasureQueries.formerOrder),
    ]

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        for migration in migrations {
            migrator.registerMigration(migration.name) { database in
                for statement in migration.sql { try database.execute(sql: statement) }
                if migration.name == collectionMigration { try MemberQueries.derive(database) }
                if migration.name == VisibilitySchema.migration { try VisibilitySchema.derive(database) }
            }
        }
        return migrator
    }

    static let shape = SchemaShape(hash: 11_356_299_199_736_704_824) { migrator }
}
