import Foundation

/// Forms of text under which people take different spellings for the same.
public enum Folding {
    /// For names of tags, groups and accounts: NFKC, case folded, all White_Space removed. Compared as bytes.
    public static func fold(_ text: String) -> String {
        var mapped = String.UnicodeScalarView()
        for scalar in text.precomposedStringWithCompatibilityMapping.unicodeScalars {
            if scalar.properties.isWhitespace { continue }
            // Upper and then lower case is the full case folding but for the dotless i, which folds to itself.
            if scalar == "\u{131}" {
                mapped.append(scalar)
                continue
            }
            for upper in scalar.properties.uppercaseMapping.unicodeScalars {
                mapped.append(contentsOf: upper.properties.lowercaseMapping.unicodeScalars)
            }
        }
        let folded = String(mapped).precomposedStringWithCompatibilityMapping
        return String(String.UnicodeScalarView(folded.unicodeScalars.filter { !$0.properties.isWhitespace }))
    }
}
