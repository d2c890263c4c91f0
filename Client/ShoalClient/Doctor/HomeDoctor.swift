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
        try HomeDirectory.refuseEmptied(home)
        guard let fault = try FileExamination.fault(path, cipher) else { return [] }
        guard !HomeDirectory.isOpenElsewhere(home) else { throw ReplicaError.busy(home: home, pid: lock.holder) }
        var findings = try salvage(cipher, fault)
        let kept = try swap()
        findings.insert(
            Finding(
                .file,
                "the database was damaged (\(fault.reason)); it is kept as \(kept) until a customer leaves your view",
                isMended: true), at: 0)
        return findings
    }

    /// With what is there, or else with the spare pages of the schema, or else with all of them: the fewer, the less is old.
    private func salvage(_ cipher: PageCipher?, _ fault: FileExamination.Fault) throws -> [Finding] {
        let spare = SparePages.read(home)?.pages ?? []
        var failure: (any Error)?
        var choices: [[SparePages.Page]] = spare.isEmpty ? [] : [spare]
        switch fault {
        case .pages: choices = [[]] + (spare.isEmpty ? [] : [spare.filter(\.isSchema), spare])
        // Read by other names, the file would give nothing.
        case .schema(let reason):
            if !spare.isEmpty { choices.insert(spare.filter(\.isSchema), at: 0) }
            failure = ReplicaError.home(home, reason: reason)
        // A sound file has only forgotten who it is.
        case .forgotten(let reason): failure = ReplicaError.home(home, reason: reason)
        }
        for pages in choices {
            do {
                var findings = try salvage(cipher, pages)
                if !pages.isEmpty {
                    findings.insert(
                        Finding(
                            .file,
                            "what tells where things are in the database was damaged; a copy of it took its place",
                            isMended: true), at: 0)
                }
                return findings
            } catch StoreError.damaged(let path, let reason) {
                failure = failure ?? StoreError.damaged(path: path, reason: reason)
            }
        }
        throw failure ?? StoreError.damaged(path: path, reason: "nothing of it can be read")
    }

    private func salvage(_ cipher: PageCipher?, _ spare: [SparePages.Page]) throws -> [Finding] {
        let part = draft + ".part"
        for suffix in ["", "-wal", "-shm"] { unlink(part + suffix) }
        let filled = draft + ".filled"
        defer { for suffix in ["", "-wal", "-shm"] { unlink(filled + suffix) } }
        let source = try fillUp(to: filled, cipher, spare) ? filled : path
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

    /// Copies a database of which SQLite would read nothing: because pages are damaged of which there are spare ones, which the
    /// copy gets, or because it is shorter than its first page says, and the copy is filled up with empty pages. Only what
    /// lay on those is lost.
    ///
    /// - Returns: false if it is as long as it says, and there are no spare pages.
    private func fillUp(to copy: String, _ cipher: PageCipher?, _ spare: [SparePages.Page]) throws -> Bool {
        if spare.isEmpty, try missing(of: path, cipher) == nil { return false }
        for suffix in ["", "-wal", "-shm"] { unlink(copy + suffix) }
        do {
            try FileManager.default.copyItem(atPath: path, toPath: copy)
            if access(path + "-wal", F_OK) == 0 {
                try FileManager.default.copyItem(atPath: path + "-wal", toPath: copy + "-wal")
            }
        } catch { throw ReplicaError.home(home, reason: error.localizedDescription) }
        let descriptor = open(copy, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        // Its first page says how long it was, or the spare one does; and no spare page lies beyond its end.
        let first = spare.first { $0.number == 1 }
        let said = try missing(of: copy, cipher) ?? first.flatMap { length($0.bytes, cipher) }
        let least = spare.map { off_t($0.number) * off_t($0.bytes.count) }.max()
        try extend(descriptor, to: max(said ?? 0, least ?? 0))
        for page in spare {
            let bytes = try page.number == 1 ? counted(page.bytes, descriptor, cipher) : page.bytes
            let place = off_t(page.number - 1) * off_t(bytes.count)
            guard pwrite(descriptor, bytes, bytes.count, place) == bytes.count else { throw failure() }
        }
        if let length = try missing(of: copy, cipher) { try extend(descriptor, to: length) }
        return true
    }

    private func extend(_ descriptor: Int32, to length: off_t) throws {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size >= length || ftruncate(descriptor, length) == 0 else {
            throw failure()
        }
    }

    /// The first page, saying of how many pages the file is that is there.
    private func counted(_ page: [UInt8], _ descriptor: Int32, _ cipher: PageCipher?) throws -> [UInt8] {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure() }
        guard var plain = cipher.map({ $0.page(page, index: 0) }) ?? page else { return page }
        let count = UInt32(clamping: Int(status.st_size) / page.count)
        for index in 0..<4 { plain[28 + index] = UInt8(truncatingIfNeeded: count >> (8 * (3 - index))) }
        return cipher.map { $0.sealed(plain, index: 0) ?? page } ?? plain
    }

    /// No home is longer; a damaged page may say so.
    private static let longest: off_t = 1 << 38

    /// How long a database should be that is shorter than its first page says; nil for any other.
    private func missing(of path: String, _ cipher: PageCipher?) throws -> off_t? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        var header = [UInt8](repeating: 0, count: cipher == nil ? 32 : PageCipher.pageSize)
        var status = stat()
        guard pread(descriptor, &header, header.count, 0) == header.count, fstat(descriptor, &status) == 0,
            let length = length(header, cipher)
        else { return nil }
        return status.st_size < length ? length : nil
    }

    /// How long a database is by what its first page says; nil if that is none.
    private func length(_ page: [UInt8], _ cipher: PageCipher?) -> off_t? {
        var header = page
        if let cipher {
            guard let plain = cipher.page(header, index: 0) else { return nil }
            header = plain
        }
        func number(_ place: Range<Int>) -> Int { header[place].reduce(0) { $0 << 8 | Int($1) } }
        // A size of 65,536 is written as 1.
        let size = number(16..<18) == 1 ? 65_536 : number(16..<18)
        // A page that is no first page says nothing.
        guard header.starts(with: Array("SQLite format 3\0".utf8)), (512...65_536).contains(size),
            size.nonzeroBitCount == 1
        else { return nil }
        let length = off_t(size * number(28..<32))
        return length <= Self.longest ? length : nil
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
        // So do the spare pages, which are those of the file that is put away.
        for file in [path + "-wal", path + "-shm", SparePages.path(home)] { unlink(file) }
        guard rename(draft, path) == 0 else { throw failure() }
        try HomeDirectory.synchronize(home, home)
    }

    private func failure() -> ReplicaError { .home(home, reason: String(cString: strerror(errno))) }
}
