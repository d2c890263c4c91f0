import Crypto
import Foundation
import ShoalStore

/// Finds what a home is encrypted with.
enum HomeKey {
    /// - Returns: the home's cipher and the key file that it came from; nil for a home that is not encrypted.
    /// - Throws: `ReplicaError.wrongSecret`, what the environment throws when it has no secret, `ReplicaError.home` for a key
    ///   file that cannot be read.
    static func open(_ home: String, _ environment: Environment) throws -> (cipher: PageCipher, file: [UInt8])? {
        guard let bytes = try environment.homes.keyFile(home) else { return nil }
        let key = try unlock(bytes, home, environment)
        return (PageCipher(key: key, random: environment.random), bytes)
    }

    static func unlock(_ bytes: [UInt8], _ home: String, _ environment: Environment) throws -> SymmetricKey {
        let file: KeyFile
        do { file = try KeyFile(decoding: bytes) } catch {
            throw ReplicaError.home(home, reason: "its key file is damaged: put a copy of it back in its place")
        }
        guard let key = try file.unlocked(with: try environment.secret(home, file.lock)) else {
            throw ReplicaError.wrongSecret(home: home)
        }
        return key
    }

    /// A new key file for a secret.
    ///
    /// - Parameter key: the database's; a new one if nil.
    static func make(
        _ secret: HomeSecret, key: SymmetricKey? = nil, _ environment: Environment
    ) throws -> [UInt8] {
        let lock: KeyFile.Lock
        switch secret.kind {
        case .passphrase:
            let bytes = Self.bytes(16, environment)
            lock = .passphrase(secret.scrypt(Data(bytes)))
        case .keyring(let item): lock = .keyring(item: item)
        }
        let key = key ?? SymmetricKey(data: bytes(32, environment))
        return try KeyFile(locking: key, lock, secret: secret.bytes, nonce: bytes(12, environment)).encoded()
    }

    private static func bytes(_ count: Int, _ environment: Environment) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count { withUnsafeBytes(of: environment.random()) { bytes.append(contentsOf: $0) } }
        return Array(bytes.prefix(count))
    }
}

/// What a home is encrypted with from now on.
public struct HomeSecret: Sendable {
    enum Kind: Sendable {
        case passphrase
        case keyring(item: String)
    }
    var kind: Kind
    var bytes: [UInt8]
    /// The parameters for a salt; cheaper ones are for tests.
    var scrypt: @Sendable (Data) -> KeyFile.Scrypt = { KeyFile.Scrypt(salt: $0) }

    /// - Parameter passphrase: in UTF-8, as typed.
    public static func passphrase(_ passphrase: String) -> HomeSecret {
        HomeSecret(kind: .passphrase, bytes: Array(passphrase.utf8))
    }

    /// - Parameters:
    ///   - item: the name under which the keyring holds it.
    ///   - bytes: 32 random bytes.
    public static func keyring(item: String, bytes: [UInt8]) -> HomeSecret {
        HomeSecret(kind: .keyring(item: item), bytes: bytes)
    }
}
