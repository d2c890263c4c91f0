import Testing

@testable import ShoalCRDT

/// A law proves nothing about what its histories never meet.
@Suite struct GeneratorTests {
    @Test func historiesMeetWhatTheLawsAreAbout() {
        var random = SplitMix64(seed: 1)
        var met: [String: Int] = [:]
        func meet(_ what: String, if isMet: Bool) { met[what, default: 0] += isMet ? 1 : 0 }
        for _ in 0..<2_000 {
            let history = History.sensible(&random)
            let batch = Operations(history.acts)
            var fold = Fold()
            var advance: Set<UInt8> = []
            for index in history.interleaving(&random) {
                _ = fold.take(index, of: history.acts, batch)
                advance.formUnion(fold.records.values.flatMap(\.entries).map(\.kind).filter(\.isMarker).map(\.rawValue))
            }
            let models = history.records.map { Model(of: $0, from: history.acts) }
            let cells = models.flatMap { model in model.cells.keys.map { (model, $0) } }
            meet("a conflict", if: cells.contains { !$0.conflicting($1).isEmpty })
            meet("two conflicts in a cell", if: cells.contains { $0.conflicting($1).count > 1 })
            meet("equal values", if: cells.contains { ($0.cells[$1]?.count ?? 0) > $0.conflicting($1).count + 1 })
            meet("a record deleted", if: models.contains { $0.envelope != nil && !$0.isPresent })
            meet(
                "a record revived",
                if: models.contains { $0.isPresent && $0.cells.values.joined().contains(where: \.isCovered) })
            meet("a record made twice", if: models.contains { ($0.cells[Cell(.created)]?.count ?? 0) > 1 })
            meet(
                "a counter of two replicas",
                if: cells.contains { $1.field == .visits && ($0.cells[$1]?.count ?? 0) > 1 })
            meet("an unknown operation", if: cells.contains { $1.field == .unknownOperation })
            meet("an operation of several edits", if: history.acts.contains { $0.changes.count > 2 })
            meet(
                "1975 and 2099",
                if: history.acts.contains { $0.time < 2 << 37 } && history.acts.contains { $0.time > 2 << 40 })
            meet("one time for all", if: Set(history.acts.map(\.time)).count == 1)
            meet("death in advance", if: advance.contains(ValueKind.deadAhead.rawValue))
            meet("covering in advance", if: advance.contains(ValueKind.coveredAhead.rawValue))
            meet("five replicas", if: history.replicas.count == 5)
            meet("two records", if: models.count > 1)
            meet("thirty operations", if: history.acts.count >= 30)
        }
        for (what, count) in met { #expect(count >= 20, "\(what): \(count) of 2000") }
    }
}
