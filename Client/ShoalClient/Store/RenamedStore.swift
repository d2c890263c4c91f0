import GRDB
import ShoalCRDT

/// Records of this log that have another identifier than they were written with; SPEC.md §3.3.
enum RenamedStore {
    /// The identifier with which a record was written.
    static func original(of record: RecordID, _ database: Database) throws -> RecordID {
        let statement = try database.cachedStatement(sql: "SELECT original FROM renamed WHERE record = ?")
        return RecordID(rawValue: try Int64.fetchOne(statement, arguments: [record.rawValue]) ?? record.rawValue)
    }

    /// Renames records, all at once: one may get what another had.
    static func note(_ renamed: [RecordID: RecordID], _ database: Database) throws {
        let originals = try renamed.map { (new: $0.value, old: $0.key, original: try original(of: $0.key, database)) }
        for (_, old, _) in originals {
            try database.execute(sql: "DELETE FROM renamed WHERE record = ?", arguments: [old.rawValue])
        }
        for (new, _, original) in originals where original != new {
            try database.execute(
                sql: "INSERT OR REPLACE INTO renamed (record, original) VALUES (?, ?)",
                arguments: [new.rawValue, original.rawValue])
        }
    }
}
