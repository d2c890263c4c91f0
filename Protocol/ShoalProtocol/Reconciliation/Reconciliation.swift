import ShoalCRDT

/// Range-based set reconciliation (Meyer 2023): what a side says of a range about which the sides disagree.
///
/// A range with few records is listed; any other is divided into parts of equal size, each with its print. The sides take
/// turns at dividing, so that what they differ in is found in a number of messages that grows with the logarithm of the
/// records, and costs messages of a few hundred bytes for each difference.
public enum Reconciliation {
    /// Into how many parts a range is divided at most; at least half as many.
    static let mostParts = 24
    /// A range with at most so many records is listed instead.
    static let mostListed = 16

    /// What a side has in a range: gathered in one pass, in memory that does not follow the number of records.
    struct Division {
        /// All records while they are at most `limit`, else nil.
        private(set) var records: [RecordPrint]? = []
        private(set) var sum = RecordFingerprint()
        private let range: IdentifierRange
        private let limit: Int
        private var parts: [Part] = []
        /// Records in each part but the last.
        private var size = 1

        private struct Part {
            var first: RecordID
            var last: RecordID
            var sum: RecordFingerprint
            var count = 1
        }

        /// - Parameter limit: up to how many records are kept.
        init(_ range: IdentifierRange, _ source: some DigestSource, limit: Int = mostListed) throws {
            self.range = range
            self.limit = limit
            try source.forEachFingerprint(in: range) { add($0, $1) }
        }

        private mutating func add(_ id: RecordID, _ fingerprint: RecordFingerprint) {
            sum.add(fingerprint)
            records?.append(RecordPrint(id: id, print: fingerprint.short))
            if let count = records?.count, count > limit { records = nil }
            if let last = parts.indices.last, parts[last].count < size {
                parts[last].last = id
                parts[last].sum.add(fingerprint)
                parts[last].count += 1
            } else {
                if parts.count == mostParts { merge() }
                parts.append(Part(first: id, last: id, sum: fingerprint))
            }
        }

        /// Makes one part of each two.
        private mutating func merge() {
            for place in 0..<parts.count / 2 {
                var part = parts[2 * place]
                part.last = parts[2 * place + 1].last
                part.sum.add(parts[2 * place + 1].sum)
                part.count += parts[2 * place + 1].count
                parts[place] = part
            }
            parts.removeSubrange((parts.count / 2)...)
            size *= 2
        }

        /// A list of the records if there are few, else the parts.
        var said: [DigestRange] {
            if let records { return [DigestRange(range, .list(records))] }
            var said: [DigestRange] = []
            var lower = range.lower
            for (place, part) in parts.enumerated() {
                let upper =
                    place + 1 < parts.count
                    ? IdentifierRange.separator(part.last, parts[place + 1].first) : range.upper
                said.append(DigestRange(IdentifierRange(lower, upper), .print(part.sum.short)))
                lower = upper
            }
            return said
        }
    }
}
