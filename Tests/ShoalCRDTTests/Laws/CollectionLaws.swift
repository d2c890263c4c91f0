import Testing

@testable import ShoalCRDT

/// Collection changes nothing that anybody can see: neither what is present, nor a value, nor what comes later.
@Suite struct CollectionLaws {
    @Test func collectingBelowTheWatermarkChangesNothingThatIsSeen() {
        law(generate: History.sensible, smaller: \.smaller) { follow($0, &$1) }
    }

    /// A server that collects at random moments, below what all readers have pulled and all who still write have seen.
    private func follow(_ history: History, _ random: inout SplitMix64) -> String? {
        let batch = Operations(history.acts)
        let order = history.interleaving(&random)
        var server = Fold()
        var arrivals: [(act: Act, sequence: Int64)] = []
        var readers = [Reader(), Reader()]
        var gone: Set<RecordID> = []
        for (position, index) in order.enumerated() {
            if let fault = server.take(index, of: history.acts, batch) { return fault }
            arrivals.append((history.acts[index], server.sequence))
            if random.oneIn(2) { readers[random.below(2)].pull(from: server) }
            guard random.oneIn(3) else { continue }
            let rest = order[(position + 1)...].map { history.acts[$0] }
            let limit = min(readers.map(\.cursor).min() ?? 0, watermark(arrivals, rest))
            if let fault = collect(&server, upTo: limit, rest, &gone) { return fault }
        }
        for position in readers.indices {
            readers[position].pull(from: server)
            if let fault = readers[position].difference(from: server) { return "reader \(position): \(fault)" }
        }
        for id in history.records {
            let record = server.records[id] ?? Record(id: id)
            let model = Model(of: id, from: history.acts)
            if gone.contains(id) {
                if model.isPresent { return "record \(id) was collected and is present" }
                if !record.isEmptied { return "record \(id) was collected and holds \(record.model)" }
                continue
            }
            if record.isPresent != model.isPresent { return "record \(id) is present: \(record.isPresent)" }
            if record.model.withoutAbsences != model.withoutAbsences {
                return "record \(id) holds \(record.model)\n  but the model says \(model)"
            }
            if let fault = record.misshape { return fault }
        }
        return nil
    }

    /// The last change that everybody who still writes had seen, with all before it.
    private func watermark(_ arrivals: [(act: Act, sequence: Int64)], _ rest: [Act]) -> Int64 {
        var limit = Int64.max
        for later in rest {
            for (act, sequence) in arrivals where act.dot.number > later.seen[act.log] {
                limit = min(limit, sequence - 1)
            }
        }
        return limit
    }

    private func collect(_ server: inout Fold, upTo limit: Int64, _ rest: [Act], _ gone: inout Set<RecordID>) -> String?
    {
        for (id, before) in server.records {
            var record = before
            if record.isOpen || !record.isMade { continue }
            record.forgetEmptied(upTo: limit)
            let isAway = !record.isPresent && record.sequence <= limit && !rest.contains { $0.record == id }
            if isAway, !record.isEmptied {
                record.empty(sequence: server.sequence + 1)
                server.sequence += 1
                gone.insert(id)
            } else if record.collectAbsences(upTo: limit, sequence: server.sequence + 1) > 0 {
                server.sequence += 1
            }
            if record.isPresent != before.isPresent { return "collecting changed whether record \(id) is present" }
            if record.isOpen != before.isOpen { return "collecting lost what waits for a log" }
            server.records[id] = record
        }
        return nil
    }

    @Test func theNewestEntryThatNoDeletionHasSeenStays() {
        var record = Record(id: .sample)
        var operations = Operations()
        operations.begin(record: .sample, time: 0, creates: Envelope(kind: Kind(rawValue: 1), scope: .workspace))
        operations.begin(record: .sample, time: 0)
        operations.edit(CellKey(.tags, id: RecordID(rawValue: 7)), .absent)
        operations.begin(record: .sample, time: 0)
        operations.edit(CellKey(.tags, id: RecordID(rawValue: 8)), .absent)
        operations.begin(record: .sample, time: 0)
        operations.edit(CellKey(.tags, id: RecordID(rawValue: 9)), .absent)
        let replica = ReplicaID(rawValue: 1)
        for index in 0..<4 {
            record.apply(
                index, of: operations, dot: Dot(replica, UInt32(index + 1)), time: 0, sequence: Int64(index + 1))
        }
        var copy = record
        #expect(copy.collectAbsences(upTo: 1, sequence: 9) == 0)
        #expect(copy.collectAbsences(upTo: 2, sequence: 9) == 1)
        #expect(copy.collectAbsences(upTo: 2, sequence: 9) == 0)
        #expect(copy.entries.map(\.kind) == [.present, .emptied, .absent, .absent])
        #expect(record.collectAbsences(upTo: 4, sequence: 9) == 2)
        #expect(record.entries.map(\.kind) == [.present, .emptied, .emptied, .absent])
        #expect(copy.sequence == 9)
        #expect(copy.forgetEmptied(upTo: 8) == 0)
        #expect(copy.forgetEmptied(upTo: 9) == 1)
    }
}

extension Model {
    fileprivate var withoutAbsences: Model {
        var copy = self
        copy.cells = cells.mapValues { $0.filter { $0.value != .absent } }.filter { !$0.value.isEmpty }
        return copy
    }
}

/// A replica that only reads, and keeps no marks of emptied cells.
private struct Reader {
    var records: [RecordID: Record] = [:]
    var cursor: Int64 = 0

    mutating func pull(from server: Fold) {
        for record in server.records.values {
            var own = records[record.id] ?? Record(id: record.id)
            own.setEnvelope(record.envelope)
            record.forEachCell { cell in
                if record.entries[cell].contains(where: { $0.sequence > cursor }) {
                    own.replaceCell(with: record.entries[cell], from: record.arena)
                }
            }
            own.forgetEmptied()
            records[record.id] = own.entries.isEmpty ? nil : own
        }
        cursor = server.sequence
    }

    func difference(from server: Fold) -> String? {
        for (id, record) in server.records {
            let own =
                records[id]
                ?? {
                    var empty = Record(id: id); empty.setEnvelope(record.envelope); return empty
                }()
            if own.canonicalBytes != record.canonicalBytes {
                return "record \(id) holds \(own.model)\n  but the server \(record.model)"
            }
        }
        return nil
    }
}
