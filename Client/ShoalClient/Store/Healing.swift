import GRDB
import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// Makes this replica's logs continue the server's again, without losing or repeating an operation. Called inside a
/// transaction.
///
/// Operations keep their positions, their order and their hashes, which are their identity; what changes is in which log
/// they stand under which number, and what later operations call them.
struct Healing {
    private let store: ReplicaStore

    init(_ store: ReplicaStore) { self.store = store }

    func run(_ healing: ClientSession.Healing) throws {
        store.forgetCached()
        // Under other dots the tail may look different over the same rows: two copies' operations no longer share one.
        let tail = try store.log.tailRecords()
        let originals = try tail.map { try RenamedStore.original(of: $0, store.database) }
        let touched = tail.union(originals).union(healing.records)
        let before = try touched.sorted().map { try store.effective($0) }
        var replaced: [RecordID] = []
        switch healing {
        case .askAboutTail: return
        case .fork(let fork): replaced = try heal(fork)
        case .rollback(let rollback, let named): try heal(rollback, named)
        }
        store.forgetCached()
        for id in replaced { try store.show(from: Record(id: id), to: try store.effective(id)) }
        for old in before { try store.show(from: old, to: try store.effective(old.id)) }
    }

    // MARK: Fork

    /// What the server knows of the tail is acknowledged where it stands; the rest goes on as another replica's log.
    ///
    /// - Returns: identifiers that records have now which made room for others.
    private func heal(_ fork: PushAnswer.Fork) throws -> [RecordID] {
        var logs = store.log.logs
        guard let index = logs.firstIndex(where: { $0.isOwn && $0.replica == fork.of.replica }),
            let replica = fork.replica, logs[index].acknowledged == fork.of.position,
            fork.known.count <= logs[index].pending
        else { throw SyncError.session(.protocolError("the answer is about another log")) }
        var log = logs[index]
        let start = log.acknowledgedPosition
        let end = log.endPosition
        var renaming = Renaming(identifierFields: Schema.identifierFields)
        var pieces: [OwnLog] = []
        for run in Self.runs(fork.known) {
            let first = start + Int64(run.lowerBound)
            let dot = fork.known[run.lowerBound].dot
            let hash = try store.log.hash(at: first + Int64(run.count)) ?? .start
            if pieces.isEmpty, dot == Dot(log.replica, log.acknowledged + 1) {
                log.acknowledged += UInt32(run.count)
                log.hash = hash
                continue
            }
            pieces.append(OwnLog(known: dot, after: first, count: run.count, hash: hash))
            for offset in run {
                renaming.dots[Dot(log.replica, fork.of.position + UInt32(offset + 1))] = fork.known[offset].dot
            }
        }
        let rest = start + Int64(fork.known.count)
        let count = end - rest
        // What was sent may have been taken by a server that was set back since without a word, and be in others' rows.
        log.claimed = max(log.claimed, log.sent)
        try noteFormerPlaces(of: log, after: log.acknowledgedPosition)
        log.end = log.acknowledged
        if index == logs.count - 1 || count > 0 {
            pieces.append(OwnLog(replica: replica, after: rest, end: UInt32(truncatingIfNeeded: count)))
            renaming.renumber(log.replica, fork.of.position + UInt32(fork.known.count), to: replica, count)
        }
        let replaced = try rename(fork.known, after: start, &renaming)
        try renameRows(renaming, of: log)
        // Everything written since follows, also in logs that are pushed later.
        try store.log.rename(after: start, upTo: store.current.endPosition, renaming, renumbered: end)
        logs.replaceSubrange(index...index, with: [log] + pieces)
        try store.setLogs(logs)
        if !fork.acknowledgement.isEmpty {
            var standing = store.standing
            standing.acknowledgement = fork.acknowledgement
            try store.setStanding(standing)
        }
        for (offset, known) in fork.known.enumerated() {
            guard let reason = known.reason else { continue }
            _ = try store.setAside(start + Int64(offset + 1), reason)
        }
        try note(.fork, replica, changes: count)
        return replaced
    }

    /// What an earlier epoch may have taken of a log is named by its places there, whose operations others may still name.
    ///
    /// - Parameter position: the operations up to it keep their places.
    private func noteFormerPlaces(of log: OwnLog, after position: Int64) throws {
        guard position < log.endPosition else { return }
        let proven = min(log.endPosition, max(position, log.base + Int64(log.vouched)))
        try FormerPlaceStore.add(log, position..<proven, isProven: true, store.database)
        try FormerPlaceStore.add(
            log, proven..<max(proven, min(log.endPosition, log.base + Int64(log.claimed))), isProven: false,
            store.database)
        try setUntold()
    }

    /// The next request says what this replica knows of places in earlier epochs.
    private func setUntold() throws {
        var standing = store.standing
        standing.hasToldPlaces = false
        try store.setStanding(standing)
    }

    /// Ranges of operations that stand one after the other in one log.
    private static func runs(_ known: [KnownOperation]) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        for index in known.indices {
            let follows =
                index > 0 && known[index].dot.replica == known[index - 1].dot.replica
                && known[index].dot.number == known[index - 1].dot.number &+ 1
            if follows, let last = runs.last {
                runs[runs.count - 1] = last.lowerBound..<index + 1
            } else {
                runs.append(index..<index + 1)
            }
        }
        return runs
    }

    /// Rows of the epoch before hold what it had acknowledged under the old places, until the fill replaces them. What is
    /// written meanwhile must not name those places, which may be another copy's now.
    private func renameRows(_ renaming: Renaming, of log: OwnLog) throws {
        let dots = renaming.dots.filter { $0.key.replica == log.replica && $0.key.number <= log.proven }
        if dots.isEmpty { return }
        var renamed: [Record] = []
        try store.records.scan(after: RecordID(rawValue: 0)) { record, _ in
            var copy = record
            if copy.rename(Renaming(dots: dots)) { renamed.append(copy) }
            return true
        }
        for record in renamed { try store.records.write(record, sequence: 0) }
        store.forgetCached()
    }

    /// Records that the server has under another identifier: another copy found theirs taken, or pushed them as they were
    /// written while this one had found them taken.
    ///
    /// Copies draw identifiers from the same allocator: what another copy found for a record may be what this one gave to
    /// another record since, which makes room. Both are renamed at once, or the two would be one from here on.
    ///
    /// - Returns: the identifiers of records that made room.
    private func rename(
        _ known: [KnownOperation], after position: Int64, _ renaming: inout Renaming
    ) throws -> [RecordID] {
        for (offset, operation) in known.enumerated() {
            var batch = Operations()
            guard try store.log.read(position + Int64(offset + 1), into: &batch) else { continue }
            let old = batch.operations[0].record
            guard operation.record != nil || batch.operations[0].creates != nil else { continue }
            let id = try operation.record ?? RenamedStore.original(of: old, store.database)
            if old != id { renaming.records[old] = id }
        }
        let taken = Set(renaming.records.values).subtracting(renaming.records.keys)
        var replaced: [RecordID] = []
        if !taken.isEmpty {
            for place in position..<store.current.endPosition {
                var batch = Operations()
                guard try store.log.read(place + 1, into: &batch), batch.operations[0].creates != nil,
                    taken.contains(batch.operations[0].record)
                else { continue }
                let id = try store.replacementID(time: batch.operations[0].time)
                renaming.records[batch.operations[0].record] = id
                replaced.append(id)
            }
        }
        try RenamedStore.note(renaming.records, store.database)
        return replaced
    }

    // MARK: Rollback

    /// Every log is pushed again from where the server has it. What was never sent goes on as another replica's.
    private func heal(_ rollback: PushAnswer.Rollback, _ asked: [LogPosition]) throws {
        var logs = store.log.logs
        for (standing, named) in zip(rollback.logs, asked) {
            guard let index = logs.firstIndex(where: { $0.isOwn && $0.replica == standing.replica }) else { continue }
            // An acknowledged operation was sent, however old the copy of this home is in which it was.
            logs[index].sent = max(logs[index].sent, logs[index].acknowledged)
            if store.standing.epoch != rollback.epoch {
                logs[index].proven = max(logs[index].proven, logs[index].acknowledged)
            }
            logs[index].vouched = max(logs[index].vouched, logs[index].acknowledged)
            logs[index].claimed = max(logs[index].claimed, logs[index].end)
            let named = min(standing.position, named.end)
            let isSame = try named == 0 || store.log.hash(at: logs[index].base + Int64(named)) == standing.hash
            // What was not acknowledged may have been refused: it is sent again, and the answer says so.
            let number = isSame ? min(named, logs[index].acknowledged) : 0
            logs[index].acknowledged = number
            logs[index].hash = try number == 0 ? .start : store.log.hash(at: logs[index].base + Int64(number)) ?? .start
        }
        ownKnown(&logs)
        let last = logs.count - 1
        logs[last].sent = max(logs[last].sent, logs[last].acknowledged)
        let old = logs[last]
        let rest = old.base + Int64(old.sent)
        let count = old.endPosition - rest
        var renaming = Renaming(identifierFields: Schema.identifierFields)
        renaming.renumber(old.replica, old.sent, to: rollback.replica, count)
        // To the best of its knowledge it was not sent; but this may be a home that was set back.
        try noteFormerPlaces(of: old, after: rest)
        try store.log.rename(after: rest, upTo: old.endPosition, renaming, renumbered: rest + count)
        logs[last].end = old.sent
        logs.append(OwnLog(replica: rollback.replica, after: rest, end: UInt32(truncatingIfNeeded: count)))
        // The server believes what is said of places in logs that are named.
        let named = try FormerPlaceStore.replicas(store.database)
        try store.setLogs(logs.filter { $0.end > 0 || $0 == logs.last || named.contains($0.replica) })
        try begin(rollback)
        try note(.rollback, rollback.replica, changes: Int64(store.pending))
    }

    /// What the server knew in the log of another copy is pushed from here again too: the other copy may be gone.
    private func ownKnown(_ logs: inout [OwnLog]) {
        // What goes on a log of its own joins it, in order: each may go on what the one before it brought.
        for known in logs where !known.isOwn {
            guard
                let before = logs.firstIndex(where: {
                    $0.isOwn && $0.replica == known.replica && $0.base == known.base && $0.endPosition == known.start
                })
            else { continue }
            logs[before].end = known.end
            logs[before].sent = known.end
            logs[before].vouched = known.end
            logs[before].claimed = known.end
            logs[before].proven = known.end
            logs.removeAll { $0 == known }
        }
        for index in logs.indices where !logs[index].isOwn && logs[index].start == logs[index].base {
            if logs.contains(where: { $0.isOwn && $0.replica == logs[index].replica }) { continue }
            logs[index].isOwn = true
            logs[index].acknowledged = 0
            logs[index].hash = .start
            logs[index].vouched = logs[index].end
            logs[index].claimed = logs[index].end
            logs[index].proven = logs[index].end
        }
    }

    private func begin(_ rollback: PushAnswer.Rollback) throws {
        var standing = store.standing
        standing.acknowledgement = rollback.acknowledgement
        standing.hasToldPlaces = false
        standing.earlierEnd = max(standing.earlierEnd, store.current.endPosition)
        if standing.epoch != rollback.epoch {
            standing.earlierEnd = .max
            standing.epoch = rollback.epoch
            // The rows are of a server that is no more: a fill replaces them.
            standing.cursor = ""
            try StockStore(store).take(fill: standing.fill)
        }
        try store.setStanding(standing)
    }

    // MARK: Identifiers

    /// Gives the record that the operation at a position makes another identifier, and lets everything written since
    /// follow.
    func renameRecord(madeAt position: Int64) throws {
        var batch = Operations()
        guard try store.log.read(position, into: &batch), batch.operations[0].creates != nil else {
            throw SyncError.session(.protocolError("an operation that makes no record cannot have a taken identifier"))
        }
        let old = batch.operations[0].record
        let new = try store.replacementID(time: batch.operations[0].time)
        let renaming = Renaming(records: [old: new], identifierFields: Schema.identifierFields)
        let last = store.current.endPosition
        let before = try store.log.records(after: position - 1, upTo: last, naming: renaming).map { id in
            try store.effective(id)
        }
        try store.log.rename(after: position - 1, upTo: last, renaming, renumbered: 0)
        store.forgetCached()
        try RenamedStore.note([old: new], store.database)
        for record in before { try store.show(from: record, to: try store.effective(record.id)) }
        try store.show(from: Record(id: new), to: try store.effective(new))
        try note(.renamed, store.current.replica, changes: 1)
    }

    /// Keeps the last hundred notes.
    private func note(_ kind: HealingNote.Kind, _ replica: ReplicaID, changes: Int64) throws {
        try store.database.execute(
            sql: "INSERT INTO healing (time, kind, replica, changes) VALUES (?, ?, ?, ?)",
            arguments: [store.correctedTime, kind.rawValue, Int64(replica.rawValue), changes])
        try store.database.execute(sql: "DELETE FROM healing WHERE id <= (SELECT max(id) FROM healing) - 100")
    }
}

extension Renaming {
    /// Gives `count` operations after a number the places from 1 on in another log.
    fileprivate mutating func renumber(_ old: ReplicaID, _ number: UInt32, to new: ReplicaID, _ count: Int64) {
        for offset in 0..<UInt32(truncatingIfNeeded: max(0, count)) {
            dots[Dot(old, number + 1 + offset)] = Dot(new, offset + 1)
        }
    }
}

extension ClientSession.Healing {
    /// Records that it may give work to which now belongs to others.
    fileprivate var records: [RecordID] {
        guard case .fork(let fork) = self else { return [] }
        return fork.known.compactMap(\.record)
    }
}
