import GRDB
import ShoalSimulation
import ShoalStore

/// A database without anything of Shoal in it, on a simulated or a real disk.
struct PlainDatabase {
    let queue: DatabaseQueue

    init(_ path: String, journal: String = "WAL", synchronous: String = "FULL") throws {
        var configuration = GRDB.Configuration()
        configuration.prepareDatabase { database in
            try database.execute(
                sql: """
                    PRAGMA journal_mode = \(journal); PRAGMA synchronous = \(synchronous);
                    PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY
                    """)
        }
        queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.write {
            try $0.execute(sql: "CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v BLOB NOT NULL)")
        }
    }

    func put(_ key: Int, bytes: Int = 100) throws {
        try queue.write { database in
            try database.execute(
                sql: "INSERT OR REPLACE INTO t (k, v) VALUES (?, zeroblob(?))", arguments: [key, bytes])
        }
    }

    /// - Parameter level: OFF, NORMAL or FULL.
    func waitForDisk(_ level: String) throws {
        try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = \(level)") }
    }

    func checkpoint() throws {
        try queue.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
    }

    var keys: [Int] {
        get throws { try queue.read { try Int.fetchAll($0, sql: "SELECT k FROM t ORDER BY k") } }
    }

    var integrity: String {
        get throws { try queue.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") ?? "" } }
    }
}
