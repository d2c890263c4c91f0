import CSQLite
import GRDB

/// A prepared statement on the C interface, for the loops in which GRDB's row handling would cost more than the work.
///
/// It is prepared when it is used first: a store has dozens, and most programs need a few. Valid as long as the
/// connection; used only on that connection's queue.
public final class Statement {
    private let sql: String
    private let connection: OpaquePointer
    private var handle: OpaquePointer?
    /// Who finalizes the handle, if somebody else does.
    private let owner: GRDB.Statement?

    /// A statement on the connection of `database`.
    public init(_ database: Database, _ sql: String) throws(StoreError) {
        guard let connection = database.sqliteConnection else {
            throw .other(code: SQLITE_MISUSE, reason: "the connection is closed")
        }
        self.connection = connection
        self.sql = sql
        owner = nil
    }

    /// The statement that the connection of `database` keeps prepared; one at a time.
    public init(cachedIn database: Database, _ sql: String) throws {
        guard let connection = database.sqliteConnection else {
            throw StoreError.other(code: SQLITE_MISUSE, reason: "the connection is closed")
        }
        let owner = try database.cachedStatement(sql: sql)
        self.connection = connection
        self.sql = sql
        self.owner = owner
        handle = owner.sqliteStatement
        sqlite3_reset(handle)
    }

    deinit { if owner == nil { sqlite3_finalize(handle) } else { sqlite3_reset(handle) } }

    @inline(__always)
    private func prepared() throws(StoreError) -> OpaquePointer {
        if let handle { return handle }
        return try prepare()
    }

    private func prepare() throws(StoreError) -> OpaquePointer {
        var made: OpaquePointer?
        let code = sqlite3_prepare_v3(connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &made, nil)
        guard code == SQLITE_OK, let made else { throw failure(code) }
        handle = made
        return made
    }

    @inline(__always)
    private func check(_ code: Int32) throws(StoreError) {
        if code != SQLITE_OK { throw failure(code) }
    }

    private func failure(_ code: Int32) -> StoreError {
        let extended = sqlite3_extended_errcode(connection)
        return StoreError(
            code: extended == SQLITE_OK ? code : extended, message: String(cString: sqlite3_errmsg(connection)),
            path: String(cString: sqlite3_db_filename(connection, "main")))
    }

    public func bind(_ index: Int32, _ value: Int64) throws(StoreError) {
        try check(sqlite3_bind_int64(prepared(), index, value))
    }
    public func bindNull(_ index: Int32) throws(StoreError) { try check(sqlite3_bind_null(prepared(), index)) }
    public func bind(_ index: Int32, _ value: String) throws(StoreError) {
        let handle = try prepared()
        var copy = value
        let code = copy.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                sqlite3_bind_text(
                    handle, index, $0.baseAddress, Int32(truncatingIfNeeded: bytes.count), shoal_sqlite_transient())
            }
        }
        try check(code)
    }
    /// Binds bytes that are copied.
    public func bind(_ index: Int32, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        guard bytes.count > 0 else { return try check(sqlite3_bind_zeroblob(prepared(), index, 0)) }
        try check(
            sqlite3_bind_blob(
                prepared(), index, bytes.baseAddress, Int32(truncatingIfNeeded: bytes.count), shoal_sqlite_transient()))
    }
    public func bind(_ index: Int32, _ bytes: [UInt8]) throws(StoreError) {
        let result: Result<Void, StoreError> = bytes.withUnsafeBytes { buffer in
            do throws(StoreError) { return .success(try bind(index, buffer)) } catch { return .failure(error) }
        }
        try result.get()
    }
    /// Binds UTF-8 bytes as text; they are copied.
    public func bindText(_ index: Int32, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        try check(
            sqlite3_bind_text(
                prepared(), index, bytes.baseAddress?.assumingMemoryBound(to: CChar.self) ?? nil,
                Int32(truncatingIfNeeded: bytes.count), shoal_sqlite_transient()))
    }

    /// Steps once: true for a row, false when done.
    @inline(__always)
    public func step() throws(StoreError) -> Bool {
        let code = sqlite3_step(try prepared())
        if code == SQLITE_ROW { return true }
        if code == SQLITE_DONE { return false }
        let error = failure(code)
        sqlite3_reset(handle)
        throw error
    }

    public func reset() { sqlite3_reset(handle) }

    /// Steps to the end and resets, for statements that return no rows.
    public func run() throws(StoreError) {
        let code = sqlite3_step(try prepared())
        if code != SQLITE_DONE && code != SQLITE_ROW {
            let error = failure(code)
            sqlite3_reset(handle)
            throw error
        }
        sqlite3_reset(handle)
    }

    /// Runs with these bytes bound to a parameter, without a copy of them.
    public func run(_ index: Int32, _ bytes: [UInt8]) throws(StoreError) {
        let handle = try prepared()
        let code = bytes.withUnsafeBytes { buffer in
            let code = sqlite3_bind_blob(
                handle, index, buffer.baseAddress, Int32(truncatingIfNeeded: buffer.count), shoal_sqlite_static())
            return code == SQLITE_OK ? sqlite3_step(handle) : code
        }
        // The bytes are the caller's again.
        defer {
            sqlite3_reset(handle)
            sqlite3_bind_null(handle, index)
        }
        if code != SQLITE_DONE && code != SQLITE_ROW { throw failure(code) }
    }

    public func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }
    public func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
    public func string(_ column: Int32) -> String {
        guard let text = sqlite3_column_text(handle, column) else { return "" }
        return String(cString: text)
    }
    /// The bytes of a blob or text; valid until the next step.
    public func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
        let count = Int(sqlite3_column_bytes(handle, column))
        return UnsafeRawBufferPointer(start: sqlite3_column_blob(handle, column), count: count)
    }
}

extension Database {
    /// How many rows the last statement changed.
    public var changedRows: Int { changesCount }
}
