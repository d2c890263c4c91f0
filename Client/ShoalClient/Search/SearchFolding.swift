import Foundation
import ShoalProtocol

extension Folding {
    /// For search: NFKC in lower case, as scalars; any White_Space is one space.
    public static func search(_ text: String) -> [UInt32] {
        var result: [UInt32] = []
        result.reserveCapacity(text.utf8.count / 2)
        for scalar in text.unicodeScalars {
            guard let simple = simpleFold(scalar.value) else { return slowSearch(text) }
            result.append(simple)
        }
        return result
    }

    /// The folded form of a scalar that is folded alone whatever stands beside it; nil for others.
    private static func simpleFold(_ value: UInt32) -> UInt32? {
        switch value {
        case 0x41...0x5A: value + 32
        case 0x09...0x0D, 0x3000: 0x20
        case 0..<0x80: value
        case 0x4E00...0x9FFF, 0x3001...0x3003, 0x3008...0x3011, 0x3041...0x3096, 0x30A1...0x30FA: value
        case 0x2018...0x201D: value
        case 0xFF01...0xFF5E: simpleFold(value - 0xFEE0)
        default: nil
        }
    }

    private static func slowSearch(_ text: String) -> [UInt32] {
        let folded = text.precomposedStringWithCompatibilityMapping.lowercased()
            .precomposedStringWithCompatibilityMapping
        return folded.unicodeScalars.map { $0.properties.isWhitespace ? 0x20 : $0.value }
    }
}

extension [UInt32] {
    /// Where `needle` first occurs; nil when it does not. An empty needle occurs at 0.
    func firstOccurrence(of needle: [UInt32]) -> Int? {
        guard let first = needle.first else { return 0 }
        guard count >= needle.count else { return nil }
        var start = 0
        while start <= count - needle.count {
            if self[start] == first {
                var index = 1
                while index < needle.count, self[start + index] == needle[index] { index += 1 }
                if index == needle.count { return start }
            }
            start += 1
        }
        return nil
    }
}
