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

    /// What is wrong with a file.
    enum Fault {
        /// Pages cannot be read, or are not in form.
        case pages(String)
        /// What it says of its tables is not how they are made.
        case schema(String)
        /// It has forgotten what nobody else can tell of it.
        case forgotten(String)

        var reason: String {
            switch self {
            case .pages(let reason), .schema(let reason), .forgotten(let reason): reason
            }
        }
    }

    /// - Returns: nil when the file is sound.
    /// - Throws: `StoreError`, but not for damage.
    static func fault(_ path: String, _ cipher: PageCipher?) throws -> Fault? {
        do {
            return try examine(path, cipher) { database in
                try StoreFile.refuseNewer(ReplicaSchema.migrator, database, path: path)
                let lines = try String.fetchAll(database, sql: "PRAGMA integrity_check(1)")
                guard lines == ["ok"] else { return .pages(lines.first ?? "it cannot be examined") }
                // Opening it goes on with the migrations.
                guard try ReplicaSchema.migrator.hasCompletedMigrations(database) else { return nil }
                do { try ReplicaSchema.shape.refuseDamaged(database, path: path) } catch StoreError.damaged(
                    _, let reason)
                {
                    return .schema(reason)
                }
                return try forgotten(database, path).map { .forgotten($0) }
            }
        } catch StoreError.damaged(_, let reason) { return .pages(reason) }
    }

    /// What a home that is enrolled has forgotten of itself, in a sentence; nil for nothing.
    private static func forgotten(_ database: Database, _ path: String) throws -> String? {
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
