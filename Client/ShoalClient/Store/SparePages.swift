import Foundation
import GRDB
import Glibc
import ShoalCRDT

/// Copies of the pages of a home's database without which nothing else in it can be found: its schema, and who the replica is
/// and which logs it wrote. They lie in a file of their own, as they are in the database, encrypted if that is.
///
/// They are taken when the database is closed and what they say has changed since. Where a log's acknowledgement is older in
/// them than it was, the home is like one that was set back: the server tells what it has (SPEC.md §3.3).
public struct SparePages {
    struct Page {
        /// From 1.
        var number: UInt32
        var isSchema: Bool
        var bytes: [UInt8]
    }

    /// Which pages are to be copied.
    public struct Plan: Sendable {
        /// What they say, in short: copies under the same key need not be taken again.
        var key: UInt64
        var pageSize: Int
        var pages: [(number: UInt32, isSchema: Bool)]
    }

    static func path(_ home: String) -> String { HomeDirectory.databasePath(home) + ".spare" }

    private static let magic = Array("shoalsp2".utf8)
    private static let tables = ["identity", "standing", "own_log"]
    /// More than any home has of them.
    private static let mostPages = 4_096

    let pages: [Page]

    // MARK: Taking

    /// What is to be copied of a database, asked before it is closed; nil if the copies under `kept` are of the same.
    static func plan(_ database: Database, kept: UInt64?) throws -> Plan? {
        let schema = try Int64.fetchOne(database, sql: "PRAGMA schema_version") ?? 0
        var words = ["\(schema)"]
        for sql in [
            "SELECT server, account FROM identity",
            "SELECT ordinal, replica, start, base FROM own_log ORDER BY ordinal",
        ] {
            for row in try Row.fetchAll(database, sql: sql) { words.append(Array(row.databaseValues).description) }
        }
        let key = Array(words.joined(separator: "\n").utf8).withUnsafeBytes { SipHash.hash($0, key: (0, 0)) }
        guard key != kept else { return nil }
        let size = try Int.fetchOne(database, sql: "PRAGMA page_size") ?? 0
        var plan = Plan(key: key, pageSize: size, pages: [])
        for name in ["sqlite_schema"] + tables {
            let numbers = try Int64.fetchAll(
                database, sql: "SELECT pageno FROM dbstat WHERE name = ?", arguments: [name])
            for number in numbers {
                if let number = UInt32(exactly: number) { plan.pages.append((number, name == "sqlite_schema")) }
            }
        }
        return plan
    }

    /// Takes the copies while this process has no connection to the database. Without room, or while somebody else has it
    /// open, those from before stay.
    static func take(_ plan: Plan, home: String) {
        guard plan.pages.count <= mostPages, access(HomeDirectory.databasePath(home) + "-wal", F_OK) != 0 else {
            return
        }
        let file = open(HomeDirectory.databasePath(home), O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { close(file) }
        var bytes = magic
        bytes.appendFixed(plan.key)
        bytes.appendVarint(plan.pageSize)
        bytes.appendVarint(plan.pages.count)
        for page in plan.pages {
            var content = [UInt8](repeating: 0, count: plan.pageSize)
            let place = (off_t(page.number) - 1) * off_t(plan.pageSize)
            guard page.number > 0, pread(file, &content, content.count, place) == content.count else { return }
            bytes.appendVarint(UInt64(page.number) << 1 | (page.isSchema ? 1 : 0))
            bytes.append(contentsOf: content)
        }
        bytes.appendFixed(bytes.withUnsafeBytes { SipHash.hash($0, key: (0, 0)) })
        write(bytes, home)
    }

    private static func write(_ bytes: [UInt8], _ home: String) {
        let part = path(home) + ".part"
        let file = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        let isWhole = count == bytes.count && fsync(file) == 0
        close(file)
        if isWhole, rename(part, path(home)) == 0 { return }
        unlink(part)
    }

    // MARK: Using

    /// The key of the copies of a home; nil without any. Whether they can be trusted, `read` finds.
    static func key(_ home: String) -> UInt64? {
        let file = open(path(home), O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var head = [UInt8](repeating: 0, count: magic.count + 8)
        guard pread(file, &head, head.count, 0) == head.count, head.starts(with: magic) else { return nil }
        return head.dropFirst(magic.count).withUnsafeBytes {
            var reader = ByteReader($0); return try? reader.fixed64()
        }
    }

    /// The copies of a home; nil if there are none that can be trusted.
    static func read(_ home: String) -> SparePages? {
        guard let bytes = FileManager.default.contents(atPath: path(home)), bytes.starts(with: magic) else {
            return nil
        }
        return bytes.withUnsafeBytes { try? SparePages($0) }
    }

    private init(_ bytes: UnsafeRawBufferPointer) throws(DecodingFailure) {
        var sum = ByteReader(UnsafeRawBufferPointer(rebasing: bytes.suffix(8)))
        let body = UnsafeRawBufferPointer(rebasing: bytes.dropLast(8))
        var reader = ByteReader(body)
        guard try sum.fixed64() == SipHash.hash(body, key: (0, 0)) else { throw reader.failure(.checksum) }
        _ = try reader.run(Self.magic.count + 8)
        let size = try reader.varint(as: Int.self)
        guard (512...65_536).contains(size) else { throw reader.failure(.outOfRange) }
        var pages: [Page] = []
        for _ in 0..<(try reader.varint(as: UInt32.self)) {
            let head = try reader.varint()
            guard let number = UInt32(exactly: head >> 1), number > 0 else { throw reader.failure(.outOfRange) }
            pages.append(Page(number: number, isSchema: head & 1 == 1, bytes: Array(try reader.run(size))))
        }
        guard reader.isAtEnd else { throw reader.failure(.trailingBytes) }
        self.pages = pages
    }
}
