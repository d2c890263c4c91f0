import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// Reads conflicts, of cells and of single-choice groups, from effective records.
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
    }

    let store: ReplicaStore
    let book: TagBook
    private let names: Authors

    init(_ store: ReplicaStore) throws {
        self.store = store
        book = try store.readBook()
        names = Authors(store, book)
    }

    /// All conflicts, or those of one record, in record and field order.
    func all(of id: RecordID?) throws -> [Found] {
        var found: [Found] = []
        for (record, field, element) in try store.conflictCells(of: id) {
            if let conflict = cell(try store.effective(record), field, element) { found.append(conflict) }
        }
        for (group, views) in singleGroups() {
            for customer in try store.customers(withSeveralOf: views.flatMap(\.members), only: id) {
                if let conflict = self.group(try store.effective(customer), group, views) { found.append(conflict) }
            }
        }
        return found.sorted { ($0.conflict.record, $0.conflict.field) < ($1.conflict.record, $1.conflict.field) }
    }

    func count() throws -> Int {
        var fields: Set<String> = []
        for (record, field, element) in try store.conflictCells(of: nil) {
            fields.insert("\(record.rawValue) \(field.rawValue) \(element)")
        }
        var count = fields.count
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

    private func cell(_ record: Record, _ field: Field, _ element: CellEdit.Element) -> Found? {
        var batch = Operations()
        let key = CellEdit(field, element, .absent).key(in: &batch)
        let cell = record.range(of: key, in: batch.arena)
        let others = record.conflicting(in: cell)
        guard let shown = record.shown(in: cell), let first = cell.first, !others.isEmpty else { return nil }
        let conflict = Conflict(
            record: record.id, kind: Schema.name(of: record.envelope.kind),
            field: FieldNames.label(record.entries[first].key, in: record, own: store.standing.account) {
                names.account($0)
            },
            shown: value(shown, record), others: others.map { value($0, record) },
            token: Self.token(cell.map { record.entries[$0].dot }))
        return Found(conflict: conflict, target: .cell(element, field, [shown] + others))
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
            others: Array(values.dropFirst()), token: Self.token(dots.sorted()))
        return Found(conflict: conflict, target: .group([shown.view] + present.map(\.view)))
    }

    private static func token(_ dots: [Dot]) -> UInt64 {
        dots.map(\.rawValue.littleEndian).withUnsafeBytes { SipHash.hash($0, key: (0, 0)) }
    }
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
    /// Settles a conflict: the chosen value replaces all that were seen.
    public func settle(_ record: RecordID, field: String?, choice: Int, token: UInt64?) throws {
        let reading = try ConflictReading(store)
        let found = try reading.all(of: record).filter { field == nil || $0.conflict.field == field }
        guard let first = found.first else { throw ReplicaError.noConflict(record, field: field) }
        if found.count > 1 {
            throw ReplicaError.severalConflicts(record, fields: found.map(\.conflict.field))
        }
        let conflict = first.conflict
        let seen = try token ?? store.rememberedToken(record, conflict.field)
        if let seen, seen != conflict.token { throw ReplicaError.conflictChanged(record, field: conflict.field) }
        guard (0...conflict.others.count).contains(choice) else {
            throw ReplicaError.noSuchChoice(choice, count: conflict.others.count)
        }
        let effective = try store.effective(record)
        try command {
            switch first.target {
            case .cell(.none, let field, let entries) where entries[0].kind == .textChange:
                try edit(
                    draft(of: effective, field), to: effective.display(entries[choice]),
                    settling: effective.liveDots(in: effective.range(of: CellKey(field))))
            case .cell(let element, let field, let entries):
                try write([CellEdit(field, element, effective.value(of: entries[choice]))], to: effective)
            case .group(let views):
                let losers = views.indices.filter { $0 != choice }.flatMap { views[$0].members }
                let edits = losers.map { CellEdit(.tagged, .id($0), .absent) }
                try write(
                    edits.filter { !$0.isShown(in: effective) } + [views[choice].choosing(in: effective)], to: effective
                )
            }
        }
        try store.forgetListed(record, conflict.field)
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
