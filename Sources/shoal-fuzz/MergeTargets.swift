import ShoalCRDT

/// Rows, operations and changes of texts from bytes, and the laws of merging them.
enum MergeTargets {
    /// The first byte says where a packed row ends and the next begins; a row is read without its checksum, which no mutation would
    /// ever get right.
    static func merge(_ bytes: [UInt8]) throws {
        guard let first = bytes.first else { return }
        let rest = bytes.dropFirst()
        let (left, right) = (Array(rest.prefix(Int(first))), Array(rest.dropFirst(Int(first))))
        operations(right)
        let a = try row(left)
        checkCoding(a)
        Finding.planted(a.entries.first.map { $0.key.field.rawValue != 20 } ?? false)
        let b = try row(right)
        checkCoding(b)
        var joined = a
        joined.join(b, vector: VersionVector(), sequence: 9) { _ in false }
        checkCoding(joined)
        var again = joined
        again.join(b, vector: VersionVector(), sequence: 9) { _ in true }
        Finding.require(again.hasSameEntries(as: joined), "joining the same again changes something")
    }

    /// Operations in canonical form, one after the other.
    private static func operations(_ bytes: [UInt8]) {
        var batch = Operations()
        guard (try? bytes.withUnsafeBytes { try batch.decode($0) }) != nil else { return }
        var output: [UInt8] = []
        batch.encode(0, into: &output)
        Finding.require(output == bytes, "an operation is not written as it was read")
        guard batch.firstMisplacedEdit(of: 0) == nil else { return }
        var record = Record(id: batch.operations[0].record)
        record.apply(0, of: batch, dot: Dot(ReplicaID(epoch: 1, count: 1), 1), time: 1, sequence: 5)
        checkCoding(record)
        Finding.planted(record.entries.contains { $0.kind == .integer })
    }

    private static func row(_ bytes: [UInt8]) throws -> Record {
        try ([1] + bytes).withUnsafeBytes { try Record(id: RecordID(rawValue: 1 << 40), sequence: 9, packed: $0) }
    }

    private static func checkCoding(_ record: Record) {
        var bytes: [UInt8] = []
        record.encode(sequence: 9, into: &bytes)
        let again = try? bytes.withUnsafeBytes { try Record(id: record.id, sequence: 9, packed: $0) }
        Finding.require(again?.hasSameEntries(as: record) == true, "a row is not read as it was written")
    }

    /// Two changes of one text, after a line feed the second.
    static func text(_ bytes: [UInt8]) throws {
        let end = bytes.firstIndex(of: 0x0A) ?? bytes.endIndex
        let a = try bytes[..<end].withUnsafeBytes { try TextDelta(json: $0) }
        var written: [UInt8] = []
        a.encode(into: &written)
        let again = try? written.withUnsafeBytes { try TextDelta(json: $0) }
        Finding.require(again == a, "a change is not read as it was written")
        var one = TextSequence()
        if one.fits(a) { one.merge(a) }
        guard end < bytes.endIndex else { return }
        let b = try bytes[(end + 1)...].withUnsafeBytes { try TextDelta(json: $0) }
        guard one.fits(b) else { return }
        one.merge(b)
        let before = characters(of: one)
        if one.fits(b) { one.merge(b) }
        Finding.require(characters(of: one) == before, "the same change again changes the text")
        Finding.planted(before.count > 2)
    }

    private static func characters(of text: TextSequence) -> [Unicode.Scalar] {
        var scalars: [Unicode.Scalar] = []
        text.forEachPiece { _, piece in scalars += piece }
        return scalars
    }
}
