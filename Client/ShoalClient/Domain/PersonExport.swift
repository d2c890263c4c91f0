import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// Everything that a home has about a customer.
public struct PersonExport: Sendable {
    public struct Value: Sendable {
        public var value: String
        public var by: String
        /// Milliseconds since 1970.
        public var at: Int64
        /// `shown`; `conflict` of one beside it; `removed`; `change` of a text; `deleted` where a deletion covers it.
        public var state: String
    }
    public struct Field: Sendable {
        /// As commands call it: a tag by group and name, a relation's field with the account.
        public var name: String
        public var values: [Value]
    }
    public struct Record: Sendable {
        public var id: RecordID
        public var kind: String
        public var fields: [Field]
        /// Of a note: its text in parts.
        public var text: [NotePart]
    }

    public var person: RecordID
    /// The customer first, then what belongs to it.
    public var records: [Record]
    /// Conflicts, and what the server refused and nobody has decided on.
    public var conflicts: [Conflict]
}

extension Replica {
    /// Everything that is here about a customer: all values with authors and times, also those in conflict, removed or refused,
    /// and what is not sent yet.
    public func exported(_ person: RecordID) throws -> PersonExport {
        try read { store in
            let reading = try ConflictReading(store)
            let ids =
                [person]
                + (try store.scopes.records(in: person).filter { $0 != person })
                .union(try store.noteIDs(of: person))
            let records = try ids.map { try store.effective($0) }.filter(\.isMade)
            let conflicts = try records.flatMap { try reading.all(of: $0.id).map(\.conflict) }
            let export = PersonReading(labels: reading.refused, names: reading.refused.names)
            return PersonExport(
                person: person, records: records.map(export.record), conflicts: conflicts)
        }
    }
}

extension [RecordID] {
    /// These and those of `others` that are not among them, ascending.
    fileprivate func union(_ others: [RecordID]) -> [RecordID] { Set(self).union(others).sorted() }
}

/// Puts records in words.
private struct PersonReading {
    let labels: RefusedReading
    let names: Authors

    func record(_ record: Record) -> PersonExport.Record {
        var fields: [PersonExport.Field] = []
        record.forEachCell { cell in
            guard let first = cell.first else { return }
            let key = record.entries[first].key
            fields.append(
                PersonExport.Field(
                    name: labels.label(key.field, element(of: key, record)), values: values(record, cell)))
        }
        let text = record.textHistory(in: record.range(of: CellKey(.body))).map {
            NotePart(text: $0.text, by: names.author($0.replica), at: $0.time)
        }
        return PersonExport.Record(
            id: record.id, kind: Schema.name(of: record.envelope.kind), fields: fields, text: text)
    }

    private func values(_ record: Record, _ cell: Range<Int>) -> [PersonExport.Value] {
        let shown = record.shown(in: cell)?.dot
        return cell.map { index in
            let entry = record.entries[index]
            let state =
                switch entry.kind {
                case _ where entry.isCovered: "deleted"
                case .absent: "removed"
                case .textChange: "change"
                case _ where entry.dot == shown: "shown"
                default: "conflict"
                }
            let value = entry.kind == .textChange ? record.text(entry.slice) : record.display(entry)
            return PersonExport.Value(
                value: value, by: names.author(entry.dot.replica), at: entry.time, state: state)
        }
    }

    private func element(of key: CellKey, _ record: Record) -> CellEdit.Element {
        switch key.elementKind {
        case .none: .none
        case .id: .id(key.elementID)
        case .text: .text(record.text(key.elementSlice))
        }
    }
}
