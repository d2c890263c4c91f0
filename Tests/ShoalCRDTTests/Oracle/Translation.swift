@testable import ShoalCRDT

extension Operations {
    init(_ acts: [Act]) {
        self.init()
        for act in acts { append(act) }
    }

    mutating func append(_ act: Act) {
        begin(
            record: act.record, time: act.time, creates: act.creates, salt: act.salt,
            continuesCommand: act.continuesCommand)
        for change in act.changes {
            let key: CellKey
            switch change.cell.element {
            case .none: key = CellKey(change.cell.field)
            case .id(let id): key = CellKey(change.cell.field, id: id)
            case .text(let text): key = CellKey(change.cell.field, text: store(text.bytes))
            }
            switch change.value {
            case .present: edit(key, .present, supersedes: change.supersedes)
            case .absent: edit(key, .absent, supersedes: change.supersedes)
            case .integer(let value): edit(key, .integer, integer: value, supersedes: change.supersedes)
            case .count(let amount): edit(key, .count, integer: amount, supersedes: change.supersedes)
            case .text(let text): edit(key, .text, slice: store(text.bytes), supersedes: change.supersedes)
            case .json(let json): edit(key, .json, slice: store(json.bytes), supersedes: change.supersedes)
            }
        }
        if !act.covers.isEmpty { cover(act.covers) }
    }
}

extension Record {
    func cell(_ key: CellKey) -> Cell {
        switch key.elementKind {
        case .none: Cell(key.field)
        case .id: Cell(key.field, .id(key.elementID))
        case .text: Cell(key.field, .text(Bytes(arena[key.elementSlice.range])))
        }
    }

    func value(_ entry: Entry) -> Value? {
        switch entry.kind {
        case .present: .present
        case .absent: .absent
        case .text: .text(Bytes(arena[entry.slice.range]))
        case .json: .json(Bytes(arena[entry.slice.range]))
        case .integer: .integer(entry.integer)
        case .count: .count(entry.integer)
        default: nil
        }
    }

    func model(_ entry: Entry) -> Model.Entry? {
        value(entry).map { Model.Entry(dot: entry.dot, value: $0, time: entry.time, isCovered: entry.isCovered) }
    }

    /// Where the entries of a cell lie.
    func range(_ cell: Cell) -> Range<Int> {
        switch cell.element {
        case .none: return range(of: CellKey(cell.field))
        case .id(let id): return range(of: CellKey(cell.field, id: id))
        case .text(let text):
            return range(of: CellKey(cell.field, text: Slice(0..<text.bytes.count)), in: text.bytes)
        }
    }

    /// The record in the model's words; cells that hold nothing but the note that they are empty are left out.
    var model: Model {
        var model = Model()
        if isMade { model.envelope = envelope }
        for entry in entries {
            let cell = cell(entry.key)
            switch entry.kind {
            case .emptied: continue
            case .deadAhead: model.deadAhead[cell, default: []].insert(entry.dot)
            case .coveredAhead: model.coveredAhead.insert(entry.dot)
            default: if let entry = self.model(entry) { model.cells[cell, default: []].insert(entry) }
            }
        }
        return model
    }

    /// The first way in which this record is not what `model` says, in its entries or in what it shows.
    func difference(from model: Model) -> String? {
        let own = self.model
        if own != model { return "record \(id) holds \(own)\n  but the model says \(model)" }
        if let fault = misshape { return "record \(id): \(fault)" }
        if isPresent != model.isPresent {
            return "record \(id) is present: \(isPresent), the model: \(model.isPresent)"
        }
        if uncoveredDots() != model.uncoveredDots {
            return "uncovered dots \(uncoveredDots()), the model: \(model.uncoveredDots)"
        }
        for cell in model.cells.keys {
            let range = range(cell)
            let shown = shown(in: range).flatMap { self.model($0) }
            if shown != model.shown(cell) {
                return "\(cell) shows \(shown as Any), the model: \(model.shown(cell) as Any)"
            }
            let others = conflicting(in: range).compactMap { self.model($0) }
            if others != model.conflicting(cell) {
                return "\(cell) keeps \(others), the model: \(model.conflicting(cell))"
            }
            if sum(in: range) != model.sum(cell) {
                return "\(cell) sums to \(sum(in: range)), the model: \(model.sum(cell))"
            }
            if liveDots(in: range).sorted() != model.liveDots(cell) {
                return "\(cell) is superseded by \(liveDots(in: range))"
            }
        }
        return nil
    }

    /// How the entries break the rules of their array, if they do.
    var misshape: String? {
        for entry in entries {
            if entry.kind == .coveredAhead, cell(entry.key) != Cell(.created) {
                return "covered ahead in \(cell(entry.key))"
            }
            if entry.kind.isMarker, entry.isCovered { return "a covered marker" }
            let cellmates = entries[range(of: entry.key, in: arena)]
            if entry.kind == .emptied, cellmates.contains(where: { !$0.kind.isMarker }) {
                return "an empty cell that is not"
            }
        }
        return disorder
    }

    /// How the entries are out of their order, if they are: by cell, then dot, a value before a marker, none twice.
    var disorder: String? {
        for (before, entry) in zip(entries, entries.dropFirst()) {
            if cell(before.key) < cell(entry.key) { continue }
            if cell(before.key) > cell(entry.key) { return "cells out of order at \(cell(entry.key))" }
            let role = { (kind: ValueKind) in kind.isMarker ? kind.rawValue : 0 }
            if (before.dot, role(before.kind)) >= (entry.dot, role(entry.kind)) {
                return "dots out of order at \(entry.dot)"
            }
        }
        return nil
    }

    /// The packed row without sequences.
    var bytes: [UInt8] {
        var copy = self
        for index in copy.entries.indices { copy.entries[index].sequence = 0 }
        var output: [UInt8] = []
        copy.encode(sequence: 0, into: &output)
        return output
    }

    /// The packed row without sequences and without notes that a cell is empty, both of which tell of the order.
    var canonicalBytes: [UInt8] {
        var copy = self
        copy.entries.removeAll { $0.kind == .emptied }
        return copy.bytes
    }
}
