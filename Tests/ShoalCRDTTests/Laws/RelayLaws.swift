import Testing

@testable import ShoalCRDT

/// A server that lost operations, and replicas of which some are gone: what the others relay and replay, in any order,
/// gives the fold of everything that they hold.
@Suite struct RelayLaws {
    @Test func relaysAndReplaysInAnyOrderGiveTheFoldOfAllThatSurvivorsHold() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            recover(history, &random) { _, _ in true }
        }
    }

    /// The records that are equal and wait for nothing need not be relayed: the fold is still that of everything.
    @Test func aRowThatEqualsAClosedRecordNeedNotBeRelayed() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            recover(history, &random) { record, row in
                record.entries.contains { $0.kind == .deadAhead || $0.kind == .coveredAhead } || !record.isEqual(to: row)
            }
        }
    }

    /// - Parameter isNeeded: whether a replica relays its row to a server that holds this record.
    private func recover(
        _ history: History, _ random: inout SplitMix64, _ isNeeded: (Record, Record) -> Bool
    ) -> String? {
        let backup = Holding(history, Array(history.causalOrder(&random).prefix(random.below(history.acts.count + 1))))
        var server = Recovering(backup)
        // What replicas had pulled, each at a state of the server that need not have been that of another's.
        let rows = (0...random.below(3)).map { _ in
            Holding(history, Array(history.causalOrder(&random).prefix(random.below(history.acts.count + 1))))
        }
        // Whose logs come again, from where the server stands.
        let alive = history.replicas.indices.filter { _ in !random.oneIn(3) }
        var replays = history.interleaving(&random).filter { alive.contains(history.acts[$0].log) }
        var relays = rows.indices.flatMap { index in rows[index].records.keys.sorted().map { (index, $0) } }
        relays += relays.filter { _ in random.oneIn(4) }
        for place in relays.indices.reversed() { relays.swapAt(place, random.below(place + 1)) }
        let batch = Operations(history.acts)
        while !relays.isEmpty || !replays.isEmpty {
            if relays.isEmpty || !replays.isEmpty && random.oneIn(2) {
                let act = replays.removeFirst()
                if let fault = server.replay(act, of: history.acts, batch) { return fault }
            } else {
                let (index, id) = relays.removeLast()
                guard let row = rows[index].records[id] else { continue }
                server.hold(rows[index].vector, of: id)
                guard isNeeded(server.records[id] ?? Record(id: id), row) else { continue }
                if let fault = server.join(row, rows[index].vector) { return fault }
            }
        }
        return server.difference(from: history.acts)
    }
}

/// What a server or a replica holds that took some operations, each after what its author had seen.
struct Holding {
    var records: [RecordID: Record] = [:]
    var vector = VersionVector()

    init(_ history: History, _ order: [Int]) {
        var fold = Fold()
        let batch = Operations(history.acts)
        for index in order { _ = fold.take(index, of: history.acts, batch) }
        vector = fold.known
        records = fold.records
        // Marks and sequences do not travel.
        for id in records.keys {
            records[id]?.entries.removeAll { $0.kind.isMarker }
            for index in records[id]?.entries.indices ?? 0..<0 { records[id]?.entries[index].sequence = 0 }
        }
    }
}

/// A server that takes relays and replayed logs.
private struct Recovering {
    var records: [RecordID: Record]
    var known: VersionVector
    /// The joined vector of what was relayed of a record.
    var relayed: [RecordID: VersionVector] = [:]
    /// Everything that ought to be in effect for a record, whether it was relayed or left out.
    private var held: [RecordID: VersionVector] = [:]
    private var sequence: Int64 = 0

    init(_ backup: Holding) {
        records = backup.records
        known = backup.vector
    }

    private func isKnown(_ dot: Dot, of id: RecordID) -> Bool {
        known.contains(dot) || relayed[id]?.contains(dot) == true
    }

    mutating func hold(_ vector: VersionVector, of id: RecordID) { held[id, default: VersionVector()].merge(vector) }

    mutating func replay(_ index: Int, of acts: [Act], _ batch: Operations) -> String? {
        let act = acts[index]
        guard act.dot.number > known[act.dot.replica] else { return nil }
        defer { known.advance(act.dot.replica, to: act.dot.number) }
        if relayed[act.record]?.contains(act.dot) == true { return nil }
        return change(act.record) { record, sequence, isKnown in
            record.apply(index, of: batch, dot: act.dot, time: act.time, sequence: sequence, isKnown: isKnown)
        }
    }

    mutating func join(_ row: Record, _ vector: VersionVector) -> String? {
        let join = { (record: inout Record, sequence: Int64, isKnown: (Dot) -> Bool) in
            record.join(row, vector: vector, sequence: sequence, isKnown: isKnown)
        }
        if let fault = change(row.id, join) { return fault }
        relayed[row.id, default: VersionVector()].merge(vector)
        let before = records[row.id]?.bytes
        if let fault = change(row.id, join) { return fault }
        return records[row.id]?.bytes == before ? nil : "the same relay again changed record \(row.id)"
    }

    private mutating func change(
        _ id: RecordID, _ body: (inout Record, Int64, (Dot) -> Bool) -> Bool
    ) -> String? {
        var record = records[id] ?? Record(id: id)
        let before = record.bytes
        let changed = body(&record, sequence + 1) { isKnown($0, of: id) }
        if changed != (record.bytes != before) { return "record \(id) changed: \(!changed), and says \(changed)" }
        if !changed { return nil }
        sequence += 1
        records[id] = record
        return record.sequence == sequence ? nil : "record \(id) changed at \(sequence) and says \(record.sequence)"
    }

    func difference(from acts: [Act]) -> String? {
        for id in Set(acts.map(\.record)) {
            let inEffect = acts.filter { act in
                act.record != id || known.contains(act.dot) || held[id]?.contains(act.dot) == true
            }
            let record = records[id] ?? Record(id: id)
            if let difference = record.difference(from: Model(of: id, from: inEffect)) { return difference }
        }
        return nil
    }
}

extension Record {
    /// Whether both hold the same entries: cell, dot, and whether a deletion has seen it.
    fileprivate func isEqual(to other: Record) -> Bool {
        let own = entries.filter { !$0.kind.isMarker }
        return own.count == other.entries.count
            && zip(own, other.entries).allSatisfy { mine, its in
                mine.dot == its.dot && mine.isCovered == its.isCovered && cell(mine.key) == other.cell(its.key)
            }
    }
}
