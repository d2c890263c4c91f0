import CSQLite
import GRDB
import ShoalCRDT

/// Why a store could not do what was asked. Every case tells whether a retry helps and what a person can do.
public enum StoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The disk is full; nothing of the transaction was stored.
    case full(path: String)
    /// The file or its directory cannot be written.
    case readOnly(path: String)
    /// The file cannot be opened.
    case cannotOpen(path: String, reason: String)
    /// The file is not a database, or is damaged.
    case damaged(path: String, reason: String)
    /// The file is encrypted, and the key file beside it is gone.
    case noKey(path: String)
    /// One record's row cannot be read; the others can.
    case damagedRecord(RecordID, reason: String)
    /// The file was written by a newer version of the program.
    case newerVersion(path: String)
    /// Another process held the file for too long.
    case busy(path: String)
    /// The disk failed. The process must stop rather than try again.
    case inputOutput(path: String, reason: String)
    case other(code: Int32, reason: String)

    /// Whether the same call may succeed later without anybody doing something.
    public var helpsToRetry: Bool {
        if case .busy = self { return true }
        return false
    }

    public var description: String {
        switch self {
        case .full(let path): "the disk is full: nothing was stored in \(path); free some space and try again"
        case .readOnly(let path): "\(path) cannot be written; check its permissions"
        case .cannotOpen(let path, let reason): "\(path) cannot be opened: \(reason)"
        case .damaged(let path, let reason):
            "\(path) is damaged: \(reason); run shoal doctor, or on the server shoald check, and shoald restore with a backup"
        case .noKey(let path):
            "\(path) is encrypted, and the file key beside it is gone: put a copy of it back from a backup; nothing else opens it"
        case .damagedRecord(let id, let reason):
            "the record \(id) is damaged: \(reason); run shoal doctor, or shoald check on the server"
        case .newerVersion(let path): "\(path) was written by a newer version; install that version to open it"
        case .busy(let path): "\(path) is in use by another process; try again"
        case .inputOutput(let path, let reason): "the disk failed while using \(path): \(reason)"
        case .other(let code, let reason): "the database failed with code \(code): \(reason)"
        }
    }

    /// Sorts an SQLite result code; extended codes are reduced to what a person can act on.
    public init(code: Int32, message: String, path: String) {
        switch code & 0xFF {
        // No room for the index of the write-ahead log, which is synced by nobody.
        case SQLITE_IOERR where code == ResultCode.SQLITE_IOERR_SHMSIZE.rawValue: self = .full(path: path)
        case SQLITE_FULL: self = .full(path: path)
        case SQLITE_READONLY, SQLITE_PERM: self = .readOnly(path: path)
        case SQLITE_CANTOPEN: self = .cannotOpen(path: path, reason: message)
        case SQLITE_CORRUPT, SQLITE_NOTADB: self = .damaged(path: path, reason: message)
        case SQLITE_BUSY, SQLITE_LOCKED: self = .busy(path: path)
        case SQLITE_IOERR: self = .inputOutput(path: path, reason: message)
        default: self = .other(code: code, reason: message)
        }
    }

    public init(_ error: DatabaseError, path: String) {
        self.init(code: error.extendedResultCode.rawValue, message: error.message ?? "no reason given", path: path)
    }

    /// Whether an error, the store's own or GRDB's, says that the disk failed. What was not synced then may be gone while a
    /// second fsync reports success, so the connection must not be written to again.
    public static func isDiskFailure(_ error: any Error) -> Bool {
        switch error {
        case StoreError.inputOutput: true
        case let error as DatabaseError: error.resultCode == .SQLITE_IOERR
        default: false
        }
    }

    /// Runs `body` and turns what GRDB throws into a `StoreError`.
    public static func mapping<T>(path: String, _ body: () throws -> T) throws -> T {
        do { return try body() } catch let error as DatabaseError { throw StoreError(error, path: path) }
    }
}
