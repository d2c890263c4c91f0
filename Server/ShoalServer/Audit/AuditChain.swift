import Crypto
import ShoalCRDT

/// Where the chain ends: how many entries there are, and the hash of the last row.
struct AuditHead: Equatable, Sendable {
    var number: Int64 = 0
    /// 32 bytes; none before the first row.
    var hash: [UInt8] = []
}

/// What every entry of a row shares: one author, one moment.
struct AuditAuthor: Equatable, Sendable {
    var time: Int64
    var account: RecordID
    var replica: ReplicaID
    var action: AuditAction
}

/// What the chain goes over of a row's entries: each record with the digest of its changes, so that changes can be erased and
/// everything else still be verified.
struct AuditLeaves {
    private(set) var count = 0
    private var bytes: [UInt8] = []

    mutating func append(_ record: RecordID, _ digest: UnsafeRawBufferPointer) {
        count += 1
        withUnsafeBytes(of: record.rawValue.littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: digest)
    }

    /// The hash of the row: SHA-256 over the hash before it, number, time, account, replica and action, what form it has if not
    /// the first, and the leaves.
    func hash(after head: AuditHead, _ author: AuditAuthor, isFirstForm: Bool) -> [UInt8] {
        var hasher = SHA256()
        hasher.update(data: head.hash)
        var fixed: [UInt8] = []
        for number in [head.number + 1, author.time, author.account.rawValue, Int64(author.replica.rawValue)] {
            withUnsafeBytes(of: number.littleEndian) { fixed.append(contentsOf: $0) }
        }
        let action = Array(author.action.rawValue.utf8)
        fixed.append(UInt8(truncatingIfNeeded: action.count))
        hasher.update(data: fixed + action)
        // The same bytes say something else in another form.
        if !isFirstForm { hasher.update(data: [2]) }
        bytes.withUnsafeBytes { hasher.update(bufferPointer: $0) }
        return Array(hasher.finalize())
    }
}
