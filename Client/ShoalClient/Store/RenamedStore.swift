import GRDB
import ShoalCRDT

/// Records of this log that have another identifier than they were written with; SPEC.md §3.3.
enum RenamedStore {
    /// The identifier with which a record was written.
    static func original(of record: RecordID, _ database: Database) throws -> RecordID {
        let statement = try database.cachedStatement(sql: "SELECT original FROM renamed WHERE record = ?")
        return RecordID(rawValue: try Int64.fetchOne(statement, arguments: [record.rawValue]) ?? record.rawValue)
    }

    static func note(_ old: RecordID, is new: RecordID, _ database: Database) throws {
        let original = try original(of: old, database)
        try database.execute(sql: "DELETE FROM renamed WHERE record = ?", arguments: [old.rawValue])
        if original == new { return }
        try database.execute(
            sql: "INSERT OR REPLACE INTO renamed (record, original) VALUES (?, ?)",
            arguments: [new.rawValue, original.rawValue])
    }
}
