import ShoalClient
import ShoalCRDT
import ShoalProtocol
import ShoalServer

import struct ShoalCRDT.Record

/// Compares a cluster at rest with what its operators did.
struct Verification {
    let cluster: Cluster
    let oracle: Oracle
    private(set) var model: Model
    private let ambiguity: Ambiguity
    private(set) var findings = Findings()
    let hashes: [Dot: OperationHash]
    /// What operations that are lost had replaced or deleted: nobody can tell whether anybody remembers it.
    private let forgotten: Set<OperationHash>
    /// What operations had replaced or deleted of which nobody surely knew it.
    private let loosened: Set<OperationHash>
    let refused: Set<OperationHash>
    /// Where each operation comes among those that were done.
    private let numbers: [OperationHash: Int]
    /// The last deletion of each record.
    private var lastDeletions: [RecordID: Int] = [:]
    /// Whether accounts see only what they follow.
    private var hasVisibility: Bool { cluster.settings.visibility }
    /// Presence of each record as the server has it: checked against the model, then used for what depends on it.
    private(set) var present: Set<RecordID> = []

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        oracle = cluster.oracle
        let store = try cluster.server.opened()
        hashes = try store.takenHashes()
        let taken = hashes
        let refused = Set(try store.refusedDots().compactMap { taken[$0] })
        self.refused = refused
        let hasVisibility = cluster.settings.visibility
        ambiguity = try Self.ambiguity(cluster, taken)
        let known = cluster.oracle
        var there = Set(taken.values)
        if cluster.settings.faults.recovers {
            try store.forEachRecord { there.formUnion(known.events(in: $0, for: -1)) }
        }
        let lost = known.order.compactMap { known.events[$0] }.filter { $0.mayBeGone && !there.contains($0.hash) }
        forgotten =
            cluster.settings.faults.recovers
            ? Set(lost.flatMap { $0.covered.union($0.writes.flatMap(\.superseded)) }) : []
        let logged = Set(taken.values)
        loosened = Set(
            known.order.filter { !logged.contains($0) }.compactMap { known.events[$0] }.flatMap(\.loose))
        let events = known.order.compactMap { known.events[$0] }.filter {
            !$0.isForbidden && !($0.mayBeGone && !there.contains($0.hash))
                && !(hasVisibility && refused.contains($0.hash))
        }
        model = Model(events)
        let numbers = Dictionary(uniqueKeysWithValues: known.order.enumerated().map { ($1, $0) })
        for event in events where !event.covered.isEmpty {
            lastDeletions[event.record] = max(lastDeletions[event.record] ?? 0, numbers[event.hash] ?? 0)
        }
        self.numbers = numbers
    }

    private static func ambiguity(_ cluster: Cluster, _ taken: [Dot: OperationHash]) throws -> Ambiguity {
        var known: [OperationHash: Set<Dot>] = [:]
        for (dot, hash) in taken { known[hash, default: []].insert(dot) }
        for machine in cluster.machines {
            for place in try machine.opened().logged().places { known[place.hash, default: []].insert(place.dot) }
            for (dot, hash, _) in try machine.opened().formerPlaces() { known[hash, default: []].insert(dot) }
        }
        if cluster.settings.faults.recovers {
            // What comes in a relay comes with the places that it had.
            for (hash, event) in cluster.oracle.events where event.isUnlogged {
                known[hash, default: []].formUnion(cluster.oracle.places(of: hash))
            }
        }
        return cluster.oracle.ambiguity(known: known)
    }

    mutating func note(_ count: WritableKeyPath<Findings, Int>, _ sentence: String) { findings.add(count, sentence) }

    private var recovers: Bool { cluster.settings.faults.recovers }

    /// The operation whose entry stands in a cell: one of the server's logs, or one that came in a relay.
    private func event(at dot: Dot, in cell: CellName) -> OperationHash? {
        let taken = hashes[dot]
        guard recovers, taken.flatMap({ oracle.events[$0] })?.record != cell.record else { return taken }
        return oracle.event(at: dot, in: cell, for: -1) ?? taken
    }

    /// With `lineage` nothing is collected, whatever the seed says: every absence is there.
    private var collects: Bool { cluster.settings.faults.collects && !cluster.settings.faults.lineage }

    /// Whether an absence may have been collected before somebody deleted its record, who so could not see it.
    func mayBeCollected(_ event: OperationHash, of id: RecordID) -> Bool {
        guard collects, let number = numbers[event], let last = lastDeletions[id] else { return false }
        return oracle.collections.contains { number < $0 && $0 <= last }
    }

    mutating func run() throws {
        for failure in oracle.failures { findings.add(\.diverged, failure) }
        checkLogs()
        try checkRecords()
        let whole = try cluster.serverDump()
        let views = try hasVisibility ? views() : [:]
        for machine in cluster.machines {
            let dump = try hasVisibility ? cluster.serverDump(for: machine) : whole
            if let view = views[machine.account.id] { checkView(view, dump, machine) }
            if try cluster.dump(machine) != dump {
                findings.add(
                    \.diverged, "machine \(machine.number) has another dump than the server: \(try difference(machine))"
                )
            }
            try checkConflicts(machine, views[machine.account.id])
            try checkRefused(machine)
        }
        if let machine = cluster.machines.first { try checkDerived(machine) }
    }

    // MARK: The server

    /// Every operation stands in the server's logs, once, and only forbidden ones are refused.
    private mutating func checkLogs() {
        var seen: [OperationHash: Int] = [:]
        for hash in hashes.values { seen[hash, default: 0] += 1 }
        for hash in oracle.order {
            guard let event = oracle.events[hash] else { continue }
            let count = seen[hash] ?? 0
            if event.mayBeGone || (recovers && event.isUnlogged), count == 0 { continue }
            if count == 0 {
                findings.add(
                    \.lost,
                    "the operation \(hash.text) of machine \(event.machine) on \(event.record) is not in the server's logs"
                )
            }
            if count > 1 {
                findings.add(
                    \.doubled,
                    "an operation of machine \(event.machine) on \(event.record) is \(count) times in the server's logs"
                )
            }
            if hasVisibility, refused.contains(hash), mayBeRefused(event) { continue }
            if refused.contains(hash) != event.isForbidden {
                findings.add(
                    \.lost,
                    "an operation of machine \(event.machine) on \(event.record) was \(event.isForbidden ? "not " : "")refused"
                )
            }
        }
    }

    private mutating func checkRecords() throws {
        var found: Set<RecordID> = []
        try cluster.server.opened().forEachRecord { record in
            if record.envelope.kind == .account { return }
            found.insert(record.id)
            check(record)
        }
        for (id, _) in model.envelopes.sorted(by: { $0.key < $1.key }) where !found.contains(id) {
            if collects, model.values(keeping: id, isGone: { mayBeCollected($0, of: id) }).isEmpty { continue }
            findings.add(\.lost, "the server has no record \(id)")
        }
    }

    private mutating func check(_ record: Record) {
        guard let envelope = model.envelopes[record.id] else {
            // What was written to a record whose maker is gone waits for it.
            if record.envelope.kind == .none { return }
            return findings.add(\.resurrected, "the server has the record \(record.id), which nobody made")
        }
        if envelope != record.envelope { findings.add(\.diverged, "\(record.id) has another envelope") }
        if collects, record.isEmptied {
            let present = model.values(keeping: record.id) { mayBeCollected($0, of: record.id) }.map {
                "\(words($0.cell)) \($0.live)"
            }
            if !present.isEmpty { findings.add(\.lost, "\(record.id) was collected in spite of \(present.sorted())") }
            return
        }
        var lastCounts: Set<OperationHash> = []
        var absences: Set<OperationHash> = []
        var settled: [(event: OperationHash, isCovered: Bool)] = []
        var there: Set<CellName> = []
        record.forEachCell { range in
            guard let first = range.first else { return }
            let cell = CellName(record.id, record.entries[first].key, record.text)
            there.insert(cell)
            var actual: Set<Model.Live> = []
            for entry in record.entries[range] where !entry.kind.isMarker {
                guard let event = event(at: entry.dot, in: cell) else {
                    findings.add(\.diverged, "\(words(cell)) has \(entry.dot.text), which nobody wrote")
                    continue
                }
                if entry.kind == .count {
                    lastCounts.insert(event)
                    let isCovered = model.covered[record.id]?.contains(event) == true
                    if isCovered == entry.isCovered { continue }
                    if isCovered ? mayStay(event) : mayBeTaken(event, for: model.seen(in: cell)) {
                        settled.append((event, entry.isCovered))
                    } else {
                        findings.add(
                            isCovered ? \.resurrected : \.lost,
                            "\(words(cell)) counts \(isCovered ? "uncovered" : "covered")")
                    }
                    continue
                }
                if entry.kind == .absent { absences.insert(event) }
                let value = CellValue(entry.kind, integer: entry.integer) { record.text(entry.slice) }
                actual.insert(Model.Live(event: event, value: value, isCovered: entry.isCovered))
            }
            compare(cell, actual)
            compareSum(cell, record.sum(in: range))
            if record.isText(range) { compareText(cell, record.openText(in: range).text) }
        }
        for cell in model.cellsOf[record.id] ?? [] where !there.contains(cell) {
            compare(cell, [])
            compareSum(cell, 0)
        }
        for (event, isCovered) in settled { model.settle(event, of: record.id, isCovered: isCovered) }
        let isPresent = model.isPresent(record.id, lastCounts: lastCounts) { event in
            !absences.contains(event) && mayBeCollected(event, of: record.id)
        }
        if isPresent { present.insert(record.id) }
        if isPresent != record.isPresent {
            findings.add(isPresent ? \.lost : \.resurrected, "\(record.id) is \(record.isPresent ? "" : "not ")present")
        }
    }

    private mutating func compareSum(_ cell: CellName, _ sum: Int64) {
        let expected = model.sums[cell] ?? 0
        if sum == expected || (recovers && mayCountTwice(sum &- expected, in: cell)) { return }
        findings.add(sum > expected ? \.doubled : \.lost, "\(words(cell)) counts \(sum), not \(expected)")
    }

    /// Whether additions make this up that were renumbered without a proof that the counter has them already (SPEC.md §3.6).
    private func mayCountTwice(_ amount: Int64, in cell: CellName) -> Bool {
        var sums: Set<Int64> = [0]
        for hash in oracle.order where oracle.wasCountedUnproven(hash) {
            for case .count(let count) in (oracle.events[hash]?.writes ?? []).filter({ $0.cell == cell }).map(\.value) {
                sums.formUnion(sums.map { $0 &+ count })
            }
        }
        return sums.contains(amount)
    }

    private mutating func compareText(_ cell: CellName, _ text: String) {
        guard let expected = model.text(in: cell), text != expected else { return }
        findings.add(text.count < expected.count ? \.lost : \.diverged, "\(words(cell)) says \(text), not \(expected)")
        if let last = findings.sentences.indices.last { findings.sentences[last] += history(cell) }
    }

    private mutating func compare(_ cell: CellName, _ actual: Set<Model.Live>) {
        var expected = model.cells[cell] ?? []
        var actual = actual
        if collects {
            // Absences go when everybody has heard of them.
            expected = expected.filter { $0.value != .absent }
            actual = actual.filter { $0.value != .absent }
        }
        if actual == expected { return }
        if allowForAmbiguity(cell, &expected, actual) { model.settle(cell, expected) }
        if actual == expected { return }
        defer { if let last = findings.sentences.indices.last { findings.sentences[last] += history(cell) } }
        for live in expected where !actual.contains(live) {
            if let other = actual.first(where: { $0.event == live.event }) {
                findings.add(
                    live.isCovered && !other.isCovered ? \.resurrected : \.lost,
                    "\(words(cell)) has \(other) and should have \(live)")
            } else {
                findings.add(\.lost, "\(words(cell)) lacks \(live)")
            }
        }
        for live in actual where !expected.contains(where: { $0.event == live.event }) {
            findings.add(
                model.wasReplaced(live.event, in: cell) ? \.resurrected : \.diverged, "\(words(cell)) still has \(live)"
            )
        }
    }

    private func mayBeTaken(_ event: OperationHash, for seen: Set<OperationHash>) -> Bool {
        ambiguity.mayBeTaken(event, for: seen) || forgotten.contains(event)
    }

    private func mayStay(_ event: OperationHash) -> Bool {
        // What was renumbered without a proof of its former place is rather applied again than passed over (SPEC.md §3.6).
        let isRenumbered = recovers && oracle.wasSeenUnproven(event)
        return ambiguity.mayStay(event) || isRenumbered || (recovers && loosened.contains(event))
    }

    /// Expects what is there where nobody can know better.
    private func allowForAmbiguity(_ cell: CellName, _ expected: inout Set<Model.Live>, _ actual: Set<Model.Live>)
        -> Bool
    {
        let before = expected
        let seen = model.seen(in: cell)
        for live in expected where !actual.contains(live) {
            let other = actual.first { $0.event == live.event }
            let isLess = other == nil || other?.isCovered == true
            guard isLess ? mayBeTaken(live.event, for: seen) : mayStay(live.event) else { continue }
            expected.remove(live)
            if let other { expected.insert(other) }
        }
        for live in actual where !expected.contains(where: { $0.event == live.event }) {
            if model.wasReplaced(live.event, in: cell), mayStay(live.event) { expected.insert(live) }
        }
        return expected != before
    }

    /// Who wrote what there, in the order in which it was done, and where the server has it.
    private func history(_ cell: CellName) -> String {
        var lines: [String] = []
        func name(_ hash: OperationHash) -> String { String(hash.rawValue, radix: 36) }
        for hash in oracle.order {
            guard let event = oracle.events[hash], event.record == cell.record else { continue }
            let dots = hashes.filter { $0.value == hash }.keys.sorted().map(\.text)
            let place = " machine \(event.machine) \(dots) \(event.mayBeGone ? "lost with a disk" : "")"
            for write in event.writes where write.cell == cell {
                lines.append("\(name(hash)): \(write.value) over \(write.superseded.map(name).sorted())\(place)")
            }
            if !event.covered.isEmpty {
                lines.append("\(name(hash)): deletes \(event.covered.map(name).sorted())\(place)")
            }
        }
        return lines.map { "\n        \($0)" }.joined()
    }

    private func words(_ cell: CellName) -> String {
        "\(Schema.name(of: cell.field)) \(cell.element) of \(cell.record)"
    }

    // MARK: The replicas

    private func difference(_ machine: ClientMachine) throws -> String {
        let server = Set(
            try cluster.serverDump(for: hasVisibility ? machine : nil).split(separator: 10).map {
                String(decoding: $0, as: UTF8.self)
            })
        let own = Set(try cluster.dump(machine).split(separator: 10).map { String(decoding: $0, as: UTF8.self) })
        let (missing, extra) = (server.subtracting(own), own.subtracting(server))
        func first(_ lines: Set<String>) -> String { String((lines.min() ?? "").prefix(600)) }
        return "\(missing.count) of the server's: \(first(missing)) — \(extra.count) of the machine's: \(first(extra))"
    }

    /// The list of conflicts has every cell that several operators wrote without having seen each other, with all values.
    private mutating func checkConflicts(_ machine: ClientMachine, _ view: View?) throws {
        var listed: [String: Set<String>] = [:]
        for conflict in try machine.opened().conflicts() where conflict.refused == nil {
            let values = Set([conflict.shown.value] + conflict.others.map(\.value))
            let key = "\(conflict.record) \(conflict.field)"
            if listed.updateValue(values, forKey: key) != nil {
                findings.add(\.diverged, "machine \(machine.number) lists \(key) twice")
            }
        }
        let seen = view.map { view in present.filter { view.sees(model.envelopes[$0]) } } ?? present
        let expected = ExpectedConflicts(model, seen, account: machine.account.id) { cluster.name(of: $0) }.all
        if listed == expected { return }
        for key in Set(listed.keys).union(expected.keys).sorted() where listed[key] != expected[key] {
            findings.add(
                listed[key] == nil ? \.lost : \.diverged,
                "machine \(machine.number) lists \(key) as \(listed[key]?.sorted() ?? []), not \(expected[key]?.sorted() ?? [])"
            )
        }
    }

    /// What the server refused is set aside at its author's, each once.
    private mutating func checkRefused(_ machine: ClientMachine) throws {
        let aside = try machine.opened().refused().flatMap { $0.values.map(\.value) }.sorted()
        let own = try machine.opened().logged().places.map(\.hash)
        let refused = hasVisibility ? refused : []
        let isRefused = { (event: Event) in event.isForbidden || refused.contains(event.hash) }
        var expected: [(value: String, event: Event)] = []
        for event in own.compactMap({ oracle.events[$0] }) where isRefused(event) {
            for write in event.writes {
                if case .text(let text) = write.value, !oracle.dismissed.contains(text) {
                    expected.append((text, event))
                }
            }
        }
        let isWhole =
            hasVisibility
            ? Set(expected.map(\.value)).isSubset(of: aside) : aside == expected.map(\.value).sorted()
        if !isWhole {
            let missing = expected.filter { !aside.contains($0.value) }.map {
                "\($0.value) of \(String($0.event.hash.rawValue, radix: 36)) on \($0.event.record)"
            }
            findings.add(\.lost, "machine \(machine.number) has set aside \(aside), without \(missing)")
        }
        if try machine.opened().status().pending != 0 {
            findings.add(\.diverged, "machine \(machine.number) still has something to send")
        }
    }

    /// Where two texts begin to differ.
    private static func firstDifference(_ a: String, _ b: String) -> String {
        let shared = zip(a, b).prefix { $0 == $1 }.count
        return "\(a.dropFirst(max(0, shared - 80)).prefix(200)) — \(b.dropFirst(max(0, shared - 80)).prefix(200))"
    }

    /// Derived tables are what deriving them anew gives.
    private mutating func checkDerived(_ machine: ClientMachine) throws {
        let replica = try machine.opened()
        let before = (try replica.customers(), try replica.conflicts(), try replica.tags())
        try replica.rebuildProjections()
        let after = (try replica.customers(), try replica.conflicts(), try replica.tags())
        if before.0 != after.0 || before.1 != after.1 || before.2 != after.2 {
            findings.add(
                \.diverged,
                "the derived tables of machine \(machine.number) are not what its records say: "
                    + Self.firstDifference("\(before)", "\(after)"))
        }
    }
}
