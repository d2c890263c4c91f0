import Crypto
import Foundation
import GRDB
import Testing

@testable import ShoalStore

/// Databases under `EncryptedFileSystem`.
@Suite struct EncryptionTests {
    private static let canary = "canary-\u{6CB9}\u{76AE}"

    /// A directory for one database, removed at the end.
    private final class Place {
        let directory = NSTemporaryDirectory() + "shoal-encryption-\(UUID().uuidString)"
        var path: String { directory + "/a.db" }
        init() throws {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        }
        deinit { try? FileManager.default.removeItem(atPath: directory) }

        /// The files in which some text stands, and how many files there are.
        func files(holding text: String) throws -> (found: [String], of: Int) {
            let names = try FileManager.default.contentsOfDirectory(atPath: directory)
            let found = try names.filter {
                try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\($0)")).range(of: Data(text.utf8)) != nil
            }
            return (found, names.count)
        }
    }

    private func cipher(_ byte: UInt8 = 1) -> PageCipher {
        PageCipher(key: SymmetricKey(data: [UInt8](repeating: byte, count: 32)), random: { .random(in: 0 ... .max) })
    }

    private func open(
        _ path: String, _ cipher: PageCipher?, journal: String = "WAL", pragmas: String = ""
    ) throws -> DatabaseQueue {
        let queue = try DatabaseQueue(
            path: try StoreFile.name(path, cipher: cipher),
            configuration: StoreFile.configuration(label: "test", cacheKibibytes: 64, cipher: cipher))
        try queue.inDatabase { try $0.execute(sql: "PRAGMA journal_mode = \(journal); \(pragmas)") }
        return queue
    }

    // MARK: Layout

    @Test func unitsTileTheFileAsSQLiteSeesItAndAsItLies() {
        for layout in [UnitLayout.database, .log] {
            var (plain, sealed) = (0, 0)
            for _ in 0..<1_000 {
                let unit = layout.unit(containing: plain)
                #expect(unit.plain.lowerBound == plain && unit.sealed.lowerBound == sealed)
                #expect(unit.isPage == (unit.sealed.count == unit.plain.count))
                for offset in [
                    unit.plain.lowerBound, unit.plain.upperBound - 1,
                    (unit.plain.lowerBound + unit.plain.upperBound) / 2,
                ] {
                    #expect(layout.unit(containing: offset).plain == unit.plain)
                }
                (plain, sealed) = (unit.plain.upperBound, unit.sealed.upperBound)
                if unit.isPage || layout == .log && plain == 32 {
                    #expect(layout.plainSize(sealed) == plain && layout.sealedSize(plain) == sealed)
                    // A frame that is not whole is none.
                    #expect(layout == .database || layout.plainSize(sealed + 4_147) == plain)
                }
            }
        }
    }

    // MARK: The same as without

    @Test(arguments: ["WAL", "DELETE", "TRUNCATE", "PERSIST"], [UInt64(1), 2, 3])
    func anEncryptedDatabaseDoesWhatAPlainOneDoes(journal: String, seed: UInt64) throws {
        var dumps: [[String]] = []
        for cipher in [nil, cipher()] {
            let place = try Place()
            var random = SplitMix(state: seed)
            var queue = try open(place.path, cipher, journal: journal)
            try queue.write {
                try $0.execute(sql: "CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB); CREATE INDEX i ON t (x)")
            }
            for _ in 0..<60 {
                try work(queue, &random)
                if random.next() % 8 == 0 {
                    try queue.close()
                    queue = try open(place.path, cipher, journal: journal)
                }
                if journal == "WAL", random.next() % 8 == 0 {
                    try queue.inDatabase { _ = try $0.checkpoint(.truncate) }
                }
            }
            dumps.append(
                try queue.read { database in
                    #expect(try String.fetchAll(database, sql: "PRAGMA integrity_check") == ["ok"])
                    return try String.fetchAll(database, sql: "SELECT id || ':' || hex(x) FROM t ORDER BY id")
                })
            try queue.close()
        }
        #expect(dumps[0] == dumps[1] && dumps[0].count > 20)
    }

    /// One transaction, kept or not, larger than the cache now and then.
    private func work(_ queue: DatabaseQueue, _ random: inout SplitMix) throws {
        struct Unwanted: Error {}
        let isLarge = random.next() % 4 == 0
        let isKept = random.next() % 3 > 0
        do {
            try queue.write { database in
                for _ in 0..<(isLarge ? 60 : 3) {
                    let id = Int64(random.next() % 120)
                    let x = Data(repeating: UInt8(random.next() & 0xFF), count: Int(random.next() % 9_000))
                    switch random.next() % 4 {
                    case 0: try database.execute(sql: "DELETE FROM t WHERE id = ?", arguments: [id])
                    default: try database.execute(sql: "INSERT OR REPLACE INTO t VALUES (?, ?)", arguments: [id, x])
                    }
                }
                if !isKept { throw Unwanted() }
            }
        } catch is Unwanted {}
    }

    // MARK: What others see

    @Test func noFileHoldsWhatIsStored() throws {
        for (journal, least) in [("WAL", 3), ("DELETE", 2), ("PERSIST", 2)] {
            for cipher in [cipher(), nil] {
                let place = try Place()
                let queue = try open(place.path, cipher, journal: journal)
                try queue.write { database in
                    try database.execute(sql: "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
                    for id in 0..<500 {
                        try database.execute(sql: "INSERT INTO t VALUES (?, ?)", arguments: [id, Self.canary])
                    }
                }
                // In the middle of a transaction that does not fit the cache: the journal holds what was there.
                try queue.write { database in
                    try database.execute(sql: "UPDATE t SET x = x || hex(randomblob(500))")
                    let (found, count) = try place.files(holding: Self.canary)
                    #expect(count >= least, "\(journal)")
                    #expect(cipher == nil ? !found.isEmpty : found.isEmpty, "\(journal): \(found)")
                }
                #expect(try place.files(holding: "SQLite format 3").found.isEmpty == (cipher != nil))
                try queue.close()
            }
        }
    }

    @Test func twoWritingsOfTheSameAreNotAlike() throws {
        let place = try Place()
        let cipher = cipher()
        let queue = try open(place.path, cipher)
        var seen: Set<Data> = []
        for _ in 0..<5 {
            try queue.write { try $0.execute(sql: "PRAGMA user_version = 7") }
            try queue.inDatabase { _ = try $0.checkpoint(.truncate) }
            seen.insert(try Data(contentsOf: URL(fileURLWithPath: place.path)).prefix(4_096))
        }
        try queue.close()
        #expect(seen.count == 5)
    }

    // MARK: Tampering

    @Test func aPageThatWasChangedOrMovedIsDamage() throws {
        for change in 0..<3 {
            let place = try Place()
            let cipher = cipher()
            var queue = try open(place.path, cipher)
            try queue.write { database in
                try database.execute(sql: "CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)")
                for id in 0..<100 {
                    try database.execute(sql: "INSERT INTO t VALUES (?, zeroblob(1000))", arguments: [id])
                }
            }
            try queue.close()
            var bytes = try Data(contentsOf: URL(fileURLWithPath: place.path))
            switch change {
            case 0: bytes[4_096 * 5 + 100] ^= 1
            case 1: bytes[4_096 * 5 + 4_070] ^= 1
            default: bytes.replaceSubrange(4_096 * 5..<4_096 * 6, with: Data(bytes[4_096 * 6..<4_096 * 7]))
            }
            try bytes.write(to: URL(fileURLWithPath: place.path))
            queue = try open(place.path, cipher)
            let error = #expect(throws: DatabaseError.self) {
                try queue.read { try Int.fetchOne($0, sql: "SELECT sum(length(x)) FROM t") }
            }
            #expect(error?.resultCode == .SQLITE_CORRUPT, "change \(change)")
            try queue.close()
        }
    }

    /// Of a long value only the first part lies in the tree; a page of the rest that was zeros would look like any other.
    @Test func aLongValueIsWholeOrDamaged() throws {
        let place = try Place()
        let cipher = cipher()
        var queue = try open(place.path, cipher)
        try queue.write { database in
            try database.execute(sql: "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
            let text = String(repeating: "a", count: 50_000)
            try database.execute(sql: "INSERT INTO t VALUES (1, ?)", arguments: [text])
        }
        try queue.close()
        var bytes = try Data(contentsOf: URL(fileURLWithPath: place.path))
        // The last of the chain, which names no other.
        bytes[bytes.count - 4_000] ^= 1
        try bytes.write(to: URL(fileURLWithPath: place.path))
        queue = try open(place.path, cipher)
        #expect(throws: DatabaseError.self) {
            _ = try queue.read { try String.fetchOne($0, sql: "SELECT x FROM t") }
        }
        try queue.close()
    }

    @Test func withAnotherKeyNothingOpens() throws {
        let place = try Place()
        let right = cipher(1)
        let queue = try open(place.path, right)
        try queue.write { try $0.execute(sql: "CREATE TABLE t (x)") }
        try queue.close()
        let before = try Data(contentsOf: URL(fileURLWithPath: place.path))
        let wrong = cipher(2)
        #expect(throws: DatabaseError.self) {
            let queue = try open(place.path, wrong)
            try queue.write { try $0.execute(sql: "CREATE TABLE u (x)") }
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: place.path)) == before)
    }

    /// SplitMix64.
    private struct SplitMix {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }
}
