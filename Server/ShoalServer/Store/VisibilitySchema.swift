import CSQLite
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import class ShoalStore.Statement
import struct ShoalCRDT.Record

/// Who sees what: the table `visibility` and what other tables say of scopes.
enum VisibilitySchema {
    static let migration = "7 visibility"

    static let statements = [
        // The newest enter or leave of each account and scope, under the sequence of the change that brought it. state:
        // 0 left, 1 entered for the first time, 2 entered again, so that a replica may hold an earlier state of it. Scope 0
        // stands for all that there is: an account that became a supervisor, or no longer is one.
        """
        CREATE TABLE visibility (
            account INTEGER NOT NULL, scope INTEGER NOT NULL, sequence INTEGER NOT NULL, state INTEGER NOT NULL,
            PRIMARY KEY (account, scope)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX visibility_sequence ON visibility (account, sequence)",
        "CREATE INDEX visibility_scope ON visibility (scope)",
        "CREATE INDEX visibility_left ON visibility (sequence) WHERE state = 0",
        // The scope by which a change is routed; 0 is the workspace.
        "ALTER TABLE feed ADD COLUMN scope INTEGER NOT NULL DEFAULT 0",
        // Additions of followers, made in an epoch that recovers, of which it is not known that their author could make them.
        """
        CREATE TABLE unproven_follow (
            record INTEGER NOT NULL, replica INTEGER NOT NULL, number INTEGER NOT NULL,
            PRIMARY KEY (record, replica, number)
        ) WITHOUT ROWID
        """,
    ]

    static let indexMigration = "11 visibility without an index of scopes"

    /// Of its indexes the one by scope cost each relation as much as the table, and only erasure and collection asked it.
    static let index = ["DROP INDEX visibility_scope"]

    /// The accounts that stand in the table, each found from the one before: for what asks by scope alone.
    static let viewers = """
        viewer (account) AS (
            SELECT min(account) FROM visibility
            UNION ALL SELECT (SELECT min(account) FROM visibility WHERE account > viewer.account) FROM viewer
                WHERE viewer.account IS NOT NULL
        )
        """

    /// Fills the tables from the records of a database of an earlier version, whose replicas hold everything: to each account
    /// it looks as if it had been a supervisor until now.
    static func derive(_ database: Database) throws {
        let members = try MemberQueries(database)
        let insert = try Statement(
            database, "INSERT INTO visibility (account, scope, sequence, state) VALUES (?1, ?2, 0, 1)")
        let update = try Statement(database, "UPDATE feed SET scope = ?2 WHERE sequence = ?1 AND record = ?3")
        let rows = try Statement(
            database,
            """
            SELECT id, sequence, cells FROM record UNION ALL SELECT id, sequence, cells FROM detail ORDER BY 1
            """)
        while try rows.step() {
            let id = RecordID(rawValue: rows.integer(0))
            // What cannot be read is set aside when it is met; nobody is shown it.
            guard let record = try? RecordTable.record(id, sequence: rows.integer(1), packed: rows.bytes(2)),
                record.isMade
            else { continue }
            if !RecordTable.isDetail(id, record.envelope) { try members.add(id, record.envelope) }
            let scope = record.envelope.scope.routing
            if scope != 0 {
                for (place, value) in [rows.integer(1), scope, id.rawValue].enumerated() {
                    try update.bind(Int32(place + 1), value)
                }
                try update.run()
            }
            for account in record.followers() {
                try insert.bind(1, account.rawValue)
                try insert.bind(2, id.rawValue)
                try insert.run()
            }
        }
        guard let newest = try ServerStore.newestCommit(database), newest.sequence > 0 else { return }
        try database.execute(
            sql: "INSERT INTO commit_tag (sequence, tag) VALUES (?, abs(random()) & 4294967295)",
            arguments: [newest.sequence + 1])
        try database.execute(
            sql: """
                INSERT INTO visibility (account, scope, sequence, state)
                SELECT id, 0, ?, 0 FROM account WHERE role <> 'supervisor'
                """, arguments: [newest.sequence + 1])
    }
}
