import Testing

@testable import ShoalCRDT

/// Invariant I1: the records depend on the operations and on nothing else.
@Suite struct ConvergenceLaws {
    @Test func everyInterleavingThatKeepsEachLogGivesTheRecordsOfTheModel() {
        law(generate: History.sensible, smaller: \.smaller) { everyInterleavingAgrees($0, &$1) }
    }

    @Test func everyInterleavingOfWhatErringProgramsWriteGivesTheRecordsOfTheModel() {
        law(generate: History.rough, smaller: \.smaller) { everyInterleavingAgrees($0, &$1) }
    }

    private func everyInterleavingAgrees(_ history: History, _ random: inout SplitMix64) -> String? {
        let batch = Operations(history.acts)
        var first: Fold?
        for _ in 0..<2 {
            let order = history.interleaving(&random)
            let cut = random.below(order.count + 1)
            var fold = Fold()
            for (position, index) in order.enumerated() {
                if position == cut, let fault = fold.difference(from: order[..<cut].map { history.acts[$0] }) {
                    return "after \(order[..<cut]) of \(order): \(fault)"
                }
                if let fault = fold.take(index, of: history.acts, batch) { return "in the order \(order): \(fault)" }
            }
            if let first {
                if let fault = fold.difference(from: first) { return "in the order \(order): \(fault)" }
            } else {
                if let fault = fold.difference(from: history.acts) { return "in the order \(order): \(fault)" }
                first = fold
            }
        }
        return nil
    }

    @Test func inCausalOrderNothingIsKeptInAdvanceAndNoVectorIsNeeded() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            let batch = Operations(history.acts)
            let order = history.causalOrder(&random)
            var records: [RecordID: Record] = [:]
            for index in order {
                let act = history.acts[index]
                records[act.record, default: Record(id: act.record)].apply(
                    index, of: batch, dot: act.dot, time: act.time)
            }
            for (id, record) in records {
                if let marker = record.entries.first(where: \.kind.isMarker) { return "\(order) left \(marker)" }
                if let fault = record.difference(from: Model(of: id, from: history.acts)) {
                    return "\(order): \(fault)"
                }
            }
            return nil
        }
    }

    @Test func applyingAnOperationAgainAtOnceChangesNothing() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            let batch = Operations(history.acts)
            var fold = Fold()
            for index in history.causalOrder(&random) {
                if let fault = fold.take(index, of: history.acts, batch) { return fault }
                let act = history.acts[index]
                guard var record = fold.records[act.record] else { continue }
                let before = (record.bytes, record.sequence)
                let known = fold.known
                let changed = record.apply(
                    index, of: batch, dot: act.dot, time: act.time, sequence: fold.sequence + 1,
                    isKnown: { known.contains($0) })
                if changed { return "\(act.dot) says that it changed its record again" }
                if (record.bytes, record.sequence) != before { return "\(act.dot) changed its record again" }
            }
            return nil
        }
    }

    @Test func aPrefixSentAgainChangesNothing() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            let batch = Operations(history.acts)
            var fold = Fold()
            let logs = history.replicas.indices.map { log in history.acts.indices.filter { history.acts[$0].log == log }
            }
            var sent = Array(repeating: 0, count: logs.count)
            while let log = logs.indices.filter({ sent[$0] < logs[$0].count }).randomElement(using: &random) {
                // A frame begins anywhere in what was sent before, and goes on after it.
                let start = random.below(sent[log] + 1)
                let end = sent[log] + 1 + random.below(logs[log].count - sent[log])
                for index in logs[log][start..<end] where !fold.known.contains(history.acts[index].dot) {
                    if let fault = fold.take(index, of: history.acts, batch) { return fault }
                }
                sent[log] = end
            }
            return fold.difference(from: history.acts)
        }
    }

    @Test func theTailLaidOverTheServersRecordsIsTheFoldOfBoth() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            let batch = Operations(history.acts)
            let order = history.causalOrder(&random)
            // The server has some operations, and of one replica fewer than that replica wrote.
            let mine = random.below(history.replicas.count)
            let taken = order[..<random.below(order.count + 1)]
            let acknowledged = UInt32(random.below(Int(history.length(of: mine)) + 1))
            let onServer = taken.filter { index in
                let act = history.acts[index]
                return act.seen[mine] <= acknowledged && (act.log != mine || act.dot.number <= acknowledged)
            }
            var server = Fold()
            for index in onServer { if let fault = server.take(index, of: history.acts, batch) { return fault } }
            var overlay = server
            var tail: [Int] = []
            for index in order where history.acts[index].log == mine && !onServer.contains(index) {
                let act = history.acts[index]
                // What its author saw came from the server or is in the tail.
                let isSeen = history.acts.allSatisfy { other in
                    other.dot.number > act.seen[other.log] || other.dot == act.dot || overlay.known.contains(other.dot)
                }
                guard isSeen else { break }
                overlay.records[act.record, default: Record(id: act.record)]
                    .apply(index, of: batch, dot: act.dot, time: act.time)
                overlay.known.advance(act.dot.replica, to: act.dot.number)
                tail.append(index)
            }
            if let fault = overlay.difference(from: (onServer + tail).map { history.acts[$0] }) {
                return "tail \(tail) over \(onServer): \(fault)"
            }
            var both = History(history.replicas)
            both.acts = (onServer + tail).sorted().map { history.acts[$0] }
            var fold = Fold()
            let batchOfBoth = Operations(both.acts)
            for index in both.interleaving(&random) {
                if let fault = fold.take(index, of: both.acts, batchOfBoth) { return fault }
            }
            return fold.difference(from: overlay).map { "tail \(tail) over \(onServer): \($0)" }
        }
    }

    @Test func operationsAndValuesOfANewerVersionAreKeptWhole() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            let batch = Operations(history.acts)
            var fold = Fold()
            for index in history.interleaving(&random) {
                if let fault = fold.take(index, of: history.acts, batch) { return fault }
            }
            for act in history.acts {
                for change in act.changes {
                    guard case .json(let json) = change.value else { continue }
                    let isDead = history.acts.contains { other in
                        other.changes.contains { $0.cell == change.cell && $0.supersedes.contains(act.dot) }
                    }
                    guard !isDead, let folded = fold.records[act.record] else { continue }
                    guard let record = folded.repacked else { return "\(folded.id) cannot be read back" }
                    let entry = record.entries[record.range(change.cell)].first { $0.dot == act.dot }
                    guard let entry, entry.kind == .json, record.value(entry) == .json(json) else {
                        return "\(act.dot) lost \(json)"
                    }
                }
            }
            return nil
        }
    }
}

extension Record {
    /// The record after a trip through its packed row; nil if that is refused.
    var repacked: Record? {
        var bytes: [UInt8] = []
        encode(sequence: sequence, into: &bytes)
        return try? bytes.withUnsafeBytes { try Record(id: id, sequence: sequence, packed: $0) }
    }
}
