import Testing

@testable import ShoalProtocol

@Suite struct ColumnTests {
    private func write(_ values: [UInt64]) -> String {
        var json = JSONWriter()
        Column.write(values, to: &json)
        return String(decoding: json.bytes, as: UTF8.self)
    }

    private func read(_ text: String, _ count: Int) throws -> [UInt64] {
        try JSONReader.read(Array(text.utf8)) { reader in
            var scratch: [UInt8] = []
            return try Column.read(count: count, from: &reader, scratch: &scratch)
        }
    }

    private func refusal(_ text: String, _ count: Int) -> String? {
        do {
            _ = try read(text, count)
            return nil
        } catch { return "\(error)" }
    }

    @Test func columnsAreReadAsTheyWereWritten() {
        law(generate: { random in
            let most = random.pick([1, 2, 62, 63, 64, 4_094, 4_095, 4_096, 1 << 17, 1 << 23, 1 << 40])
            return (0..<random.pick([0, 1, 2, 5, 40])).map { _ -> UInt64 in
                if random.oneIn(10) { return random.magnitude() }
                // Around the greatest value of each number of planes.
                if random.oneIn(10) { return (1 << UInt64(6 * (1 + random.below(6)))) - 3 + UInt64(random.below(5)) }
                return UInt64(random.below(most + 1))
            }
        }) { values in
            let text = write(values)
            do {
                let result = try read(text, values.count)
                return result == values ? nil : "\(values)\nis written \(text)\nand read \(result)"
            } catch { return "\(values)\nis written \(text): \(error)" }
        }
    }

    @Test func theFormIsTheOneOfTheSpecification() throws {
        #expect(write([]) == "[]")
        #expect(write([0, 0, 0]) == "[]")
        #expect(write(Array(repeating: 1, count: 8) + [2, 62]) == #"["BBBBBBBBC-"]"#)
        // 63 is the greatest digit everywhere, so what it is more than 63 stands behind.
        #expect(write(Array(repeating: 1, count: 60) + [63]) == #"[""# + String(repeating: "B", count: 60) + #"_",0]"#)
        #expect(
            write(Array(repeating: 1, count: 60) + [.max]) == #"[""# + String(repeating: "B", count: 60) + #"_",-64]"#)
        #expect(try read(#"["AB","-_"]"#, 2) == [62, 127])
        #expect(try read(#"["_","_",5]"#, 1) == [4_100])
        #expect(try read("[1,-1]", 2) == [1, .max])
        #expect(try read("[]", 3) == [0, 0, 0])
    }

    @Test func everyNumberOfPlanesIsReadBack() throws {
        for width in 1...Column.mostPlanes {
            let limit: UInt64 = 1 << UInt64(6 * width)
            for value in [limit - 2, limit - 1, limit, limit + 1, .max, .max - 1, 0, 1] {
                let values = Array(repeating: limit / 2, count: 50) + [value]
                #expect(try read(write(values), values.count) == values)
            }
        }
    }

    @Test func columnsThatLieAreRefused() {
        let refusals: [(String, Int, String)] = [
            (#"["AB"]"#, 3, "at byte 5: a plane of 2 digits for 3 values."),
            (#"["ABCD"]"#, 3, "at byte 7: a plane of 4 digits for 3 values."),
            (#"["ABC","AB"]"#, 3, "at byte 11: a plane of 2 digits for 3 values."),
            (#"["A+C"]"#, 3, "at byte 6: not a digit of base 64."),
            (#"["A中"]"#, 4, "at byte 7: not a digit of base 64."),
            (#"["A_C"]"#, 3, "at byte 7: an overflow is missing."),
            (#"["A_C",1,2]"#, 3, "at byte 11: an overflow belongs to no value."),
            (#"["ABC",1]"#, 3, "at byte 9: an overflow belongs to no value."),
            (#"["A_C",-1]"#, 3, "at byte 10: the number is out of range."),
            (#"["A_C",9223372036854775808]"#, 3, "at byte 7: the number is out of range."),
            (#"["A_C",1,"ABC"]"#, 3, "at byte 9: a value of type number is expected."),
            (#"[1,2]"#, 3, "at byte 5: 2 values instead of 3."),
            (#"[1,2,3,4]"#, 3, "at byte 7: the array has more than 3 elements."),
            (#"[0]"#, 0, "at byte 1: the array has more than 0 elements."),
            (#"["A","A","A","A","A","A","A"]"#, 1, "at byte 25: the array has more than 6 elements."),
            (#"{}"#, 1, "at byte 0: a value of type array is expected."),
            (
                #"["A",1.5]"#, 1,
                "at byte 5: an integer is expected, without fraction, exponent, leading zeros or negative zero."
            ),
        ]
        for (text, count, expected) in refusals { #expect(refusal(text, count) == expected, "\(text)") }
    }

    @Test func zigzagIsItsOwnWayBack() {
        for value: Int64 in [0, -1, 1, -2, .min, .max, .min + 1] {
            #expect(Column.unzigzag(Column.zigzag(value)) == value)
        }
        #expect([0, -1, 1, -2, 2].map { Column.zigzag($0) } == [0, 1, 2, 3, 4])
    }
}
