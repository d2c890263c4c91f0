import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record
import enum ShoalStore.StoreError

extension Replica {
    // MARK: Identifiers

    /// Finds the record whose 13-character id begins or ends with `text`: at least 4 characters, any case, Crockford's
    /// aliases allowed. Only present records count.
    ///
    /// - Parameter kind: finds only records of this kind, and a record of another kind is `wrongKind`.
    public func resolve(_ text: String, kind: Kind? = nil) throws -> RecordID {
        let part = try IdentifierPart(text)
        return try read(needsContact: false) { store in
            let wanted = try store.identifiers(of: kind, in: part.range, mask: part.mask, bits: part.bits)
            if wanted.count > 1 { throw ReplicaError.ambiguousID(text, wanted.map(\.0)) }
            if let first = wanted.first { return first.0 }
            guard let kind else { throw ReplicaError.unknownID(text) }
            let others = try store.identifiers(of: nil, in: part.range, mask: part.mask, bits: part.bits)
            guard let other = others.first, others.count == 1 else { throw ReplicaError.unknownID(text) }
            throw ReplicaError.wrongKind(other.0, is: Schema.name(of: other.1), wanted: Schema.name(of: kind))
        }
    }

    /// The same among records of which something was refused as well: those may not be here, or not any more.
    public func resolveConflict(_ text: String) throws -> RecordID {
        let part = try IdentifierPart(text)
        let refused = try read(needsContact: false) { store in
            Set(try ConflictReading(store).refused.all(of: nil).map(\.place.record)).filter(part.fits)
        }
        do {
            let present = try resolve(text)
            let all = refused.union([present]).sorted()
            if all.count > 1 { throw try shown(.ambiguousID(text, all)) }
            return present
        } catch ReplicaError.unknownID {
            if refused.count > 1 { throw try shown(.ambiguousID(text, refused.sorted())) }
            guard let id = refused.first else { throw ReplicaError.unknownID(text) }
            return id
        }
    }

    /// An error as the home may say it now.
    private func shown(_ error: ReplicaError) throws -> ReplicaError {
        try read(needsContact: false) { store in store.daysOutOfContact.map(error.withoutNames) ?? error }
    }

    // MARK: Customers and notes

    public func customer(_ id: RecordID) throws -> CustomerView {
        try read { store in
            let record = try Commands(store).customer(id)
            let book = try store.readBook()
            let authors = Authors(store, book)
            return CustomerView(
                id: id, fields: FieldNames.values(of: record, account: store.standing.account),
                tags: Self.tags(of: record, book, authors), notes: try Self.notes(of: id, store, authors),
                followers: Self.followers(of: record, authors),
                conflicts: try ConflictReading(store).conflicts(of: id).map(\.conflict.field).sorted())
        }
    }

    static func followers(of record: Record, _ authors: Authors) -> [String] {
        var followers: [String] = []
        record.forEachCell(in: record.range(of: Field.follow)) { cell in
            guard ProjectionStore.hasElement(record, cell), let first = cell.first,
                record.entries[first].key.elementKind == .id
            else { return }
            followers.append(authors.account(record.entries[first].key.elementID))
        }
        return followers.sorted()
    }

    static func tags(of record: Record, _ book: TagBook, _ authors: Authors) -> [AssignedTag] {
        var byView: [RecordID: AssignedTag] = [:]
        record.forEachCell(in: record.range(of: Field.tagged)) { cell in
            guard ProjectionStore.hasElement(record, cell), let shown = record.shown(in: cell),
                shown.key.elementKind == .id
            else { return }
            let view = book.view(of: shown.key.elementID)
            let id = view?.id ?? shown.key.elementID
            if let known = byView[id], known.at <= shown.time { return }
            byView[id] = AssignedTag(
                id: id, group: view?.group ?? "", name: view?.name ?? id.description,
                by: authors.author(shown.dot.replica), at: shown.time, isArchived: view?.isArchived ?? false)
        }
        return byView.values.sorted { ($0.group, $0.name, $0.id) < ($1.group, $1.name, $1.id) }
    }

    private static func notes(of id: RecordID, _ store: ReplicaStore, _ authors: Authors) throws -> [NoteView] {
        try store.noteIDs(of: id).map { view(of: try store.effective($0), customer: id, authors) }
    }

    /// Who wrote the body shown, and when the note was made.
    private static func view(of note: Record, customer: RecordID, _ authors: Authors) -> NoteView {
        let cell = note.range(of: CellKey(.body))
        let shown = note.shown(in: cell)
        let author = shown ?? note.created
        return NoteView(
            id: note.id, customer: customer, body: shown.map(note.display) ?? "",
            by: author.map { authors.author($0.dot.replica) } ?? "", at: author?.time ?? note.id.time,
            hasConflict: !note.conflicting(in: cell).isEmpty)
    }

    /// The customers that a QUERY names (all for an empty one), in id order.
    ///
    /// QUERY is words (any substring of name, fields or notes), `tag:X`, `-tag:X`, `birth:05`, `source:X`, `account:NAME`,
    /// `stage:X`, `added:>2026-01-01` (also `<`, `>=`, `<=`, `=`), all of which must hold; quotes keep spaces together.
    public func customers(_ query: String = "", limit: Int? = nil) throws -> [CustomerRow] {
        try read { try Finder($0, query).customers(limit: limit) }
    }

    public func note(_ id: RecordID) throws -> NoteView {
        try read { store in
            let note = try Commands(store).note(id)
            guard case .customer(let customer) = note.envelope.scope else {
                throw ReplicaError.unknownID(id.description)
            }
            return Self.view(of: note, customer: customer, Authors(store, try store.readBook()))
        }
    }

    /// A note's text as it is now, to be edited for a while.
    public func draft(of note: RecordID) throws -> TextDraft {
        try read { try Commands($0).draft(of: note) }
    }

    /// A note's text in parts, with who wrote each and when.
    public func history(ofNote id: RecordID) throws -> [NotePart] {
        try read { store in
            let note = try Commands(store).note(id)
            let authors = Authors(store, try store.readBook())
            return note.textHistory(in: note.range(of: CellKey(.body))).map {
                NotePart(text: $0.text, by: authors.author($0.replica), at: $0.time)
            }
        }
    }

    /// The customer's notes, oldest first.
    public func notes(of customer: RecordID) throws -> [NoteView] {
        try read { store in
            _ = try Commands(store).customer(customer)
            return try Self.notes(of: customer, store, Authors(store, try store.readBook()))
        }
    }

    /// Customers and notes in which every word of `query` occurs; the QUERY terms of `customers` work too.
    public func search(_ query: String, limit: Int? = nil) throws -> [SearchHit] {
        try read { try Finder($0, query).hits(limit: limit) }
    }

    // MARK: Book

    /// The tag book, by group and name; archived tags only while in use.
    public func tags() throws -> [TagView] {
        try read { store in
            let counts = try store.tagCounts()
            return try store.readBook().views.compactMap { view -> TagView? in
                let several = view.members.count > 1
                let customers =
                    several
                    ? try store.customers(taggedWithAnyOf: view.members).count : counts[view.id] ?? 0
                if view.isArchived, customers == 0 { return nil }
                return TagView(
                    id: view.id, members: view.members, group: view.group, name: view.name, isSingle: view.isSingle,
                    isArchived: view.isArchived, customers: customers,
                    merged: Set(view.merged.map(\.path)).sorted())
            }.sorted { ($0.group, $0.name, $0.id) < ($1.group, $1.name, $1.id) }
        }
    }

    /// Account names, sorted.
    public func accounts() throws -> [String] {
        try read { store in
            let names = try store.readBook().accounts.map(\.name)
            return names.isEmpty ? [store.standing.accountName] : names.sorted()
        }
    }

    // MARK: Conflicts and refusals

    /// All that waits for a decision, or that of one record, in id and field order: conflicts, and what the server refused.
    /// What was listed is remembered, so that `settle` can tell whether the values changed since.
    public func conflicts(of record: RecordID? = nil) throws -> [Conflict] {
        let (conflicts, isListed) = try read { store in
            (try ConflictReading(store).all(of: record).map(\.conflict), try store.hasListed(record))
        }
        guard !conflicts.isEmpty || isListed, try !isReadOnly else { return conflicts }
        // Without room they can be read all the same; a decision needs room too.
        do { try remember(conflicts, of: record) } catch StoreError.full {}
        return conflicts
    }

    /// What the server refused and nobody has decided on, and what stands for operations that could not be read.
    public func refused() throws -> [Refused] {
        try read { store in
            let reading = try ConflictReading(store).refused
            return try reading.asides().map { aside in
                Refused(
                    record: aside.operation.record, kind: try reading.kind(of: aside),
                    reason: aside.reason.rawValue, values: reading.values(of: aside), at: aside.operation.time,
                    isUnreadable: aside.batch.saysNothing(0))
            }
        }
    }

    // MARK: Status and dump

    public func status() throws -> Status {
        try read(needsContact: false) { store in
            let standing = store.standing
            let decisions = try ConflictReading(store)
            let asides = try decisions.refused.asides()
            let lost = asides.count { $0.batch.saysNothing(0) }
            let erased = try ErasureStore.counts(store.database)
            return Status(
                account: standing.accountName, role: standing.role.rawValue, replica: store.current.replica.text,
                server: standing.server, pending: store.pending, cursor: standing.cursor, lastSync: standing.lastSync,
                conflicts: try decisions.count(), refused: asides.count - lost, lost: lost,
                healed: try store.lastHealing(), erased: erased.persons, erasedChanges: erased.changes,
                needsContact: store.standing.lease.isExpired(
                    now: environment.now(), offset: standing.clockOffset))
        }
    }

    /// Calls `line` with the canonical line (without a line feed) of each present record, in id order.
    public func dump(_ line: ([UInt8]) throws -> Void) throws {
        try read { store in
            try store.forEachEffective { record in
                if let text = RecordDump.line(record) { try line(text) }
            }
        }
    }
}

/// The beginning or the end of an identifier, as people type it.
struct IdentifierPart {
    /// The identifiers that begin with it; nil for none.
    var range: ClosedRange<Int64>?
    /// The identifiers that end with it have `bits` under `mask`.
    var mask: Int64
    var bits: Int64

    func fits(_ id: RecordID) -> Bool {
        range?.contains(id.rawValue) == true || id.rawValue & mask == bits
    }

    init(_ text: String) throws {
        let digits = text.utf8.compactMap(RecordID.digit)
        guard digits.count == text.utf8.count, digits.count <= RecordID.textLength else {
            throw ReplicaError.unknownID(text)
        }
        guard digits.count >= 4 else { throw ReplicaError.idTooShort(text) }
        // 13 characters are 65 bits; an identifier has 63, so the first two are always zero.
        let value = digits.reduce(UInt64(0)) { $0 << 5 | UInt64($1) }
        let missing = 5 * (RecordID.textLength - digits.count)
        if digits[0] < 8 {
            let low = value << UInt64(missing)
            let high = low | (UInt64(1) << UInt64(missing) - 1)
            range = Int64(clamping: low)...Int64(clamping: high)
        }
        if digits.count == RecordID.textLength {
            mask = .max
            bits = digits[0] < 8 ? Int64(clamping: value) : 0
        } else {
            mask = Int64(1) << Int64(5 * digits.count) - 1
            bits = Int64(truncatingIfNeeded: value) & mask
        }
    }
}
