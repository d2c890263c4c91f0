/// New places and identifiers for what a log that is continued elsewhere names.
///
/// After a fork the rest of a log gets new numbers, and a record whose identifier is taken gets another one. What later
/// operations of the same log say about either has to follow; everything else stays as it was written.
public struct Renaming: Sendable {
    public var dots: [Dot: Dot]
    public var records: [RecordID: RecordID]
    /// Fields whose integers are identifiers of records.
    public var identifierFields: Set<Field>

    public init(dots: [Dot: Dot] = [:], records: [RecordID: RecordID] = [:], identifierFields: Set<Field> = []) {
        self.dots = dots
        self.records = records
        self.identifierFields = identifierFields
    }

    public var isEmpty: Bool { dots.isEmpty && records.isEmpty }

    func callAsFunction(_ id: RecordID) -> RecordID { records[id] ?? id }
    func callAsFunction(_ dot: Dot) -> Dot { dots[dot] ?? dot }
}

extension Scope {
    fileprivate func renamed(_ renaming: Renaming) -> Scope {
        switch self {
        case .workspace: .workspace
        case .account(let id): .account(renaming(id))
        case .customer(let id): .customer(renaming(id))
        case .pair(let a, let b): .pair(min(renaming(a), renaming(b)), max(renaming(a), renaming(b)))
        }
    }
}

extension Operations {
    /// Whether operation `index` names anything that `renaming` renames.
    public func names(anythingOf renaming: Renaming, at index: Int) -> Bool {
        let operation = operations[index]
        if !renaming.records.isEmpty {
            if renaming(operation.record) != operation.record { return true }
            if let scope = operation.creates?.scope, scope.renamed(renaming) != scope { return true }
        }
        for edit in edits[operation.edits] {
            if edit.key.elementKind == .id, renaming(edit.key.elementID) != edit.key.elementID { return true }
            if renamedInteger(edit, renaming) != edit.integer { return true }
            if dots[edit.supersedes].contains(where: { renaming($0) != $0 }) { return true }
        }
        return dots[operation.covers].contains { renaming($0) != $0 }
    }

    private func renamedInteger(_ edit: Edit, _ renaming: Renaming) -> Int64 {
        guard edit.kind == .integer, renaming.identifierFields.contains(edit.key.field) else { return edit.integer }
        return renaming(RecordID(rawValue: edit.integer)).rawValue
    }

    /// Appends operation `index` of `other` with what it names renamed. Its bytes are no longer those that its hash is
    /// over, so that it has to travel with the hash that it had.
    public mutating func append(_ index: Int, of other: Operations, renaming: Renaming, keptHash: OperationHash) {
        let source = other.operations[index]
        let envelope = source.creates.map { Envelope(kind: $0.kind, scope: $0.scope.renamed(renaming)) }
        begin(
            record: renaming(source.record), time: source.time, creates: envelope, salt: source.salt,
            continuesCommand: source.continuesCommand, keptHash: keptHash)
        var renamed: [(key: CellKey, edit: Edit)] = []
        for edit in other.edits[source.edits] {
            var key = edit.key
            switch key.elementKind {
            case .none: break
            case .id: key = CellKey(key.field, id: renaming(key.elementID))
            case .text: key = CellKey(key.field, text: store(other.arena[key.elementSlice.range]))
            }
            renamed.append((key, edit))
        }
        // Another identifier may stand at another place among the cells.
        renamed.sort { $0.key.compare($1.key, arena, arena) < 0 }
        for (key, edit) in renamed {
            let dots = other.dots[edit.supersedes].map { renaming($0) }
            if edit.kind.isSlice {
                self.edit(key, edit.kind, slice: store(other.arena[edit.slice.range]), supersedes: dots)
            } else {
                self.edit(key, edit.kind, integer: other.renamedInteger(edit, renaming), supersedes: dots)
            }
        }
        if !source.covers.isEmpty { cover(other.dots[source.covers].map { renaming($0) }) }
    }
}

extension Record {
    /// Gives entries the new places of their operations. An entry keeps its place where another operation's entry in this
    /// record has the new one: two operations never share a place.
    ///
    /// - Returns: whether any was renamed.
    public mutating func rename(_ renaming: Renaming) -> Bool {
        let present = Set(entries.lazy.map(\.dot))
        var dots: [Dot: Dot] = [:]
        for dot in present { dots[dot] = renaming.dots[dot] }
        // One that keeps its place may be in the way of the next.
        while let kept = dots.first(where: { $0.key != $0.value && present.contains($0.value) && dots[$0.value] == nil }
        ) {
            dots[kept.key] = nil
        }
        if dots.isEmpty { return false }
        for index in entries.indices {
            if let dot = dots[entries[index].dot] { entries[index].dot = dot }
        }
        var start = 0
        while start < entries.count {
            let end = endOfCell(from: start)
            entries[start..<end].sort { ($0.dot, $0.kind.order) < ($1.dot, $1.kind.order) }
            start = end
        }
        return true
    }
}
