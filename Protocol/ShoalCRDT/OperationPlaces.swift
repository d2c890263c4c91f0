/// A run of operations that once stood at other places than now: what was written in an earlier epoch of the server may
/// still name those.
public struct FormerPlace: Hashable, Sendable {
    /// The first place of the run then.
    public var was: Dot
    /// The same operation's place now.
    public var now: Dot
    public var count: UInt32
    /// Whether an earlier epoch acknowledged them there; otherwise it may have had others there.
    public var isProven: Bool

    public init(was: Dot, now: Dot, count: UInt32, isProven: Bool) {
        self.was = was
        self.now = now
        self.count = count
        self.isProven = isProven
    }

    /// Where the operation stands now that once stood at a place.
    public func now(of dot: Dot) -> Dot? { Self.moved(dot, from: was, to: now, count) }

    /// Where the operation once stood that stands at a place now.
    public func was(of dot: Dot) -> Dot? { Self.moved(dot, from: now, to: was, count) }

    private static func moved(_ dot: Dot, from: Dot, to: Dot, _ count: UInt32) -> Dot? {
        guard dot.replica == from.replica, dot.number >= from.number, dot.number - from.number < count else {
            return nil
        }
        let (number, isTooLarge) = to.number.addingReportingOverflow(dot.number - from.number)
        return isTooLarge ? nil : Dot(to.replica, number)
    }
}

extension Operations {
    /// Operation `index` alone, naming beside every dot the places where that operation may stand now.
    public func naming(at index: Int, places: (Dot) -> [Dot]) -> Operations {
        let source = operations[index]
        var result = Operations()
        result.begin(
            record: source.record, time: source.time, creates: source.creates, salt: source.salt,
            continuesCommand: source.continuesCommand, keptHash: source.keptHash)
        for edit in edits[source.edits] {
            var key = edit.key
            if key.elementKind == .text { key = CellKey(key.field, text: result.store(arena[key.elementSlice.range])) }
            let seen = dots[edit.supersedes].flatMap { [$0] + places($0) }
            if edit.kind.isSlice {
                result.edit(key, edit.kind, slice: result.store(arena[edit.slice.range]), supersedes: seen)
            } else {
                result.edit(key, edit.kind, integer: edit.integer, supersedes: seen)
            }
        }
        if !source.covers.isEmpty { result.cover(dots[source.covers].flatMap { [$0] + places($0) }) }
        return result
    }
}

extension Record {
    /// Lets what was said in advance of a place hold for an operation that once stood there: its values are dead where
    /// that is marked dead, and covered where it is marked covered. The marks stay, for others that may have stood there.
    ///
    /// - Returns: whether anything changed.
    public mutating func takeAhead(of former: Dot, for dot: Dot, sequence: Int64) -> Bool {
        var isChanged = false
        var isCovered = false
        var dead: [CellKey] = []
        for entry in entries where entry.dot == former {
            if entry.kind == .deadAhead { dead.append(entry.key) }
            if entry.kind == .coveredAhead { isCovered = true }
        }
        for key in dead {
            let cell = range(of: key)
            guard let index = cell.first(where: { entries[$0].dot == dot && !entries[$0].kind.isMarker }),
                entries[index].kind != .count
            else { continue }
            entries.remove(at: index)
            noteLoss(of: key, sequence: sequence)
            isChanged = true
        }
        guard isCovered else { return isChanged }
        for index in entries.indices
        where entries[index].dot == dot && !entries[index].kind.isMarker && !entries[index].isCovered {
            entries[index].isCovered = true
            entries[index].sequence = sequence
            isChanged = true
        }
        return isChanged
    }

    /// Whether the entries of a place are those that operation `index` of `batch` leaves, as far as they are there: the same
    /// cells and values.
    public func holds(_ index: Int, of batch: borrowing Operations, at place: Dot) -> Bool {
        var isThere = false
        for entry in entries where entry.dot == place && !entry.kind.isMarker {
            guard isLeft(entry, by: index, of: batch) else { return false }
            isThere = true
        }
        return isThere
    }

    /// Whether an entry is what operation `index` of `batch` leaves in its cell.
    private func isLeft(_ entry: Entry, by index: Int, of batch: borrowing Operations) -> Bool {
        let operation = batch.operations[index]
        if entry.key.field == .created { return operation.creates != nil }
        for position in operation.edits {
            let edit = batch.edits[position]
            guard entry.kind == edit.kind, entry.key.compare(edit.key, arena, batch.arena) == 0 else { continue }
            // What others deleted of a change is dropped from its text.
            if entry.kind == .textChange, isSameChange(entry, batch.arena[edit.slice.range]) { return true }
            // A counter's part is a sum.
            if entry.kind == .count { return true }
            return entry.kind.isSlice
                ? compareBytes(arena, entry.slice, batch.arena, edit.slice) == 0 : entry.integer == edit.integer
        }
        return false
    }
}
