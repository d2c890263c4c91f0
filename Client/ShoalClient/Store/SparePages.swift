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

    private static let magic = Array("shoalsp1".utf8)
    private static let tables = ["identity", "standing", "own_log"]
    /// More than any home has of them.
    private static let mostPages = 4_096

    let key: UInt64
    let pages: [Page]

    // MARK: Taking

    /// What is to be copied of a database, asked before it is closed.
    static func plan(_ database: Database) throws -> Plan {
        let schema = try Int64.fetchOne(database, sql: "PRAGMA schema_version") ?? 0
        var words = ["\(schema)"]
        for sql in [
            "SELECT server, account FROM identity",
            "SELECT ordinal, replica, start, base FROM own_log ORDER BY ordinal",
        ] {
            for row in try Row.fetchAll(database, sql: sql) { words.append(Array(row.databaseValues).description) }
        }
        let key = Array(words.joined(separator: "\n").utf8).withUnsafeBytes { SipHash.hash($0, key: (0, 0)) }
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
        guard plan.pages.count <= mostPages, read(home)?.key != plan.key,
            access(HomeDirectory.databasePath(home) + "-wal", F_OK) != 0
        else { return }
        let file = open(HomeDirectory.databasePath(home), O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { close(file) }
        var bytes = magic
        bytes.appendFixed(plan.key)
        bytes.appendFixed(UInt64(plan.pages.count))
        bytes.appendFixed(UInt64(plan.pageSize))
        for page in plan.pages {
            var content = [UInt8](repeating: 0, count: plan.pageSize)
            let place = off_t(page.number - 1) * off_t(plan.pageSize)
            guard page.number > 0, pread(file, &content, content.count, place) == content.count else { return }
            bytes.appendFixed(UInt64(page.number) << 1 | (page.isSchema ? 1 : 0))
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

    /// The copies of a home; nil if there are none that can be trusted.
    static func read(_ home: String) -> SparePages? {
        guard let data = FileManager.default.contents(atPath: path(home)), data.count > magic.count + 32 else {
            return nil
        }
        let bytes = [UInt8](data)
        let sum = bytes.dropLast(8).withUnsafeBytes { SipHash.hash($0, key: (0, 0)) }
        var place = bytes.count - 8
        guard bytes.fixed(at: &place) == sum, bytes.starts(with: magic) else { return nil }
        place = magic.count
        let key = bytes.fixed(at: &place)
        let count = bytes.fixed(at: &place)
        guard let size = Int(exactly: bytes.fixed(at: &place)), (512...65_536).contains(size), count <= mostPages,
            bytes.count == place + Int(count) * (size + 8) + 8
        else { return nil }
        var pages: [Page] = []
        for _ in 0..<count {
            let head = bytes.fixed(at: &place)
            guard let number = UInt32(exactly: head >> 1), number > 0 else { return nil }
            pages.append(Page(number: number, isSchema: head & 1 == 1, bytes: Array(bytes[place..<place + size])))
            place += size
        }
        return SparePages(key: key, pages: pages)
    }
}

extension [UInt8] {
    fileprivate mutating func appendFixed(_ value: UInt64) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    /// The eight bytes at `place`, which must be there; goes on behind them.
    fileprivate func fixed(at place: inout Int) -> UInt64 {
        defer { place += 8 }
        return self[place..<place + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
