import Testing

@testable import ShoalTerminal

@Suite struct TerminalTextTests {
    /// Everything that could act on a terminal, reorder what stands around it, or hide.
    static let harmful: [ClosedRange<UInt32>] = [
        0x00...0x1F, 0x7F...0x9F, 0xAD...0xAD, 0x34F...0x34F, 0x61C...0x61C, 0x115F...0x1160, 0x17B4...0x17B5,
        0x180B...0x180F, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0x3164...0x3164, 0xFDD0...0xFDEF,
        0xFE00...0xFE0F, 0xFEFF...0xFEFF, 0xFFA0...0xFFA0, 0xFFF0...0xFFFB, 0xFFFE...0xFFFF, 0x1BCA0...0x1BCA3,
        0x1D173...0x1D17A, 0x1FFFE...0x1FFFF, 0xE0000...0xE0FFF, 0x10FFFE...0x10FFFF,
    ]

    @Test func aHarmfulScalarNeverPassesBetweenLetters() {
        var count = 0
        for range in Self.harmful {
            for scalar in range.compactMap(Unicode.Scalar.init) {
                let text = "a\(scalar)b"
                for shown in [TerminalText.line(text), TerminalText.lines("\(text)")]
                where !"\n\t".unicodeScalars.contains(scalar) {
                    #expect(!shown.unicodeScalars.contains(scalar), "U+\(String(scalar.value, radix: 16))")
                    #expect(shown.unicodeScalars.count == 3)
                }
                #expect(TerminalText.line(text).unicodeScalars.count == 3)
                count += 1
            }
        }
        #expect(count == 4_282)
    }

    @Test func everyScalarOutsideOfThemPasses() {
        for value in 0x20...0x10FFFF as ClosedRange<UInt32> where value % 7 == 0 || value < 0x3200 {
            guard let scalar = Unicode.Scalar(value), !Self.harmful.contains(where: { $0.contains(value) }) else {
                continue
            }
            // Noncharacters end every plane.
            if value & 0xFFFE == 0xFFFE { continue }
            #expect(TerminalText.line("\(scalar)") == "\(scalar)", "U+\(String(value, radix: 16))")
        }
    }

    @Test(arguments: [
        "👩‍👩‍👧", "❤️‍🔥", "1️⃣ #️⃣", "🏳️‍🌈", "👨🏽‍💻", "🇨🇳", "می‌خواهم", "क्‍ष", "葛󠄀城", "ᠬᠠᠭᠠᠨ᠋", "e\u{301}", "﷽", "王小明 Ｗｉｄｅ「」",
        "שלום", "≨︀",
    ])
    func textOfPeopleStaysAsItIs(_ text: String) {
        #expect(TerminalText.line(text).unicodeScalars.elementsEqual(text.unicodeScalars))
        #expect(TerminalText.json(Array("\"\(text)\"".utf8)) == Array("\"\(text)\"".utf8))
    }

    @Test(arguments: [
        "ad\u{200D}min", "ad\u{200C}min", "a\u{FE0F}", "王\u{200D}明", "😀\u{FE0F}\u{FE0F}", "😀\u{200D}\u{200D}",
        "\u{FE0F}", "\u{200D}",
        "王\u{E0101}\u{E0102}", "a\u{E0100}", "\u{202E}\u{FE0F}", "🏴\u{E0067}\u{E0062}\u{E007F}",
    ])
    func selectorsAndJoinersPassOnlyWhereTheyMeanSomething(_ text: String) {
        #expect(TerminalText.line(text).unicodeScalars.contains("\u{FFFD}"))
    }

    @Test func whatWasMadeHarmlessStaysSo() {
        var random = SystemRandomNumberGenerator()
        let pool = Self.harmful.flatMap { $0.prefix(40) }.compactMap(Unicode.Scalar.init) + "a王😀❤م1".unicodeScalars
        for _ in 0..<3_000 {
            let text = String(String.UnicodeScalarView((0..<6).compactMap { _ in pool.randomElement(using: &random) }))
            let once = TerminalText.line(text)
            #expect(TerminalText.line(once) == once, "\(text.unicodeScalars.map(\.value))")
            let lines = TerminalText.lines(text)
            #expect(TerminalText.lines(lines) == lines, "\(text.unicodeScalars.map(\.value))")
        }
    }

    @Test func linesKeepTheirEnds() {
        #expect(TerminalText.lines("a\r\nb\tc\rd\u{1B}[2J") == "a\nb    c␍d␛[2J")
        #expect(TerminalText.line("a\r\nb\tc") == "a␍␊b␉c")
    }

    @Test func jsonIsEscapedAndMeansTheSame() {
        let text = "{\t\"a\":\r\n\"\u{9B}31m\u{202E}\u{E0041}\u{7F}王\"}"
        let shown = String(decoding: TerminalText.json(Array(text.utf8)), as: UTF8.self)
        #expect(shown == "{ \"a\": \n\"\\u009b31m\\u202e\\udb40\\udc41\\u007f王\"}")
    }
}
