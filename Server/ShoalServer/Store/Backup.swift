import Foundation
import GRDB
import Glibc
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has a Record of its own.
import struct ShoalCRDT.Record

/// What the database is like of which a backup was made.
public struct BackupReport: Codable, Sendable, Equatable {
    /// What of it is damaged that the backup has whole.
    public var damage: String?
    /// How many records are damaged, there as in the backup.
    public var damagedRecords = 0
    /// Why the backup cannot be restored; nil if it can.
    public var problem: String?
}

/// Why there is no backup.
public enum BackupProblem: Error, Equatable, Sendable, CustomStringConvertible {
    case exists(String)
    /// The folder in which it was to be made is not there.
    case noFolder(String)
    case cannotWrite(String, reason: String)
    /// What was to be restored or mended from is not a sound database of this program.
    case unsound(String, reason: String)

    public var description: String {
        switch self {
        case .exists(let path): "there is a file at \(path) already; nothing was overwritten"
        case .noFolder(let folder): "the folder \(folder) does not exist; nothing was written"
        case .cannotWrite(let path, let reason): "\(path) cannot be written: \(reason)"
        case .unsound(let path, let reason): "\(path) cannot be used: \(reason)"
        }
    }
}

extension ServerStore {
    /// Writes a backup as `backup(to:)` does, with a note in the audit. Where the database is too damaged to take that, the backup
    /// is worth more.
    public func backup(to path: String, time: Int64) throws -> BackupReport {
        do { try note(.backup, time: time) } catch StoreError.damaged {}
        return try backup(to: path)
    }

    /// Writes the database as of one commit into a new file, while everybody else goes on.
    ///
    /// The file appears under its name whole and durable, or not at all.
    ///
    /// - Returns: what of the database is damaged, as the file shows it.
    /// - Throws: `BackupProblem`; `StoreError`, `.full` for a full disk.
    @discardableResult
    public func backup(to path: String) throws -> BackupReport {
        try Self.write(path) { part in
            var damage: String?
            do {
                try StoreError.mapping(path: self.path) {
                    // Outside a transaction; the statement reads from a snapshot of its own.
                    try pool.unsafeRead { try $0.execute(sql: "VACUUM INTO ?", arguments: [part]) }
                }
                // An index that says something else than its table is copied as it is.
                try Self.refuseFaults(part)
            } catch StoreError.damaged(_, let reason) {
                try Self.copy(self.path, to: part)
                damage = reason
            }
            return try Self.report(damage, on: part)
        }
    }

    private static func report(_ damage: String?, on part: String) throws -> BackupReport {
        let check = try DatabaseCheck.run(path: part)
        return BackupReport(
            damage: damage, damagedRecords: check.damagedRecords,
            problem: check.isUsable ? nil : check.problems.first)
    }

    /// Writes a database that is too damaged to be opened into a new file, if only its indexes are; the data directory's lock is
    /// held.
    ///
    /// - Throws: `BackupProblem`; `StoreError`.
    public static func backup(damaged database: String, reason: String, to path: String) throws -> BackupReport {
        try write(path) { part in
            try copy(database, to: part)
            return try report(reason, on: part)
        }
    }

    private static func copy(_ database: String, to part: String) throws {
        // What was written of it before.
        try Data().write(to: URL(fileURLWithPath: part))
        try DatabaseCopy.run(from: database, to: part)
        try refuseFaults(part)
    }

    private static func refuseFaults(_ path: String) throws {
        try StoreError.mapping(path: path) {
            let queue = try DatabaseQueue(path: path, configuration: DatabaseCheck.configuration)
            defer { try? queue.close() }
            let lines = try queue.inDatabase { try String.fetchAll($0, sql: "PRAGMA integrity_check(1)") }
            guard lines == ["ok"] else {
                throw StoreError.damaged(path: path, reason: lines.first ?? "it cannot be examined")
            }
        }
    }

    /// Makes a file that nobody sees before it is whole.
    private static func write<T>(_ path: String, _ body: (_ part: String) throws -> T) throws -> T {
        if access(path, F_OK) == 0 { throw BackupProblem.exists(path) }
        let folder = (path as NSString).deletingLastPathComponent
        var status = stat()
        if !folder.isEmpty, stat(folder, &status) != 0 || status.st_mode & S_IFMT != S_IFDIR {
            throw BackupProblem.noFolder(folder)
        }
        let part = Self.part(of: path)
        // Held while it is written; one that nobody holds is left from a backup that was killed.
        let descriptor = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BackupProblem.cannotWrite(path, reason: String(cString: strerror(errno))) }
        defer { Glibc.close(descriptor) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw BackupProblem.exists(part) }
        defer { removeLeftovers(of: path) }
        guard ftruncate(descriptor, 0) == 0 else {
            throw BackupProblem.cannotWrite(path, reason: String(cString: strerror(errno)))
        }
        let result = try body(part)
        chmod(part, 0o600)
        try publish(part, as: path)
        return result
    }

    /// Where a file is written before it gets its name. The name is always the same, so that whatever a killed program
    /// left there, which may hold what is erased meanwhile, is found.
    private static func part(of path: String) -> String { path + ".part" }

    /// Removes what a restoration that was killed has left beside the database; the data directory's lock is held.
    public static func removeLeftovers(of path: String) {
        for suffix in ["", "-wal", "-shm", "-journal"] { unlink(part(of: path) + suffix) }
    }

    /// Copies a backup to where a server looks for its database, if nothing is there and nothing of it is damaged but records,
    /// which a server sets aside.
    ///
    /// - Returns: how many of its records are damaged.
    /// - Throws: `BackupProblem`; `StoreError`.
    @discardableResult
    public static func restore(_ backup: String, to path: String) throws -> Int {
        for suffix in ["", "-wal"] where access(path + suffix, F_OK) == 0 {
            throw BackupProblem.exists(path + suffix)
        }
        guard access(backup, R_OK) == 0 else {
            throw BackupProblem.unsound(backup, reason: String(cString: strerror(errno)))
        }
        let part = part(of: path)
        removeLeftovers(of: path)
        defer { removeLeftovers(of: path) }
        do { try FileManager.default.copyItem(atPath: backup, toPath: part) } catch {
            throw BackupProblem.cannotWrite(path, reason: error.localizedDescription)
        }
        chmod(part, 0o600)
        // The copy is what will be served, so the copy is what is checked.
        let report = try DatabaseCheck.run(path: part)
        guard report.isUsable else {
            throw BackupProblem.unsound(backup, reason: report.problems.first ?? "it is damaged")
        }
        for suffix in ["-wal", "-shm"] { unlink(part + suffix) }
        try publish(part, as: path)
        return report.damagedRecords
    }

    /// Makes a whole file durable and then gives it its name, which nothing has yet.
    private static func publish(_ part: String, as path: String) throws {
        try synchronize(part)
        guard link(part, path) == 0 else {
            if errno == EEXIST { throw BackupProblem.exists(path) }
            throw BackupProblem.cannotWrite(path, reason: String(cString: strerror(errno)))
        }
        unlink(part)
        let directory = (path as NSString).deletingLastPathComponent
        try synchronize(directory.isEmpty ? "." : directory)
    }

    private static func synchronize(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BackupProblem.cannotWrite(path, reason: String(cString: strerror(errno))) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw BackupProblem.cannotWrite(path, reason: String(cString: strerror(errno)))
        }
    }
}

// MARK: - Mending

extension ServerStore {
    /// Takes records in quarantine from a backup that has them as they were when they were damaged: with the same
    /// sequence. An older state would silently undo what was written since, so it is not taken.
    ///
    /// - Returns: the records that are mended. They get a new sequence, so that replicas that passed over them get them.
    @discardableResult
    public func mend(from backup: String) throws -> [RecordID] {
        // Also those that nobody has met yet.
        try setAside(try StoreError.mapping(path: path) { try pool.unsafeRead { try Self.unreadable($0) } })
        let waiting = quarantine.records
        if waiting.isEmpty { return [] }
        let rows = try Self.rows(of: waiting, in: backup)
        let mended = try withWriter { writer, database in
            try writer.transaction {
                var mended: [RecordID] = []
                for id in waiting {
                    guard let (sequence, cells) = rows[id],
                        let wanted = try Int64.fetchOne(
                            database, sql: "SELECT sequence FROM quarantine WHERE record = ?", arguments: [id.rawValue]),
                        wanted == sequence
                    else { continue }
                    var record = try cells.withUnsafeBytes {
                        try RecordTable.record(id, sequence: sequence, packed: $0)
                    }
                    writer.state.sequence += 1
                    record.renumber(sequence: writer.state.sequence)
                    var packed: [UInt8] = []
                    record.encode(sequence: writer.state.sequence, into: &packed)
                    try writer.queries.writeRecord(
                        id, record.envelope, sequence: writer.state.sequence, packed: packed, isNew: true,
                        wasUnmade: false)
                    try writer.queries.appendFeed(id, record.envelope, sequence: writer.state.sequence)
                    try database.execute(sql: "DELETE FROM quarantine WHERE record = ?", arguments: [id.rawValue])
                    mended.append(id)
                }
                if !mended.isEmpty { try writer.markCommit() }
                return mended
            }
        }
        for id in mended { quarantine.remove(id) }
        return mended
    }

    private static func rows(of ids: [RecordID], in backup: String) throws -> [RecordID: (Int64, Data)] {
        guard access(backup, R_OK) == 0 else {
            throw BackupProblem.unsound(backup, reason: String(cString: strerror(errno)))
        }
        do {
            return try StoreError.mapping(path: backup) {
                let queue = try DatabaseQueue(path: backup, configuration: DatabaseCheck.configuration)
                defer { try? queue.close() }
                return try queue.inDatabase { database in
                    var rows: [RecordID: (Int64, Data)] = [:]
                    for id in ids {
                        let found = try Row.fetchOne(database, sql: RecordTable.selectOne, arguments: [id.rawValue])
                        guard let row = found, damage(id, row[0], row[1]) == nil else { continue }
                        rows[id] = (row[0], row[1])
                    }
                    return rows
                }
            }
        } catch let error as StoreError { throw BackupProblem.unsound(backup, reason: "\(error)") }
    }
}
