import GRDB
import ShoalCRDT
import ShoalProtocol

/// By whose word an account has its identifier, name and role.
enum AccountOrigin: Int64 {
    /// The operator's, who added it here.
    case ours = 0
    /// A relay's alone: it has no role and no code until the operator gives it one.
    case relay = 1
    /// A home's or a relay's, for an account that the operator added: the role is the operator's, the identifier is not, until
    /// recovery ends.
    case home = 2
}

/// The statements of what relays say of accounts, used only on the writer's queue.
struct RelayedAccountQueries {
    static let migration = "10 relayed accounts"

    static let schema = [
        // AccountOrigin.
        "ALTER TABLE account ADD COLUMN origin INTEGER NOT NULL DEFAULT 0",
        // While the server recovers: which name an account had, in the words of others, by the names that the operator has
        // given those here. The first word of each counts.
        """
        CREATE TABLE account_voice (
            account INTEGER NOT NULL, witness TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (account, witness)
        ) WITHOUT ROWID
        """,
    ]

    let database: Database

    func account(_ id: RecordID) throws -> (name: String, role: Role, origin: AccountOrigin)? {
        let row = try Row.fetchOne(
            database.cachedStatement(sql: "SELECT name, role, origin FROM account WHERE id = ?"),
            arguments: [id.rawValue])
        return row.map {
            ($0["name"], Role(rawValue: $0["role"]) ?? .least, AccountOrigin(rawValue: $0["origin"]) ?? .ours)
        }
    }

    /// Adds an account that came back with its record. One whose name has been given again stays away.
    func add(_ id: RecordID, name: String) throws {
        try database.cachedStatement(
            sql: "INSERT OR IGNORE INTO account (id, name, role, origin) VALUES (?, ?, ?, ?)"
        ).execute(arguments: [id.rawValue, name, Role.least.rawValue, AccountOrigin.relay.rawValue])
    }

    func remove(_ id: RecordID) throws {
        try database.execute(sql: "DELETE FROM account WHERE id = ?", arguments: [id.rawValue])
    }

    /// The operator gives an account a role.
    func setRole(_ role: Role, of id: RecordID) throws {
        try database.execute(
            sql: "UPDATE account SET role = ?, origin = CASE origin WHEN ? THEN ? ELSE origin END WHERE id = ?",
            arguments: [role.rawValue, AccountOrigin.relay.rawValue, AccountOrigin.home.rawValue, id.rawValue])
    }

    /// Gives an account another identifier, with the codes that nobody has used.
    func rename(_ id: RecordID, to other: RecordID, _ origin: AccountOrigin) throws {
        try database.execute(
            sql: "UPDATE account SET id = ?, origin = ? WHERE id = ?",
            arguments: [other.rawValue, origin.rawValue, id.rawValue])
        try database.execute(
            sql: "UPDATE enrolment SET account = ? WHERE account = ? AND key IS NULL",
            arguments: [other.rawValue, id.rawValue])
    }

    /// Forgets an account's keys: its homes enroll again, and keep what they hold.
    func removeKeys(of id: RecordID) throws {
        for sql in [
            "DELETE FROM device_replica WHERE device IN (SELECT replica FROM credential WHERE account = ?)",
            "DELETE FROM credential WHERE account = ?", "DELETE FROM enrolment WHERE account = ? AND key IS NOT NULL",
        ] {
            try database.execute(sql: sql, arguments: [id.rawValue])
        }
    }

    /// What an account has written and said is from now on another's.
    func moveLogs(of id: RecordID, to other: RecordID) throws {
        for table in ["log", "relay_source", "former_place"] {
            try database.execute(
                sql: "UPDATE \(table) SET account = ? WHERE account = ?", arguments: [other.rawValue, id.rawValue])
        }
    }

    // MARK: Voices

    func addVoice(_ witness: String, on id: RecordID, name: String) throws {
        try database.cachedStatement(
            sql: "INSERT OR IGNORE INTO account_voice (account, witness, name) VALUES (?, ?, ?)"
        ).execute(arguments: [id.rawValue, witness, name])
    }

    /// How many others say that the account with that identifier had this name.
    static func confirmations(_ database: Database, of id: RecordID, named name: String) throws -> Int {
        try Int.fetchOne(
            database.cachedStatement(
                sql: "SELECT count(*) FROM account_voice WHERE account = ?1 AND witness <> ?2 AND name = ?2"),
            arguments: [id.rawValue, name]) ?? 0
    }

    /// The name that more of the others say the account had than say that it had this one; nil if there is none. What
    /// somebody says of themselves counts for nothing.
    func rival(of name: String, for id: RecordID) throws -> String? {
        try String.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT name FROM account_voice WHERE account = ?1 AND witness <> ?2 AND name <> ?2
                    GROUP BY name HAVING count(*) > ?3 ORDER BY count(*) DESC, name LIMIT 1
                    """),
            arguments: [id.rawValue, name, try Self.confirmations(database, of: id, named: name)])
    }

    /// Ends to ask: what nobody has denied stands.
    func settle() throws {
        try database.execute(sql: "DELETE FROM account_voice")
        try database.execute(
            sql: "UPDATE account SET origin = ? WHERE origin = ?",
            arguments: [AccountOrigin.ours.rawValue, AccountOrigin.home.rawValue])
    }
}
