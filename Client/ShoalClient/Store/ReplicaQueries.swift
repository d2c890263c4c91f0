import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// What the derived tables answer.
extension ReplicaStore {
    func noteIDs(of customer: RecordID) throws -> [RecordID] {
        try Int64.fetchAll(
            database.cachedStatement(sql: "SELECT id FROM note WHERE customer = ? ORDER BY id"),
            arguments: [customer.rawValue]
        ).map(RecordID.init(rawValue:))
    }

    /// All customers in id order; a cursor's worth of columns each.
    func customerRows() throws -> [CustomerRow] {
        let cursor = try Row.fetchCursor(
            database.cachedStatement(
                sql: "SELECT id, added, name, stage, source, birth_month FROM customer ORDER BY id"))
        var rows: [CustomerRow] = []
        while let row = try cursor.next() {
            rows.append(
                CustomerRow(
                    id: RecordID(rawValue: row[0]), name: row[2], stage: row[3], source: row[4], birthMonth: row[5],
                    added: row[1]))
        }
        return rows
    }

    func customers(taggedWithAnyOf tags: [RecordID]) throws -> Set<RecordID> {
        var found: Set<RecordID> = []
        for tag in tags {
            let cursor = try Int64.fetchCursor(
                database.cachedStatement(sql: "SELECT customer FROM customer_tag WHERE tag = ?"),
                arguments: [tag.rawValue])
            while let id = try cursor.next() { found.insert(RecordID(rawValue: id)) }
        }
        return found
    }

    func customers(followedBy account: RecordID) throws -> Set<RecordID> {
        var found: Set<RecordID> = []
        let cursor = try Int64.fetchCursor(
            database.cachedStatement(sql: "SELECT customer FROM follow WHERE account = ?"),
            arguments: [account.rawValue])
        while let id = try cursor.next() { found.insert(RecordID(rawValue: id)) }
        return found
    }

    /// How many customers have each tag.
    func tagCounts() throws -> [RecordID: Int] {
        var counts: [RecordID: Int] = [:]
        let cursor = try Row.fetchCursor(
            database.cachedStatement(sql: "SELECT tag, count(*) FROM customer_tag GROUP BY tag"))
        while let row = try cursor.next() { counts[RecordID(rawValue: row[0])] = row[1] }
        return counts
    }

    /// Present records, of one kind or of any, whose identifier lies in `range`, or whose lowest bits under `mask` are
    /// `bits`: the first ten.
    func identifiers(
        of kind: Kind?, in range: ClosedRange<Int64>?, mask: Int64, bits: Int64
    ) throws -> [(RecordID, Kind)] {
        let tables: [(kind: Kind, name: String)] = [
            (.customer, "customer"), (.note, "note"), (.tag, "tag"), (.tagGroup, "tag_group"), (.account, "account"),
        ]
        let wanted = tables.filter { kind == nil || $0.kind == kind }
        if wanted.isEmpty { return [] }
        let union = wanted.map { "SELECT id, \($0.kind.rawValue) AS kind FROM \($0.name)" }
        let sql = """
            SELECT id, kind FROM (\(union.joined(separator: " UNION ALL ")))
            WHERE id BETWEEN ?1 AND ?2 OR id & ?3 = ?4 ORDER BY id LIMIT 10
            """
        return try Row.fetchAll(
            database, sql: sql, arguments: [range?.lowerBound ?? 1, range?.upperBound ?? 0, mask, bits]
        ).map { (RecordID(rawValue: $0[0]), Kind(rawValue: UInt16(truncatingIfNeeded: $0[1] as Int64))) }
    }

    // MARK: Conflicts

    /// The cells in conflict: their record and the key's parts, in order.
    func conflictCells(of record: RecordID?) throws -> [CellPlace] {
        try Row.fetchAll(
            database.cachedStatement(
                sql: "SELECT record, field, element FROM conflict WHERE ?1 IS NULL OR record = ?1 ORDER BY 1, 2, 3"),
            arguments: [record?.rawValue]
        ).map { row in
            CellPlace(
                record: RecordID(rawValue: row[0]), field: Field(rawValue: UInt16(truncatingIfNeeded: row[1] as Int64)),
                element: CellEdit.Element(row[2]))
        }
    }

    /// The customers with more than one of these tags.
    func customers(withSeveralOf tags: [RecordID], only customer: RecordID?) throws -> [RecordID] {
        if tags.count < 2 { return [] }
        return try Int64.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT customer FROM customer_tag
                    WHERE tag IN (SELECT value FROM json_each(?2)) AND (?1 IS NULL OR customer = ?1)
                    GROUP BY customer HAVING count(*) > 1 ORDER BY customer
                    """),
            arguments: [customer?.rawValue, "[\(tags.map { String($0.rawValue) }.joined(separator: ","))]"]
        ).map(RecordID.init(rawValue:))
    }

    /// Whether a listing of these conflicts is remembered.
    func hasListed(_ record: RecordID?) throws -> Bool {
        try Bool.fetchOne(
            database.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM listed WHERE ?1 IS NULL OR record = ?1)"),
            arguments: [record?.rawValue]) ?? false
    }

    /// Remembers a listing of all conflicts, or of those of one record, in place of the one before.
    func remember(_ conflicts: [Conflict], of record: RecordID?) throws {
        try database.cachedStatement(sql: "DELETE FROM listed WHERE ?1 IS NULL OR record = ?1").execute(arguments: [
            record?.rawValue
        ])
        for conflict in conflicts {
            try database.cachedStatement(sql: "REPLACE INTO listed (record, field, token) VALUES (?, ?, ?)").execute(
                arguments: [conflict.record.rawValue, conflict.field, Int64(bitPattern: conflict.token)])
        }
    }

    func rememberedToken(_ record: RecordID, _ field: String) throws -> UInt64? {
        try Int64.fetchOne(
            database.cachedStatement(sql: "SELECT token FROM listed WHERE record = ? AND field = ?"),
            arguments: [record.rawValue, field]
        ).map { UInt64(bitPattern: $0) }
    }

    func forgetListed(_ record: RecordID, _ field: String) throws {
        try database.cachedStatement(sql: "DELETE FROM listed WHERE record = ? AND field = ?").execute(arguments: [
            record.rawValue, field,
        ])
    }

    // MARK: Set aside

    func asideRows() throws -> [(position: Int64, reason: String)] {
        try Row.fetchAll(database.cachedStatement(sql: "SELECT position, reason FROM aside ORDER BY position")).map {
            ($0[0], $0[1])
        }
    }

    /// The cells of a refused operation on a record that somebody has decided on.
    func settledParts(of position: Int64, on record: RecordID) throws -> Set<CellPlace> {
        let rows = try Row.fetchAll(
            database.cachedStatement(sql: "SELECT field, element FROM aside_settled WHERE position = ?"),
            arguments: [position])
        return Set(
            rows.map { row in
                CellPlace(
                    record: record, field: Field(rawValue: UInt16(truncatingIfNeeded: row[0] as Int64)),
                    element: CellEdit.Element(row[1]))
            })
    }

    /// Remembers that somebody has decided on a part of a refused operation.
    func settleAside(_ position: Int64, _ place: CellPlace) throws {
        try database.cachedStatement(
            sql: "INSERT OR IGNORE INTO aside_settled (position, field, element) VALUES (?, ?, ?)"
        ).execute(arguments: [position, Int64(place.field.rawValue), place.element.databaseValue])
    }

    /// The newest note on a healing of a kind that this version knows.
    func lastHealing() throws -> HealingNote? {
        try Row.fetchOne(
            database.cachedStatement(sql: "SELECT time, kind, replica, changes FROM healing ORDER BY id DESC LIMIT 1")
        )
        .flatMap { row in
            HealingNote.Kind(rawValue: row["kind"]).map { kind in
                HealingNote(
                    kind: kind, at: row["time"],
                    replica: ReplicaID(rawValue: UInt32(truncatingIfNeeded: row["replica"] as Int64)).text,
                    changes: row["changes"])
            }
        }
    }

    /// Whether an operator may work on the record: it is present, or a customer that one of its notes keeps.
    func isThere(_ record: Record) throws -> Bool {
        try record.isPresent || (record.isMade && projection.table.hasCustomer(record.id))
    }

    /// Derives the tables anew if a program wrote them that could not read all that the records say.
    func deriveIfUnderived() throws {
        func isUnderived() throws -> Bool { try Bool.fetchOne(database, sql: "SELECT 1 FROM underived") ?? false }
        guard try !isReadOnly && isUnderived() else { return }
        try transaction {
            // Another process may have done it while this one waited.
            guard try isUnderived() else { return }
            try rebuildProjections()
            try database.execute(sql: "DELETE FROM underived")
        }
    }

    /// Throws the derived tables away and derives them again from records and tail.
    func rebuildProjections() throws {
        forgetCached()
        for table in [
            "customer", "customer_tag", "follow", "note", "tag_group", "tag", "tag_merge", "account", "author",
            "conflict", "text_queue", "member",
        ] {
            try database.execute(sql: "DELETE FROM \(table)")
        }
        try text.rebuild()
        try forEachEffective { record in
            try projection.update(from: nil, to: record)
            if record.isMade { try scopes.add(record.id, record.envelope) }
        }
    }

    /// Calls `body` with each effective record, in id order.
    func forEachEffective(_ body: (Record) throws -> Void) throws {
        let tail = try log.tailRecords()
        var waiting = tail.sorted(by: >)
        func flush(before id: RecordID?) throws {
            while let next = waiting.last, id.map({ next < $0 }) ?? true {
                waiting.removeLast()
                var record = Record(id: next)
                try log.overlay(&record)
                try body(record)
            }
        }
        try records.scan(after: RecordID(rawValue: 0)) { row, _ in
            try flush(before: row.id)
            var record = row
            if waiting.last == row.id {
                waiting.removeLast()
                try log.overlay(&record)
            }
            try body(record)
            return true
        }
        try flush(before: nil)
    }
}

extension CellEdit.Element {
    /// As tables keep it: the number of an identifier, text, or 0 where the cell has none.
    fileprivate init(_ value: DatabaseValue) {
        self =
            switch value.storage {
            case .int64(0): .none
            case .int64(let id): .id(RecordID(rawValue: id))
            case .blob(let bytes): .text(String(decoding: bytes, as: UTF8.self))
            default: .none
            }
    }

    fileprivate var databaseValue: DatabaseValue {
        switch self {
        case .none: 0.databaseValue
        case .id(let id): id.rawValue.databaseValue
        case .text(let text): Data(text.utf8).databaseValue
        }
    }
}
