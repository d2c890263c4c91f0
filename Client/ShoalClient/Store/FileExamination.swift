import CSQLite
import GRDB
import ShoalStore

/// Whether a home's database file is sound, without trusting anything in it.
enum FileExamination {
    /// Of connections that must leave a damaged file as it is: closing one does not move the write-ahead log into it.
    static func configuration(_ cipher: PageCipher?, isAlone: Bool = false) -> Configuration {
        var configuration = StoreFile.configuration(label: "doctor", cipher: cipher, isAlone: isAlone)
        configuration.prepareDatabase { database in
            if let connection = database.sqliteConnection { shoal_sqlite_keep_log(connection) }
        }
        return configuration
    }

    /// What a home that is enrolled has forgotten of itself, which nobody else can tell, in a sentence; nil for nothing.
    ///
    /// - Throws: `StoreError`.
    static func forgotten(_ path: String, _ cipher: PageCipher?) throws -> String? {
        try examine(path, cipher) { database in
            guard try ReplicaSchema.migrator.hasCompletedMigrations(database) else { return nil }
            let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM log") ?? 0
            if try !StandingStore.isEnrolled(database) {
                return count == 0 ? nil : "who wrote the \(Wording.count(count, "change", "changes")) in it is lost"
            }
            do {
                _ = try StandingStore.read(database, home: path)
                _ = try OwnLogStore.read(database)
                return nil
            } catch StoreError.damaged(_, let reason) {
                return
                    "\(reason); it still holds \(Wording.count(count, "change", "changes")) of yours, which nobody can "
                    + "send from here: keep it, and put a copy of it back in its place if you have one"
            }
        }
    }

    /// - Returns: what is wrong, the first few things; empty when the file is sound.
    /// - Throws: `StoreError`, but not for damage.
    static func faults(_ path: String, _ cipher: PageCipher?) throws -> [String] {
        do {
            return try examine(path, cipher) { database in
                try StoreFile.refuseNewer(ReplicaSchema.migrator, database, path: path)
                let lines = try String.fetchAll(database, sql: "PRAGMA integrity_check(10)")
                return lines == ["ok"] ? [] : lines
            }
        } catch StoreError.damaged(_, let reason) { return [reason] }
    }

    /// Runs `body` on the file, which is left as it is.
    static func examine<T>(_ path: String, _ cipher: PageCipher?, _ body: (Database) throws -> T) throws -> T {
        try StoreError.mapping(path: path) {
            try StoreFile.sharingIfRoom { isAlone in
                let queue = try DatabaseQueue(
                    path: try StoreFile.name(path, cipher: cipher),
                    configuration: configuration(cipher, isAlone: isAlone))
                defer { try? queue.close() }
                return try queue.inDatabase(body)
            }
        }
    }
}
