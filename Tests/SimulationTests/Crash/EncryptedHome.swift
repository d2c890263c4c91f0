import Crypto
import ShoalStore

@testable import ShoalClient

/// What the homes of encrypted machines are encrypted with.
enum EncryptedHome {
    static let secret = [UInt8](repeating: 7, count: 32)
    private static let dataKey = SymmetricKey(data: [UInt8](1...32))

    /// The key file.
    static let key: [UInt8]? = try? KeyFile(
        locking: dataKey, .keyring(item: "simulation"), secret: secret, nonce: [UInt8](0..<12)
    ).encoded()

    /// For whoever looks at a database by SQL alone.
    static func cipher() throws -> PageCipher {
        PageCipher(key: dataKey, random: { 0 })
    }
}
