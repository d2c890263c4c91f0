import GRDB
import ShoalCRDT
import ShoalStore

import class ShoalStore.Statement

/// How an account stands to a scope.
enum Sight: Equatable {
    /// It never saw it, as far as is remembered.
    case never
    /// It sees it no more since the change with this sequence.
    case left(Int64)
    case sees
}

/// The statements that keep and ask who sees what, prepared once on the writer connection.
final class VisibilityQueries {
    private let select: Statement
    private let enterStatement: Statement
    private let leaveStatement: Statement
    private let selectEverything: Statement
    private let rememberScope: Statement
    private let rememberLeft: Statement
    private let deleteScope: Statement
    private let deleteLeft: Statement
    private let selectRole: Statement
    private let insertUnproven: Statement
    private let deleteUnproven: Statement
    private let database: Database
    /// Whether accounts see or saw everything, as far as that was asked in the round under way; nil between rounds.
    private var everythingSeen: [RecordID: Bool]?

    init(_ database: Database) throws(StoreError) {
        self.database = database
        select = try Statement(
            database, "SELECT sequence, state FROM visibility WHERE account = ?1 AND scope = ?2")
        // One that has left a scope may still hold it, because unsent work speaks of it.
        enterStatement = try Statement(
            database,
            """
            INSERT INTO visibility (account, scope, sequence, state) VALUES (?1, ?2, ?3,
                CASE WHEN ?4 OR EXISTS (SELECT 1 FROM former_view WHERE scope = ?2 AND account = ?1) THEN 2 ELSE 1 END)
            ON CONFLICT (account, scope) DO UPDATE SET sequence = ?3, state = 2
            """)
        selectEverything = try Statement(
            database,
            """
            SELECT EXISTS (SELECT 1 FROM visibility WHERE account = ?1 AND scope = 0)
                OR EXISTS (SELECT 1 FROM account WHERE id = ?1 AND role = 'supervisor')
            """)
        leaveStatement = try Statement(
            database,
            """
            INSERT INTO visibility (account, scope, sequence, state) VALUES (?1, ?2, ?3, 0)
            ON CONFLICT (account, scope) DO UPDATE SET sequence = ?3, state = 0
            """)
        rememberScope = try Statement(
            database,
            """
            INSERT OR IGNORE INTO former_view (scope, account)
                WITH RECURSIVE \(VisibilitySchema.viewers) SELECT scope, account FROM visibility
                WHERE scope = ?1 AND account IN (SELECT account FROM viewer)
            """)
        rememberLeft = try Statement(
            database,
            """
            INSERT OR IGNORE INTO former_view (scope, account)
                SELECT scope, account FROM visibility WHERE state = 0 AND sequence <= ?1 AND scope <> 0
            """)
        deleteScope = try Statement(
            database,
            """
            WITH RECURSIVE \(VisibilitySchema.viewers)
            DELETE FROM visibility WHERE scope = ?1 AND account IN (SELECT account FROM viewer)
            """)
        deleteLeft = try Statement(
            database, "DELETE FROM visibility WHERE state = 0 AND sequence <= ?1 AND scope <> 0")
        selectRole = try Statement(database, "SELECT role = 'supervisor' FROM account WHERE id = ?1")
        insertUnproven = try Statement(
            database, "INSERT OR IGNORE INTO unproven_follow (record, replica, number) VALUES (?1, ?2, ?3)")
        deleteUnproven = try Statement(
            database, "DELETE FROM unproven_follow WHERE record = ?1 AND replica = ?2 AND number = ?3")
    }

    /// What accounts see of everything stands under this scope.
    static let everything = RecordID(rawValue: 0)

    func sight(_ account: RecordID, _ scope: RecordID) throws(StoreError) -> Sight {
        try select.bind(1, account.rawValue)
        try select.bind(2, scope.rawValue)
        defer { select.reset() }
        guard try select.step() else { return .never }
        return select.integer(1) > 0 ? .sees : .left(select.integer(0))
    }

    /// From here to `endRound` roles change only by `enter` and `leave`, so that they are asked for once.
    func beginRound() { everythingSeen = [:] }
    func endRound() { everythingSeen = nil }

    func enter(_ account: RecordID, _ scope: RecordID, sequence: Int64) throws(StoreError) {
        try enterStatement.bind(4, seesOrSawEverything(account) ? 1 : 0)
        if scope == Self.everything { everythingSeen?[account] = nil }
        try run(enterStatement, account.rawValue, scope.rawValue, sequence)
    }

    /// Such an account holds a state of whatever it begins to follow.
    private func seesOrSawEverything(_ account: RecordID) throws(StoreError) -> Bool {
        if let known = everythingSeen?[account] { return known }
        try selectEverything.bind(1, account.rawValue)
        defer { selectEverything.reset() }
        let sees = try selectEverything.step() && selectEverything.integer(0) == 1
        everythingSeen?[account] = sees
        return sees
    }

    func leave(_ account: RecordID, _ scope: RecordID, sequence: Int64) throws(StoreError) {
        if scope == Self.everything { everythingSeen?[account] = nil }
        try run(leaveStatement, account.rawValue, scope.rawValue, sequence)
    }

    /// A record that was collected is in nobody's view.
    func forget(scope: RecordID) throws(StoreError) {
        try rememberScope.bind(1, scope.rawValue)
        try rememberScope.run()
        try deleteScope.bind(1, scope.rawValue)
        try deleteScope.run()
    }

    /// Whoever has not heard of these takes a fresh fill. That they saw it once is remembered: their logs may speak of it.
    func forgetLeft(upTo sequence: Int64) throws(StoreError) {
        try rememberLeft.bind(1, sequence)
        try rememberLeft.run()
        try deleteLeft.bind(1, sequence)
        try deleteLeft.run()
    }

    func isSupervisor(_ account: RecordID) throws(StoreError) -> Bool {
        try selectRole.bind(1, account.rawValue)
        defer { selectRole.reset() }
        return try selectRole.step() && selectRole.integer(0) == 1
    }

    private func run(_ statement: Statement, _ a: Int64, _ b: Int64, _ c: Int64) throws(StoreError) {
        try statement.bind(1, a)
        try statement.bind(2, b)
        try statement.bind(3, c)
        try statement.run()
    }

    /// The next customers that an account follows.
    func scopes(of account: RecordID, after scope: RecordID, limit: Int) throws -> [RecordID] {
        try Int64.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT scope FROM visibility WHERE account = ? AND scope > ? AND state > 0 ORDER BY scope LIMIT ?
                    """), arguments: [account.rawValue, scope.rawValue, limit]
        ).map(RecordID.init(rawValue:))
    }

    // MARK: Additions of followers that nothing proves

    func addUnproven(_ dot: Dot, of record: RecordID) throws(StoreError) {
        try run(insertUnproven, record.rawValue, Int64(dot.replica.rawValue), Int64(dot.number))
    }

    func removeUnproven(_ dot: Dot, of record: RecordID) throws(StoreError) {
        try run(deleteUnproven, record.rawValue, Int64(dot.replica.rawValue), Int64(dot.number))
    }

    func unproven() throws -> [RecordID: Set<Dot>] {
        var unproven: [RecordID: Set<Dot>] = [:]
        let rows = try Row.fetchCursor(
            database.cachedStatement(sql: "SELECT record, replica, number FROM unproven_follow"))
        while let row = try rows.next() {
            let dot = Dot(
                ReplicaID(rawValue: UInt32(truncatingIfNeeded: row["replica"] as Int64)),
                UInt32(truncatingIfNeeded: row["number"] as Int64))
            unproven[RecordID(rawValue: row["record"]), default: []].insert(dot)
        }
        return unproven
    }
}
