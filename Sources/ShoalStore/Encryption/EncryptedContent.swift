import CSQLite
import GRDB

/// Tells an encrypted database that is opened without its key from one that is damaged.
enum EncryptedContent {
    /// So many pages are looked at. Of a plain database the most are nearly empty, or hold text.
    private static let pages = 16
    /// So many different bytes each page of an encrypted database has: in one of thousands of random ones a single value is
    /// missing.
    private static let fewest = 250
    private static let magic = Array("SQLite format 3\0".utf8)

    /// Looks through SQLite's own handle, which takes no lock and finds no write-ahead log: opened as plain, the database would
    /// be one without a first page, and its log, which nobody else holds either, would be removed.
    static func isLikely(_ connection: OpaquePointer) throws -> Bool {
        var handle: UnsafeMutablePointer<sqlite3_file>?
        guard sqlite3_file_control(connection, "main", SQLITE_FCNTL_FILE_POINTER, &handle) == SQLITE_OK,
            let handle, let methods = handle.pointee.pMethods, let read = methods.pointee.xRead,
            let measure = methods.pointee.xFileSize
        else { return false }
        var size: sqlite3_int64 = 0
        guard measure(handle, &size) == SQLITE_OK, size >= PageCipher.pageSize else { return false }
        let count = min(Int(size) / PageCipher.pageSize, pages)
        for index in 0..<count {
            var page = [UInt8](repeating: 0, count: PageCipher.pageSize)
            let place = sqlite3_int64(index * PageCipher.pageSize)
            guard read(handle, &page, Int32(page.count), place) == SQLITE_OK else { return false }
            if index == 0, page.starts(with: magic) { return false }
            if Set(page).count < fewest { return false }
        }
        return true
    }
}
