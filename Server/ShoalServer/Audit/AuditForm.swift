import Crypto
import ShoalCRDT

/// How the bytes of a row are written.
enum AuditForm: Equatable {
    /// As the first versions wrote them: no links, the record's whole identifier, and a salt of its own in each section.
    case first
    /// Linked, and the salts of the sections are derived from this one.
    case linked(AuditSalt)
    /// Linked, and something of it is erased. The row's salt went with that, and the sections that are left hold their own.
    case opened

    /// By a row's salt; nil if it is none.
    init?(salt: [UInt8]?) {
        guard let salt else {
            self = .first
            return
        }
        if salt.isEmpty {
            self = .opened
        } else if let salt = AuditSalt(salt) {
            self = .linked(salt)
        } else {
            return nil
        }
    }

    /// Whether a section's changes begin with their salt.
    var holdsSalts: Bool {
        switch self {
        case .first, .opened: true
        case .linked: false
        }
    }

    var isFirst: Bool { self == .first }
}

/// Of which the salts of a row's sections are made.
struct AuditSalt: Equatable {
    static let length = 16

    /// The salt and the number of a pair of sections.
    private var seed: [UInt8]

    init(_ digest: SHA256.Digest) { seed = digest.prefix(Self.length) + Array(repeating: 0, count: 8) }

    /// - Returns: nil if it has another length than a salt.
    init?(_ bytes: [UInt8]) {
        if bytes.count != Self.length { return nil }
        seed = bytes + Array(repeating: 0, count: 8)
    }

    var bytes: [UInt8] { Array(seed.prefix(Self.length)) }

    /// The salts of two sections, that with the even index first: the halves of SHA-256 over the row's salt and half the even
    /// index. Who has one of them knows nothing about another.
    mutating func pair(_ index: Int) -> SHA256.Digest {
        withUnsafeBytes(of: UInt64(truncatingIfNeeded: index / 2).littleEndian) {
            seed.replaceSubrange(Self.length..., with: $0)
        }
        return AuditHash.of(seed)
    }

    /// The salt of the section `index`.
    func salt(_ index: Int) -> [UInt8] {
        var copy = self
        return Array(Array(copy.pair(index))[(index % 2 * Self.length)...].prefix(Self.length))
    }
}

/// SHA-256 without the ways through generic collections.
enum AuditHash {
    static let length = SHA256.byteCount

    static func of(_ bytes: [UInt8]) -> SHA256.Digest {
        var hasher = SHA256()
        bytes.withUnsafeBytes { hasher.update(bufferPointer: $0) }
        return hasher.finalize()
    }

    static func of(_ salt: [UInt8], _ bytes: UnsafeRawBufferPointer) -> SHA256.Digest {
        var hasher = SHA256()
        salt.withUnsafeBytes { hasher.update(bufferPointer: $0) }
        hasher.update(bufferPointer: bytes)
        return hasher.finalize()
    }
}
