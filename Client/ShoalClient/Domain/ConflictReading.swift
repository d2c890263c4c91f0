import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// Reads what waits for a decision: conflicts, of cells and of single-choice groups, from effective records, and what the
/// server refused.
struct ConflictReading {
    /// A conflict with what settling it needs.
    struct Found {
        var conflict: Conflict
        var target: Target
    }

    enum Target {
        /// The entries to choose from, the shown one first.
        case cell(CellEdit.Element, Field, [Entry])
        /// The tags to choose from, with all that count as each; the shown one first.
        case group([TagBook.View])
        case refused(RefusedReading.Found)
    }

    let store: ReplicaStore
    let book: TagBook
    let refused: RefusedReading
    private let names: Authors

    init(_ store: ReplicaStore) throws {
        self.store = store
        book = try store.readBook()
        names = Authors(store, book)
        refused = RefusedReading(store: store, book: book, names: names)
    }

    /// All that waits for a decision, or that of one record, in record and field order. A field may be there twice: with its
    /// conflict and then with what was refused of it, under numbers that go on.
    func all(of id: RecordID?) throws -> [Found] {
        var found = try conflicts(of: id)
        for one in try refused.all(of: id) {
            var conflict = try refused.conflict(one)
            if let other = found.firstIndex(where: { $0.conflict.isSameField(as: conflict) }) {
                conflict.firstNumber = found[other].conflict.others.count + 1
                conflict.token = Conflict.token([found[other].conflict.token, conflict.token])
                found[other].conflict.token = conflict.token
            }
            found.append(Found(conflict: conflict, target: .refused(one)))
        }
        return found.sorted { a, b in
            (a.conflict.record, a.conflict.field, a.conflict.firstNumber)
                < (b.conflict.record, b.conflict.field, b.conflict.firstNumber)
        }
    }

    /// Conflicts alone, in no order.
    func conflicts(of id: RecordID?) throws -> [Found] {
        var found: [Found] = []
        for place in try store.conflictCells(of: id) {
            if let conflict = cell(try store.effective(place.record), place) { found.append(conflict) }
        }
        for (group, views) in singleGroups() {
            for customer in try store.customers(withSeveralOf: views.flatMap(\.members), only: id) {
                if let conflict = self.group(try store.effective(customer), group, views) { found.append(conflict) }
            }
        }
        return found
    }

    func count() throws -> Int {
        var count = Set(try store.conflictCells(of: nil)).union(try refused.all(of: nil).map(\.place)).count
        for (group, views) in singleGroups() {
            for customer in try store.customers(withSeveralOf: views.flatMap(\.members), only: nil)
            where self.group(try store.effective(customer), group, views) != nil { count += 1 }
        }
        return count
    }

    private func singleGroups() -> [(String, [TagBook.View])] {
        let single = Dictionary(grouping: book.views.filter(\.isSingle), by: \.groupFolded)
        return single.sorted { $0.key < $1.key }.map { ($0.value[0].group, $0.value) }
    }

    private func cell(_ record: Record, _ place: CellPlace) -> Found? {
        var batch = Operations()
        let key = CellEdit(place.field, place.element, .absent).key(in: &batch)
        let cell = record.range(of: key, in: batch.arena)
        let others = record.conflicting(in: cell)
        guard let shown = record.shown(in: cell), !others.isEmpty else { return nil }
        let conflict = Conflict(
            record: record.id, kind: Schema.name(of: record.envelope.kind),
            field: FieldNames.label(place.field, place.element, own: store.standing.account) { names.account($0) },
            shown: value(shown, record), others: others.map { value($0, record) },
            token: Conflict.token(cell.map { record.entries[$0].dot.rawValue }))
        return Found(conflict: conflict, target: .cell(place.element, place.field, [shown] + others))
    }

    private func value(_ entry: Entry, _ record: Record) -> Conflict.Value {
        Conflict.Value(value: record.display(entry), by: names.author(entry.dot.replica), at: entry.time)
    }

    /// A customer with several live tags of a single-choice group; the newest is shown.
    private func group(_ record: Record, _ name: String, _ views: [TagBook.View]) -> Found? {
        var present: [(entry: Entry, view: TagBook.View)] = []
        var dots: [Dot] = []
        for view in views {
            var newest: Entry?
            for member in view.members {
                for index in record.range(of: CellKey(.tagged, id: member)) where record.entries[index].kind == .present
                {
                    let entry = record.entries[index]
                    dots.append(entry.dot)
                    if newest.map({ ($0.time, $0.dot) < (entry.time, entry.dot) }) ?? true { newest = entry }
                }
            }
            if let newest { present.append((newest, view)) }
        }
        guard present.count > 1 else { return nil }
        present.sort { ($0.entry.time, $0.entry.dot) > ($1.entry.time, $1.entry.dot) }
        let shown = present.removeFirst()
        present.sort { $0.entry.dot > $1.entry.dot }
        let values = ([shown] + present).map { item in
            Conflict.Value(value: item.view.name, by: names.author(item.entry.dot.replica), at: item.entry.time)
        }
        let conflict = Conflict(
            record: record.id, kind: Schema.name(of: .customer), field: "tag:\(name)", shown: values[0],
            others: Array(values.dropFirst()), token: Conflict.token(dots.sorted().map(\.rawValue)))
        return Found(conflict: conflict, target: .group([shown.view] + present.map(\.view)))
    }

}

extension Conflict {
    fileprivate func isSameField(as other: Conflict) -> Bool { record == other.record && field == other.field }
}

/// Names of accounts, and of the accounts behind replicas.
struct Authors {
    private let standing: Standing
    private let own: [ReplicaID]
    private let book: TagBook

    init(_ store: ReplicaStore, _ book: TagBook) {
        standing = store.standing
        own = store.log.logs.map(\.replica)
        self.book = book
    }

    func account(_ id: RecordID) -> String {
        book.name(ofAccount: id) ?? (id == standing.account ? standing.accountName : id.description)
    }

    /// The account that a replica writes for; the replica's number while no account names it.
    func author(_ replica: ReplicaID) -> String {
        if let id = book.author(replica) { return account(id) }
        return own.contains(replica) ? standing.accountName : replica.text
    }
}

extension Commands {
    /// Decides on a field: the chosen value replaces all that were seen, and what was refused of it is dismissed or written
    /// again.
    public func settle(_ record: RecordID, field: String?, choice: Int, token: UInt64?) throws {
        let reading = try ConflictReading(store)
        let found = try reading.all(of: record).filter { field == nil || $0.conflict.field == field }
        guard let first = found.first?.conflict, let last = found.last?.conflict else {
            throw ReplicaError.noConflict(record, field: field)
        }
        if first.field != last.field {
            var fields: [String] = []
            for one in found where fields.last != one.conflict.field { fields.append(one.conflict.field) }
            throw ReplicaError.severalConflicts(record, fields: fields)
        }
        let seen = try token ?? store.rememberedToken(record, first.field)
        if let seen, seen != first.token { throw ReplicaError.conflictChanged(record, field: first.field) }
        let count = last.firstNumber - 1 + last.others.count
        guard (0...count).contains(choice) else { throw ReplicaError.noSuchChoice(choice, count: count) }
        try command {
            for one in found {
                let numbers = one.conflict.firstNumber..<one.conflict.firstNumber + one.conflict.others.count
                guard choice == 0 || numbers.contains(choice) else { continue }
                let number = choice == 0 ? nil : choice - numbers.lowerBound + 1
                if case .refused(let refused) = one.target {
                    try settle(refused, number, reading.refused)
                } else {
                    try settle(one.target, number ?? 0, of: record)
                }
            }
        }
        try store.forgetListed(record, first.field)
    }

    private func settle(_ target: ConflictReading.Target, _ choice: Int, of record: RecordID) throws {
        let effective = try store.effective(record)
        switch target {
        case .cell(.none, let field, let entries) where entries[0].kind == .textChange:
            try edit(
                draft(of: effective, field), to: effective.display(entries[choice]),
                settling: effective.liveDots(in: effective.range(of: CellKey(field))))
        case .cell(let element, let field, let entries):
            var edits = [CellEdit(field, element, effective.value(of: entries[choice]))]
            // A name is compared by its folded form, which lists no conflict of its own.
            let folded: Field? = field == .tagName ? .tagFolded : field == .groupName ? .groupFolded : nil
            if let folded {
                edits.append(CellEdit(folded, .none, .text(Folding.fold(effective.display(entries[choice])))))
            }
            try write(edits, to: effective)
        case .group(let views):
            let losers = views.indices.filter { $0 != choice }.flatMap { views[$0].members }
            let edits = losers.map { CellEdit(.tagged, .id($0), .absent) }
            try write(
                edits.filter { !$0.isShown(in: effective) } + [views[choice].choosing(in: effective)], to: effective)
        case .refused: return
        }
    }
}

extension Record {
    /// The value of an entry as an edit writes it.
    fileprivate func value(of entry: Entry) -> CellEdit.Value {
        switch entry.kind {
        case .integer, .count: .integer(entry.integer)
        case .present: .present
        case .absent: .absent
        case .json: .json(display(entry))
        default: .text(display(entry))
        }
    }
}
