import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

extension Commands {
    /// Decides on what was refused: one of it is written again, or none.
    ///
    /// What is typed into a text or added to a counter is no alternative to the rest: of those only what is written again
    /// leaves the list.
    ///
    /// - Parameter number: 1 for the first of the choices; nil to dismiss them all.
    /// - Throws: `cannotWriteAgain`.
    func settle(_ found: RefusedReading.Found, _ number: Int?, _ reading: RefusedReading) throws {
        var decided = found.choices
        if let number {
            let choice = reading.choices(found)[number - 1]
            try writeAgain(choice, at: found.place, reading.book)
            if case .edit(let edit) = choice.part, edit.kind == .textChange || edit.kind == .count {
                decided = [choice]
            }
        }
        for aside in decided.flatMap(\.asides) { try store.settleAside(aside.position, found.place) }
    }

    private func writeAgain(_ choice: RefusedReading.Choice, at place: CellPlace, _ book: TagBook) throws {
        let record = try store.effective(place.record)
        if case .made = choice.part, !record.isMade { return try makeAgain(choice.aside) }
        guard try store.isThere(record) else { throw ReplicaError.cannotWriteAgain(record.id, kind: "record") }
        switch choice.part {
        case .made:
            let batch = choice.aside.batch
            let edits = batch.edits[choice.aside.operation.edits].compactMap { batch.cellEdit($0) }
            try write(edits.filter { !$0.isShown(in: record) }, to: record)
        case .deleted where record.envelope.kind == .customer:
            try cover(record)
            for note in try store.noteIDs(of: record.id) { try cover(try store.effective(note)) }
        case .deleted: try cover(record)
        case .edit(let edit) where edit.kind == .textChange:
            let draft = draft(of: record, edit.key.field)
            try self.edit(draft, to: draft.text(with: choice.textChanges))
        case .edit(let edit): try writeAgain(edit, of: choice.aside.batch, to: record, book)
        }
    }

    /// Makes the record under its identifier, which stands for nothing else.
    private func makeAgain(_ aside: RefusedReading.Aside) throws {
        let operation = aside.operation
        guard let envelope = operation.creates else { return }
        if case .customer(let customer) = envelope.scope, customer != operation.record,
            try !store.projection.table.hasCustomer(customer)
        {
            throw ReplicaError.cannotWriteAgain(customer, kind: Schema.name(of: .customer))
        }
        let edits = aside.batch.edits[operation.edits].compactMap { aside.batch.cellEdit($0) }
        try makeRecord(envelope.kind, scope: envelope.scope, edits, as: operation.record)
    }

    private func writeAgain(
        _ edit: Operations.Edit, of batch: Operations, to record: Record, _ book: TagBook
    ) throws {
        if edit.key.field == .tagged, edit.kind == .present, let view = book.view(of: edit.key.elementID) {
            return try write(try edits(added: [view], removed: [], of: record), to: record)
        }
        if edit.kind == .count {
            let key = CellKey(edit.key.field)
            return try writeEdit(to: record) { $0.edit(key, .count, integer: edit.integer) }
        }
        guard let again = batch.cellEdit(edit) else { return }
        try write(again.isShown(in: record) ? [] : [again], to: record)
    }
}

extension TextDraft {
    /// The text after changes that were written upon another one: where they hang on characters that are not here, what they
    /// typed stands at the end.
    fileprivate func text(with changes: [TextDelta]) -> String {
        var merged = seen
        var typed = ""
        for change in changes {
            if merged.fits(change) { merged.merge(change) } else { typed += change.typed }
        }
        let text = merged.text
        return typed.isEmpty || text.isEmpty || text.hasSuffix("\n") ? text + typed : "\(text)\n\(typed)"
    }
}

extension Operations {
    /// An edit as a command writes it; nil for values that only a later version writes.
    fileprivate func cellEdit(_ edit: Edit) -> CellEdit? {
        let value: CellEdit.Value? =
            switch edit.kind {
            case .text: .text(text(edit.slice))
            case .json: .json(text(edit.slice))
            case .integer: .integer(edit.integer)
            case .present: .present
            case .absent: .absent
            default: nil
            }
        return value.map { CellEdit(edit.key.field, element(of: edit.key), $0) }
    }
}
