import Foundation
import GRDB
import ShoalStore

/// Copies a database table by table, without its indexes, which the copy makes anew: where only they are damaged it is whole.
enum DatabaseCopy {
    /// - Parameter copy: an empty file.
    /// - Throws: `StoreError.damaged`, which names the table, unless every table can be read whole; `StoreError`.
    static func run(from path: String, to copy: String) throws {
        let tables = try StoreError.mapping(path: copy) { try make(copy) }
        try StoreError.mapping(path: path) {
            let queue = try DatabaseQueue(path: path, configuration: DatabaseCheck.configuration)
            defer { try? queue.close() }
            try queue.inDatabase { database in
                try StoreFile.refuseNewer(ServerSchema.migrator, database, path: path)
                guard try ServerSchema.migrator.hasCompletedMigrations(database) else {
                    throw StoreError.damaged(path: path, reason: "it has not all tables of a server")
                }
                try database.execute(sql: "ATTACH ? AS copy", arguments: [copy])
                try database.inTransaction(.deferred) {
                    for table in tables { try Self.copy(table, in: database, path) }
                    return .commit
                }
                try database.execute(sql: "DETACH copy")
            }
        }
    }

    private struct Table {
        var name: String
        var columns: [String]
        /// What its own tree is sorted by.
        var order: [String]
    }

    /// Makes the tables of a server.
    private static func make(_ path: String) throws -> [Table] {
        let queue = try DatabaseQueue(path: path, configuration: StoreFile.configuration(label: "copy"))
        defer { try? queue.close() }
        try ServerSchema.migrator.migrate(queue)
        return try queue.read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT name, wr FROM pragma_table_list
                    WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'grdb_migrations'
                    ORDER BY name
                    """)
            return try rows.map { row in
                let name: String = row["name"]
                let isSortedByKey: Bool = row["wr"]
                return Table(
                    name: name, columns: try database.columns(in: name).map(\.name),
                    order: isSortedByKey ? try database.primaryKey(name).columns : ["rowid"])
            }
        }
    }

    private static func copy(_ table: Table, in database: Database, _ path: String) throws {
        let columns = table.columns.map { "\"\($0)\"" }.joined(separator: ", ")
        let order = table.order.map { "\"\($0)\"" }.joined(separator: ", ")
        // Migrations write rows. In the order of its tree SQLite reads the table: otherwise it may read an index that has all columns, or
        // take the pages of all indexes.
        let sql = """
            DELETE FROM copy."\(table.name)";
            INSERT INTO copy."\(table.name)" (\(columns)) SELECT \(columns) FROM main."\(table.name)" NOT INDEXED
            ORDER BY \(order)
            """
        do { try database.execute(sql: sql) } catch let error as DatabaseError where error.resultCode == .SQLITE_CORRUPT
        {
            throw StoreError.damaged(path: path, reason: "the table \(table.name) cannot be read whole")
        }
    }
}
