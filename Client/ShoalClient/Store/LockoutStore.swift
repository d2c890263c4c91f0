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
        try write(lockout(reason, store), store.database)
    }

    /// What a home says that is locked now.
    static func lockout(_ reason: Lockout.Reason, _ store: ReplicaStore) -> Lockout {
        Lockout(
            reason: reason, time: store.correctedTime, account: store.standing.accountName,
            server: store.standing.server)
    }

    static func write(_ lockout: Lockout, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT OR IGNORE INTO locked (id, reason, time, account, server, stage, untaken, refused)
                VALUES (1, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                lockout.reason.rawValue, lockout.time, lockout.account, lockout.server, lockout.stage.rawValue,
                lockout.untaken, lockout.refused,
            ])
    }

    static func unlock(_ database: Database) throws { try database.execute(sql: "DELETE FROM locked") }

    // MARK: Emptying

    /// Deletes all rows, and moves the zeros that take their place into the database file.
    ///
    /// The stage comes first and by itself: from then on nobody reads the home, and whoever opens it goes on here. Each table
    /// is a transaction of its own, so that the log needs room for one only; a crash leaves some of them empty.
    ///
    /// - Parameter lockout: with what goes with the home.
    static func wipe(_ store: ReplicaStore, _ lockout: Lockout) throws {
        let database = store.database
        try store.transaction(enrolled: false) {
            try noteLosses(lockout, database)
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
        // Zeros first (`secure_delete`); then the file may be written anew without them, and shorter.
        try store.maintaining { try store.emptyLog() }
    }

    /// The same with the counts of what goes with the home: what the server has not taken, and what it refused and nobody has
    /// decided on. A home that is damaged goes uncounted.
    static func counting(_ lockout: Lockout, _ store: ReplicaStore) -> Lockout {
        guard lockout.stage == .handingOver, (try? store.refresh()) != nil else { return lockout }
        var lockout = lockout
        lockout.untaken = store.pending
        lockout.refused = (try? ConflictReading(store).refused.asides().count) ?? 0
        return lockout
    }

    private static func noteLosses(_ lockout: Lockout, _ database: Database) throws {
        try database.execute(
            sql: "UPDATE locked SET untaken = ?, refused = ?", arguments: [lockout.untaken, lockout.refused])
    }

    /// Nothing is left.
    static func finish(_ store: ReplicaStore) throws {
        try store.transaction(enrolled: false) { try setStage(.wiped, store.database) }
    }

    private static func setStage(_ stage: Lockout.Stage, _ database: Database) throws {
        try database.execute(sql: "UPDATE locked SET stage = ?", arguments: [stage.rawValue])
    }
}
