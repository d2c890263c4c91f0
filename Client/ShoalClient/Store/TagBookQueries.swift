import GRDB
import ShoalCRDT

extension TagBook {
    /// Reads the book from the derived tables.
    init(_ database: Database) throws {
        let groups = try Row.fetchAll(database.cachedStatement(sql: "SELECT * FROM tag_group")).map { row in
            Group(
                id: RecordID(rawValue: row["id"]), name: row["name"], folded: row["folded"], isSingle: row["single"],
                isArchived: row["archived"])
        }
        var merged: [RecordID: [RecordID]] = [:]
        for row in try Row.fetchAll(database.cachedStatement(sql: "SELECT tag, into_tag FROM tag_merge")) {
            merged[RecordID(rawValue: row[0]), default: []].append(RecordID(rawValue: row[1]))
        }
        let tags = try Row.fetchAll(database.cachedStatement(sql: "SELECT * FROM tag")).map { row in
            let id = RecordID(rawValue: row["id"])
            return Tag(
                id: id, name: row["name"], folded: row["folded"], group: RecordID(rawValue: row["tag_group"]),
                isArchived: row["archived"], merged: merged[id] ?? [])
        }
        let accounts = try Row.fetchAll(database.cachedStatement(sql: "SELECT * FROM account ORDER BY name")).map {
            row in
            Account(id: RecordID(rawValue: row["id"]), name: row["name"], role: row["role"])
        }
        var authors: [UInt32: RecordID] = [:]
        for row in try Row.fetchAll(database.cachedStatement(sql: "SELECT replica, account FROM author")) {
            authors[UInt32(truncatingIfNeeded: row["replica"] as Int64)] = RecordID(rawValue: row["account"])
        }
        self.init(groups: groups, tags: tags, accounts: accounts, authors: authors)
    }
}
