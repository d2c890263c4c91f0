import GRDB
import ShoalStore

/// Writes a database in its other form: encrypted or not.
enum FileConversion {
    /// Copies all of a database, its write-ahead log included, into a new file. What is there stays as it is.
    ///
    /// - Parameters:
    ///   - old: what the database is encrypted with.
    ///   - new: what the copy is encrypted with.
    ///   - admitting: throws if it must not be.
    static func run(
        _ path: String, from old: PageCipher?, to copy: String, _ new: PageCipher?,
        admitting: (Database) throws -> Void
    ) throws {
        try StoreError.mapping(path: path) {
            let queue = try DatabaseQueue(
                path: try StoreFile.name(path, cipher: old), configuration: FileExamination.configuration(old))
            defer { try? queue.close() }
            let name = new == nil ? try StoreFile.plainName(copy) : try StoreFile.name(copy, cipher: new)
            try queue.inDatabase { database in
                try admitting(database)
                if new != nil { try StoreFile.reserve(database) }
                try database.execute(sql: "VACUUM INTO ?", arguments: [name])
            }
        }
    }
}
