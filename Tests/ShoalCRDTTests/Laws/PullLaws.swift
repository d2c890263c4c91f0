import Testing

@testable import ShoalCRDT

/// Whole cells above a cursor are enough to follow the server, however the operations were grouped into frames and the
/// cells into pages.
@Suite struct PullLaws {
    @Test func aReplicaThatPullsChangedCellsHoldsTheServersRecords() {
        law(generate: History.sensible, smaller: \.smaller) { follow($0, &$1) }
    }

    @Test func aReplicaThatPullsChangedCellsFollowsWhatErringProgramsWrite() {
        law(generate: History.rough, smaller: \.smaller) { follow($0, &$1) }
    }

    private func follow(_ history: History, _ random: inout SplitMix64) -> String? {
        let batch = Operations(history.acts)
        var server = Fold()
        var replicas = [Puller(), Puller(), Puller()]
        for index in history.interleaving(&random) {
            if let fault = server.take(index, of: history.acts, batch) { return fault }
            while random.oneIn(3) {
                let reader = random.below(2)
                replicas[reader].pull(from: server, changes: 1 + random.below(3))
                if random.oneIn(4), let fault = replicas[reader].repack() { return fault }
            }
        }
        for reader in replicas.indices {
            while replicas[reader].cursor < server.sequence {
                replicas[reader].pull(from: server, changes: 1 + random.below(2))
            }
            if let fault = replicas[reader].repack() { return fault }
            if let fault = replicas[reader].difference(from: server) { return "replica \(reader): \(fault)" }
        }
        return nil
    }

    @Test func howOperationsAreGroupedIntoFramesDoesNotMatter() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            let order = history.interleaving(&random)
            var known = VersionVector()
            var records: [RecordID: Record] = [:]
            var replica = Puller()
            var start = 0
            var sequence: Int64 = 0
            while start < order.count {
                // One batch and one sequence a frame: nobody pulls in between.
                let frame = order[start..<min(order.count, start + 1 + random.below(6))]
                let batch = Operations(frame.map { history.acts[$0] })
                sequence += 1
                var hasChanged = false
                for (position, index) in frame.enumerated() {
                    let act = history.acts[index]
                    let changed = records[act.record, default: Record(id: act.record)].apply(
                        position, of: batch, dot: act.dot, time: act.time, sequence: sequence,
                        isKnown: { known.contains($0) })
                    hasChanged = hasChanged || changed
                    known.advance(act.dot.replica, to: act.dot.number)
                }
                if !hasChanged { sequence -= 1 }
                start = frame.endIndex
                if random.oneIn(2) {
                    replica.pull(from: Fold(records: records, known: known, sequence: sequence), changes: .max)
                }
            }
            let server = Fold(records: records, known: known, sequence: sequence)
            replica.pull(from: server, changes: .max)
            return server.difference(from: history.acts) ?? replica.difference(from: server)
        }
    }
}

/// A replica that only reads.
private struct Puller {
    var records: [RecordID: Record] = [:]
    var cursor: Int64 = 0

    /// Takes the cells that changed first after the cursor, whole changes only.
    ///
    /// The order is that of the cells' sequences: a page of whole records, in the order of the records' sequences, would
    /// move the cursor past cells of records that it did not bring.
    mutating func pull(from server: Fold, changes limit: Int) {
        var changed: [(sequence: Int64, record: Record, cell: Range<Int>)] = []
        for record in server.records.values {
            record.forEachCell { cell in
                let sequence = record.entries[cell].reduce(0) { max($0, $1.sequence) }
                if sequence > cursor { changed.append((sequence, record, cell)) }
            }
        }
        let sequences = Set(changed.map(\.sequence)).sorted()
        let end = sequences.count > limit ? sequences[limit - 1] : server.sequence
        for (sequence, record, cell) in changed where sequence <= end {
            var own = records[record.id] ?? Record(id: record.id)
            own.setEnvelope(record.envelope)
            own.replaceCell(with: record.entries[cell], from: record.arena)
            records[record.id] = own
        }
        cursor = end
    }

    /// Closes and opens the replica.
    mutating func repack() -> String? {
        for (id, record) in records {
            guard let read = record.repacked else { return "record \(id) cannot be read back" }
            records[id] = read
        }
        return nil
    }

    func difference(from server: Fold) -> String? {
        for (id, record) in server.records where !record.entries.isEmpty {
            let own = records[id] ?? Record(id: id)
            if own.bytes != record.bytes { return "record \(id) holds \(own.model)\n  but the server \(record.model)" }
            if own.entries.map(\.sequence) != record.entries.map(\.sequence) {
                return "record \(id) has other sequences"
            }
        }
        return nil
    }
}
