import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record
import class ShoalStore.Statement

/// The statements that write the derived tables.
final class ProjectionTables {
    private let selectCustomer: Statement
    private let selectNotes: Statement
    private let upsertCustomer: Statement
    private let deleteCustomer: Statement
    private let insertTag: Statement
    private let deleteTag: Statement
    private let insertFollow: Statement
    private let deleteFollow: Statement
    private let insertNote: Statement
    private let deleteNote: Statement
    private let insertConflict: Statement
    private let deleteConflict: Statement
    private let upsertGroup: Statement
    private let upsertTag: Statement
    private let upsertAccount: Statement
    private let deleteGroup: Statement
    private let deleteBookTag: Statement
    private let deleteAccount: Statement
    private let insertAuthor: Statement
    private let deleteAuthor: Statement
    private let insertMerge: Statement
    private let deleteMerge: Statement
    private let insertQueue: Statement

    /// Records put into the text queue since it was last drained by this process: a bound, not a count.
    var queued = 0
    /// What the running transaction changed, for observers.
    var touched: [RecordID] = []

    init(_ database: Database) throws {
        func make(_ sql: String) throws -> Statement { try Statement(database, sql) }
        selectCustomer = try make("SELECT 1 FROM customer WHERE id = ?1")
        selectNotes = try make("SELECT 1 FROM note WHERE customer = ?1 LIMIT 1")
        upsertCustomer = try make(
            "REPLACE INTO customer (id, added, name, stage, source, birth_month) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        deleteCustomer = try make("DELETE FROM customer WHERE id = ?1")
        insertTag = try make("INSERT OR IGNORE INTO customer_tag (tag, customer) VALUES (?1, ?2)")
        deleteTag = try make("DELETE FROM customer_tag WHERE tag = ?1 AND customer = ?2")
        insertFollow = try make("INSERT OR IGNORE INTO follow (account, customer) VALUES (?1, ?2)")
        deleteFollow = try make("DELETE FROM follow WHERE account = ?1 AND customer = ?2")
        insertNote = try make("INSERT OR IGNORE INTO note (customer, id) VALUES (?1, ?2)")
        deleteNote = try make("DELETE FROM note WHERE customer = ?1 AND id = ?2")
        insertConflict = try make("INSERT OR IGNORE INTO conflict (record, field, element) VALUES (?1, ?2, ?3)")
        deleteConflict = try make("DELETE FROM conflict WHERE record = ?1 AND field = ?2 AND element = ?3")
        upsertGroup = try make(
            "REPLACE INTO tag_group (id, name, folded, single, archived) VALUES (?1, ?2, ?3, ?4, ?5)")
        upsertTag = try make("REPLACE INTO tag (id, name, folded, tag_group, archived) VALUES (?1, ?2, ?3, ?4, ?5)")
        upsertAccount = try make("REPLACE INTO account (id, name, role) VALUES (?1, ?2, ?3)")
        deleteGroup = try make("DELETE FROM tag_group WHERE id = ?1")
        deleteBookTag = try make("DELETE FROM tag WHERE id = ?1")
        deleteAccount = try make("DELETE FROM account WHERE id = ?1")
        insertAuthor = try make("REPLACE INTO author (replica, account) VALUES (?1, ?2)")
        deleteAuthor = try make("DELETE FROM author WHERE replica = ?1 AND account = ?2")
        insertMerge = try make("INSERT OR IGNORE INTO tag_merge (tag, into_tag) VALUES (?1, ?2)")
        deleteMerge = try make("DELETE FROM tag_merge WHERE tag = ?1 AND into_tag = ?2")
        insertQueue = try make("INSERT OR IGNORE INTO text_queue (record) VALUES (?1)")
    }

    private func exists(_ statement: Statement, _ id: RecordID) throws -> Bool {
        try statement.bind(1, id.rawValue)
        defer { statement.reset() }
        return try statement.step()
    }

    func hasCustomer(_ id: RecordID) throws -> Bool { try exists(selectCustomer, id) }
    func hasNotes(_ customer: RecordID) throws -> Bool { try exists(selectNotes, customer) }

    private func run(_ statement: Statement, _ a: Int64, _ b: Int64) throws {
        try statement.bind(1, a)
        try statement.bind(2, b)
        try statement.run()
    }

    private func run(_ statement: Statement, _ id: RecordID) throws {
        try statement.bind(1, id.rawValue)
        try statement.run()
    }

    func setTag(_ tag: RecordID, _ customer: RecordID, _ isThere: Bool) throws {
        try run(isThere ? insertTag : deleteTag, tag.rawValue, customer.rawValue)
    }
    func setFollow(_ account: RecordID, _ customer: RecordID, _ isThere: Bool) throws {
        try run(isThere ? insertFollow : deleteFollow, account.rawValue, customer.rawValue)
    }
    func addNote(_ customer: RecordID, _ note: RecordID) throws {
        try run(insertNote, customer.rawValue, note.rawValue)
    }
    func removeNote(_ customer: RecordID, _ note: RecordID) throws {
        try run(deleteNote, customer.rawValue, note.rawValue)
    }
    func setMerge(_ tag: RecordID, into other: RecordID, _ isThere: Bool) throws {
        try run(isThere ? insertMerge : deleteMerge, tag.rawValue, other.rawValue)
    }
    func setAuthor(_ replica: RecordID, _ account: RecordID, _ isThere: Bool) throws {
        try run(isThere ? insertAuthor : deleteAuthor, replica.rawValue, account.rawValue)
    }

    func queueText(_ record: RecordID) throws {
        try run(insertQueue, record)
        queued += 1
    }

    func setConflict(_ record: RecordID, _ key: CellKey, _ arena: borrowing [UInt8], _ isThere: Bool) throws {
        let statement = isThere ? insertConflict : deleteConflict
        try statement.bind(1, record.rawValue)
        try statement.bind(2, Int64(key.field.rawValue))
        switch key.elementKind {
        case .none: try statement.bind(3, 0)
        case .id: try statement.bind(3, key.elementID.rawValue)
        case .text: try statement.bind(3, Array(arena[key.elementSlice.range]))
        }
        try statement.run()
    }

    func writeCustomer(_ record: Record) throws {
        try upsertCustomer.bind(1, record.id.rawValue)
        try upsertCustomer.bind(2, record.created?.time ?? record.id.time)
        try bindShown(upsertCustomer, 3, record, .name)
        try bindShown(upsertCustomer, 4, record, .stage)
        try bindShown(upsertCustomer, 5, record, .source)
        try bindShown(upsertCustomer, 6, record, .birthMonth)
        try upsertCustomer.run()
    }

    private func bindShown(_ statement: Statement, _ index: Int32, _ record: Record, _ field: Field) throws {
        guard let entry = record.shown(in: record.range(of: CellKey(field))) else {
            return try statement.bind(index, "")
        }
        guard entry.kind == .text else { return try statement.bind(index, record.display(entry)) }
        let range = entry.slice.range
        if range.isEmpty { return try statement.bind(index, "") }
        try record.arena.withUnsafeBytes { try statement.bindText(index, UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    func removeCustomer(_ id: RecordID) throws { try run(deleteCustomer, id) }

    func writeBook(_ kind: Kind, _ record: Record) throws {
        switch kind {
        case .tag:
            try upsertTag.bind(1, record.id.rawValue)
            try bindShown(upsertTag, 2, record, .tagName)
            try bindShown(upsertTag, 3, record, .tagFolded)
            try upsertTag.bind(4, record.shown(in: record.range(of: CellKey(.tagGroup)))?.integer ?? 0)
            try upsertTag.bind(5, record.hasFlag(.tagArchived) ? 1 : 0)
            try upsertTag.run()
        case .tagGroup:
            try upsertGroup.bind(1, record.id.rawValue)
            try bindShown(upsertGroup, 2, record, .groupName)
            try bindShown(upsertGroup, 3, record, .groupFolded)
            try upsertGroup.bind(4, record.hasFlag(.groupSingle) ? 1 : 0)
            try upsertGroup.bind(5, record.hasFlag(.groupArchived) ? 1 : 0)
            try upsertGroup.run()
        default:
            try upsertAccount.bind(1, record.id.rawValue)
            try bindShown(upsertAccount, 2, record, .accountName)
            try bindShown(upsertAccount, 3, record, .accountRole)
            try upsertAccount.run()
        }
    }

    func removeBook(_ kind: Kind, _ id: RecordID) throws {
        switch kind {
        case .tag: try run(deleteBookTag, id)
        case .tagGroup: try run(deleteGroup, id)
        default: try run(deleteAccount, id)
        }
    }
}
