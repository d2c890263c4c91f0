import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// Reads what the server refused, and nobody has decided on yet, from the log: the only place that has its values.
struct RefusedReading {
    /// One operation that is set aside.
    struct Aside {
        var position: Int64
        var reason: RefusalReason
        /// Holds the operation alone.
        var batch: Operations
        var operation: Operations.Operation { batch.operations[0] }
    }

    /// What of an operation is decided on: each cell that it edits, but a record that it makes or deletes as a whole.
    enum Part {
        case made
        case deleted
        case edit(Operations.Edit)
    }

    struct Choice {
        var aside: Aside
        var part: Part
        /// The operations that go on with a long change of a text.
        var rest: [Aside] = []
        var asides: [Aside] { [aside] + rest }
        /// The change of a text in all its operations, in their order; empty if it is none.
        var textChanges: [TextDelta] {
            asides.flatMap { aside in
                aside.batch.edits[aside.operation.edits].compactMap { edit in
                    guard case .edit(let own) = part, edit.kind == .textChange, edit.key.field == own.key.field else {
                        return nil
                    }
                    return aside.batch.textChange(edit)
                }
            }
        }
    }

    /// All that was refused of one cell, or the making or deleting of one record; the newest first.
    struct Found {
        var place: CellPlace
        var choices: [Choice]
    }

    let store: ReplicaStore
    let book: TagBook
    let names: Authors

    /// The operations of which something is not decided, in the order in which they were written; what stands for
    /// operations that could not be read as well.
    func asides() throws -> [Aside] {
        try store.asideRows().compactMap { position, reason in
            var batch = Operations()
            guard try store.log.read(position, into: &batch) else { return nil }
            let isUnreadable = batch.saysNothing(0)
            let reason = isUnreadable ? .unreadable : RefusalReason(rawValue: reason) ?? .malformed
            let aside = Aside(position: position, reason: reason, batch: batch)
            return try isUnreadable || !open(aside).isEmpty ? aside : nil
        }
    }

    /// What waits for a decision, of one record or of all.
    func all(of id: RecordID?) throws -> [Found] {
        var order: [CellPlace] = []
        var found: [CellPlace: [Choice]] = [:]
        // Deletions that are one command are one decision: that on the record deleted first.
        var deletion: (position: Int64, place: CellPlace)?
        for aside in try asides() {
            for (place, part) in try open(aside) {
                var place = place
                if case .deleted = part {
                    if let last = deletion, last.position + 1 == aside.position, aside.operation.continuesCommand {
                        place = last.place
                    }
                    deletion = (aside.position, place)
                }
                guard id == nil || id == place.record else { continue }
                if found[place] == nil { order.append(place) }
                // Taken out, so that it is not copied.
                var choices = found.removeValue(forKey: place) ?? []
                if goesOn(aside, part, after: choices.last) {
                    choices[choices.count - 1].rest.append(aside)
                } else {
                    choices.append(Choice(aside: aside, part: part))
                }
                found[place] = choices
            }
        }
        return order.map { Found(place: $0, choices: (found[$0] ?? []).reversed()) }
    }

    /// Whether an operation goes on with the change of a text that was too long for one.
    private func goesOn(_ aside: Aside, _ part: Part, after last: Choice?) -> Bool {
        guard case .edit(let edit) = part, edit.kind == .textChange, aside.operation.continuesCommand, let last,
            case .edit(let first) = last.part, first.kind == .textChange
        else { return false }
        return last.asides.last.map { $0.position + 1 } == aside.position
    }

    /// The parts of an operation that nobody has decided on.
    private func open(_ aside: Aside) throws -> [(place: CellPlace, part: Part)] {
        let settled = try store.settledParts(of: aside.position, on: aside.operation.record)
        return parts(of: aside).filter { !settled.contains($0.place) }
    }

    private func parts(of aside: Aside) -> [(place: CellPlace, part: Part)] {
        let (batch, operation) = (aside.batch, aside.operation)
        let whole = CellPlace(record: operation.record, field: .created, element: .none)
        if operation.creates != nil { return [(whole, .made)] }
        let gone = CellPlace(record: operation.record, field: .created, element: .text("deleted"))
        var parts: [(place: CellPlace, part: Part)] = operation.covers.isEmpty ? [] : [(gone, .deleted)]
        let chosen = Set(
            batch.edits[operation.edits].filter { $0.key.field == .tagged && $0.kind == .present }
                .compactMap { book.view(of: $0.key.elementID) }.filter(\.isSingle).map(\.groupFolded))
        for edit in batch.edits[operation.edits] {
            // Choosing a tag takes the others of its group away: one decision.
            if edit.key.field == .tagged, edit.kind == .absent, let view = book.view(of: edit.key.elementID),
                view.isSingle, chosen.contains(view.groupFolded)
            {
                continue
            }
            let place = CellPlace(record: operation.record, field: edit.key.field, element: batch.element(of: edit.key))
            parts.append((place, .edit(edit)))
        }
        return parts
    }

    // MARK: In words

    /// The kind of the record; a collected record, and one that the account may not see any more, is gone, but its
    /// fields say what it was.
    func kind(of aside: Aside) throws -> String {
        let record = try store.effective(aside.operation.record)
        if let made = aside.operation.creates { return Schema.name(of: made.kind) }
        if record.isMade { return Schema.name(of: record.envelope.kind) }
        let field = aside.batch.edits[aside.operation.edits].first.flatMap { Schema.field($0.key.field) }
        return field.map { Schema.name(of: $0.kind) } ?? "record"
    }

    /// Names and values of the cells that the operation edits.
    func values(of aside: Aside) -> [FieldValue] {
        aside.batch.edits[aside.operation.edits].map { edit in
            FieldValue(label(edit.key.field, aside.batch.element(of: edit.key)), aside.batch.words(of: edit))
        }
    }

    func label(_ field: Field, _ element: CellEdit.Element) -> String {
        guard case .id(let id) = element, Schema.field(field)?.element == .tag else {
            return FieldNames.label(field, element, own: store.standing.account) { names.account($0) }
        }
        return "\(Schema.name(of: field))@\(book.view(of: id)?.path ?? id.description)"
    }

    /// What is decided on, as listings show it.
    func conflict(_ found: Found) throws -> Conflict {
        let place = found.place
        let kind = try found.choices.last.map { try self.kind(of: $0.aside) } ?? ""
        let record = try store.effective(place.record)
        var dots: [Dot] = []
        let shown = try shown(place, record, &dots)
        let choices = choices(found)
        let stamp = choices.map { UInt64(bitPattern: $0.aside.position) } + dots.map(\.rawValue)
        return Conflict(
            record: place.record, kind: kind, field: label(place.field, place.element), shown: shown,
            others: choices.map { choice in
                Conflict.Value(
                    value: words(choice), by: store.standing.accountName, at: choice.aside.operation.time)
            },
            token: Conflict.token(stamp), refused: choices.first.map { reason(of: $0).rawValue })
    }

    /// Why it was refused itself, rather than that it belongs to a command that was.
    private func reason(of choice: Choice) -> RefusalReason {
        (choice.asides.first { $0.reason != .command } ?? choice.aside).reason
    }

    /// The values to choose from: one of all deletions of a command.
    func choices(_ found: Found) -> [Choice] {
        guard case .deleted? = found.choices.first?.part else { return found.choices }
        return found.choices.filter { $0.aside.operation.record == found.place.record }.prefix(1).map { $0 }
    }

    /// What the cell shows now, or for a whole record what it is called; nothing when it is not there.
    private func shown(_ place: CellPlace, _ record: Record, _ dots: inout [Dot]) throws -> Conflict.Value {
        guard try store.isThere(record) else { return .nothing }
        var batch = Operations()
        let cell =
            place.field == .created
            ? record.range(of: CellKey(Self.titles[record.envelope.kind] ?? .created))
            : record.range(of: CellEdit(place.field, place.element, .absent).key(in: &batch), in: batch.arena)
        dots = cell.map { record.entries[$0].dot }
        guard let shown = record.shown(in: cell) else { return .nothing }
        let value = shown.kind == .count ? String(record.sum(in: cell)) : record.display(shown)
        return Conflict.Value(value: value, by: names.author(shown.dot.replica), at: shown.time)
    }

    /// The field that says what a record is.
    private static let titles: [Kind: Field] = [
        .customer: .name, .note: .body, .tag: .tagName, .tagGroup: .groupName, .account: .accountName,
    ]

    private func words(_ choice: Choice) -> String {
        switch choice.part {
        case .deleted: return "deleted"
        case .edit(let edit) where edit.kind == .textChange: return Operations.words(of: choice.textChanges)
        case .edit(let edit): return choice.aside.batch.words(of: edit)
        case .made:
            let body = choice.aside.batch.edits[choice.aside.operation.edits].first { $0.key.field == .body }
            if let body { return choice.aside.batch.words(of: body) }
            return values(of: choice.aside).map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        }
    }
}

extension Operations {
    func element(of key: CellKey) -> CellEdit.Element {
        switch key.elementKind {
        case .none: .none
        case .id: .id(key.elementID)
        case .text: .text(text(key.elementSlice))
        }
    }

    /// What an edit says, as people read it: of a text what was typed.
    func words(of edit: Edit) -> String {
        switch edit.kind {
        case .textChange: return textChange(edit).map { Self.words(of: [$0]) } ?? ""
        case .count: return "\(edit.integer < 0 ? "" : "+")\(edit.integer)"
        case .integer: return String(edit.integer)
        case .present: return "yes"
        case .absent: return "removed"
        default: return edit.kind.isSlice ? text(edit.slice) : ""
        }
    }

    /// What was typed in changes of one text.
    static func words(of changes: [TextDelta]) -> String {
        let typed = changes.map(\.typed).joined()
        if !typed.isEmpty || changes.isEmpty { return typed }
        let deleted = changes.reduce(0) { $0 + $1.deletions.reduce(0) { $0 + Int($1.count) } }
        return Wording.count(deleted, "character", "characters") + " deleted"
    }
}
