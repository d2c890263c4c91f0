import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import class ShoalStore.Statement

/// What an account sees, in one snapshot of the database: the records of the workspace, its own, and those of the customers
/// that it follows; a supervisor sees everything.
final class AccountView {
    let account: RecordID
    /// The sequence with which the account came to see everything, and below which its moves and changes are those of what it
    /// followed; nil if it does not see everything.
    private let everythingSince: Int64?
    private let database: Database
    private var statements: [Statement?] = Array(repeating: nil, count: Query.allCases.count)

    init(_ account: RecordID, _ database: Database) throws {
        self.account = account
        self.database = database
        let statement = try Statement(
            cachedIn: database,
            """
            SELECT ifnull((SELECT sequence FROM visibility WHERE account = ?1 AND scope = 0 AND state > 0), 0)
            FROM account WHERE id = ?1 AND role = 'supervisor'
            """)
        try statement.bind(1, account.rawValue)
        everythingSince = try statement.step() ? statement.integer(0) : nil
        statement.reset()
    }

    var isEverything: Bool { everythingSince != nil }

    /// The statement that this view keeps for a query; one use at a time.
    func statement(_ query: Query) throws -> Statement {
        if let known = statements[query.rawValue] { return known }
        let statement = try Statement(cachedIn: database, query.text)
        statements[query.rawValue] = statement
        return statement
    }

    /// Whether a scope, not that of a pair, is seen.
    func sees(_ scope: Int64) throws -> Bool {
        if isEverything || scope == 0 || scope == account.rawValue { return true }
        let statement = try statement(.isSeen)
        try statement.bind(1, account.rawValue)
        try statement.bind(2, scope)
        defer { statement.reset() }
        return try statement.step()
    }

    /// Whether a scope, not that of a pair, is seen, and was already before the change with this sequence.
    func saw(_ scope: Int64, before sequence: Int64) throws -> Bool {
        if let everythingSince, everythingSince < sequence { return true }
        if scope == 0 || scope == account.rawValue { return true }
        let statement = try statement(.wasSeen)
        try statement.bind(1, account.rawValue)
        try statement.bind(2, scope)
        try statement.bind(3, sequence)
        defer { statement.reset() }
        return try statement.step()
    }

    /// Whether a record with this envelope is seen.
    func sees(_ envelope: Envelope) throws -> Bool {
        if case .pair(let a, let b) = envelope.scope { return try sees(a.rawValue) && sees(b.rawValue) }
        return try sees(envelope.scope.routing)
    }

    /// The first scope after `scope` that is seen by following it, or is the account's own; nil when there is none.
    func scope(after scope: Int64) throws -> Int64? {
        let statement = try statement(.nextScope)
        try statement.bind(1, account.rawValue)
        try statement.bind(2, scope)
        defer { statement.reset() }
        let next = try statement.step() ? statement.integer(0) : nil
        if account.rawValue > scope, account.rawValue <= next ?? .max { return account.rawValue }
        return next
    }

    /// The first scope after `scope` that is that of a customer, also of one of which only what belongs to it is here, or
    /// another account's.
    ///
    /// - Parameter since: passes over customers that the account followed at this sequence and does still; nil to pass over all
    ///   that it follows.
    func otherScope(after scope: Int64, since: Int64?) throws -> Int64? {
        let statement = try statement(.otherScope)
        try statement.bind(1, account.rawValue)
        try statement.bind(2, scope)
        try statement.bind(3, since ?? .max)
        defer { statement.reset() }
        return try statement.step() ? statement.integer(0) : nil
    }

    /// An enter or a leave.
    struct Move {
        var sequence: Int64
        /// 0 for everything.
        var scope: Int64
        /// Whether it came into the view.
        var isIn: Bool
        /// Whether the replica may hold an earlier state of it.
        var isAgain: Bool

        /// The next row of `moves`; nil when there are no more.
        init?(next statement: Statement) throws {
            guard try statement.step() else { return nil }
            sequence = statement.integer(0)
            scope = statement.integer(1)
            isIn = statement.integer(2) > 0
            isAgain = statement.integer(2) == 2
        }
    }

    /// The move with this sequence, if no other has followed it.
    func move(at sequence: Int64) throws -> Move? {
        let statement = try moves(after: sequence - 1)
        defer { statement.reset() }
        guard let move = try Move(next: statement), move.sequence == sequence else { return nil }
        return move
    }

    /// The moves after `sequence`, in their order, for `Move(next:)`. Who sees everything has none after the one that
    /// brought it.
    func moves(after sequence: Int64) throws -> Statement {
        let statement = try statement(.moves)
        try statement.bind(1, account.rawValue)
        try statement.bind(2, sequence)
        try statement.bind(3, everythingSince ?? .max)
        return statement
    }

    /// The changes after `sequence` that the account sees, in their order: record, sequence, cells. Those of a scope that
    /// entered later come with it.
    func feed(after sequence: Int64) throws -> Statement {
        let statement = try statement(.feed)
        try statement.bind(1, sequence)
        try statement.bind(2, account.rawValue)
        try statement.bind(3, everythingSince ?? .max)
        return statement
    }

    /// Calls `body` with the records that are seen and have identifiers from `first` to `last`, ascending.
    func forEachIdentifier(from first: Int64, to last: Int64, _ body: (Int64) throws -> Void) throws {
        let statement = try statement(.identifiers)
        try statement.bind(1, account.rawValue)
        try statement.bind(2, first)
        try statement.bind(3, last)
        defer { statement.reset() }
        while try statement.step() { try body(statement.integer(0)) }
    }

    /// The scopes that a record belongs to, looked for among all: a customer's own first.
    func scopes(of id: RecordID) throws -> [Int64] {
        try Int64.fetchAll(
            database,
            sql: """
                SELECT scope FROM member WHERE record = ?1
                UNION SELECT scope FROM visibility WHERE scope = ?1 AND account = ?2
                """, arguments: [id.rawValue, account.rawValue])
    }

    /// The records that belong to a scope, after one of them: record, sequence, cells.
    func members(of scope: Int64, after record: Int64) throws -> Statement {
        let statement = try statement(scope == 0 ? .workspace : .members)
        try statement.bind(1, scope)
        try statement.bind(2, record)
        return statement
    }
}

extension AccountView {
    /// What a view asks the database, prepared once a view.
    enum Query: Int, CaseIterable {
        case row, rowsAfter, rowsBetween, isSeen, wasSeen, nextScope, otherScope, moves, feed, identifiers, members,
            workspace

        fileprivate var text: String {
            switch self {
            case .row: RecordTable.selectOne
            case .rowsAfter: RecordTable.selectAfter
            case .rowsBetween: RecordTable.selectRange
            case .isSeen:
                "SELECT 1 FROM visibility WHERE account = ?1 AND scope = ?2 AND state > 0"
            case .wasSeen:
                "SELECT 1 FROM visibility WHERE account = ?1 AND scope = ?2 AND state > 0 AND sequence < ?3"
            case .nextScope:
                "SELECT scope FROM visibility WHERE account = ?1 AND scope > ?2 AND state > 0 ORDER BY scope LIMIT 1"
            case .otherScope:
                """
                SELECT * FROM (SELECT id AS scope FROM record WHERE \(Self.isOther("record.id"))
                    AND NOT EXISTS (SELECT 1 FROM member WHERE member.scope = 0 AND member.record = record.id)
                    ORDER BY id LIMIT 1)
                UNION ALL
                SELECT * FROM (SELECT scope FROM member WHERE \(Self.isOther("member.scope")) AND scope <> ?1
                    ORDER BY scope LIMIT 1)
                ORDER BY 1 LIMIT 1
                """
            case .moves:
                """
                SELECT sequence, scope, state FROM visibility
                WHERE account = ?1 AND sequence > ?2 AND sequence <= ?3 ORDER BY sequence
                """
            case .feed:
                """
                SELECT feed.record, feed.sequence, coalesce(record.cells, detail.cells)
                FROM feed LEFT JOIN record ON record.id = feed.record AND record.sequence = feed.sequence
                LEFT JOIN detail ON detail.id = feed.record AND detail.sequence = feed.sequence
                WHERE feed.sequence > ?1 AND \(Self.seen) AND (record.id IS NOT NULL OR detail.id IS NOT NULL)
                ORDER BY feed.sequence
                """
            case .identifiers:
                """
                SELECT record FROM member WHERE scope IN (0, ?1) AND record BETWEEN ?2 AND ?3
                UNION SELECT scope FROM visibility WHERE account = ?1 AND state > 0 AND scope BETWEEN ?2 AND ?3
                UNION SELECT member.record FROM visibility JOIN member ON member.scope = visibility.scope
                    WHERE visibility.account = ?1 AND state > 0 AND member.record BETWEEN ?2 AND ?3
                ORDER BY 1
                """
            case .members: Self.members(in: "detail")
            case .workspace: Self.members(in: "record")
            }
        }

        /// What belongs to the workspace lies in one table, what belongs to another record in the other (`RecordTable`).
        private static func members(in table: String) -> String {
            """
            SELECT member.record, \(table).sequence, \(table).cells
            FROM member CROSS JOIN \(table) ON \(table).id = member.record
            WHERE member.scope = ?1 AND member.record > ?2 ORDER BY member.record
            """
        }

        /// Of a scope after ?2: whether the account ?1 does not follow it, or only since a sequence above ?3.
        private static func isOther(_ column: String) -> String {
            """
            \(column) > ?2 AND NOT EXISTS (SELECT 1 FROM visibility
                WHERE account = ?1 AND visibility.scope = \(column) AND state > 0 AND visibility.sequence <= ?3)
            """
        }

        /// Of a change: ?2 is the account, ?3 the sequence since which it sees everything.
        private static let seen = """
            (feed.sequence > ?3 OR feed.scope IN (0, ?2) OR EXISTS (SELECT 1 FROM visibility WHERE account = ?2
                AND visibility.scope = feed.scope AND state > 0 AND visibility.sequence < feed.sequence))
            """
    }
}
