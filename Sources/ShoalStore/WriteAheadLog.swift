import CSQLite
import GRDB
import Glibc

/// Keeps the write-ahead log of one writer connection bounded by checkpoints of our own.
///
/// SQLite's own checkpoint after every 1,000 pages made merging much slower; ours come on the writer and outside a
/// transaction. Used only on the writer's queue.
public final class WriteAheadLog {
    /// Frames (pages) that the log may hold while much is merged: 64 MB.
    public static let bulkLimit = 16_000
    /// Frames that it may hold while single commands are written: what `extendFile` made room for.
    public static let smallLimit = 1_900
    private let connection: OpaquePointer?
    private let frames: UnsafeMutablePointer<Int32>
    /// Frames up to which another checkpoint would be in vain; see `checkpointIfLong`.
    private var retryAbove: Int32 = 0

    public init(_ database: Database) {
        connection = database.sqliteConnection
        frames = .allocate(capacity: 1)
        frames.initialize(to: 0)
        sqlite3_wal_hook(
            connection,
            { context, _, _, pages in
                context?.assumingMemoryBound(to: Int32.self).pointee = pages
                return SQLITE_OK
            }, frames)
    }

    deinit {
        // The hook must not outlive its memory; the connection may already be closed, and then it is gone with it.
        frames.deallocate()
    }

    /// Detaches from the connection; call it before the connection closes.
    public func detach() { sqlite3_wal_hook(connection, nil, nil) }

    /// Gives the log's file `bytes` of zeros behind what it holds, for programs that stay open: a commit that overwrites
    /// blocks of the file waits for its data only, one that extends the file also for the file system's journal.
    ///
    /// SQLite stops reading at the first frame whose checksum is wrong, so zeros are no frames, and it takes no POSIX locks
    /// on this file that closing it could drop. No other process may write meanwhile. A failure changes nothing: on a disk
    /// with no room for it the file is as long as before.
    public func extendFile(to bytes: Int = 8 << 20) {
        guard let connection else { return }
        let descriptor = open(String(cString: sqlite3_db_filename(connection, "main")) + "-wal", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return }
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        var offset = Int(status.st_size)
        while offset < bytes {
            let written = pwrite(descriptor, zeros, min(zeros.count, bytes - offset), off_t(offset))
            guard written > 0 else {
                ftruncate(descriptor, status.st_size)
                return
            }
            offset += written
        }
        fdatasync(descriptor)
    }

    /// Waits until what the log holds is on the disk.
    public func makeDurable() throws(StoreError) {
        guard let connection else { return }
        // The log is found and read with the first look at the database.
        var code = sqlite3_exec(connection, "SELECT 1 FROM sqlite_schema LIMIT 1", nil, nil, nil)
        var file: UnsafeMutablePointer<sqlite3_file>?
        if code == SQLITE_OK {
            code = sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file)
        }
        // Without methods it is not open: there is no log.
        if code == SQLITE_OK, let file, let sync = file.pointee.pMethods?.pointee.xSync {
            code = sync(file, SQLITE_SYNC_NORMAL)
        }
        guard code == SQLITE_OK else {
            throw StoreError(
                code: code, message: String(cString: sqlite3_errstr(code)),
                path: String(cString: sqlite3_db_filename(connection, "main")))
        }
    }

    /// Moves the log into the database file if it holds more than `limit` frames. Waits for no reader: what a reader
    /// still needs follows at a later call, and the log begins anew once nobody reads from it.
    public func checkpointIfLong(_ limit: Int = WriteAheadLog.bulkLimit) throws(StoreError) {
        guard frames.pointee > max(Int32(limit), retryAbove) else { return }
        let before = frames.pointee
        try checkpoint(SQLITE_CHECKPOINT_PASSIVE)
        // A reader held it back: try again when the log has grown by a quarter, not at every commit.
        retryAbove = frames.pointee == 0 ? 0 : before + before / 4
    }

    /// Moves into the database file, and syncs, what an earlier process left in the log; for the opening of a database.
    ///
    /// A program that ended between writing a commit and waiting for it leaves a commit that everybody reads and a loss of
    /// power takes back: nothing may be sent or acknowledged because of it before this.
    /// If a sync failed there, the system goes on showing frames that the disk has not got and will not write them again: a
    /// commit behind them would be lost with them at the next loss of power, however well it was synced. Waits for nobody. A
    /// full disk is no reason not to open.
    public func settle() throws(StoreError) {
        do { try checkpoint(SQLITE_CHECKPOINT_PASSIVE) } catch {
            guard case .full = error else { throw error }
            try makeDurable()
        }
    }

    /// Moves the log into the database file and empties it.
    public func truncate() throws(StoreError) { try checkpoint(SQLITE_CHECKPOINT_TRUNCATE) }

    private func checkpoint(_ mode: Int32) throws(StoreError) {
        guard let connection else { return }
        var all: Int32 = 0
        var moved: Int32 = 0
        let code = sqlite3_wal_checkpoint_v2(connection, nil, mode, &all, &moved)
        // Busy, or not all moved: a reader still needs the log. The rest follows next time.
        if code == SQLITE_OK, all == moved { frames.pointee = 0 }
        if code != SQLITE_OK && code != SQLITE_BUSY {
            throw StoreError(
                code: sqlite3_extended_errcode(connection), message: String(cString: sqlite3_errmsg(connection)),
                path: String(cString: sqlite3_db_filename(connection, "main")))
        }
    }
}
