import Testing

@testable import ShoalCRDT
@testable import ShoalProtocol

@Suite struct IdentifierColumnsTests {
    private struct Case {
        var ids: [RecordID]
        var bases: [Int64]?
    }

    private func write(_ ids: [RecordID], bases: [Int64]? = nil) -> String {
        var json = JSONWriter()
        IdentifierColumns.write(ids, bases: bases, to: &json)
        return String(decoding: json.bytes, as: UTF8.self)
    }

    private func read(_ text: String, limit: Int = 100) throws -> IdentifierColumns {
        try JSONReader.read(Array(text.utf8)) { reader in
            var scratch: [UInt8] = []
            return try IdentifierColumns(limit: limit, from: &reader, scratch: &scratch)
        }
    }

    @Test func identifiersAreReadAsTheyWereWritten() {
        law(generate: { random in
            let ids = (0..<random.pick([0, 1, 2, 9, 60])).map { _ in
                let id = RecordID(
                    rawValue: random.oneIn(4)
                        ? random.pick([1, .max, 1 << 62, (1 << 62) - 1]) : Int64(random.next() >> 1))
                return id.isValid ? id : RecordID(rawValue: 1)
            }
            return Case(
                ids: ids, bases: random.oneIn(2) ? nil : ids.map { random.oneIn(2) ? $0.time : random.integer() })
        }) { sample in
            let text = write(sample.ids, bases: sample.bases)
            do {
                let columns = try read(text)
                let bases = sample.bases.map { zip(sample.ids, $0).filter { !$0.0.isDerived }.map(\.1) }
                let timed = sample.ids.filter { !$0.isDerived }
                let derived = sample.ids.filter(\.isDerived)
                let isSame = columns.timed(bases: bases) == timed && columns.derivedIDs() == derived
                return isSame && columns.timedCount == timed.count && columns.derivedCount == derived.count ? nil : text
            } catch { return "\(text): \(error)" }
        }
    }

    @Test func theFormIsTheOneOfTheSpecification() {
        let first = RecordID(milliseconds: 5, count: 7, sequence: 0)
        let second = RecordID(milliseconds: 4, count: 9, sequence: 3)
        #expect(
            write([first, RecordID(rawValue: 1 << 62 | 6), second])
                == #"{"n":2,"ms":[10,1],"counts":[7,9],"count":[0,1],"sequence":[0,3],"derived":[4611686018427387910]}"#
        )
        #expect(
            write([first, second], bases: [RecordID.epoch + 5, RecordID.epoch + 4])
                == #"{"n":2,"counts":[7,9],"count":[0,1],"sequence":[0,3]}"#)
        #expect(write([]) == "{}")
    }

    @Test func columnsThatDoNotFitAreRefused() {
        let refusals = [
            #"{"n":101,"counts":[1]}"#: "at byte 5: the number is out of range.",
            #"{"n":1}"#: "at byte 7: the columns of identifiers do not fit each other.",
            #"{"n":1,"counts":[65536]}"#: "at byte 24: the columns of identifiers do not fit each other.",
            #"{"ms":[1],"n":1,"counts":[1]}"#: "at byte 7: the array has more than 0 elements.",
            #"{"ms":[],"n":1,"counts":[1]}"#: "at byte 13: the member stands out of its order.",
            #"{"n":1,"ms":[1],"counts":[1],"years":[]}"#: "at byte 37: this key is not known here.",
            #"{"n":1,"n":1}"#: "at byte 10: the object has this key already.",
            #"{"derived":[4611686018427387904,1.5]}"#:
                "at byte 32: an integer is expected, without fraction, exponent, leading zeros or negative zero.",
        ]
        for (text, expected) in refusals {
            var refusal: String?
            do { _ = try read(text) } catch { refusal = "\(error)" }
            #expect(refusal == expected, "\(text)")
        }
    }

    @Test func whatIsNoIdentifierIsNone() throws {
        for text in [
            #"{"n":1,"ms":[1],"counts":[1]}"#, #"{"n":1,"ms":[-1],"counts":[1]}"#,
            #"{"n":1,"ms":[4398046511104],"counts":[1]}"#,
            #"{"n":1,"ms":[2],"counts":[1],"count":[1]}"#, #"{"n":1,"ms":[2],"counts":[1],"sequence":[32]}"#,
            #"{"n":1,"ms":[],"counts":[0]}"#,
        ] { #expect(try read(text).timed() == nil, "\(text)") }
        for text in [#"{"derived":[1]}"#, #"{"derived":[-1]}"#, #"{"derived":[4611686018427387903]}"#] {
            #expect(try read(text).derivedIDs() == nil, "\(text)")
        }
    }
}
