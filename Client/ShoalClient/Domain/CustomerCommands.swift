import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

extension Commands {
    /// Makes a customer that the own account follows.
    ///
    /// - Parameter fields: as in `setFields`.
    /// - Throws: as `setFields`, and `invalidValue` for a name that shows nothing.
    public func addCustomer(name: String, fields: [FieldValue] = []) throws -> RecordID {
        if name.unicodeScalars.allSatisfy(\.properties.isWhitespace) {
            throw ReplicaError.invalidValue(field: "name", reason: "a customer needs a name")
        }
        let values = try FieldNames.edits(
            [FieldValue("name", name)] + fields, account: store.standing.account, seen: nil)
        let follow = CellEdit(.follow, .id(store.standing.account), .present)
        return try command { try makeRecord(.customer, scope: nil, values + [follow]) }
    }

    /// Sets fields by their names: those of the customer, those of one's own follow relation (`remark`, `description`,
    /// `remark_mobiles`, `add_way`, `state`) and free ones (`x-…`). An empty value clears; what is so already is not
    /// written again.
    ///
    /// - Throws: `unknownField` with near names, `invalidValue`, `unknownID`, `wrongKind`.
    public func setFields(of id: RecordID, _ fields: [FieldValue]) throws {
        let record = try customer(id)
        let edits = try FieldNames.edits(fields, account: store.standing.account, seen: record)
        try command { try write(edits, to: record) }
    }

    /// Deletes the customer and its notes: one command.
    public func deleteCustomer(_ id: RecordID) throws {
        let record = try customer(id)
        let notes = try store.noteIDs(of: id)
        try command {
            try cover(record)
            for note in notes { try cover(try store.effective(note)) }
        }
    }

    /// Makes an account a follower of the customer; one that is already is fine.
    ///
    /// - Throws: `mayNotFollow` unless the own account follows, is a supervisor, or is the one named.
    public func follow(_ id: RecordID, account name: String) throws {
        let account = try account(name)
        let record = try customer(id)
        let own = store.standing.account
        let mayAdd = account == own || store.standing.role == .supervisor
        guard mayAdd || record.hasElement(CellKey(.follow, id: own)) else { throw ReplicaError.mayNotFollow(id) }
        let edit = CellEdit(.follow, .id(account), .present)
        try command { try write(edit.isShown(in: record) ? [] : [edit], to: record) }
    }

    /// - Parameter name: nil for one's own account.
    public func unfollow(_ id: RecordID, account name: String? = nil) throws {
        let account = try name.map(account) ?? store.standing.account
        let record = try customer(id)
        guard account == store.standing.account || store.standing.role == .supervisor else {
            throw ReplicaError.mayNotUnfollow(account: name ?? "")
        }
        let edit = CellEdit(.follow, .id(account), .absent)
        try command { try write(edit.isShown(in: record) ? [] : [edit], to: record) }
    }

    private func account(_ name: String) throws -> RecordID {
        let book = try store.readBook()
        if let account = try book.account(named: name) { return account.id }
        // Before the first sync only the own account is known.
        if name == store.standing.accountName { return store.standing.account }
        throw ReplicaError.unknownAccount(name, near: NearNames.of(name, among: book.accounts.map(\.name)))
    }

    // MARK: Notes

    public func addNote(to id: RecordID, _ body: String) throws -> RecordID {
        try FieldNames.check(body, field: "the note")
        if try !store.projection.table.hasCustomer(id) { _ = try customer(id) }
        return try command { try makeRecord(.note, scope: .customer(id), [CellEdit(.body, .none, .text(body))]) }
    }

    /// Changes a note's text: what differs from what it shows.
    public func editNote(_ id: RecordID, _ body: String) throws { try editNote(try draft(of: id), body) }

    /// Changes a note's text: what differs from the text that was seen when the editing began. What others changed
    /// meanwhile stands too.
    public func editNote(_ draft: TextDraft, _ body: String) throws {
        try FieldNames.check(body, field: "the note")
        _ = try note(draft.record)
        try command { try edit(draft, to: body) }
    }

    public func deleteNote(_ id: RecordID) throws {
        let record = try note(id)
        try command { try cover(record) }
    }
}
