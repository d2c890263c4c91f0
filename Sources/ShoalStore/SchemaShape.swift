import GRDB
import ShoalCRDT

/// Whether the tables of a file are made as the program makes them.
///
/// SQLite believes what the file says of them. Where that is damaged, a column may have another name, and rows do not hold what
/// they are asked for.
public struct SchemaShape: Sendable {
    private let migrator: @Sendable () -> DatabaseMigrator
    private let hash: UInt64

    /// - Parameter hash: that of the tables that `migrator` makes (`hash(of:)`). It only saves time: under a library that writes
    ///   the same tables in other words, they are made anew in memory and compared.
    public init(hash: UInt64, _ migrator: @escaping @Sendable () -> DatabaseMigrator) {
        self.hash = hash
        self.migrator = migrator
    }

    /// Of a file in which all migrations are done.
    ///
    /// - Throws: `StoreError.damaged`.
    public func refuseDamaged(_ database: Database, path: String) throws {
        if try Self.hash(of: database) == hash { return }
        let fresh = try DatabaseQueue()
        try migrator().migrate(fresh)
        let meant = try fresh.read { try Self.lines(of: $0) }
        let found = try Self.lines(of: database)
        // What else is in it does no harm.
        guard let line = meant.subtracting(found).min() else { return }
        let name = line.prefix { $0 != "\u{0}" }
        throw StoreError.damaged(path: path, reason: "what it says of its table \(name) is not in form")
    }

    /// A hash of the words in which a file says how its tables are made.
    public static func hash(of database: Database) throws -> UInt64 {
        var bytes: [UInt8] = []
        let rows = try Row.fetchCursor(
            database, sql: "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")
        while let row = try rows.next() {
            for index in 0..<4 { bytes += (String.fromDatabaseValue(row[index] as DatabaseValue) ?? "").utf8 + [0] }
        }
        return bytes.withUnsafeBytes { SipHash.hash($0, key: (0, 0)) }
    }

    /// A line for each column of each table and index; what it belongs to comes first.
    private static func lines(of database: Database) throws -> Set<String> {
        var lines: Set<String> = []
        for sql in [
            """
            SELECT tbl_name, part.name, part.type, part."notnull", part.dflt_value, part.pk
            FROM sqlite_schema AS made, pragma_table_xinfo(made.name) AS part WHERE made.type = 'table'
            """,
            """
            SELECT tbl_name, made.name, part.seqno, part.name, part."desc", part.coll
            FROM sqlite_schema AS made, pragma_index_xinfo(made.name) AS part WHERE made.type = 'index'
            """,
        ] {
            let rows = try Row.fetchCursor(database, sql: sql)
            while let row = try rows.next() {
                lines.insert(row.databaseValues.map { $0.isNull ? "" : "\($0)" }.joined(separator: "\u{0}"))
            }
        }
        return lines
    }
}
