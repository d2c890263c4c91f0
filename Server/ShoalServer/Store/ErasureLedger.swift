import Foundation
import Glibc
import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// What was ever erased on a server, in a file beside its database: it survives when the database is replaced by a backup,
/// which may hold everything again.
///
/// It is text and only grows. Each line is a checksum of the rest, record, customer, milliseconds since 1970, and who asked
/// for it. It never holds anything of what was erased.
public struct ErasureLedger: Sendable {
    public struct Entry: Hashable, Sendable {
        public var record: RecordID
        /// The customer to whom it belonged; itself for the customer.
        public var person: RecordID
        /// Milliseconds since 1970.
        public var time: Int64
        /// Who asked for it, on the server's machine.
        public var by: String
    }

    public let path: String

    public init(path: String) { self.path = path }

    // MARK: Reading

    /// All entries, in the order in which they were written; none if there is no file. A last line that is not whole was
    /// never acknowledged and does not count.
    ///
    /// - Throws: `StoreError.damaged` for any other line that is not in form: what it said must not be passed over.
    func entries() throws(StoreError) -> [Entry] {
        let lines = try lines()
        if let index = lines.firstIndex(where: { $0 == nil }) {
            throw .damaged(path: path, reason: "line \(index + 1) of the erasure ledger is not in form")
        }
        return lines.compactMap(\.self)
    }

    /// What is wrong with the file, a sentence each; empty for a sound one.
    public func problems() throws -> [String] {
        try lines().enumerated().filter { $0.element == nil }.map { index, _ in
            "line \(index + 1) of \(path) is not in form: put a copy of the file there, or take the line out; whom it named "
                + "is erased in the database, but a backup from before would bring them back"
        }
    }

    /// The whole lines, nil for one that is not in form.
    private func lines() throws(StoreError) -> [Entry?] {
        let bytes = try read()
        guard let end = bytes.lastIndex(of: Self.newline) else { return [] }
        return bytes[..<end].split(separator: Self.newline, omittingEmptySubsequences: false).map(Self.entry)
    }

    private static let newline = UInt8(ascii: "\n")

    private static func entry(_ line: ArraySlice<UInt8>) -> Entry? {
        let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 1)
        guard parts.count == 2, String(decoding: parts[0], as: UTF8.self) == checksum(parts[1]) else { return nil }
        let words = String(decoding: parts[1], as: UTF8.self).split(separator: " ", maxSplits: 3)
        guard words.count == 4, let record = RecordID(text: words[0]), let person = RecordID(text: words[1]),
            let time = Int64(words[2])
        else { return nil }
        return Entry(record: record, person: person, time: time, by: String(words[3]))
    }

    private static func line(_ entry: Entry) -> [UInt8] {
        let text = Array("\(entry.record) \(entry.person) \(entry.time) \(entry.by)".utf8)
        return Array("\(checksum(text[...])) ".utf8) + text + [newline]
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> String {
        let hash = bytes.withUnsafeBytes { SipHash.hash($0, key: (0x73_68_6F_61_6C_2D_65_72, 0x61_73_75_72_65_73)) }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private func read() throws(StoreError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 {
            if errno == ENOENT { return [] }
            throw failure()
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 { if errno == EINTR { continue } else { throw failure() } }
            if count == 0 { return bytes }
            bytes.append(contentsOf: buffer[..<count])
        }
    }

    // MARK: Writing

    /// Adds entries, durably.
    func append(_ entries: [Entry]) throws(StoreError) {
        if entries.isEmpty { return }
        let known = try read()
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        // What is behind the last whole line was written by somebody who was interrupted.
        var place = known.lastIndex(of: Self.newline).map { $0 + 1 } ?? 0
        guard ftruncate(descriptor, place) == 0 else { throw failure() }
        let lines = entries.flatMap(Self.line)
        var rest = lines[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, place) }
            if count < 0 { if errno == EINTR { continue } else { throw failure() } }
            place += count
            rest = rest.dropFirst(count)
        }
        guard fsync(descriptor) == 0 else { throw failure() }
        let folder = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure() }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure() }
    }

    private func failure() -> StoreError {
        switch errno {
        case ENOSPC, EDQUOT: .full(path: path)
        case EACCES, EROFS, EPERM: .readOnly(path: path)
        case EIO: .inputOutput(path: path, reason: String(cString: strerror(EIO)))
        default: .cannotOpen(path: path, reason: String(cString: strerror(errno)))
        }
    }
}
