import Testing

@testable import ShoalCRDT

extension History {
    /// The sample record, folded in every order that keeps each log's; that all orders agree with each other and with
    /// the model, at the end and before each operation, is checked on the way.
    func folded(location: SourceLocation = #_sourceLocation) -> Record {
        let batch = Operations(acts)
        var last: Fold?
        var orders = 0
        func extend(_ fold: Fold, _ taken: [Int]) -> String? {
            if let fault = fold.difference(from: taken.map { acts[$0] }) { return "\(taken): \(fault)" }
            if taken.count == acts.count {
                orders += 1
                if let last, let fault = fold.difference(from: last) { return "\(taken): \(fault)" }
                last = fold
                return nil
            }
            for log in replicas.indices {
                guard let next = acts.indices.first(where: { acts[$0].log == log && !taken.contains($0) }) else {
                    continue
                }
                var copy = fold
                if let fault = copy.take(next, of: acts, batch) ?? extend(copy, taken + [next]) { return fault }
            }
            return nil
        }
        if let fault = extend(Fold(), []) { Issue.record("\(fault)", sourceLocation: location) }
        return last?.records[.sample] ?? Record(id: .sample)
    }

    /// Changes an operation into one that no program that keeps to the protocol writes.
    mutating func alter(_ dot: Dot, _ body: (inout Act) -> Void) {
        guard let index = acts.firstIndex(where: { $0.dot == dot }) else { return }
        body(&acts[index])
    }
}

extension Record {
    func shown(_ field: Field, _ element: Element = .none) -> Value? {
        shown(in: range(Cell(field, element))).flatMap { value($0) }
    }

    func kept(_ field: Field) -> [Value] { conflicting(in: range(Cell(field))).compactMap { value($0) } }

    /// The elements of a field that are there.
    func elements(_ field: Field) -> Set<Element> {
        var found: Set<Element> = []
        forEachCell(in: range(of: field)) { cell in
            if let entry = shown(in: cell), entry.kind == .present { found.insert(self.cell(entry.key).element) }
        }
        return found
    }

    func sum(_ field: Field) -> Int64 { sum(in: range(Cell(field))) }

    var markers: [ValueKind] { entries.map(\.kind).filter(\.isMarker) }
}
