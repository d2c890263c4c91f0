import ShoalCRDT
import ShoalProtocol

/// The conflicts that operators must be shown, from the model: by record and field, the values.
struct ExpectedConflicts {
    private(set) var all: [String: Set<String>] = [:]
    private let model: Model
    private let present: Set<RecordID>

    init(_ model: Model, _ present: Set<RecordID>, account: RecordID, name: (RecordID) -> String) {
        self.model = model
        self.present = present
        var scopes = present
        for (id, envelope) in model.envelopes where envelope.kind == .note && present.contains(id) {
            if case .customer(let customer) = envelope.scope, model.envelopes[customer] != nil {
                scopes.insert(customer)
            }
        }
        let known = Set(Schema.kindNames.map(\.0))
        for (id, envelope) in model.envelopes where scopes.contains(id) && known.contains(envelope.kind) {
            for cell in model.cellsOf[id] ?? [] {
                if cell.field == .created || cell.field == .tagFolded || cell.field == .groupFolded { continue }
                if cell.field == .unknownOperation { continue }
                let values = model.values(in: cell)
                if values.count < 2 { continue }
                var label = Schema.name(of: cell.field)
                switch cell.element {
                case .none: break
                case .text(let text): label = text
                case .id(let id): if id != account { label += "@\(name(id))" }
                }
                all["\(id) \(label)"] = Set(values.map(Self.words))
            }
            if envelope.kind == .customer { addGroups(of: id) }
        }
    }

    private static func words(_ value: CellValue) -> String {
        switch value {
        case .text(let text), .json(let text), .foreign(_, let text): text
        case .integer(let number), .count(let number): String(number)
        case .present: "yes"
        case .textChange(let change): change.json
        case .absent, .marker: ""
        }
    }

    /// Several tags of a single-choice group on one customer. Names are distinct letters, so equal names are equal tags.
    private mutating func addGroups(of customer: RecordID) {
        var chosen: [String: [String: Set<String>]] = [:]
        for cell in model.cellsOf[customer] ?? [] where cell.field == .tagged && model.hasElement(cell) {
            guard case .id(let tag) = cell.element, present.contains(tag), let name = text(tag, .tagName),
                let group = groups(of: tag).first, isSingle(group), let groupName = text(group, .groupName)
            else { continue }
            chosen[groupName, default: [:]][name, default: []].insert(name)
        }
        for (group, names) in chosen where names.count > 1 { all["\(customer) tag:\(group)"] = Set(names.keys) }
    }

    private func text(_ id: RecordID, _ field: Field) -> String? {
        for case .text(let text) in model.values(in: CellName(id, field)) { return text }
        return nil
    }

    private func groups(of tag: RecordID) -> [RecordID] {
        model.values(in: CellName(tag, .tagGroup)).compactMap { value in
            if case .integer(let number) = value, present.contains(RecordID(rawValue: number)) {
                return RecordID(rawValue: number)
            }
            return nil
        }
    }

    /// Groups of one name are one: a single choice as soon as one of them is.
    private func isSingle(_ group: RecordID) -> Bool {
        guard let name = text(group, .groupName) else { return false }
        return model.envelopes.contains { id, envelope in
            envelope.kind == .tagGroup && present.contains(id) && text(id, .groupName) == name
                && model.hasElement(CellName(id, .groupSingle))
        }
    }
}
