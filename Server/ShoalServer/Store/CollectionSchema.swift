import ShoalStore

/// The tables of collection.
extension ServerSchema {
    static let collectionMigration = "3 collection"

    static let collection = [
        // One row. Cursors whose floor is below `collected` are behind; the feed is swept up to `swept`. `clock` is the
        // lease clock in milliseconds. Hashes of operations that commits up to `hashes` took may be gone. `epoch` is the
        // one in which the leases count. `records` and `cells` say how many were collected ever.
        """
        CREATE TABLE collection (
            id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, collected INTEGER NOT NULL,
            swept INTEGER NOT NULL, clock INTEGER NOT NULL, hashes INTEGER NOT NULL, records INTEGER NOT NULL,
            cells INTEGER NOT NULL
        )
        """,
        "INSERT INTO collection VALUES (1, 0, 0, 0, 0, 0, 0, 0)",
        // What each log's writer is known to have seen, and when it was in contact first and last, by the lease clock.
        // `acknowledged` is the position that it last named.
        """
        CREATE TABLE lease (
            replica INTEGER PRIMARY KEY, reached INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
            began INTEGER NOT NULL, contact INTEGER NOT NULL
        )
        """,
        // Collected records and when, so that who still writes to them is told.
        "CREATE TABLE collected (record INTEGER PRIMARY KEY, clock INTEGER NOT NULL)",
        // Where sequences and logs stood at some readings of the lease clock.
        "CREATE TABLE lease_mark (clock INTEGER PRIMARY KEY, sequence INTEGER NOT NULL)",
        """
        CREATE TABLE log_mark (
            clock INTEGER NOT NULL, replica INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (clock, replica)
        ) WITHOUT ROWID
        """,
        // Which records belong to another one: their scope's customers, or its account.
        """
        CREATE TABLE member (
            scope INTEGER NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (scope, record)
        ) WITHOUT ROWID
        """,
    ]
}
