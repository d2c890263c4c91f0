import GRDB
import ShoalStore

/// Locks a home and empties it.
enum LockoutStore {
    static func read(_ database: Database) throws -> Lockout? {
        guard
            let row = try Row.fetchOne(
                database.cachedStatement(sql: "SELECT * FROM locked"))
        else { return nil }
        // Whatever a damaged row says, the home is locked.
        return try Lockout(
            reason: Lockout.Reason(rawValue: row.checked("reason")) ?? .revoked, time: row.checked("time"),
            account: row.checked("account"), server: row.checked("server"),
            stage: Lockout.Stage(rawValue: row.checked("stage")) ?? .handingOver,
            untaken: row.checked("untaken"), refused: row.checked("refused"))
    }

    static func lock(_ reason: Lockout.Reason, _ store: ReplicaStore) throws {
        try store.database.execute(
            sql: "INSERT OR IGNORE INTO locked (id, reason, time, account, server, stage) VALUES (1, ?, ?, ?, ?, ?)",
            arguments: [
                reason.rawValue, store.correctedTime, store.standing.accountName, store.standing.server,
                Lockout.Stage.handingOver.rawValue,
            ])
    }

    static func unlock(_ database: Database) throws { try database.execute(sql: "DELETE FROM locked") }

    // MARK: Emptying

    /// Deletes all rows, and moves the zeros that take their place into the database file.
    ///
    /// The stage comes first and by itself: from then on nobody reads the home, and whoever opens it goes on here. Each table
    /// is a transaction of its own, so that the log needs room for one only; a crash leaves some of them empty.
    static func wipe(_ store: ReplicaStore) throws {
        let database = store.database
        try store.transaction(enrolled: false) {
            try noteLosses(store)
            try setStage(.wiping, database)
        }
        let tables = try String.fetchAll(
            database,
            sql: """
                SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                    AND name NOT LIKE 'text\\_index%' ESCAPE '\\' AND name NOT IN ('grdb_migrations', 'locked')
                """)
        for table in tables {
            try store.transaction(enrolled: false) {
                try database.execute(sql: "DELETE FROM \(table.quotedDatabaseIdentifier)")
            }
            try store.maintaining { try store.emptyLog() }
        }
        try store.transaction(enrolled: false) {
            try database.execute(sql: "INSERT INTO text_index (text_index) VALUES ('delete-all')")
        }
        // Zeros first (`secure_delete`), then the file is written anew without them, and shorter.
        try store.scrub()
    }

    /// Counts what goes with the home: what the server has not taken, and what it refused and nobody has decided on. A home
    /// that is damaged goes uncounted.
    private static func noteLosses(_ store: ReplicaStore) throws {
        guard try read(store.database)?.stage == .handingOver, (try? store.refresh()) != nil else { return }
        let refused = try? ConflictReading(store).refused.asides().count
        try store.database.execute(
            sql: "UPDATE locked SET untaken = ?, refused = ?", arguments: [store.pending, refused ?? 0])
    }

    /// Nothing is left.
    static func finish(_ store: ReplicaStore) throws {
        try store.transaction(enrolled: false) { try setStage(.wiped, store.database) }
    }

    private static func setStage(_ stage: Lockout.Stage, _ database: Database) throws {
        try database.execute(sql: "UPDATE locked SET stage = ?", arguments: [stage.rawValue])
    }
}
