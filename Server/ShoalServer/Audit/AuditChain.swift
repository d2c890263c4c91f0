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

/// A row under construction: entries of one author, in one transaction.
///
/// The row's bytes are its sections, one an entry: the record, whether its changes are there, and either these or their
/// digest. The chain goes over records and digests, so that changes can be erased and everything else still be verified.
struct AuditSections {
    /// A section of a row.
    struct Section: Equatable {
        var record: RecordID
        /// Where its changes lie, or, once they are erased, their digest.
        var body: Range<Int>
        var isErased: Bool

        func digest(in row: UnsafeRawBufferPointer) -> [UInt8] {
            let bytes = UnsafeRawBufferPointer(rebasing: row[body])
            return isErased ? Array(bytes) : Array(SHA256.hash(data: bytes))
        }
    }

    private(set) var records: [RecordID] = []
    private(set) var bytes: [UInt8] = []
    private var chained: [UInt8] = []

    /// Adds an entry.
    ///
    /// - Parameter changes: with their salt.
    mutating func append(_ record: RecordID, _ changes: [UInt8]) {
        records.append(record)
        bytes.appendVarint(UInt64(bitPattern: record.rawValue))
        bytes.append(1)
        bytes.appendVarint(changes.count)
        bytes.append(contentsOf: changes)
        chain(record, SHA256.hash(data: changes))
    }

    /// Adds an entry whose changes are erased.
    mutating func append(_ record: RecordID, erased digest: [UInt8]) {
        records.append(record)
        bytes.appendVarint(UInt64(bitPattern: record.rawValue))
        bytes.append(0)
        bytes.append(contentsOf: digest)
        chain(record, digest)
    }

    private mutating func chain(_ record: RecordID, _ digest: some Sequence<UInt8>) {
        withUnsafeBytes(of: record.rawValue.littleEndian) { chained.append(contentsOf: $0) }
        chained.append(contentsOf: digest)
    }

    /// The hash of the row: SHA-256 over the hash before it, number, time, account, replica and action, and each record with
    /// the digest of its changes.
    func hash(after head: AuditHead, _ author: AuditAuthor) -> [UInt8] {
        var hasher = SHA256()
        hasher.update(data: head.hash)
        var fixed: [UInt8] = []
        for number in [head.number + 1, author.time, author.account.rawValue, Int64(author.replica.rawValue)] {
            withUnsafeBytes(of: number.littleEndian) { fixed.append(contentsOf: $0) }
        }
        let action = Array(author.action.rawValue.utf8)
        fixed.append(UInt8(truncatingIfNeeded: action.count))
        hasher.update(data: fixed + action)
        hasher.update(data: chained)
        return Array(hasher.finalize())
    }

    /// Reads the sections of a row.
    static func read(_ bytes: UnsafeRawBufferPointer) throws(DecodingFailure) -> [Section] {
        var reader = ByteReader(bytes)
        var sections: [Section] = []
        while !reader.isAtEnd {
            let record = RecordID(rawValue: Int64(bitPattern: try reader.varint()))
            switch try reader.byte() {
            case 0:
                let start = reader.offset
                _ = try reader.run(AuditCoding.digestLength)
                sections.append(Section(record: record, body: start..<reader.offset, isErased: true))
            case 1:
                let count = try reader.varint(as: Int.self)
                let start = reader.offset
                _ = try reader.run(count)
                sections.append(Section(record: record, body: start..<reader.offset, isErased: false))
            default: throw reader.failure(.outOfRange)
            }
        }
        return sections
    }
}
