import CSQLite
import CryptoExtras

import struct Crypto.SymmetricKey

/// A rollback journal or a temporary file: parts of any size, written once and in order.
///
/// AES-256-CTR under a nonce that is drawn whenever the file begins anew and lies in front. What SQLite writes again in the same
/// place is the count of pages in a journal's head, so that whoever saw both writings knows how the two counts differ. Nothing is
/// authenticated: SQLite's own checksums find what a crash left.
final class StreamFile: EncryptedFile {
    private static let head = 16
    private let key: SymmetricKey
    private let draw: () -> [UInt8]
    private var nonce: [UInt8]?

    /// - Parameter draw: draws 12 bytes.
    init(_ below: FileBelow, key: SymmetricKey, draw: @escaping () -> [UInt8]) {
        self.key = key
        self.draw = draw
        super.init(below)
    }

    override func read(_ target: UnsafeMutableRawBufferPointer, at offset: Int) -> Int32 {
        guard let nonce = known else {
            _ = target.initializeMemory(as: UInt8.self, repeating: 0)
            return Self.shortRead
        }
        let code = below.read(target, at: offset + Self.head)
        guard code == SQLITE_OK || code == Self.shortRead else { return code }
        // How much of a short read is missing is not said: what is missing must be zero.
        let there = code == SQLITE_OK ? target.count : max(0, min(target.count, (size ?? 0) - offset))
        let part = UnsafeMutableRawBufferPointer(rebasing: target[..<there])
        guard let text = crypt(UnsafeRawBufferPointer(part), at: offset, nonce) else { return Self.readFailure }
        part.copyBytes(from: text)
        return code
    }

    override func write(_ source: UnsafeRawBufferPointer, at offset: Int) -> Int32 {
        if known == nil {
            let drawn = draw()
            let code = (drawn + [0, 0, 0, 0]).withUnsafeBytes { below.write($0, at: 0) }
            guard code == SQLITE_OK else { return code }
            nonce = drawn
        }
        guard let nonce, let text = crypt(source, at: offset, nonce) else { return Self.writeFailure }
        return text.withUnsafeBytes { below.write($0, at: offset + Self.head) }
    }

    override func truncate(to size: Int) -> Int32 {
        if size == 0 { nonce = nil }
        return below.truncate(to: size == 0 ? 0 : size + Self.head)
    }

    override var size: Int? { below.size.map { max(0, $0 - Self.head) } }

    /// The nonce of what the file holds now.
    private var known: [UInt8]? {
        if let nonce { return nonce }
        guard let size = below.size, size >= Self.head else { return nil }
        var bytes = [UInt8](repeating: 0, count: Self.head)
        guard bytes.withUnsafeMutableBytes({ below.read($0, at: 0) }) == SQLITE_OK else { return nil }
        nonce = Array(bytes.prefix(PageCipher.nonceSize))
        return nonce
    }

    private func crypt(_ bytes: UnsafeRawBufferPointer, at offset: Int, _ nonce: [UInt8]) -> [UInt8]? {
        let (block, skip) = offset.quotientAndRemainder(dividingBy: 16)
        guard let counter = UInt32(exactly: block) else { return nil }
        let start = withUnsafeBytes(of: counter.bigEndian) { nonce + $0 }
        do {
            let padded = [UInt8](repeating: 0, count: skip) + bytes
            return Array(
                try AES._CTR.encrypt(padded, using: key, nonce: AES._CTR.Nonce(nonceBytes: start)).dropFirst(skip))
        } catch { return nil }
    }
}
