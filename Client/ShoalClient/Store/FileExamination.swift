import CSQLite
import GRDB
import ShoalStore

/// Whether a home's database file is sound, without trusting anything in it.
enum FileExamination {
    /// Of connections that must leave a damaged file as it is: closing one does not move the write-ahead log into it.
    static var configuration: Configuration {
        var configuration = StoreFile.configuration(label: "doctor")
        configuration.prepareDatabase { database in
            if let connection = database.sqliteConnection { shoal_sqlite_keep_log(connection) }
        }
        return configuration
    }

    /// - Returns: what is wrong, the first few things; empty when the file is sound.
    /// - Throws: `StoreError`, but not for damage.
    static func faults(_ path: String) throws -> [String] {
        do {
            return try StoreError.mapping(path: path) {
                let queue = try DatabaseQueue(path: path, configuration: configuration)
                defer { try? queue.close() }
                return try queue.inDatabase { database in
                    try StoreFile.refuseNewer(ReplicaSchema.migrator, database, path: path)
                    let lines = try String.fetchAll(database, sql: "PRAGMA integrity_check(10)")
                    return lines == ["ok"] ? [] : lines
                }
            }
        } catch StoreError.damaged(_, let reason) { return [reason] }
    }
}
