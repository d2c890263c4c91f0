import Foundation
import Glibc
import ShoalCRDT
import ShoalStore

/// What a server must not forget when its database is replaced by a backup: a file beside the database, of text, that only grows.
///
/// Each line is a checksum of the rest, a space, and the rest.
struct LedgerFile: Sendable {
    let path: String
    /// What it is, for people.
    let name: String

    private static let newline = UInt8(ascii: "\n")

    /// What the lines say, in the order in which they were written; none if there is no file. A last line that is not whole
    /// was never acknowledged and does not count.
    ///
    /// - Returns: nil for each line that is not in form.
    func lines() throws(StoreError) -> [String?] {
        let bytes = try read()
        guard let end = bytes.lastIndex(of: Self.newline) else { return [] }
        return bytes[..<end].split(separator: Self.newline, omittingEmptySubsequences: false).map { line in
            let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 1)
            guard parts.count == 2, String(decoding: parts[0], as: UTF8.self) == Self.checksum(parts[1]) else {
                return nil
            }
            return String(decoding: parts[1], as: UTF8.self)
        }
    }

    /// What the lines say.
    ///
    /// - Parameter entry: what a line says; nil if it is not in form.
    /// - Throws: `StoreError.damaged` for a line that is not in form: what it said must not be passed over.
    func entries<T>(_ entry: (String) -> T?) throws(StoreError) -> [T] {
        var entries: [T] = []
        for (index, line) in try lines().enumerated() {
            guard let line, let entry = entry(line) else {
                throw .damaged(path: path, reason: "line \(index + 1) of the \(name) is not in form")
            }
            entries.append(entry)
        }
        return entries
    }

    /// The numbers, from 1, of the lines that are not in form.
    func badLines<T>(_ entry: (String) -> T?) throws(StoreError) -> [Int] {
        try lines().enumerated().filter { $0.element.flatMap(entry) == nil }.map { $0.offset + 1 }
    }

    /// Adds lines, durably.
    func append(_ lines: [String]) throws(StoreError) {
        if lines.isEmpty { return }
        let known = try read()
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        // What is behind the last whole line was written by somebody who was interrupted.
        var place = known.lastIndex(of: Self.newline).map { $0 + 1 } ?? 0
        guard ftruncate(descriptor, place) == 0 else { throw failure() }
        let bytes = lines.flatMap { line in
            Array("\(Self.checksum(Array(line.utf8)[...])) \(line)".utf8) + [Self.newline]
        }
        var rest = bytes[...]
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

    private func failure() -> StoreError {
        switch errno {
        case ENOSPC, EDQUOT: .full(path: path)
        case EACCES, EROFS, EPERM: .readOnly(path: path)
        case EIO: .inputOutput(path: path, reason: String(cString: strerror(EIO)))
        default: .cannotOpen(path: path, reason: String(cString: strerror(errno)))
        }
    }
}
