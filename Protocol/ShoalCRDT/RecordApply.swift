/// The one apply function: the server's fold, the client's overlay and the simulator's.
///
/// Of an operation-based CRDT (Shapiro et al. 2011): a new dot is always live, a superseded one is dead for good, and
/// nobody can supersede what they have not seen, so the live entries do not depend on the order of arrival.
extension Record {
    /// Applies operation `index` of `batch` to this record.
    ///
    /// - Parameters:
    ///   - dot: the operation's place.
    ///   - time: the operation's time, lowered by the server where it lay ahead.
    ///   - sequence: the server sequence that a change gets; 0 on a client.
    ///   - clock: the server's own time. What an edited cell already has from ahead of it was stamped while a clock was
    ///     wrong, and is lowered to just before this operation: otherwise it would be shown for good. Clients lower
    ///     nothing.
    ///   - dropsText: whether what a change of a text deletes is dropped at once; who applies many calls
    ///     `dropDeletedTexts` after the last.
    ///   - isPassedOver: whether what it wrote has come already, by a relay, and may have been replaced since. Then only what it
    ///     replaces and covers goes: a dot that somebody superseded is dead for good, whatever else is known.
    ///   - isKnown: whether an operation has arrived at all. A superseded or covered dot that is neither live nor known
    ///     is kept as dead or covered in advance.
    /// - Returns: whether anything changed. Applying an operation again at once changes nothing; once it was superseded
    ///   it would come back, so whoever applies must know which operations have arrived.
    @discardableResult
    public mutating func apply(
        _ index: Int, of batch: borrowing Operations, dot: Dot, time: Int64, sequence: Int64 = 0,
        clock: Int64 = .max, dropsText: Bool = true, isPassedOver: Bool = false,
        isKnown: (Dot) -> Bool = { _ in true }
    ) -> Bool {
        let operation = batch.operations[index]
        let isCovered = !isPassedOver && takeCoveredAhead(dot, sequence: sequence)
        var changed = isCovered
        if let envelope = operation.creates, !isPassedOver {
            if !isMade { self.envelope = envelope }
            let entry = Entry(
                key: CellKey(.created), kind: .present, isCovered: isCovered, dot: dot, time: time, sequence: sequence)
            changed = insert(entry) || changed
        }
        for position in operation.edits {
            let edit = batch.edits[position]
            let cell = range(of: edit.key, in: batch.arena)
            changed =
                apply(
                    edit, of: batch, to: cell, dot: dot, time: time, sequence: sequence, isCovered: isCovered,
                    isPassedOver: isPassedOver, isKnown) || changed
            if isPassedOver { continue }
            if dropsText, edit.kind == .textChange {
                changed = dropDeletedText(in: range(of: edit.key, in: batch.arena), sequence: sequence) || changed
            }
            if clock < .max, !cell.isEmpty {
                lower(edit.key, batch.arena, by: dot, time: time, sequence: sequence, clock: clock)
            }
        }
        if !operation.covers.isEmpty {
            changed = cover(batch.dots[operation.covers], by: dot, sequence: sequence, isKnown) || changed
        }
        return changed
    }

    /// Lowers what lies ahead of the server's clock in a cell that an operation has touched.
    private mutating func lower(
        _ key: CellKey, _ keyArena: borrowing [UInt8], by dot: Dot, time: Int64, sequence: Int64, clock: Int64
    ) {
        let cell = range(of: key, in: keyArena)
        if cell.count < 2 { return }
        for index in cell
        where entries[index].time > clock && entries[index].dot != dot && !entries[index].kind.isMarker {
            entries[index].time = min(entries[index].time, time &- 1)
            entries[index].sequence = sequence
        }
    }

    private mutating func apply(
        _ edit: Operations.Edit, of batch: borrowing Operations, to cell: Range<Int>, dot: Dot, time: Int64,
        sequence: Int64, isCovered: Bool, isPassedOver: Bool, _ isKnown: (Dot) -> Bool
    ) -> Bool {
        if isPassedOver, edit.supersedes.isEmpty { return false }
        var key = edit.key
        // The usual cell: nothing there, or one entry that is superseded.
        if cell.isEmpty, edit.supersedes.isEmpty, edit.kind != .count {
            entries.insert(entry(for: edit, of: batch, dot, time, sequence, isCovered), at: cell.lowerBound)
            return true
        }
        if key.elementKind == .text {
            key =
                cell.isEmpty
                ? CellKey(key.field, text: store(batch.arena[key.elementSlice.range])) : entries[cell.lowerBound].key
        }
        var end = cell.upperBound
        var changed = false
        for seen in relevant(batch.dots[edit.supersedes], to: cell, isKnown) where seen != dot {
            if let index = place(of: seen, in: cell.lowerBound..<end) {
                // A part of a counter only grows, so that it does not matter which of its additions was seen; so does a text.
                if entries[index].kind == .deadAhead || entries[index].kind.isLasting { continue }
                entries.remove(at: index)
                end -= 1
                changed = true
                // It came by a relay, and its log may still bring it.
                if !isKnown(seen) {
                    insert(Entry(key: key, kind: .deadAhead, dot: seen, time: 0, sequence: sequence))
                    end += 1
                }
            } else if !isKnown(seen), insert(Entry(key: key, kind: .deadAhead, dot: seen, time: 0, sequence: sequence))
            {
                end += 1
                changed = true
            }
        }
        if isPassedOver {
            if changed { noteLoss(of: key, sequence: sequence) }
            return changed
        }
        var isHere = false
        if let index = place(of: dot, in: cell.lowerBound..<end) {
            // Either it is here already, or it was superseded before it came.
            isHere = entries[index].kind != .deadAhead || edit.kind != .textChange
            if entries[index].kind == .deadAhead {
                entries.remove(at: index)
                end -= 1
                changed = true
            }
        }
        if edit.kind == .count, add(edit, key: key, cell.lowerBound..<end, dot, time, sequence, isCovered) {
            return true
        }
        if isHere || edit.kind == .count {
            if changed { noteLoss(of: key, sequence: sequence) }
            return changed
        }
        insert(entry(for: edit, of: batch, dot, time, sequence, isCovered, key: key))
        return true
    }

    /// The dots that can change a cell, each once: those that it has and those that are not known yet. What names many
    /// others must not cost a search each.
    private func relevant(_ dots: ArraySlice<Dot>, to cell: Range<Int>, _ isKnown: (Dot) -> Bool) -> ArraySlice<Dot> {
        if dots.count <= 8 { return dots }
        let here = Set(entries[cell].lazy.map(\.dot))
        var taken: Set<Dot> = []
        return dots.filter { (here.contains($0) || !isKnown($0)) && taken.insert($0).inserted }[...]
    }

    /// Where a cell has an entry of a dot, or the note that it is dead in advance.
    private func place(of dot: Dot, in cell: Range<Int>) -> Int? {
        cell.first { entries[$0].dot == dot && (!entries[$0].kind.isMarker || entries[$0].kind == .deadAhead) }
    }

    private mutating func entry(
        for edit: Operations.Edit, of batch: borrowing Operations, _ dot: Dot, _ time: Int64, _ sequence: Int64,
        _ isCovered: Bool, key: CellKey? = nil
    ) -> Entry {
        let key =
            key
            ?? (edit.key.elementKind == .text
                ? CellKey(edit.key.field, text: store(batch.arena[edit.key.elementSlice.range])) : edit.key)
        var entry = Entry(
            key: key, kind: edit.kind, isCovered: isCovered, dot: dot, time: time, sequence: sequence,
            integer: edit.integer)
        if edit.kind.isSlice { entry.slice = store(batch.arena[edit.slice.range]) }
        return entry
    }

    /// Adds to this replica's part of a counter; an addition that is not newer than the part is known already.
    private mutating func add(
        _ edit: Operations.Edit, key: CellKey, _ cell: Range<Int>, _ dot: Dot, _ time: Int64, _ sequence: Int64,
        _ isCovered: Bool
    ) -> Bool {
        var entry = Entry(
            key: key, kind: .count, isCovered: isCovered, dot: dot, time: time, sequence: sequence,
            integer: edit.integer)
        if let index = cell.first(where: { entries[$0].kind == .count && entries[$0].dot.replica == dot.replica }) {
            guard entries[index].dot.number < dot.number else { return false }
            entry.payload = entries[index].integer &+ edit.integer
            entries.remove(at: index)
        }
        insert(entry)
        return true
    }

    /// Flags the entries of these dots as seen by a deletion, in one pass over the record.
    private mutating func cover(
        _ seen: ArraySlice<Dot>, by dot: Dot, sequence: Int64, _ isKnown: (Dot) -> Bool
    ) -> Bool {
        var missing = Set(seen)
        let wanted = missing
        var changed = false
        for index in entries.indices where !entries[index].kind.isMarker && wanted.contains(entries[index].dot) {
            missing.remove(entries[index].dot)
            if !entries[index].isCovered {
                entries[index].isCovered = true
                entries[index].sequence = sequence
                changed = true
            }
        }
        for ahead in missing where ahead != dot && !isKnown(ahead) {
            let marker = Entry(key: CellKey(.created), kind: .coveredAhead, dot: ahead, time: 0, sequence: sequence)
            changed = insert(marker) || changed
        }
        return changed
    }

    /// Whether a deletion that came before this dot has seen it; forgets that it did.
    private mutating func takeCoveredAhead(_ dot: Dot, sequence: Int64) -> Bool {
        var index = 0
        while index < entries.count, entries[index].key.field == .created {
            if entries[index].kind == .coveredAhead, entries[index].dot == dot {
                entries.remove(at: index)
                noteLoss(of: CellKey(.created), sequence: sequence)
                return true
            }
            index += 1
        }
        return false
    }

    /// Inserts an entry at its place; returns false if the cell has that dot in that role already.
    @discardableResult
    private mutating func insert(_ entry: Entry) -> Bool {
        let cell = range(of: entry.key)
        if !entry.kind.isMarker, let emptied = cell.first(where: { entries[$0].kind == .emptied }) {
            entries.remove(at: emptied)
            return insert(entry)
        }
        var index = cell.lowerBound
        while index < cell.upperBound, (entries[index].dot, entries[index].kind.order) < (entry.dot, entry.kind.order) {
            index += 1
        }
        if index < cell.upperBound, entries[index].dot == entry.dot, entries[index].kind.order == entry.kind.order {
            return false
        }
        entries.insert(entry, at: index)
        return true
    }

    /// A cell that lost an entry or a marker without gaining one still changed: a sequence in it must say so.
    mutating func noteLoss(of key: CellKey, sequence: Int64) {
        let cell = range(of: key)
        if cell.isEmpty {
            entries.insert(
                Entry(key: key, kind: .emptied, dot: Dot(rawValue: 0), time: 0, sequence: sequence), at: cell.lowerBound
            )
        } else {
            entries[cell.lowerBound].sequence = sequence
        }
    }
}

extension ValueKind {
    /// Markers of one dot stand after its value.
    var order: UInt8 { isMarker ? rawValue : 0 }
}
