import Crypto
import CryptoExtras
import Foundation

/// The key of an encrypted home, itself encrypted by a secret that is not in the home.
///
/// The database's key is random and never changes, so that another secret needs this small file only.
public struct KeyFile: Codable, Equatable, Sendable {
    /// Where the secret comes from.
    public enum Lock: Codable, Equatable, Sendable {
        /// A person's passphrase, from which scrypt makes a key.
        case passphrase(Scrypt)
        /// 32 random bytes that the system's keyring holds under this name.
        case keyring(item: String)
    }

    /// Parameters of scrypt (RFC 7914).
    public struct Scrypt: Codable, Equatable, Sendable {
        public var salt: Data
        /// N: a power of two.
        public var rounds: Int
        /// r.
        public var blockSize: Int
        /// p.
        public var parallelism: Int

        /// - Parameter salt: 16 random bytes.
        public init(salt: Data, rounds: Int = 1 << 15, blockSize: Int = 8, parallelism: Int = 3) {
            self.salt = salt
            self.rounds = rounds
            self.blockSize = blockSize
            self.parallelism = parallelism
        }

        /// Whether a program of ours may have written them; others could ask for all memory there is.
        var isBounded: Bool {
            (1...1 << 20).contains(rounds) && rounds & (rounds - 1) == 0 && rounds > 1 && (1...16).contains(blockSize)
                && (1...16).contains(parallelism) && rounds * blockSize <= 1 << 21
        }
    }

    /// 1.
    public var version: Int
    public var lock: Lock
    /// AES-256-GCM of the database's key: nonce, text, tag.
    public var key: Data

    /// Encrypts a database's key with a secret.
    init(locking key: SymmetricKey, _ lock: Lock, secret: [UInt8], nonce: [UInt8]) throws {
        version = 1
        self.lock = lock
        let box = try AES.GCM.seal(
            key.withUnsafeBytes { Data($0) }, using: try Self.wrappingKey(lock, secret),
            nonce: AES.GCM.Nonce(data: nonce))
        self.key = Data(box.nonce) + box.ciphertext + box.tag
    }

    /// - Throws: when the bytes are no key file.
    init(decoding bytes: [UInt8]) throws {
        self = try JSONDecoder().decode(KeyFile.self, from: Data(bytes))
        if case .passphrase(let scrypt) = lock, !scrypt.isBounded { throw CryptoKitError.incorrectParameterSize }
        if version != 1 { throw CryptoKitError.incorrectParameterSize }
    }

    func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return Array(try encoder.encode(self)) + [UInt8(ascii: "\n")]
    }

    /// - Returns: the database's key; nil if it is another secret's, or the file was changed.
    func unlocked(with secret: [UInt8]) throws -> SymmetricKey? {
        let wrapping = try Self.wrappingKey(lock, secret)
        do { return SymmetricKey(data: try AES.GCM.open(AES.GCM.SealedBox(combined: key), using: wrapping)) } catch {
            return nil
        }
    }

    private static func wrappingKey(_ lock: Lock, _ secret: [UInt8]) throws -> SymmetricKey {
        switch lock {
        case .passphrase(let scrypt):
            try KDF.Scrypt.deriveKey(
                from: secret, salt: scrypt.salt, outputByteCount: 32, rounds: scrypt.rounds,
                blockSize: scrypt.blockSize, parallelism: scrypt.parallelism)
        case .keyring:
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: secret), info: Data("shoal keyring".utf8), outputByteCount: 32)
        }
    }
}
