import Testing

@testable import ShoalCRDT

/// The bytes that must never change, and those that are never taken.
@Suite struct FormatTests {
    @Test func sipHashGivesThePublishedVectors() {
        // Aumasson and Bernstein's reference output for the key 00…0f and the inputs of 0, 1, 2… bytes 00, 01, 02….
        let vectors: [UInt64] = [
            0x726f_db47_dd0e_0e31, 0x74f8_39c5_93dc_67fd, 0x0d6c_8009_d9a9_4f5a, 0x8567_6696_d7fb_7e2d,
            0xcf27_94e0_2771_87b7, 0x1876_5564_cd99_a68d, 0xcbc9_466e_58fe_e3ce, 0xab02_00f5_8b01_d137,
            0x93f5_f579_9a93_2462, 0x9e00_82df_0ba9_e4b0, 0x7a5d_bbc5_94dd_b9f3, 0xf4b3_2f46_226b_ada7,
            0x751e_8fbc_860e_e5fb, 0x14ea_5627_c084_3d90, 0xf723_ca90_8e7a_f2ee, 0xa129_ca61_49be_45e5,
        ]
        for (length, expected) in vectors.enumerated() {
            let input = Array(0..<UInt8(length))
            let hash = input.withUnsafeBytes { SipHash.hash($0, key: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)) }
            #expect(hash == expected, "\(length) bytes")
        }
    }

    private func sampleBatch() -> Operations {
        var batch = Operations()
        batch.begin(
            record: .sample, time: RecordID.sample.time + 1,
            creates: Envelope(kind: Kind(rawValue: 1), scope: .customer(.sample)), salt: 0x0403_0201)
        batch.edit(CellKey(.name), text: "Lin")
        batch.edit(CellKey(.tags, id: RecordID(rawValue: 300)), .present)
        batch.begin(record: .sample, time: RecordID.sample.time + 3, continuesCommand: true)
        batch.edit(CellKey(.name), text: "Mei", supersedes: [Dot(ReplicaID(rawValue: 0x00A5_0001), 1)])
        batch.edit(CellKey(.visits), .count, integer: -2)
        batch.cover([Dot(ReplicaID(rawValue: 0x00A5_0001), 1)])
        return batch
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    @Test func anOperationsBytesAndHashAreThoseOfVersionOne() {
        let batch = sampleBatch()
        var bytes: [UInt8] = []
        batch.encode(0, into: &bytes)
        #expect(
            hexadecimal(bytes)
                == "0301020304" + "82e0a5f5bd67" + "a0808080a0b787e905" + "0102" + "02"
                + "010002034c696e00" + "0301ac020000")
        bytes.removeAll()
        batch.encode(1, into: &bytes)
        #expect(
            hexadecimal(bytes)
                == "0c" + "86e0a5f5bd67" + "a0808080a0b787e905" + "02"
                + "010002034d6569" + "018180940501" + "0700040300" + "018180940501")
        var scratch: [UInt8] = []
        let first = batch.hash(of: 0, after: .start, scratch: &scratch)
        #expect(first.rawValue == 642_446_671_707_003_192)
        #expect(batch.hash(of: 1, after: first, scratch: &scratch).rawValue == 11_204_303_204_820_528_416)
    }

    private func sampleRecord() -> Record {
        let batch = sampleBatch()
        var record = Record(id: .sample)
        for index in 0..<2 {
            let time = batch.operations[index].time
            record.apply(
                index, of: batch, dot: Dot(ReplicaID(rawValue: 0x00A5_0001), UInt32(index + 1)), time: time,
                sequence: Int64(index + 7))
        }
        return record
    }

    private static let body =
        "0102" + "02" + "000100a5000102" + "010104" + "04" + "5000" + "020401034d6569" + "500dd804" + "041c0103"

    @Test func aRowsBytesAreThoseOfVersionTwo() {
        let record = sampleRecord()
        var bytes: [UInt8] = []
        record.encode(sequence: record.sequence, into: &bytes)
        #expect(hexadecimal(bytes) == "02" + "b74423bd" + Self.body)
    }

    @Test func aRowOfVersionOneIsStillRead() throws {
        let record = sampleRecord()
        var bytes: [UInt8] = []
        record.encodeWithoutChecksum(sequence: record.sequence, into: &bytes)
        #expect(hexadecimal(bytes) == "01" + Self.body)
        let read = try bytes.withUnsafeBytes { try Record(id: .sample, sequence: record.sequence, packed: $0) }
        var again: [UInt8] = []
        read.encode(sequence: read.sequence, into: &again)
        bytes.removeAll()
        record.encode(sequence: record.sequence, into: &bytes)
        #expect(again == bytes)
    }

    /// A disk that gives back another bit, or the row of another record or of another time.
    @Test func aRowWithAnyBitFlippedIsRefused() {
        let record = sampleRecord()
        var bytes: [UInt8] = []
        record.encode(sequence: record.sequence, into: &bytes)
        func isTaken(_ bytes: [UInt8], id: RecordID = .sample, sequence: Int64) -> Bool {
            (try? bytes.withUnsafeBytes { try Record(id: id, sequence: sequence, packed: $0) }) != nil
                || (try? bytes.withUnsafeBytes { try Record.envelope(of: id, sequence: sequence, packed: $0) }) != nil
        }
        #expect(isTaken(bytes, sequence: record.sequence))
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!isTaken(flipped, sequence: record.sequence), "bit \(bit)")
        }
        #expect(!isTaken(bytes, id: RecordID(rawValue: RecordID.sample.rawValue + 1), sequence: record.sequence))
        #expect(!isTaken(bytes, sequence: record.sequence + 1))
    }

    /// What is too much is noticed without a checksum, and where the checksum is over it too.
    @Test func bytesAfterARowAreRefused() {
        let record = sampleRecord()
        var bytes: [UInt8] = []
        record.encodeWithoutChecksum(sequence: record.sequence, into: &bytes)
        func refusal(_ bytes: [UInt8], isChecked: Bool = false) -> DecodingFailure.Reason? {
            do {
                _ = try bytes.withUnsafeBytes { bytes in
                    try Record(id: .sample, sequence: record.sequence, packed: bytes, isChecked: isChecked)
                }
                return nil
            } catch { return (error as? DecodingFailure)?.reason }
        }
        #expect(refusal(bytes) == nil)
        #expect(refusal(bytes + [0]) == .trailingBytes)
        bytes.removeAll()
        record.encode(sequence: record.sequence, into: &bytes)
        #expect(refusal(bytes, isChecked: true) == nil)
        #expect(refusal(bytes + [0], isChecked: true) == .trailingBytes)
    }

    @Test func aKeptHashStandsForTheChain() {
        var batch = sampleBatch()
        batch.setKeptHash(OperationHash(rawValue: 5), at: 1)
        var scratch: [UInt8] = []
        #expect(batch.hash(of: 1, after: .start, scratch: &scratch) == OperationHash(rawValue: 5))
    }

    private func refusal(_ bytes: [UInt8]) -> DecodingFailure.Reason? {
        var batch = Operations()
        do {
            try bytes.withUnsafeBytes { try batch.decode($0) }
            return nil
        } catch { return (error as? DecodingFailure)?.reason }
    }

    @Test func anOperationInAnotherFormIsRefused() {
        // Flags, time 0, record 1, no edits.
        #expect(refusal([0, 0, 1, 0]) == nil)
        #expect(refusal([]) == .truncated)
        #expect(refusal([0, 0, 1, 0, 0]) == .trailingBytes)
        #expect(refusal([16, 0, 1, 0]) == .outOfRange, "an unknown flag")
        #expect(refusal([0, 0, 0, 0]) == .outOfRange, "no record")
        #expect(refusal([0, 0x80, 0, 1, 0]) == .overlong)
        #expect(refusal([8, 0, 1, 0, 0]) == .notCanonical, "covers nothing")
        #expect(refusal([8, 0, 1, 0, 1, 1, 0]) == .outOfRange, "covers number 0")
        #expect(refusal([1, 0, 1, 1, 2, 0]) == nil, "its own customer")
        #expect(refusal([1, 0, 1, 1, 3, 1, 0]) == .notCanonical, "its own customer spelled out")
        #expect(refusal([1, 0, 1, 1, 4, 2, 3, 0]) == nil, "a pair")
        #expect(refusal([1, 0, 1, 1, 4, 3, 2, 0]) == .notCanonical, "a pair, the greater first")
        #expect(refusal([1, 0, 1, 1, 5, 0]) == .outOfRange, "an unknown scope")
        #expect(refusal([0, 0, 1, 2, 1, 0, 0, 0, 2, 0, 0, 0]) == nil, "two cells")
        #expect(refusal([0, 0, 1, 2, 2, 0, 0, 0, 1, 0, 0, 0]) == .notCanonical, "cells out of order")
        #expect(refusal([0, 0, 1, 2, 1, 0, 0, 0, 1, 0, 0, 0]) == .notCanonical, "one cell twice")
        #expect(refusal([0, 0, 1, 1, 0, 0, 0, 0]) == .notCanonical, "an edit of the creation")
        #expect(refusal([0, 0, 1, 1, 1, 3, 0, 0]) == .outOfRange, "an unknown element")
        for kind in 13...17 as ClosedRange<UInt8> {
            #expect(refusal([0, 0, 1, 1, 1, 0, kind, 0]) == .outOfRange, "no value: \(kind)")
        }
        #expect(refusal([0, 0, 1, 1, 1, 0, 0, 1, 1, 0]) == .outOfRange, "supersedes number 0")
        let endless: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]
        #expect(refusal([0, 0, 1] + endless) == .truncated, "more edits than bytes")
        #expect(refusal([0, 0, 1, 1, 1, 0, 2] + endless) == .truncated, "more text than bytes")
        #expect(refusal([8, 0, 1, 0] + endless) == .truncated, "more dots than bytes")
    }

    @Test func aRowOfANewerFormatIsRefusedByItsVersion() {
        let failure = #expect(throws: DecodingFailure.self) {
            try ([3, 0, 0, 0, 0] as [UInt8]).withUnsafeBytes { try Record(id: .sample, sequence: 0, packed: $0) }
        }
        #expect(failure?.reason == .unknownVersion(3))
    }

    /// What a later version defines is kept, not understood.
    @Test func aValueOfALaterTypeHasTheseBytes() throws {
        var batch = Operations()
        batch.begin(
            record: .sample, time: RecordID.sample.time, creates: Envelope(kind: Kind(rawValue: 1), scope: .workspace))
        batch.edit(
            CellKey(.name), .foreign8, slice: batch.store("[1]".utf8), supersedes: [Dot(ReplicaID(rawValue: 1), 2)])
        batch.edit(CellKey(.year), .foreign12, slice: batch.store("{}".utf8))
        var bytes: [UInt8] = []
        batch.encode(0, into: &bytes)
        #expect(hexadecimal(bytes).hasSuffix("02010008035b315d01010202000c027b7d00"))
        var read = Operations()
        try bytes.withUnsafeBytes { try read.decode($0) }
        #expect(read.edits.map(\.kind) == [.foreign8, .foreign12] && read.text(read.edits[0].slice) == "[1]")
        var record = Record(id: .sample)
        record.apply(0, of: read, dot: Dot(ReplicaID(rawValue: 1), 3), time: 5, sequence: 9)
        bytes.removeAll()
        record.encode(sequence: 9, into: &bytes)
        let again = try bytes.withUnsafeBytes { try Record(id: .sample, sequence: 9, packed: $0) }
        #expect(again.entries.map(\.kind) == [.present, .foreign8, .foreign12])
        #expect(again.entries[1...].map { again.text($0.slice) } == ["[1]", "{}"])
        #expect(hexadecimal(bytes).hasSuffix("4804035b315d4c08027b7d"))
    }

    @Test func aBatchTellsWhichEditIsMisplaced() {
        var batch = Operations()
        batch.begin(record: .sample, time: 0)
        batch.edit(CellKey(.name), text: "a")
        batch.begin(record: .sample, time: 0)
        batch.edit(CellKey(.year), .integer, integer: 1)
        batch.edit(CellKey(.name), text: "a")
        batch.begin(record: .sample, time: 0)
        batch.edit(CellKey(.phones, text: batch.store("b".utf8)), .present)
        batch.edit(CellKey(.phones, text: batch.store("b".utf8)), .present)
        batch.begin(record: .sample, time: 0)
        batch.edit(CellKey(.name), .emptied)
        #expect((0..<4).map { batch.firstMisplacedEdit(of: $0) } == [nil, 2, 4, 5])
    }
}
