import Testing

@testable import ShoalProtocol

@Suite struct AlphabetTests {
    /// What comes back of texts that were encoded with the alphabet of all of them, itself read back from JSON.
    private func returned(_ texts: [String]) throws -> [String?] {
        let alphabet = Array(texts.joined().utf8).withUnsafeBytes { Alphabet(of: $0) }
        var json = JSONWriter()
        alphabet.write(to: &json)
        let read = try JSONReader.read(json.bytes) { reader in
            var scratch: [UInt8] = []
            return try Alphabet(from: &reader, scratch: &scratch)
        }
        #expect(read.scalars == alphabet.scalars)
        return texts.map { text in
            var encoded: [UInt8] = []
            Array(text.utf8).withUnsafeBytes { alphabet.encode($0, into: &encoded) }
            #expect(encoded.count <= text.utf8.count)
            #expect(String(validating: encoded, as: UTF8.self) != nil)
            var decoded: [UInt8] = []
            guard encoded.withUnsafeBytes({ read.decode($0, into: &decoded) }) != nil else { return nil }
            return String(decoding: decoded, as: UTF8.self)
        }
    }

    private func isSame(_ a: [String?], _ b: [String]) -> Bool {
        a.count == b.count && zip(a, b).allSatisfy { $0.map { Array($0.utf8) } == Array($1.utf8) }
    }

    private func text(_ scalars: some Sequence<UInt32>) -> String {
        var text = ""
        for scalar in scalars.compactMap({ Unicode.Scalar($0) }) { text.unicodeScalars.append(scalar) }
        return text
    }

    @Test func textComesBackWhateverItIs() throws {
        let chinese = String(repeating: "客户反馈良好，油皮，建议温和洁面。", count: 40)
        let mixed = chinese + "éß\u{80}\u{7FF}Привет 😀 \u{10FFFF} plain"
        #expect(
            isSame(
                try returned([chinese, mixed, "", "a", "\u{E000}", "中"]), [chinese, mixed, "", "a", "\u{E000}", "中"]))
        #expect(Array(mixed.utf8).withUnsafeBytes { Alphabet(of: $0) }.scalars.isEmpty == false)
    }

    @Test func scalarsOfTwoBytesAreAlwaysInAnAlphabet() {
        let text = String(repeating: "油皮", count: 300) + "é"
        #expect(Array(text.utf8).withUnsafeBytes { Alphabet(of: $0) }.scalars == [0xE9, 0x6CB9, 0x76AE])
    }

    @Test func moreScalarsThanFitLeaveTheRarestOut() throws {
        let common = text((0x4E00..<0x4E00 + 1_900).flatMap { Array(repeating: $0 as UInt32, count: 6) })
        let rare = text(0x6000..<0x6100) + text(0x80..<0x100)
        let all = common + rare
        let alphabet = Array(all.utf8).withUnsafeBytes { Alphabet(of: $0) }
        #expect(alphabet.scalars.count == Alphabet.most)
        #expect(alphabet.scalars.prefix(128).elementsEqual(0x80..<0x100))
        #expect(isSame(try returned([all, rare]), [all, rare]))
        let everyTwoByteScalar = text(0x80..<0x800) + String(repeating: "中", count: 8_000)
        #expect(isSame(try returned([everyTwoByteScalar]), [everyTwoByteScalar]))
    }

    @Test func aShortTextOrOneOfManyScalarsHasNoAlphabet() {
        for text in ["", "油皮", String(repeating: "a", count: 5_000), text(0x4E00..<0x5200)] {
            #expect(Array(text.utf8).withUnsafeBytes { Alphabet(of: $0) }.isEmpty)
        }
    }

    @Test func randomTextComesBack() {
        law(
            cases: Trial.cases / 20,
            generate: { random in
                (0..<random.below(6)).map { _ in
                    let base: UInt32 = random.pick([0x4E00, 0x4E00, 0x4E00, 0x20, 0x80, 0x7F0, 0xD7F0, 0xFFF0, 0x1F600])
                    return text((0..<random.pick([0, 1, 50, 900])).map { _ in base + UInt32(random.below(40)) })
                }
            }
        ) { texts in
            do { return isSame(try returned(texts), texts) ? nil : "\(texts)" } catch { return "\(error)" }
        }
    }

    @Test func whatIsNoAlphabetIsRefused() {
        let refusals = [
            ("[]", "at byte 2: an alphabet is a count and a column."),
            ("[1]", "at byte 3: an alphabet is a count and a column."),
            ("[1,[0],3]", "at byte 7: the array has more than 2 elements."),
            ("[1921,[]]", "at byte 1: the number is out of range."),
            ("[-1,[]]", "at byte 1: the number is out of range."),
            ("[2,[0]]", "at byte 6: 1 values instead of 2."),
            ("[1,[55168]]", "at byte 10: the alphabet names what is no scalar."),
            ("[1,[65408]]", "at byte 10: the alphabet names what is no scalar."),
            ("[2,[1,-1]]", "at byte 9: the alphabet names what is no scalar."),
        ]
        for (text, expected) in refusals {
            var refusal: String?
            do {
                _ = try JSONReader.read(Array(text.utf8)) { reader in
                    var scratch: [UInt8] = []
                    return try Alphabet(from: &reader, scratch: &scratch)
                }
            } catch { refusal = "\(error)" }
            #expect(refusal == expected, "\(text)")
        }
    }
}
