/// The words that the text index sees: each pair of neighbouring characters of a folded text, and the last one alone.
///
/// So one character is the beginning of some word, two are a word, and more are several words of which a text must have
/// all; candidates are compared with the text itself. What the index's tokenizer takes for a space stands as a character
/// of the private-use area.
enum Grams {
    private static let privateUse: UInt32 = 0xE000

    /// The text of a document, words separated by spaces.
    static func document(_ text: [UInt32]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(text.count * 7)
        for index in text.indices {
            append(text[index], to: &output)
            if index + 1 < text.count { append(text[index + 1], to: &output) }
            output.append(0x20)
        }
        return output
    }

    /// The query for texts that may contain all needles; nil when there is nothing to look for.
    static func query(_ needles: [[UInt32]]) -> String? {
        var terms: [String] = []
        for needle in needles where !needle.isEmpty {
            if needle.count == 1 {
                terms.append("\"\(word(needle[...]))\" *")
            } else {
                for index in 0..<needle.count - 1 { terms.append("\"\(word(needle[index...index + 1]))\"") }
            }
        }
        return terms.isEmpty ? nil : Array(Set(terms)).sorted().joined(separator: " AND ")
    }

    private static func word(_ scalars: ArraySlice<UInt32>) -> String {
        var bytes: [UInt8] = []
        for scalar in scalars { append(scalar, to: &bytes) }
        return String(decoding: bytes, as: UTF8.self)
    }

    @inline(__always)
    private static func append(_ scalar: UInt32, to output: inout [UInt8]) {
        switch scalar {
        case 0x30...0x39, 0x61...0x7A: output.append(UInt8(truncatingIfNeeded: scalar))
        case 0..<0x80: appendLong(scalar + privateUse, to: &output)
        default: appendLong(scalar, to: &output)
        }
    }

    private static func appendLong(_ scalar: UInt32, to output: inout [UInt8]) {
        if scalar < 0x800 {
            output.append(UInt8(0xC0 | scalar >> 6))
        } else if scalar < 0x10000 {
            output.append(UInt8(0xE0 | scalar >> 12))
            output.append(UInt8(0x80 | scalar >> 6 & 63))
        } else {
            output.append(UInt8(0xF0 | scalar >> 18 & 7))
            output.append(UInt8(0x80 | scalar >> 12 & 63))
            output.append(UInt8(0x80 | scalar >> 6 & 63))
        }
        output.append(UInt8(0x80 | scalar & 63))
    }
}
