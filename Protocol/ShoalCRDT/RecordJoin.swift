/// Joining a record with what another replica held of it: how a server that lost operations gets back what their authors
/// will not push again (SPEC.md §3.6).
///
/// A replica's row is the fold of every operation on the record up to its version vector. So the join of two rows is the
/// fold of both sets of operations, as with any state-based CRDT under a causal context (Almeida et al. 2018): an entry
/// that both know is live if it is live in both, and one that only one of them knows is live.
///
/// **What need not be relayed.** Call a record *closed* when no mark in it waits for an operation, *open* otherwise. If a replica's row has
/// the entries (cell, dot, covered) of the server's, and the server's record is closed, then joining it changes nothing
/// now or later, and it may be left out. Take an operation *x* that the row knows. Is it live there, the server has it.
/// If it is dead, a chain of operations each of which superseded the one before leads from it to one that left a live
/// entry, for every edit leaves one. That entry is the server's too, so the server knows the last operation of the chain,
/// and, waiting for nothing, the one before that, and so on down to *x*. A deletion leaves no entry, but flags; those are
/// equal, and it covers nothing more when it comes again. A counter's part stands for all additions before it. So the
/// server knows every operation that the row knows, and what is known already neither adds nor removes.
extension Record {
    /// Joins what another replica holds of this record.
    ///
    /// - Parameters:
    ///   - relayed: its row. Marks in it say nothing and are passed over.
    ///   - vector: up to where that row is the fold of all logs; empty for a row that is not whole, which adds and never
    ///     removes.
    ///   - spared: places of which it is not sure that the vector means what stands there: they do not die by it.
    ///   - sequence: the server sequence that a change gets.
    ///   - isKnown: whether an operation on this record is in effect here: taken from its log, or within the vector of
    ///     an earlier relay of this record. An operation within `vector` counts as known from now on, and must be
    ///     passed over for this record when its log brings it.
    /// - Returns: whether anything changed. The same again changes nothing.
    @discardableResult
    public mutating func join(
        _ relayed: Record, vector: VersionVector, sparing spared: Set<Dot> = [], sequence: Int64,
        isKnown: (Dot) -> Bool
    ) -> Bool {
        var join = Join(
            sequence: sequence, vector: vector, spared: spared,
            mine: Set(entries.lazy.filter { !$0.kind.isMarker }.map(\.dot)),
            its: Set(relayed.entries.lazy.filter { !$0.kind.isMarker }.map(\.dot)),
            coveredAhead: Set(entries.lazy.filter { $0.kind == .coveredAhead }.map(\.dot)))
        var joined: [Entry] = []
        joined.reserveCapacity(max(entries.count, relayed.entries.count))
        let own = entries
        var place = 0
        var other = 0
        while place < own.count || other < relayed.entries.count {
            let order = compareCells(at: place, relayed, at: other)
            let end = order <= 0 ? endOfCell(from: place) : place
            let otherEnd = order >= 0 ? relayed.endOfCell(from: other) : other
            join.begin(own[place..<end])
            for index in other..<otherEnd where !relayed.entries[index].kind.isMarker {
                if !join.meets(relayed.entries[index]), join.admits(relayed.entries[index], isKnown) {
                    join.add(adopt(relayed.entries[index], from: relayed.arena))
                }
            }
            joined += join.end(isKnown)
            place = end
            other = otherEnd
        }
        if !isMade, relayed.isMade {
            envelope = relayed.envelope
            // A record of which nothing but the envelope is new has changed all the same.
            if !join.hasChanged, let first = joined.indices.first { joined[first].sequence = sequence }
            join.hasChanged = true
        }
        if join.hasChanged {
            entries = joined
            dropDeletedTexts(sequence: sequence)
        }
        return join.hasChanged
    }

    /// Whether both hold the same entries: cell, dot, and whether a deletion has seen it; §3.6 says what for.
    public func hasSameEntries(as other: Record) -> Bool {
        let own = entries.filter { !$0.kind.isMarker }
        let its = other.entries.filter { !$0.kind.isMarker }
        return own.count == its.count
            && zip(own, its).allSatisfy { mine, its in
                mine.dot == its.dot && mine.isCovered == its.isCovered
                    && mine.key.compare(its.key, arena, other.arena) == 0
            }
    }

    /// Up to where the logs are surely the same of which both rows speak: of an entry that both have, with its value and time, they
    /// mean the same operation, and whoever shares one shares all before it. So they do of one that makes the record, whatever its
    /// time, which each server may have lowered: an identifier is drawn once, but a derived one.
    ///
    /// - Parameter isOwn: whether an entry of this record stands where its log has it.
    public func common(with other: Record, where isOwn: (Dot) -> Bool) -> VersionVector {
        var common = VersionVector()
        for entry in entries
        where !entry.kind.isMarker && common[entry.dot.replica] < entry.dot.number && isOwn(entry.dot) {
            let its = other.entries[other.range(of: entry.key, in: arena)].first { $0.dot == entry.dot }
            let isMaker = entry.key.field == .created && !id.isDerived
            guard let its, isMaker || its.time == entry.time, isSame(entry, as: its, of: other) else { continue }
            common.advance(entry.dot.replica, to: entry.dot.number)
        }
        return common
    }

    /// The places at which another row has other identifiers in the same field than this one: of a record that got another identifier
    /// here, because another had its own. That the other row does not have it under this one says nothing.
    public func placesOfOtherElements(in other: Record) -> Set<Dot> {
        func isElement(_ entry: Entry) -> Bool { !entry.kind.isMarker && entry.key.elementKind == .id }
        func has(_ entry: Entry, _ arena: [UInt8], _ record: Record) -> Bool {
            record.entries.contains {
                $0.dot == entry.dot && isElement($0) && $0.key.compare(entry.key, record.arena, arena) == 0
            }
        }
        let foreign = other.entries.filter { isElement($0) && !has($0, other.arena, self) }
        if foreign.isEmpty { return [] }
        return Set(
            entries.lazy.filter { entry in
                isElement(entry) && foreign.contains { $0.dot == entry.dot && $0.key.field == entry.key.field }
                    && !has(entry, arena, other)
            }.map(\.dot))
    }

    /// Whether this record has at a place what an entry of another row of it says.
    public func has(_ entry: Entry, of other: Record, at dot: Dot) -> Bool {
        entries[range(of: entry.key, in: other.arena)].contains { $0.dot == dot && isSame($0, as: entry, of: other) }
    }

    private func isSame(_ entry: Entry, as its: Entry, of other: Record) -> Bool {
        entry.kind == its.kind
            && (entry.kind.isSlice
                ? compareBytes(arena, entry.slice, other.arena, its.slice) == 0 : entry.integer == its.integer)
    }

    /// Whether a mark in this record waits for an operation.
    public var isOpen: Bool { entries.contains { $0.kind == .deadAhead || $0.kind == .coveredAhead } }

    /// Forgets the marks: what they wait for will not come.
    ///
    /// Marks do not travel, so nobody need be told: a cell that held nothing else was sent as an empty one.
    ///
    /// - Returns: how many there were.
    public mutating func forgetMarks() -> Int {
        guard isOpen else { return 0 }
        var kept: [Entry] = []
        var forgotten = 0
        forEachCell { cell in
            let rest = entries[cell].filter { $0.kind != .deadAhead && $0.kind != .coveredAhead }
            forgotten += cell.count - rest.count
            if rest.isEmpty {
                let last = entries[cell].map(\.sequence).max() ?? 0
                kept.append(
                    Entry(
                        key: entries[cell.lowerBound].key, kind: .emptied, dot: Dot(rawValue: 0), time: 0,
                        sequence: last))
            }
            kept += rest
        }
        entries = kept
        return forgotten
    }

    /// Orders the cells that begin at two places; a record that is at its end comes last.
    private func compareCells(at place: Int, _ other: Record, at otherPlace: Int) -> Int {
        if place == entries.count { return 1 }
        if otherPlace == other.entries.count { return -1 }
        return entries[place].key.compare(other.entries[otherPlace].key, arena, other.arena)
    }
}

/// The join of one cell after the other.
private struct Join {
    let sequence: Int64
    let vector: VersionVector
    let spared: Set<Dot>
    /// The operations that left something in this record and in the other row: whoever has anything of an operation knows all
    /// of it, also beyond a vector.
    let mine: Set<Dot>
    let its: Set<Dot>
    /// The dots that a deletion covered before they came.
    let coveredAhead: Set<Dot>
    var hasChanged = false

    /// This record's entries of the cell, in order, and which of them the other row has too.
    private var own: ArraySlice<Entry> = []
    private var isMet: [Bool] = []
    private var added: [Entry] = []

    init(
        sequence: Int64, vector: VersionVector, spared: Set<Dot>, mine: Set<Dot>, its: Set<Dot>, coveredAhead: Set<Dot>
    ) {
        self.sequence = sequence
        self.vector = vector
        self.spared = spared
        self.mine = mine
        self.its = its
        self.coveredAhead = coveredAhead
    }

    mutating func begin(_ cell: ArraySlice<Entry>) {
        own = cell
        isMet.removeAll(keepingCapacity: true)
        isMet.append(contentsOf: repeatElement(false, count: cell.count))
        added.removeAll(keepingCapacity: true)
    }

    /// Whether the cell has this entry, and if it has, takes over what is known of it: a deletion, the smaller time. Of
    /// a counter the part of that replica with the greater number stays.
    mutating func meets(_ entry: Entry) -> Bool {
        let place = own.firstIndex { mine in
            if mine.kind.isMarker { return false }
            return entry.kind == .count || mine.kind == .count
                ? entry.kind == mine.kind && mine.dot.replica == entry.dot.replica : mine.dot == entry.dot
        }
        guard let place else { return false }
        isMet[place - own.startIndex] = true
        let mine = own[place]
        if mine.dot.number < entry.dot.number {
            replace(place, with: entry)
        } else if mine.dot == entry.dot, mine.time > entry.time || !mine.isCovered && entry.isCovered {
            own[place].time = min(mine.time, entry.time)
            own[place].isCovered = mine.isCovered || entry.isCovered
            own[place].sequence = sequence
            hasChanged = true
        }
        return true
    }

    private mutating func replace(_ place: Int, with part: Entry) {
        let key = own[place].key
        own[place] = part
        own[place].key = key
        own[place].sequence = sequence
        own[place].isCovered = part.isCovered || coveredAhead.contains(part.dot)
        hasChanged = true
    }

    /// Whether an entry that is not here comes in: its operation is not known here and left nothing else, so nobody here has superseded it,
    /// unless somebody did so in advance. A counter's part is never superseded, nor is a change of a text.
    func admits(_ entry: Entry, _ isKnown: (Dot) -> Bool) -> Bool {
        if isKnown(entry.dot) { return false }
        if entry.kind.isLasting { return true }
        return !mine.contains(entry.dot) && !own.contains { $0.kind == .deadAhead && $0.dot == entry.dot }
    }

    mutating func add(_ entry: Entry) {
        var entry = entry
        if let first = own.first { entry.key = first.key }
        entry.sequence = sequence
        entry.isCovered = entry.isCovered || coveredAhead.contains(entry.dot)
        added.append(entry)
        hasChanged = true
    }

    /// The cell joined, in order. One that lost something without gaining anything says so by a sequence in it, the
    /// last resort being the note that it is empty.
    mutating func end(_ isKnown: (Dot) -> Bool) -> [Entry] {
        var cell: [Entry] = []
        var hasLost = false
        for (offset, entry) in own.enumerated() {
            if entry.kind == .emptied, !added.isEmpty { continue }
            guard isGone(entry, isMet: isMet[offset]) else {
                cell.append(entry)
                continue
            }
            hasLost = true
            // Its log may still bring it, and nobody would pass it over.
            if !entry.kind.isMarker, !vector.contains(entry.dot), !isKnown(entry.dot) {
                cell.append(Entry(key: entry.key, kind: .deadAhead, dot: entry.dot, time: 0, sequence: sequence))
            }
        }
        cell += added
        if hasLost { hasChanged = true }
        if hasLost, added.isEmpty {
            if cell.isEmpty, let key = own.first?.key {
                cell.append(Entry(key: key, kind: .emptied, dot: Dot(rawValue: 0), time: 0, sequence: sequence))
            } else {
                cell[0].sequence = sequence
            }
        }
        if !added.isEmpty { cell.sort { ($0.dot, $0.kind.order) < ($1.dot, $1.kind.order) } }
        return cell
    }

    /// Whether an entry of this record goes: the other row knows its operation and has not got it, so it is dead. A mark
    /// whose operation the other row knows waits for nothing any more. What makes the record, counters and texts never
    /// die. Beyond its vector the other row knows the operations that left anything in it.
    private func isGone(_ entry: Entry, isMet: Bool) -> Bool {
        if entry.kind == .emptied || isMet { return false }
        if entry.kind.isMarker { return vector.contains(entry.dot) }
        return (vector.contains(entry.dot) || its.contains(entry.dot)) && !entry.kind.isLasting
            && entry.key.field != .created && !spared.contains(entry.dot)
    }
}
