import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import class ShoalStore.Statement

/// The tables of erasure and their statements, prepared once on the writer connection.
final class ErasureQueries {
    static let migration = "9 erasure"

    static let schema = [
        // Tombstones: records of which everything was erased, and to which customer they belonged; one of itself. `by` is who
        // asked for it on the server. They stay for good.
        """
        CREATE TABLE erasure (
            record INTEGER PRIMARY KEY, person INTEGER NOT NULL, sequence INTEGER NOT NULL, time INTEGER NOT NULL,
            by TEXT NOT NULL
        )
        """,
        // The accounts whose replicas are told, under the sequence of the erasure.
        """
        CREATE TABLE erasure_notice (
            account INTEGER NOT NULL, sequence INTEGER NOT NULL, person INTEGER NOT NULL,
            PRIMARY KEY (account, sequence, person)
        ) WITHOUT ROWID
        """,
        // Accounts that saw a scope once, when `visibility` has forgotten it.
        """
        CREATE TABLE former_view (scope INTEGER NOT NULL, account INTEGER NOT NULL, PRIMARY KEY (scope, account))
        WITHOUT ROWID
        """,
        // Whether the file may still hold bytes of what was erased.
        "ALTER TABLE server ADD COLUMN unscrubbed INTEGER NOT NULL DEFAULT 0",
    ]

    static let formerMembersMigration = "10 former members"

    /// Which records belonged to a customer when their rows were collected: the audit has what they said still.
    static let formerMembers = [
        """
        CREATE TABLE former_member (scope INTEGER NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (scope, record))
        WITHOUT ROWID
        """
    ]

    static let formerLivesMigration = "14 former lives"

    /// An identifier may be made anew, in another customer, after its record was collected: what the audit has of it up to the
    /// entry `upto` is about that earlier record.
    static let formerLives = [
        "ALTER TABLE former_member ADD COLUMN upto INTEGER NOT NULL DEFAULT 0",
        "UPDATE former_member SET upto = (SELECT audit_number FROM server)",
        """
        INSERT OR IGNORE INTO former_member (scope, record, upto)
        SELECT DISTINCT scope, scope, audit_number FROM former_view, server
        WHERE scope <> 0 AND NOT EXISTS (SELECT 1 FROM record WHERE id = scope)
        """,
        "CREATE INDEX former_member_record ON former_member (record, upto)",
    ]

    static let formerOrderMigration = "15 former lives by record"

    /// Every reader of the audit looks for a record, who erases a customer for a scope, by way of all: one B-tree in place of two.
    static let formerOrder = [
        """
        CREATE TABLE former (
            record INTEGER NOT NULL, scope INTEGER NOT NULL, upto INTEGER NOT NULL, PRIMARY KEY (record, scope)
        ) WITHOUT ROWID
        """,
        "INSERT INTO former (record, scope, upto) SELECT record, scope, upto FROM former_member",
        "DROP TABLE former_member",
        "ALTER TABLE former RENAME TO former_member",
    ]

    /// The last entry of the audit that is about an earlier record under the identifier `?1`; null if there is none, or if
    /// nobody has made it anew.
    static let selectFormerLife = """
        SELECT max(upto) FROM former_member
        WHERE record = ?1 AND NOT EXISTS (SELECT 1 FROM collected WHERE collected.record = ?1)
        """

    /// A record that belonged to a customer.
    struct FormerMember {
        var record: RecordID
        /// The last entry of the audit from that time.
        var upTo: Int64
    }

    private let database: Database
    private let insert: Statement
    private let insertNotice: Statement
    private let selectNotice: Statement
    /// What is left about a record, but for its row in `member`.
    private let deletions: [Statement]
    private let deleteMembers: Statement
    private let insertFormerMember: Statement
    private let insertFormerView: Statement

    init(_ database: Database) throws(StoreError) {
        self.database = database
        insert = try Statement(
            database,
            "INSERT OR IGNORE INTO erasure (record, person, sequence, time, by) VALUES (?1, ?2, ?3, ?4, ?5)")
        insertNotice = try Statement(
            database, "INSERT OR IGNORE INTO erasure_notice (account, sequence, person) VALUES (?1, ?2, ?3)")
        selectNotice = try Statement(
            database,
            """
            SELECT EXISTS (
                SELECT 1 FROM erasure_notice WHERE account = ?1 AND person = (SELECT person FROM erasure WHERE record = ?2)
            ) OR EXISTS (SELECT 1 FROM account WHERE id = ?1 AND role = 'supervisor')
            """)
        var deletions: [Statement] = []
        for table in [
            "record WHERE id", "detail WHERE id", "quarantine WHERE record", "relay_record WHERE record",
            "unproven_follow WHERE record", "collected WHERE record",
        ] {
            deletions.append(try Statement(database, "DELETE FROM \(table) = ?1"))
        }
        self.deletions = deletions
        deleteMembers = try Statement(database, "DELETE FROM member WHERE scope = ?1")
        insertFormerMember = try Statement(
            database, "INSERT OR REPLACE INTO former_member (scope, record, upto) VALUES (?1, ?2, ?3)")
        insertFormerView = try Statement(
            database, "INSERT OR IGNORE INTO former_view (scope, account) VALUES (?1, ?2)")
    }

    // MARK: Reading

    func records() throws -> Set<RecordID> {
        Set(try Int64.fetchSet(database, sql: "SELECT record FROM erasure").map(RecordID.init(rawValue:)))
    }

    /// The rows as the ledger keeps them, the oldest first.
    func entries() throws -> [ErasureLedger.Entry] {
        try Row.fetchAll(database, sql: "SELECT record, person, time, by FROM erasure ORDER BY sequence, record").map {
            ErasureLedger.Entry(
                record: RecordID(rawValue: $0[0]), person: RecordID(rawValue: $0[1]), time: $0[2], by: $0[3])
        }
    }

    /// The records that belong to a customer, itself left out.
    func members(of person: RecordID) throws -> [RecordID] {
        try Int64.fetchAll(
            database, sql: "SELECT record FROM member WHERE scope = ?", arguments: [person.rawValue]
        ).map(RecordID.init(rawValue:))
    }

    /// Those that do not, but did once.
    func formerMembers(of person: RecordID) throws -> [FormerMember] {
        try Row.fetchAll(
            database,
            sql: """
                SELECT record, upto FROM former_member WHERE scope = ?1 AND record <> ?1
                AND NOT EXISTS (SELECT 1 FROM member WHERE member.scope = ?1 AND member.record = former_member.record)
                ORDER BY record
                """, arguments: [person.rawValue]
        ).map { FormerMember(record: RecordID(rawValue: $0[0]), upTo: $0[1]) }
    }

    /// Whether anything says that there is or was such a customer.
    func isKnown(_ person: RecordID) throws -> Bool {
        try Bool.fetchOne(
            database,
            sql: """
                WITH RECURSIVE \(VisibilitySchema.viewers)
                SELECT EXISTS (SELECT 1 FROM visibility WHERE scope = ?1 AND account IN (SELECT account FROM viewer)) OR EXISTS (SELECT 1 FROM former_view WHERE scope = ?1)
                    OR EXISTS (SELECT 1 FROM member WHERE scope = ?1 AND scope <> 0)
                    OR EXISTS (SELECT 1 FROM former_member WHERE scope = ?1)
                """, arguments: [person.rawValue]) ?? false
    }

    /// The accounts whose replicas may hold something in a scope: who sees or ever saw it, and all that see or saw everything.
    func viewers(of person: RecordID) throws -> Set<RecordID> {
        Set(
            try Int64.fetchAll(
                database,
                sql: """
                    WITH RECURSIVE \(VisibilitySchema.viewers)
                    SELECT account FROM visibility WHERE scope IN (?1, 0) AND account IN (SELECT account FROM viewer)
                    UNION SELECT account FROM former_view WHERE scope = ?1
                    UNION SELECT id FROM account WHERE role = 'supervisor'
                    """, arguments: [person.rawValue]
            ).map(RecordID.init(rawValue:)))
    }

    func accounts() throws -> Set<RecordID> {
        Set(try Int64.fetchAll(database, sql: "SELECT id FROM account").map(RecordID.init(rawValue:)))
    }

    // MARK: Writing

    func add(_ entry: ErasureLedger.Entry, sequence: Int64) throws(StoreError) {
        try insert.bind(1, entry.record.rawValue)
        try insert.bind(2, entry.person.rawValue)
        try insert.bind(3, sequence)
        try insert.bind(4, entry.time)
        try insert.bind(5, entry.by)
        try insert.run()
    }

    func notify(_ account: RecordID, of person: RecordID, sequence: Int64) throws {
        for (place, value) in [account.rawValue, sequence, person.rawValue].enumerated() {
            try insertNotice.bind(Int32(place + 1), value)
        }
        try insertNotice.run()
    }

    /// Whether an account may know that a record is of somebody who was erased: it was told.
    func isNotified(_ account: RecordID, of record: RecordID) throws(StoreError) -> Bool {
        try selectNotice.bind(1, account.rawValue)
        try selectNotice.bind(2, record.rawValue)
        defer { selectNotice.reset() }
        return try selectNotice.step() && selectNotice.integer(0) != 0
    }

    /// Remembers that an account has written a record about a customer of which there is no row: the audit has what it said, in
    /// entries up to `number`.
    func remember(
        _ record: RecordID, of customer: RecordID, _ account: RecordID, upTo number: Int64
    ) throws(StoreError) {
        try insertFormerView.bind(1, customer.rawValue)
        try insertFormerView.bind(2, account.rawValue)
        try insertFormerView.run()
        try remember(record, of: customer, upTo: number)
    }

    /// Remembers that a record belonged to a customer, or was it, as long as the audit has the entries up to `number`.
    func remember(_ record: RecordID, of customer: RecordID, upTo number: Int64) throws(StoreError) {
        try insertFormerMember.bind(1, customer.rawValue)
        try insertFormerMember.bind(2, record.rawValue)
        try insertFormerMember.bind(3, number)
        try insertFormerMember.run()
    }

    /// Deletes the rows of a record, wherever they lie.
    func delete(_ record: RecordID) throws(StoreError) {
        for statement in deletions {
            try statement.bind(1, record.rawValue)
            try statement.run()
        }
    }

    func forgetScope(_ person: RecordID) throws {
        try deleteMembers.bind(1, person.rawValue)
        try deleteMembers.run()
        for table in ["visibility", "former_view", "former_member"] {
            try database.execute(sql: "DELETE FROM \(table) WHERE scope = ?", arguments: [person.rawValue])
        }
    }

    // MARK: The file

    /// Whether the file may hold bytes of what was erased.
    var isUnscrubbed: Bool {
        get throws { try Bool.fetchOne(database, sql: "SELECT unscrubbed FROM server") ?? false }
    }

    func setUnscrubbed(_ isUnscrubbed: Bool) throws {
        try database.execute(sql: "UPDATE server SET unscrubbed = ?", arguments: [isUnscrubbed])
    }

    /// Moves the write-ahead log into the file, writes the file anew without what was deleted, and empties the log.
    ///
    /// `secure_delete` has put zeros in the place of what was deleted; but a row that was moved within a page may have left
    /// bytes where nothing is now.
    func scrub() throws {
        try truncateLog()
        try database.execute(sql: "VACUUM")
        try truncateLog()
    }

    /// - Throws: `StoreError.busy` while a reader needs the log.
    private func truncateLog() throws {
        if try Bool.fetchOne(database, sql: "PRAGMA wal_checkpoint(TRUNCATE)") ?? true {
            throw StoreError.busy(path: "the write-ahead log")
        }
    }
}

extension ServerStore {
    /// What an account's replicas are told to remove for good.
    ///
    /// - Parameter sequence: erasures up to this one were told.
    static func erasures(
        of account: RecordID, after sequence: Int64, _ seal: Seal, _ database: Database
    ) throws -> [Erasure] {
        let statement = try Statement(
            cachedIn: database,
            """
            SELECT DISTINCT person FROM erasure_notice WHERE account = ?1 AND sequence > ?2 ORDER BY sequence DESC LIMIT ?3
            """)
        try statement.bind(1, account.rawValue)
        try statement.bind(2, sequence)
        try statement.bind(3, Int64(Limits.erasures))
        defer { statement.reset() }
        var erasures: [Erasure] = []
        while try statement.step() {
            let person = RecordID(rawValue: statement.integer(0))
            erasures.append(Erasure(person: person, proof: seal.proof(ofErasing: person)))
        }
        return erasures
    }
}
