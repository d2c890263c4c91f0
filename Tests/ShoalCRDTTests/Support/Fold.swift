@testable import ShoalCRDT

/// Records as the server folds them, or as a client lays its tail over them: a store without a disk.
struct Fold {
    var records: [RecordID: Record] = [:]
    var known = VersionVector()
    /// The sequence of the last change.
    var sequence: Int64 = 0

    /// Applies an operation at the sequence that follows.
    ///
    /// - Returns: what the kernel did wrong at the step, if anything.
    mutating func take(_ index: Int, of acts: [Act], _ batch: Operations) -> String? {
        let act = acts[index]
        var record = records[act.record] ?? Record(id: act.record)
        let before = record
        let known = known
        let changed = record.apply(
            index, of: batch, dot: act.dot, time: act.time, sequence: sequence + 1, isKnown: { known.contains($0) })
        self.known.advance(act.dot.replica, to: act.dot.number)
        if !changed {
            return record.bytes == before.bytes ? nil : "\(act.dot) changed its record and says that it did not"
        }
        sequence += 1
        records[act.record] = record
        if record.sequence != sequence {
            return "\(act.dot) changed its record, whose sequence is still \(record.sequence)"
        }
        return nil
    }

    /// How the records differ from what the model makes of the operations.
    func difference(from acts: [Act]) -> String? {
        for id in Set(acts.map(\.record)).union(records.keys) {
            let record = records[id] ?? Record(id: id)
            if let difference = record.difference(from: Model(of: id, from: acts)) { return difference }
        }
        return nil
    }

    func difference(from other: Fold) -> String? {
        for id in Set(records.keys).union(other.records.keys) {
            let own = records[id] ?? Record(id: id)
            let its = other.records[id] ?? Record(id: id)
            if own.canonicalBytes != its.canonicalBytes { return "record \(id) is \(own.model)\n  and \(its.model)" }
        }
        return nil
    }
}

extension History {
    /// An order of arrival that keeps each log's order and nothing else.
    func interleaving(_ random: inout SplitMix64) -> [Int] {
        var logs = replicas.indices.map { log in acts.indices.filter { acts[$0].log == log }[...] }.filter {
            !$0.isEmpty
        }
        var order: [Int] = []
        // Whole runs of one log make operations arrive long before what they saw.
        let isInRuns = random.oneIn(3)
        while !logs.isEmpty {
            let log = random.below(logs.count)
            repeat { order.append(logs[log].removeFirst()) } while !logs[log].isEmpty && isInRuns && !random.oneIn(8)
            if logs[log].isEmpty { logs.remove(at: log) }
        }
        return order
    }

    /// An order of arrival in which everything comes after what its author had seen.
    func causalOrder(_ random: inout SplitMix64) -> [Int] {
        var rest = Array(acts.indices)
        var arrived = Array(repeating: UInt32(0), count: replicas.count)
        var order: [Int] = []
        while !rest.isEmpty {
            let ready = rest.indices.filter { isReady(acts[rest[$0]], arrived) && isFirst(rest[$0], in: rest) }
            guard let place = ready.isEmpty ? nil : random.pick(ready) else { return order + rest }
            let index = rest.remove(at: place)
            arrived[acts[index].log] = acts[index].dot.number
            order.append(index)
        }
        return order
    }

    private func isFirst(_ index: Int, in rest: [Int]) -> Bool {
        rest.first { acts[$0].log == acts[index].log } == index
    }

    /// Whether everything that an operation's author had seen has arrived; what was dropped is not waited for.
    private func isReady(_ act: Act, _ arrived: [UInt32]) -> Bool {
        acts.allSatisfy { other in
            other.dot == act.dot || other.dot.number > act.seen[other.log] || other.dot.number <= arrived[other.log]
        }
    }
}
