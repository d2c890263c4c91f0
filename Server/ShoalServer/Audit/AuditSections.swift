import Crypto
import ShoalCRDT

/// A row under construction: entries of one author, in one transaction.
///
/// The row's bytes are its sections, one an entry: the record, as difference to the one before; the link to the row that
/// mentions this record before this one; how long the changes are, and whether they are erased; the changes, or their digest.
struct AuditSections {
    private(set) var bytes: [UInt8] = []
    private(set) var leaves = AuditLeaves()
    let salt: AuditSalt
    private var salts: AuditSalt
    private var pair: SHA256.Digest?
    private var last: Int64 = 0

    /// - Parameter capacity: how many bytes there may be.
    init(_ salt: AuditSalt, capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
        self.salt = salt
        salts = salt
    }

    /// Adds an entry.
    ///
    /// - Parameters:
    ///   - link: as `AuditSection.link`.
    ///   - changes: behind the room for their salt.
    mutating func append(_ record: RecordID, link: Int64, _ changes: inout AuditChanges) {
        let index = leaves.count
        let pair = index % 2 == 0 ? salts.pair(index) : self.pair ?? salts.pair(index)
        self.pair = pair
        pair.withUnsafeBytes {
            changes.fillSalt(UnsafeRawBufferPointer(rebasing: $0[(index % 2 * AuditSalt.length)...]))
        }
        AuditHash.of(changes.bytes).withUnsafeBytes { leaves.append(record, $0) }
        let written = changes.bytes[AuditSalt.length...]
        AuditSection.appendHead(record, link: link, written.count, isErased: false, after: &last, to: &bytes)
        bytes.append(contentsOf: written)
    }
}

/// A section of a row.
struct AuditSection: Equatable {
    var index: Int
    var record: RecordID
    /// How far back the row lies that mentions this record before this one, plus one; 0 if there is none, 1 if it is this row.
    var link: Int64
    /// Where its changes lie, or, once they are erased, their digest.
    var body: Range<Int>
    var isErased: Bool

    func digest(in row: UnsafeRawBufferPointer, _ form: AuditForm) -> [UInt8] {
        let bytes = UnsafeRawBufferPointer(rebasing: row[body])
        if isErased { return Array(bytes) }
        if case .linked(let salt) = form { return Array(AuditHash.of(salt.salt(index), bytes)) }
        return Array(AuditHash.of([], bytes))
    }

    /// The link of a section in the row `mark` about a record that the row `head` mentioned last; 0 is none.
    static func link(from mark: Int64, to head: Int64) -> Int64 {
        head > 0 && head <= mark ? mark - head + 1 : 0
    }

    static func appendHead(
        _ record: RecordID, link: Int64, _ count: Int, isErased: Bool, after last: inout Int64, to bytes: inout [UInt8]
    ) {
        bytes.appendSigned(record.rawValue &- last)
        last = record.rawValue
        bytes.appendVarint(UInt64(bitPattern: link))
        bytes.appendVarint(count << 1 | (isErased ? 1 : 0))
    }

    /// Reads the sections of a row.
    static func read(_ bytes: UnsafeRawBufferPointer, _ form: AuditForm) throws(DecodingFailure) -> [AuditSection] {
        var reader = ByteReader(bytes)
        var sections: [AuditSection] = []
        var last: Int64 = 0
        while !reader.isAtEnd {
            let section = form.isFirst ? try first(sections.count, &reader) : try linked(sections.count, last, &reader)
            last = section.record.rawValue
            sections.append(section)
        }
        return sections
    }

    private static func linked(
        _ index: Int, _ last: Int64, _ reader: inout ByteReader
    ) throws(DecodingFailure) -> AuditSection {
        let record = RecordID(rawValue: last &+ (try reader.signed()))
        let link = try reader.varint(as: Int64.self)
        let head = try reader.varint(as: Int.self)
        if head & 1 == 1, head >> 1 != AuditHash.length { throw reader.failure(.outOfRange) }
        let start = reader.offset
        _ = try reader.run(head >> 1)
        return AuditSection(
            index: index, record: record, link: link, body: start..<reader.offset, isErased: head & 1 == 1)
    }

    private static func first(_ index: Int, _ reader: inout ByteReader) throws(DecodingFailure) -> AuditSection {
        let record = RecordID(rawValue: Int64(bitPattern: try reader.varint()))
        let count: Int
        let isErased: Bool
        switch try reader.byte() {
        case 0: (count, isErased) = (AuditHash.length, true)
        case 1: (count, isErased) = (try reader.varint(as: Int.self), false)
        default: throw reader.failure(.outOfRange)
        }
        let start = reader.offset
        _ = try reader.run(count)
        return AuditSection(
            index: index, record: record, link: 0, body: start..<reader.offset, isErased: isErased)
    }
}
