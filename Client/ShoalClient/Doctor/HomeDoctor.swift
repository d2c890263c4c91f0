import Foundation
import GRDB
import Glibc
import ShoalStore

/// Examines a home that may be damaged, and mends of it what can be mended without a server.
///
/// A file that is not sound is never written: what can be read of it is copied beside it, the copy takes its place, and the
/// old file stays under another name.
public struct HomeDoctor {
    private let home: String
    private let environment: Environment
    private var path: String { HomeDirectory.databasePath(home) }
    private var draft: String { path + ".salvage" }

    public init(home: String, environment: Environment) {
        self.home = home
        self.environment = environment
    }

    /// Makes the home one that can be opened, if it is not.
    ///
    /// - Returns: what was wrong with the file; nothing if it is sound.
    /// - Throws: `ReplicaError`, `StoreError`; the home is as it was then.
    public func mendFile() throws -> [Finding] {
        let opened = try HomeKey.open(home, environment)
        let cipher = opened?.cipher
        let lock = try environment.homes.lock(home, name: HomeDirectory.transactionLock)
        guard lock.acquire(waiting: 10_000_000_000, ticks: environment.ticks) else {
            throw ReplicaError.busy(home: home, pid: lock.holder)
        }
        defer { lock.release() }
        try environment.homes.finish(home)
        try finishSwap()
        guard try environment.homes.hasDatabase(home) else { throw ReplicaError.notEnrolled(home: home) }
        guard try environment.homes.keyFile(home) == opened?.file else {
            throw ReplicaError.home(home, reason: "another process has changed its encryption; try again")
        }
        let faults = try FileExamination.faults(path, cipher)
        if faults.isEmpty {
            if let forgotten = try FileExamination.forgotten(path, cipher) {
                throw ReplicaError.home(home, reason: forgotten)
            }
            return []
        }
        guard !HomeDirectory.isOpenElsewhere(home) else { throw ReplicaError.busy(home: home, pid: lock.holder) }
        var findings = try salvage(cipher)
        let kept = try swap()
        findings.insert(
            Finding(.file, "the database was damaged (\(faults[0])); it is kept as \(kept)", isMended: true), at: 0)
        return findings
    }

    private func salvage(_ cipher: PageCipher?) throws -> [Finding] {
        let part = draft + ".part"
        for suffix in ["", "-wal", "-shm"] { unlink(part + suffix) }
        let filled = draft + ".filled"
        defer { for suffix in ["", "-wal", "-shm"] { unlink(filled + suffix) } }
        let source = try fillUp(to: filled, cipher) ? filled : path
        let old = try StoreError.mapping(path: path) {
            try DatabaseQueue(
                path: try StoreFile.name(source, cipher: cipher), configuration: FileExamination.configuration(cipher))
        }
        defer { try? old.close() }
        let findings = try StoreError.mapping(path: part) {
            let new = try DatabaseQueue(
                path: try StoreFile.name(part, cipher: cipher),
                configuration: StoreFile.configuration(label: "salvage", cipher: cipher))
            defer { try? new.close() }
            try ReplicaSchema.migrator.migrate(new)
            return try old.inDatabase { old in
                try new.write { new in
                    var salvage = Salvage(from: old, to: new, random: environment.random)
                    try salvage.run()
                    return salvage.findings
                }
            }
        }
        chmod(part, 0o600)
        try HomeDirectory.synchronize(part, home)
        guard rename(part, draft) == 0 else { throw failure() }
        return findings
    }

    /// Copies a database that is shorter than its first page says, of which SQLite would read nothing, and fills the copy
    /// up with empty pages: only what lay on those is lost.
    ///
    /// - Returns: false if it is as long as it says.
    private func fillUp(to copy: String, _ cipher: PageCipher?) throws -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        var header = [UInt8](repeating: 0, count: cipher == nil ? 32 : PageCipher.pageSize)
        var status = stat()
        guard pread(descriptor, &header, header.count, 0) == header.count, fstat(descriptor, &status) == 0 else {
            return false
        }
        if let cipher {
            guard let plain = cipher.page(header, index: 0) else { return false }
            header = plain
        }
        func number(_ place: Range<Int>) -> Int { header[place].reduce(0) { $0 << 8 | Int($1) } }
        // A size of 65,536 is written as 1.
        let size = number(16..<18) == 1 ? 65_536 : number(16..<18)
        let length = size * number(28..<32)
        guard status.st_size < length else { return false }
        for suffix in ["", "-wal", "-shm"] { unlink(copy + suffix) }
        do {
            try FileManager.default.copyItem(atPath: path, toPath: copy)
            if access(path + "-wal", F_OK) == 0 {
                try FileManager.default.copyItem(atPath: path + "-wal", toPath: copy + "-wal")
            }
        } catch { throw ReplicaError.home(home, reason: error.localizedDescription) }
        guard truncate(copy, off_t(length)) == 0 else { throw failure() }
        return true
    }

    /// Puts the draft in the place of the database, which stays under another name.
    private func swap() throws -> String {
        var number = 1
        while access("\(path).damaged-\(number)", F_OK) == 0 { number += 1 }
        let kept = "\(path).damaged-\(number)"
        guard link(path, kept) == 0 else { throw failure() }
        if access(path + "-wal", F_OK) == 0 { link(path + "-wal", kept + "-wal") }
        try finishSwap()
        return kept
    }

    /// A write-ahead log belongs to the file beside which it was written: it goes before the draft takes that file's name.
    /// A crash in between leaves the draft, with which the next doctor goes on.
    private func finishSwap() throws {
        guard access(draft, F_OK) == 0 else { return }
        for suffix in ["-wal", "-shm"] { unlink(path + suffix) }
        guard rename(draft, path) == 0 else { throw failure() }
        try HomeDirectory.synchronize(home, home)
    }

    private func failure() -> ReplicaError { .home(home, reason: String(cString: strerror(errno))) }
}
