import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// A customer as an export holds it.
public struct ExportedCustomer: Hashable, Sendable {
    public var id: RecordID
    /// Milliseconds since 1970 at which the customer was added.
    public var added: Int64
    /// Only fields that are set, in the order of the schema; own follow fields and free fields included.
    public var fields: [FieldValue]
    public var tags: [AssignedTag]
    /// Account names, sorted.
    public var followers: [String]
    /// How many notes there are.
    public var notes: Int
}

extension Replica {
    /// Notes for the audit that customers are written into a file. A home that cannot be written notes nothing.
    ///
    /// - Parameters:
    ///   - form: `csv`, `jsonl`, or `person` for everything about one.
    ///   - customers: how many.
    public func noteExport(_ form: String, customers: Int, person: RecordID? = nil) throws {
        if try isReadOnly { return }
        try write { commands in
            var fields = [(Field.exportForm, form), (Field.exportCount, String(customers))]
            if let person { fields.append((.exportPerson, person.description)) }
            _ = try commands.make(.export, scope: .account(commands.store.standing.account), fields)
        }
    }

    /// All customers in id order, of one state of the replica.
    ///
    /// - Parameters:
    ///   - begin: called first, with the names of all fields that any of them has: those of the schema in its order, then the
    ///     free ones by name.
    ///   - each: called for each customer; only one is in memory at a time.
    public func export(
        begin: ([String]) throws -> Void = { _ in }, each: (ExportedCustomer) throws -> Void
    ) throws {
        try read { store in
            let rows = try Finder(store, "").customers(limit: nil)
            var free: Set<String> = []
            for row in rows {
                for field in FieldNames.values(of: try store.effective(row.id), account: store.standing.account)
                where field.name.hasPrefix("x-") { free.insert(field.name) }
            }
            try begin(FieldNames.listed + free.sorted())
            let book = try store.readBook()
            let authors = Authors(store, book)
            for row in rows {
                let record = try store.effective(row.id)
                try each(
                    ExportedCustomer(
                        id: row.id, added: row.added,
                        fields: FieldNames.values(of: record, account: store.standing.account),
                        tags: Self.tags(of: record, book, authors), followers: Self.followers(of: record, authors),
                        notes: try store.noteIDs(of: row.id).count))
            }
        }
    }
}
