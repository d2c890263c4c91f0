import ShoalCRDT
import ShoalProtocol
import ShoalStore

import class ShoalStore.Statement
import struct ShoalCRDT.Record

/// Gathers records and cells of an account's view until the budget is used up.
struct PageReader {
    private(set) var page = RecordPage()
    private var left: Set<RecordID> = []
    private var entered: Set<RecordID> = []
    /// Rows that could not be read and were passed over: once mended they get a new sequence and come then.
    private(set) var damaged: [RecordID] = []
    /// Whether it begins to tell everything, to an account that became a supervisor.
    private(set) var beginsEverything = false
    private let own: ServerSession.Holdings
    private let budget: Int
    /// Records that this page has whole and could meet again: pairs, and, where it tells moves, all of what entered.
    private var whole: Set<RecordID> = []
    /// Heads of such records that nobody has asked for yet, which a move of many customers never does.
    private var wholeHeads: [Range<Int>] = []
    private var tellsMoves = false

    init(own: ServerSession.Holdings, budget: Int) {
        self.own = own
        self.budget = budget
    }

    private var isFull: Bool {
        page.weight + 8 * (left.count + entered.count) >= budget || left.count >= Limits.moves
            || entered.count >= Limits.moves
    }

    /// What left and what entered again, each scope once, by what became of it last.
    var moves: ScopeMoves { ScopeMoves(left: left.sorted(), entered: entered.sorted()) }

    private mutating func leave(_ scope: Int64) { left.insert(RecordID(rawValue: scope)) }

    /// - Parameter isAgain: whether the replica may hold an earlier state of it.
    private mutating func enter(_ scope: Int64, isAgain: Bool) {
        let scope = RecordID(rawValue: scope)
        // A page takes effect at once: one that left in it and came back is here from before.
        if left.remove(scope) != nil || isAgain { entered.insert(scope) }
    }

    // MARK: Fill

    /// Whole present records, and deleted customers: what belongs to one may be present, or be on its way.
    mutating func fill(_ cursor: inout Cursor, _ view: AccountView) throws {
        guard let place = cursor.fill else { return }
        guard let scope = place.scope else {
            let last = try everything(view, after: place.record)
            cursor.fill = last.map { Cursor.Place(scope: nil, record: $0) }
            return
        }
        var under: Int64? = scope
        var after = place.record
        while let scope = under {
            // It may have been lost since the page before.
            let isSeen = try scope != place.scope || view.sees(scope)
            if isSeen, let last = try self.scope(scope, view, after: after) {
                cursor.fill = Cursor.Place(scope: scope, record: last)
                return
            }
            if isFull {
                cursor.fill = Cursor.Place(scope: scope, record: Cursor.Place.done)
                return
            }
            under = try view.scope(after: scope)
            after = 0
        }
        cursor.fill = nil
    }

    /// All records after `id`.
    ///
    /// - Returns: the last record that was looked at, or nil when there are no more.
    private mutating func everything(_ view: AccountView, after id: Int64) throws -> Int64? {
        let statement = try view.statement(.rowsAfter)
        try statement.bind(1, id)
        defer { statement.reset() }
        var last = id
        while try statement.step() {
            if isFull, last > id { return last }
            last = statement.integer(0)
            if let record = try record(statement) { appendWhole(record) }
        }
        return nil
    }

    /// The records of a scope after `id`: that of the customer first.
    ///
    /// - Returns: the last record that was looked at if the page is full, or nil when there are no more.
    private mutating func scope(_ scope: Int64, _ view: AccountView, after id: Int64) throws -> Int64? {
        if id == Cursor.Place.done { return nil }
        if id == 0, scope != 0, scope != view.account.rawValue { try appendWhole(scope, view) }
        let members = try view.members(of: scope, after: id)
        defer { members.reset() }
        var last = id
        while try members.step() {
            if isFull, last > id { return last }
            last = members.integer(0)
            if let record = try record(members) { try appendSeen(record, of: scope, view) }
        }
        return nil
    }

    private mutating func appendWhole(_ id: Int64, _ view: AccountView) throws {
        let row = try view.statement(.row)
        try row.bind(1, id)
        defer { row.reset() }
        guard try row.step() else { return }
        let record = try record(RecordID(rawValue: id), sequence: row.integer(0), row.bytes(1))
        // An account has a scope too, but its own record is the workspace's.
        if let record, record.isCustomer { appendWhole(record) }
    }

    /// A pair is in two scopes. A fill, which names each record once, tells it with the greater.
    private mutating func appendSeen(_ record: Record, of scope: Int64, _ view: AccountView) throws {
        if record.isPair {
            let wasTold =
                tellsMoves ? whole.contains(record.id) : record.envelope.scope.identifiers.last?.rawValue != scope
            if try wasTold || !view.sees(record.envelope) { return }
        }
        appendWhole(record)
    }

    private mutating func appendWhole(_ record: Record) {
        guard record.isPresent || record.isCustomer else { return }
        append(record, newerThan: 0)
    }

    // MARK: Changes

    /// The changes and moves after the cursor's sequence, in their order; of each record the cells that are newer than the
    /// cursor's floor, of what entered the view everything.
    mutating func changes(_ cursor: inout Cursor, _ view: AccountView, upTo newest: Int64) throws {
        tellsMoves = true
        if let place = cursor.move {
            cursor.move = nil
            // A move that another one has followed comes with that.
            if let move = try view.move(at: cursor.sequence),
                let place = try tell(move, view, from: place)
            {
                cursor.move = place
                return
            }
        }
        let start = cursor.sequence
        let feed = try view.feed(after: start)
        defer { feed.reset() }
        var hasChange = try feed.step()
        let moves = try view.moves(after: start)
        defer { moves.reset() }
        var move = try AccountView.Move(next: moves)
        while hasChange || move != nil {
            // An account's change of role has the sequence of its record: neither is told without the other.
            if isFull, cursor.sequence > start, move?.sequence != cursor.sequence { return }
            if let next = move, !hasChange || next.sequence < feed.integer(1) {
                cursor.sequence = next.sequence
                cursor.move = try tell(next, view, from: nil)
                if cursor.move != nil { return }
                move = try AccountView.Move(next: moves)
            } else {
                cursor.sequence = feed.integer(1)
                if !isWhole(RecordID(rawValue: feed.integer(0))), let record = try record(feed),
                    try wasSeen(record, view, before: cursor.sequence)
                {
                    append(record, newerThan: cursor.floor)
                }
                hasChange = try feed.step()
            }
        }
        cursor.sequence = newest
    }

    /// The feed knows only one scope of a pair. If the other one is seen since the change, that move tells the pair, whole.
    private func wasSeen(_ record: Record, _ view: AccountView, before sequence: Int64) throws -> Bool {
        try !record.isPair
            || record.envelope.scope.identifiers.allSatisfy { try view.saw($0.rawValue, before: sequence) }
    }

    /// Tells one move, from where an earlier page ended.
    ///
    /// - Returns: how far it is told, or nil if it is.
    private mutating func tell(
        _ move: AccountView.Move, _ view: AccountView, from place: Cursor.Place?
    ) throws -> Cursor.Place? {
        if move.scope == 0 { return try tellAll(move, view, from: place) }
        if !move.isIn {
            leave(move.scope)
            return nil
        }
        if place == nil { enter(move.scope, isAgain: move.isAgain) }
        let last = try scope(move.scope, view, after: place?.record ?? 0)
        return last.map { Cursor.Place(scope: move.scope, record: $0) }
    }

    /// The account became a supervisor, or no longer is one: every scope moves of a customer that it does not follow.
    private mutating func tellAll(
        _ move: AccountView.Move, _ view: AccountView, from place: Cursor.Place?
    ) throws -> Cursor.Place? {
        // Another move has followed, which speaks of the same.
        if move.isIn != view.isEverything { return nil }
        if move.isIn, place == nil { beginsEverything = true }
        var place = place ?? Cursor.Place(scope: 0, record: Cursor.Place.done)
        while true {
            let scope = place.scope ?? 0
            if move.isIn, place.record != Cursor.Place.done {
                if let last = try self.scope(scope, view, after: place.record) {
                    return Cursor.Place(scope: scope, record: last)
                }
                place.record = Cursor.Place.done
            }
            if isFull { return place }
            guard let next = try view.otherScope(after: scope, since: move.isIn ? move.sequence : nil) else {
                return nil
            }
            if move.isIn {
                // The replica may still hold what it left, because unsent work speaks of it.
                enter(next, isAgain: true)
                place = Cursor.Place(scope: next, record: 0)
            } else {
                leave(next)
                place = Cursor.Place(scope: next, record: Cursor.Place.done)
            }
        }
    }

    // MARK: Records

    private mutating func record(_ statement: Statement) throws -> Record? {
        try record(RecordID(rawValue: statement.integer(0)), sequence: statement.integer(1), statement.bytes(2))
    }

    private mutating func record(
        _ id: RecordID, sequence: Int64, _ packed: UnsafeRawBufferPointer
    ) throws -> Record? {
        do throws(StoreError) { return try RecordTable.record(id, sequence: sequence, packed: packed) } catch {
            guard case .damagedRecord = error else { throw error }
            damaged.append(id)
            return nil
        }
    }

    private mutating func append(_ record: Record, newerThan sequence: Int64) {
        // Edits that came before what makes the record: it follows whole when that comes.
        guard record.isMade, sequence > 0 || !record.isEmptied else { return }
        let place = page.heads.count
        page.append(record, newerThan: sequence, own)
        if sequence > 0 { return }
        if record.isPair {
            whole.insert(record.id)
        } else if tellsMoves {
            noteWhole(place..<page.heads.count)
        }
    }

    private mutating func noteWhole(_ heads: Range<Int>) {
        if let last = wholeHeads.last, last.upperBound == heads.lowerBound {
            wholeHeads[wholeHeads.count - 1] = last.lowerBound..<heads.upperBound
        } else {
            wholeHeads.append(heads)
        }
    }

    private mutating func isWhole(_ id: RecordID) -> Bool {
        for heads in wholeHeads {
            for head in page.heads[heads] { whole.insert(head.id) }
        }
        wholeHeads.removeAll()
        return whole.contains(id)
    }
}

extension RecordPage {
    /// Appends the cells of a record of which something is newer than `sequence`, without the values that are the receiver's.
    fileprivate mutating func append(
        _ record: borrowing Record, newerThan sequence: Int64, _ own: ServerSession.Holdings
    ) {
        begin(record.id, record.envelope)
        if record.isOpen { noteOpen() }
        var start = 0
        while start < record.entries.count {
            let cell = start..<record.endOfCell(from: start)
            start = cell.upperBound
            var isNewer = false
            var hasValue = false
            // A cell of which nothing at all is named would be emptied.
            var leavesOut = false
            for place in cell {
                if record.entries[place].sequence > sequence { isNewer = true }
                if record.entries[place].kind.isMarker { continue }
                hasValue = true
                if !own.keeps(record.entries[place], since: sequence) { leavesOut = true }
            }
            guard isNewer else { continue }
            guard hasValue else {
                // Who begins has nothing that could be emptied.
                if sequence > 0 {
                    let key = record.entries[cell.lowerBound].key
                    append(
                        Entry(key: key, kind: .emptied, dot: Dot(rawValue: 0), time: 0, sequence: 0), from: record.arena
                    )
                }
                continue
            }
            for place in cell where !record.entries[place].kind.isMarker {
                if leavesOut, own.keeps(record.entries[place], since: sequence) { continue }
                var copy = record.entries[place]
                // Sequences are the server's; they do not travel.
                copy.sequence = 0
                append(copy, from: record.arena, isOwn: own.has(copy))
            }
        }
    }
}

extension ServerSession.Holdings {
    /// Whether the replica has this change of a text and keeps it.
    fileprivate func keeps(_ entry: Entry, since sequence: Int64) -> Bool {
        keepsChanges && entry.kind == .textChange && entry.sequence <= sequence
    }

    /// Only what has a value of its own is worth leaving out; a count is a sum, which the replica's operation is not.
    fileprivate func has(_ entry: Entry) -> Bool {
        (entry.kind.isSlice || entry.kind == .integer) && contains(entry.dot)
    }
}

extension Record {
    /// Whether other records can belong to it.
    fileprivate var isCustomer: Bool { envelope.scope == .customer(id) }

    /// Whether it links two customers.
    fileprivate var isPair: Bool {
        if case .pair = envelope.scope { true } else { false }
    }
}
