import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// The typed tables that queries read, derived from the effective records: server state with the tail applied.
///
/// `update` is told what a record was and what it is, and writes the difference. A customer's row follows the presence
/// of its scope: it is there while the customer or one of its notes is present.
final class ProjectionStore {
    let table: ProjectionTables
    /// Whether the tag book, the accounts or their replicas changed since somebody last looked.
    var bookChanged = true
    /// Customers whose presence must be looked at again because a note came or went.
    private var unsettled: Set<RecordID> = []

    init(_ database: Database) throws { table = try ProjectionTables(database) }

    /// Writes what differs between `old` (nil or unmade: nothing is there) and `new`.
    func update(from old: Record?, to new: Record) throws {
        let kind = new.isMade ? new.envelope.kind : old?.envelope.kind ?? .none
        switch kind {
        case .customer: try updateCustomer(old, new)
        case .note: try updateNote(old, new)
        case .tag, .tagGroup, .account: try updateBook(kind, old, new)
        default: break
        }
    }

    /// Looks again at the customers whose notes came or went. Called at the end of every batch of updates.
    ///
    /// - Parameter read: the effective record.
    func settle(_ read: (RecordID) throws -> Record) throws {
        while let id = unsettled.popFirst() {
            let isThere = try table.hasCustomer(id)
            let record = try read(id)
            let isPresent = try isScopePresent(record)
            if isPresent == isThere { continue }
            try differ(isThere ? record : nil, isPresent ? record : nil, id)
        }
    }

    /// Forgets what `settle` would have looked at, because the transaction is undone.
    func reset() {
        unsettled = []
        bookChanged = true
    }

    private func isScopePresent(_ customer: Record) throws -> Bool {
        // After a rollback another kind of record may stand under the identifier that notes name.
        guard customer.isMade, customer.envelope.kind == .customer else { return false }
        return try customer.isPresent || table.hasNotes(customer.id)
    }

    private func updateCustomer(_ old: Record?, _ new: Record) throws {
        let wasThere =
            if let old, old.isMade { try old.isPresent || table.hasCustomer(new.id) } else { false }
        let isThere = try isScopePresent(new)
        if !wasThere, !isThere { return }
        try differ(wasThere ? old : nil, isThere ? new : nil, new.id)
    }

    private func updateNote(_ old: Record?, _ new: Record) throws {
        let was = old?.isPresent == true ? old : nil
        let now = new.isPresent ? new : nil
        guard let envelope = now?.envelope ?? was?.envelope, case .customer(let customer) = envelope.scope else {
            return
        }
        if was == nil, now != nil { try table.addNote(customer, new.id) }
        if was != nil, now == nil { try table.removeNote(customer, new.id) }
        if (was == nil) != (now == nil) {
            let isThere = try table.hasCustomer(customer)
            if isThere == (now == nil) { unsettled.insert(customer) }
        }
        try CellDifference.forEach(was, now) { before, after in
            try updateConflict(new.id, was, before, now, after)
        }
        if was != nil || now != nil { try table.queueText(new.id) }
    }

    /// Writes the differences between the cells of two projected states of a customer.
    private func differ(_ old: Record?, _ new: Record?, _ id: RecordID) throws {
        var rowChanged = (old == nil) != (new == nil)
        var textChanged = rowChanged
        try CellDifference.forEach(old, new) { before, after in
            guard let key = Self.key(old, before, new, after) else { return }
            switch key.field {
            // An element that is no identifier is nobody's.
            case .tagged where key.elementKind != .id, .follow where key.elementKind != .id: break
            case .tagged:
                let (was, isThere) = (Self.hasElement(old, before), Self.hasElement(new, after))
                if was != isThere { try table.setTag(key.elementID, id, isThere) }
            case .follow:
                let (was, isThere) = (Self.hasElement(old, before), Self.hasElement(new, after))
                if was != isThere { try table.setFollow(key.elementID, id, isThere) }
            case .created: rowChanged = true
            case .name, .stage, .source, .birthMonth:
                rowChanged = true
                textChanged = true
                try updateConflict(id, old, before, new, after)
            default:
                if Schema.isSearched(key.field) { textChanged = true }
                try updateConflict(id, old, before, new, after)
            }
        }
        if textChanged { try table.queueText(id) }
        guard rowChanged else { return }
        if let new { try table.writeCustomer(new) } else { try table.removeCustomer(id) }
    }

    private func updateBook(_ kind: Kind, _ old: Record?, _ new: Record) throws {
        bookChanged = true
        let was = old?.isPresent == true ? old : nil
        let now = new.isPresent ? new : nil
        if was == nil, now == nil { return }
        if let now { try table.writeBook(kind, now) } else { try table.removeBook(kind, new.id) }
        try CellDifference.forEach(was, now) { before, after in
            guard let key = Self.key(was, before, now, after) else { return }
            switch key.field {
            case .accountReplica: try table.setAuthor(key.elementID, new.id, Self.hasElement(now, after))
            case .accountReplica where key.elementKind != .id, .tagMerged where key.elementKind != .id: break
            case .tagMerged: try table.setMerge(new.id, into: key.elementID, Self.hasElement(now, after))
            case .tagFolded, .groupFolded: break
            default: try updateConflict(new.id, was, before, now, after)
            }
        }
    }

    private func updateConflict(
        _ id: RecordID, _ old: Record?, _ before: Range<Int>, _ new: Record?, _ after: Range<Int>
    ) throws {
        if before.count < 2, after.count < 2 { return }
        let was = old.map { !$0.conflicting(in: before).isEmpty } ?? false
        let isThere = new.map { !$0.conflicting(in: after).isEmpty } ?? false
        if was == isThere { return }
        guard let record = isThere ? new : old, let start = isThere ? after.first : before.first else { return }
        let key = record.entries[start].key
        if key.field == .created || key.field == .unknownOperation { return }
        try table.setConflict(id, key, record.arena, isThere)
    }

    private static func key(_ old: Record?, _ before: Range<Int>, _ new: Record?, _ after: Range<Int>) -> CellKey? {
        if let first = after.first { return new?.entries[first].key }
        return before.first.flatMap { old?.entries[$0].key }
    }

    /// Whether an add-wins element is there: one present value is enough.
    static func hasElement(_ record: Record?, _ cell: Range<Int>) -> Bool {
        guard let record else { return false }
        return cell.contains { record.entries[$0].kind == .present }
    }
}

extension Schema {
    /// Whether search looks into the values of a field. Fields of a newer version are not searched.
    static func isSearched(_ field: Field) -> Bool {
        let number = Int(field.rawValue)
        return number < searchedFields.count && searchedFields[number]
    }

    private static let searchedFields: [Bool] = (0..<128).map { number in
        Schema.field(Field(rawValue: UInt16(number)))?.isSearched ?? false
    }
}
