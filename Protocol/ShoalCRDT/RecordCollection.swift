/// Collection: what of a record exists only to be told to replicas that are behind, and goes in two steps.
///
/// First the server empties: an absence, or all of a deleted record, becomes the mark that the cell is empty, a change
/// like any other, so that every replica drops it when it pulls. Then, once all have pulled that change, the mark goes
/// without a word. A replica's row is thus at every cursor what the server's was: nothing has to be left out of a
/// comparison, and nothing that one side keeps can make the record present there alone.
extension Record {
    /// Whether nothing is left but marks of emptied cells.
    public var isEmptied: Bool { entries.allSatisfy { $0.kind == .emptied } }

    /// Forgets which cells were emptied by changes up to `limit`.
    ///
    /// - Returns: how many cells it forgot.
    @discardableResult
    public mutating func forgetEmptied(upTo limit: Int64 = .max) -> Int {
        let before = entries.count
        entries.removeAll { $0.kind == .emptied && $0.sequence <= limit }
        return before - entries.count
    }

    /// Empties the cells of their absences that changed last at `limit` or before.
    ///
    /// An absence that no deletion has seen keeps its record present. So the newest entry that is not covered stays,
    /// whatever it is: the record is as present as before, and a deletion by somebody who never saw the absence has not
    /// seen what stays either, so it does not win over the removal.
    ///
    /// - Returns: how many absences went.
    public mutating func collectAbsences(upTo limit: Int64, sequence: Int64) -> Int {
        guard entries.contains(where: { $0.kind == .absent && $0.sequence <= limit }) else { return 0 }
        let kept = newestUncovered
        var emptied: [Entry] = []
        var collected = 0
        forEachCell { cell in
            var rest: [Entry] = []
            for index in cell {
                let entry = entries[index]
                let goes = entry.kind == .absent && entry.sequence <= limit && index != kept
                if goes { collected += 1 } else { rest.append(entry) }
            }
            if rest.isEmpty {
                rest = [Self.emptied(entries[cell.lowerBound].key, sequence: sequence)]
            } else if rest.count < cell.count {
                rest[0].sequence = sequence
            }
            emptied += rest
        }
        if collected > 0 { entries = emptied }
        return collected
    }

    /// Empties every cell: how a deleted record is collected.
    public mutating func empty(sequence: Int64) {
        var emptied: [Entry] = []
        forEachCell { cell in emptied.append(Self.emptied(entries[cell.lowerBound].key, sequence: sequence)) }
        entries = emptied
    }

    private static func emptied(_ key: CellKey, sequence: Int64) -> Entry {
        Entry(key: key, kind: .emptied, dot: Dot(rawValue: 0), time: 0, sequence: sequence)
    }

    /// Of the entries that no deletion has seen the one that changed last; of several a value rather than an absence.
    private var newestUncovered: Int? {
        var best: Int?
        for index in entries.indices where !entries[index].isCovered && !entries[index].kind.isMarker {
            guard let other = best else {
                best = index
                continue
            }
            let (a, b) = (entries[index], entries[other])
            if (a.sequence, a.kind == .absent ? 0 : 1) >= (b.sequence, b.kind == .absent ? 0 : 1) { best = index }
        }
        return best
    }
}
