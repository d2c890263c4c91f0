import Crypto
import Foundation
import Synchronization

/// Encrypts what SQLite keeps in files, page by page: AES-256-GCM under one key, with a random nonce for each writing.
///
/// Each unit (a page, or a head in the write-ahead log) is authenticated together with its kind and its place, so that one
/// that was changed or moved does not open. The nonce is 96 random bits: after 2³² writings, which are 16 TB, two would be the
/// same with a probability of one in 2³³.
///
/// `@unchecked Sendable`: everything in it is constant, and the source of randomness is safe to call from any thread.
public final class PageCipher: @unchecked Sendable {
    /// What SQLite leaves free at the end of each page: nonce, tag and 4 bytes that stay zero.
    static let reserved = 32
    static let nonceSize = 12
    static let tagSize = 16
    /// What a unit that has no room of its own grows by.
    static let overhead = nonceSize + tagSize
    /// The only page size there is.
    public static let pageSize = 4_096

    /// By which a file name says which cipher its file is opened with.
    let number: Int
    private let key: SymmetricKey
    /// Of rollback journals and temporary files, whose parts have no fixed size.
    let streamKey: SymmetricKey
    private let random: @Sendable () -> UInt64

    /// - Parameters:
    ///   - key: 32 random bytes.
    ///   - random: 64 bits from a secure source, for nonces.
    public init(key: SymmetricKey, random: @escaping @Sendable () -> UInt64) {
        self.key = HKDF<SHA256>.deriveKey(inputKeyMaterial: key, info: Data("shoal pages".utf8), outputByteCount: 32)
        streamKey = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: key, info: Data("shoal streams".utf8), outputByteCount: 32)
        self.random = random
        number = CipherRegistry.nextNumber()
        CipherRegistry.add(self)
    }

    deinit { CipherRegistry.remove(number) }

    /// A nonce that was never used.
    func nonce() -> [UInt8] {
        var bytes: [UInt8] = []
        for value in [random(), random()] { withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) } }
        return Array(bytes.prefix(Self.nonceSize))
    }

    /// Encrypts `plain` into `target`, which is longer by `overhead`: text, nonce, tag.
    ///
    /// - Returns: false if it could not be done.
    func seal(
        _ plain: UnsafeRawBufferPointer, at place: UnitPlace, into target: UnsafeMutableRawBufferPointer
    ) -> Bool {
        do {
            let box = try AES.GCM.seal(
                plain, using: key, nonce: AES.GCM.Nonce(data: nonce()), authenticating: place.bytes)
            target.copyBytes(from: box.ciphertext)
            UnsafeMutableRawBufferPointer(rebasing: target[plain.count...]).copyBytes(from: Array(box.nonce))
            UnsafeMutableRawBufferPointer(rebasing: target[(plain.count + Self.nonceSize)...]).copyBytes(from: box.tag)
            return true
        } catch { return false }
    }

    /// Decrypts what `seal` made into `target`.
    ///
    /// - Returns: false if it is not what was sealed at this place.
    func open(
        _ sealed: UnsafeRawBufferPointer, at place: UnitPlace, into target: UnsafeMutableRawBufferPointer
    ) -> Bool {
        let count = sealed.count - Self.overhead
        do {
            let box = try AES.GCM.SealedBox(
                nonce: AES.GCM.Nonce(data: sealed[count..<count + Self.nonceSize]), ciphertext: sealed[..<count],
                tag: sealed[(count + Self.nonceSize)...])
            target.copyBytes(from: try AES.GCM.open(box, using: key, authenticating: place.bytes))
            return true
        } catch { return false }
    }

    /// Decrypts a page of a database file by itself; nil if it is none of this cipher's.
    ///
    /// - Parameter index: 0 for the first.
    public func page(_ bytes: [UInt8], index: Int) -> [UInt8]? {
        guard bytes.count == Self.pageSize else { return nil }
        var plain = [UInt8](repeating: 0, count: Self.pageSize)
        let place = UnitPlace(kind: .database, start: index * Self.pageSize)
        let isOpen = plain.withUnsafeMutableBytes { target in
            bytes.withUnsafeBytes {
                open(UnsafeRawBufferPointer(rebasing: $0[..<(Self.pageSize - 4)]), at: place, into: target)
            }
        }
        return isOpen ? plain : nil
    }

    /// Encrypts a page of a database file by itself; the inverse of `page`.
    public func sealed(_ plain: [UInt8], index: Int) -> [UInt8]? {
        guard plain.count == Self.pageSize else { return nil }
        var bytes = [UInt8](repeating: 0, count: Self.pageSize)
        let place = UnitPlace(kind: .database, start: index * Self.pageSize)
        let isSealed = bytes.withUnsafeMutableBytes { target in
            plain.withUnsafeBytes { plain in
                seal(
                    UnsafeRawBufferPointer(rebasing: plain[..<(Self.pageSize - Self.reserved)]), at: place,
                    into: UnsafeMutableRawBufferPointer(rebasing: target[..<(Self.pageSize - 4)]))
            }
        }
        return isSealed ? bytes : nil
    }
}

/// Where a unit lies: what it is authenticated with.
struct UnitPlace {
    enum Kind: UInt8 {
        case database = 1
        case log = 2
    }
    var kind: Kind
    /// As SQLite counts.
    var start: Int

    var bytes: [UInt8] { [kind.rawValue] + withUnsafeBytes(of: Int64(start).littleEndian) { Array($0) } }
}

/// Which cipher a number in a file name stands for. SQLite hands a file system nothing but names.
enum CipherRegistry {
    private struct WeakCipher {
        weak var cipher: PageCipher?
    }
    private struct State {
        var ciphers: [Int: WeakCipher] = [:]
        var last = 0
    }
    private static let state = Mutex(State())

    static func nextNumber() -> Int {
        state.withLock { state in
            state.last += 1
            return state.last
        }
    }

    static func add(_ cipher: PageCipher) {
        let entry = WeakCipher(cipher: cipher)
        state.withLock { $0.ciphers[cipher.number] = entry }
    }

    static func remove(_ number: Int) { state.withLock { $0.ciphers[number] = nil } }

    static func find(_ number: Int) -> PageCipher? { state.withLock { $0.ciphers[number]?.cipher } }
}
