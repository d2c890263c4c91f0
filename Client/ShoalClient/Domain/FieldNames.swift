import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// Turns the names and values that people type into edits of a customer's cells, and back.
enum FieldNames {
    /// Registers of the customer.
    static let customer: [FieldSchema] = Schema.fields.filter {
        $0.kind == .customer && $0.shape == .register && $0.element == .none
    }

    /// Registers of the own follow relation other than the remark.
    static let relation: [FieldSchema] = Schema.fields.filter {
        [.description, .remarkMobiles, .addWay, .state].contains($0.field)
    }

    /// The names under which `values` lists what is not a free field, in its order.
    static let listed: [String] = customer.map(\.name) + ["remark", "remark_unparsed"] + relation.map(\.name)

    static let names: [String] = customer.map(\.name) + ["remark"] + relation.map(\.name)

    /// - Parameters:
    ///   - account: whose follow relation is meant.
    ///   - seen: the customer as it is, nil for a new one; what it shows already is left out.
    static func edits(_ fields: [FieldValue], account: RecordID, seen record: Record?) throws -> [CellEdit] {
        var edits: [CellEdit] = []
        for field in fields {
            try check(field.value, field: field.name)
            for edit in try cells(field, account) {
                edits.removeAll { $0.field == edit.field && $0.element == edit.element }
                edits.append(edit)
            }
        }
        let before = record ?? Record(id: RecordID(rawValue: 1))
        return edits.filter { !$0.isShown(in: before) }
    }

    private static func cells(_ field: FieldValue, _ account: RecordID) throws -> [CellEdit] {
        if let schema = customer.first(where: { $0.name == field.name }) {
            return [CellEdit(schema.field, .none, .text(field.value))]
        }
        if let schema = relation.first(where: { $0.name == field.name }) {
            return [CellEdit(schema.field, .id(account), .text(field.value))]
        }
        if field.name == "remark" { return Remark(field.value).edits(account) }
        if field.name.hasPrefix("x-"), field.name.utf8.count > 2 {
            return [CellEdit(.free, .text(field.name), .text(field.value))]
        }
        throw ReplicaError.unknownField(field.name, near: NearNames.of(field.name, among: names))
    }

    /// Refuses what the protocol cannot carry.
    static func check(_ value: String, field: String) throws {
        if value.utf8.count > Limits.text {
            throw ReplicaError.invalidValue(field: field, reason: "it is longer than \(Limits.text) bytes")
        }
        if value.utf8.contains(0) {
            throw ReplicaError.invalidValue(field: field, reason: "it contains a NUL character")
        }
    }

    /// The fields of a customer that are set, as `show` prints them.
    static func values(of record: Record, account: RecordID) -> [FieldValue] {
        var values: [FieldValue] = []
        func add(_ name: String, _ value: String) {
            if !value.isEmpty { values.append(FieldValue(name, value)) }
        }
        for schema in customer { add(schema.name, record.shownText(schema.field)) }
        let remark = Remark(record, account)
        add("remark", remark.text)
        if remark.hasBoth { add("remark_unparsed", remark.unparsed) }
        for schema in relation { add(schema.name, record.shownText(CellKey(schema.field, id: account))) }
        record.forEachCell(in: record.range(of: Field.free)) { cell in
            guard let first = cell.first, let shown = record.shown(in: cell) else { return }
            // Another program's element may be called like a field of the customer: a name is listed once.
            let name = record.text(record.entries[first].key.elementSlice)
            if name.hasPrefix("x-") { add(name, record.display(shown)) }
        }
        return values
    }

    /// The name by which commands know the field of a cell.
    static func label(
        _ field: Field, _ element: CellEdit.Element, own account: RecordID, _ name: (RecordID) -> String
    ) -> String {
        let field = Schema.name(of: field)
        switch element {
        case .none: return field
        case .text(let text): return text
        case .id(account): return field
        case .id(let id): return "\(field)@\(name(id))"
        }
    }
}

/// A remark: `会员群-加粉来源-旺旺号-收件人姓名` in four parts, or whatever else was typed, unparsed.
struct Remark: Equatable {
    static let partFields: [Field] = [.remarkGroup, .remarkSource, .remarkWangwang, .remarkRecipient]

    var parts: [String]
    var unparsed: String

    init(_ text: String) {
        let split = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        let isParsed = split.count == Self.partFields.count && split.contains { !$0.isEmpty }
        parts = isParsed ? split : Self.partFields.map { _ in "" }
        unparsed = isParsed ? "" : text
    }

    init(_ record: Record, _ account: RecordID) {
        parts = Self.partFields.map { record.shownText(CellKey($0, id: account)) }
        unparsed = record.shownText(CellKey(.remarkUnparsed, id: account))
    }

    private var isParsed: Bool { parts.contains { !$0.isEmpty } }

    /// Two operators wrote, one in parts and one not: both are kept.
    var hasBoth: Bool { isParsed && !unparsed.isEmpty }

    var text: String { isParsed ? parts.joined(separator: "-") : unparsed }

    /// Edits of all five cells: those of the other form are cleared.
    func edits(_ account: RecordID) -> [CellEdit] {
        zip(Self.partFields, parts).map { CellEdit($0, .id(account), .text($1)) }
            + [CellEdit(.remarkUnparsed, .id(account), .text(unparsed))]
    }
}
