import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// Folds a group of pushes into the records.
///
/// The records of the whole group are read once, ascending by identifier; then every command is checked in the order of
/// its log; then each record takes its operations and is written once, again ascending. Operations on different records
/// do not depend on each other, so going record by record gives what going log by log would (I1), and only one record is
/// unpacked at a time, however large the group is.
struct GroupFold {
    private let writer: StoreWriter
    private let group: [PreparedPush]
    private(set) var outcomes: [PushOutcome?]

    /// An operation that is new, and on which record it acts.
    private struct Work {
        var record: RecordID
        var push: Int32
        var operation: Int32
    }

    /// A record of the group: its packed bytes in `packed` while nothing has changed, and its operations in `work`.
    private struct Slot {
        var record: RecordID
        var bytes: Range<Int>
        var sequence: Int64
        var envelope: Envelope?
        var work: Range<Int>
        /// Whether it is stored and was not made yet.
        var isUnmade = false
        /// What the group's operations add to the record, at most.
        var growth = 0
        /// Whether it was collected and nobody has made it again.
        var isCollected = false
        var isStored: Bool { !bytes.isEmpty }
    }

    /// A push under way.
    private struct Progress {
        var firstNew: Int
        /// For each operation from `firstNew` on: its slot, or -1 once it is refused or left.
        var slots: [Int32]
        /// The slot of an operation; nil once it is refused or left.
        func slot(of operation: Int) -> Int? {
            let slot = Int(slots[operation - firstNew])
            return slot < 0 ? nil : slot
        }
    }

    /// New operations by record, then in the order in which they are taken.
    private var work: [Work] = []
    private var slots: [Slot] = []
    private var packed: [UInt8] = []
    private var texts = FoldedTexts()
    private var progress: [Progress?]

    init(_ writer: StoreWriter, _ group: [PreparedPush]) {
        self.writer = writer
        self.group = group
        outcomes = Array(repeating: nil, count: group.count)
        progress = Array(repeating: nil, count: group.count)
    }

    /// Folds everything; to be called in a transaction.
    mutating func run() throws {
        let (epoch, sequence, replicas) = (writer.state.epoch, writer.state.sequence, writer.state.replicas)
        var waiting = Array(group.indices)
        var moved: Set<ReplicaID> = []
        while !waiting.isEmpty {
            // Two pushes of one log (a retry beside the first try) go one after the other; so do those of which it matters
            // what other logs have: renumbered ones, and all in an epoch begun by a rollback.
            var round: [Int] = []
            var later: [Int] = []
            var replicas: Set<ReplicaID> = []
            for index in waiting {
                let isAlone = (writer.state.recovers || group[index].isRenumbered) && !round.isEmpty
                if let log = group[index].logs.last, isAlone || !replicas.insert(log.replica).inserted {
                    later.append(index)
                } else {
                    round.append(index)
                }
            }
            try fold(round, &moved)
            waiting = later
        }
        let isChanged =
            writer.state.epoch != epoch || writer.state.sequence != sequence || writer.state.replicas != replicas
        guard !moved.isEmpty || isChanged else { return }
        try writer.markCommit()
        for replica in moved {
            guard let state = writer.state.logs[replica] else { continue }
            try writer.queries.updateLog(replica, state, sequence: writer.state.commit.sequence)
        }
    }

    private mutating func fold(_ round: [Int], _ moved: inout Set<ReplicaID>) throws {
        work.removeAll(keepingCapacity: true)
        for index in round {
            switch try writer.lineage(of: group[index]) {
            case .ends(let outcome): outcomes[index] = outcome
            case .continues(let firstNew):
                try writer.notePlaces(of: group[index])
                collect(index, from: firstNew)
            }
        }
        try read()
        for index in round where progress[index] != nil {
            if let replica = try take(index) { moved.insert(replica) }
        }
        try write()
        for index in round { progress[index] = nil }
    }

    private mutating func collect(_ index: Int, from firstNew: Int) {
        let operations = group[index].operations.operations
        progress[index] = Progress(
            firstNew: firstNew, slots: Array(repeating: -1, count: operations.count - firstNew))
        for operation in firstNew..<operations.count {
            work.append(
                Work(
                    record: operations[operation].record, push: Int32(truncatingIfNeeded: index),
                    operation: Int32(truncatingIfNeeded: operation)))
        }
    }

    // MARK: Reading

    private mutating func read() throws(StoreError) {
        work.sort { a, b in
            if a.record != b.record { return a.record < b.record }
            return a.push != b.push ? a.push < b.push : a.operation < b.operation
        }
        slots.removeAll(keepingCapacity: true)
        packed.removeAll(keepingCapacity: true)
        var start = 0
        while start < work.count {
            let record = work[start].record
            var end = start + 1
            while end < work.count, work[end].record == record { end += 1 }
            for position in start..<end {
                let item = work[position]
                let first = progress[Int(item.push)]?.firstNew ?? 0
                progress[Int(item.push)]?.slots[Int(item.operation) - first] = Int32(truncatingIfNeeded: slots.count)
            }
            try readSlot(record, work: start..<end)
            start = end
        }
    }

    private mutating func readSlot(_ record: RecordID, work: Range<Int>) throws(StoreError) {
        if let reason = writer.quarantine.reason(record) { throw .damagedRecord(record, reason: reason) }
        let offset = packed.count
        var slot = Slot(record: record, bytes: offset..<offset, sequence: 0, envelope: nil, work: work)
        if let sequence = try writer.queries.readRecord(record, into: &packed) {
            slot.sequence = sequence
            slot.bytes = offset..<packed.count
            let envelope = try Self.unpack(slot, of: packed) { bytes throws(DecodingFailure) in
                try Record.envelope(of: record, sequence: slot.sequence, packed: bytes)
            }
            slot.isUnmade = envelope.kind == .none
            slot.envelope = slot.isUnmade ? nil : envelope
        }
        slot.isCollected = writer.state.collected.contains(record)
        slots.append(slot)
    }

    private static func unpack<T>(
        _ slot: Slot, of packed: borrowing [UInt8], _ body: (UnsafeRawBufferPointer) throws(DecodingFailure) -> T
    ) throws(StoreError) -> T {
        let result: Result<T, DecodingFailure> = packed.withUnsafeBytes { bytes in
            do throws(DecodingFailure) {
                return .success(try body(UnsafeRawBufferPointer(rebasing: bytes[slot.bytes])))
            } catch { return .failure(error) }
        }
        switch result {
        case .success(let value): return value
        case .failure(let failure): throw .damagedRecord(slot.record, reason: failure.description)
        }
    }

    // MARK: Checking

    /// Takes the new operations of a push, command by command, and moves its log.
    ///
    /// - Returns: the replica whose log moved.
    private mutating func take(_ index: Int) throws(StoreError) -> ReplicaID? {
        let push = group[index]
        guard let log = push.logs.last, var state = writer.state.logs[log.replica],
            let firstNew = progress[index]?.firstNew
        else { return nil }
        let operations = push.operations.operations
        var end = firstNew
        var taken: UInt32?
        commands: while end < operations.count {
            let start = end
            end += 1
            while end < operations.count, operations[end].continuesCommand { end += 1 }
            switch try check(start..<end, of: index, refusals: state.refusals) {
            case .accepted: try noteMade(start..<end, push, log)
            case .refused(let at, let reason):
                for operation in start..<end {
                    progress[index]?.slots[operation - firstNew] = -1
                    let number = log.position + UInt32(operation + 1)
                    let known = push.refused[number] ?? (operation == at ? reason : .command)
                    try writer.queries.appendVerdict(log.replica, Verdict(number: number, reason: known))
                }
                state.refusals += Int64(end - start)
                // Later operations of this push may name the refused ones.
                writer.state.logs[log.replica]?.refusals = state.refusals
            case .identifierTaken(let at):
                for operation in start..<operations.count { progress[index]?.slots[operation - firstNew] = -1 }
                taken = log.position + UInt32(at + 1)
                end = start
                break commands
            }
        }
        let upTo = log.position + UInt32(end)
        if end > firstNew {
            try writer.queries.appendHashes(
                log.replica, first: log.position + UInt32(firstNew + 1), push.hashes[firstNew..<end])
            state.position = upTo
            state.hash = push.hashes[end - 1]
            writer.state.logs[log.replica] = state
        }
        let verdicts =
            state.refusals > 0 && end > 0 ? try writer.queries.verdicts(log.replica, log.position + 1...upTo) : []
        outcomes[index] =
            taken.map { .identifierTaken(number: $0, upTo: upTo, verdicts: verdicts) }
            ?? .taken(upTo: upTo, verdicts: verdicts)
        return end > firstNew ? log.replica : nil
    }

    /// Remembers what renumbered operations make: another copy that wrote them too may call it otherwise.
    private func noteMade(_ command: Range<Int>, _ push: PreparedPush, _ log: LogPosition) throws(StoreError) {
        for index in command {
            let operation = push.operations.operations[index]
            if operation.keptHash == nil || operation.creates == nil { continue }
            try writer.queries.appendMade(Dot(log.replica, log.position + UInt32(index + 1)), operation.record)
        }
    }

    private enum CommandVerdict {
        case accepted
        case refused(at: Int, RefusalReason)
        case identifierTaken(at: Int)
    }

    /// Judges a command as a whole. What it makes counts for its own later operations, and for nothing if it is refused.
    private mutating func check(_ command: Range<Int>, of index: Int, refusals: Int64) throws(StoreError)
        -> CommandVerdict
    {
        let push = group[index]
        guard let log = push.logs.last else { return .accepted }
        let before = log.position + UInt32(command.lowerBound)
        if refusals > 0, before > 0, push.operations.operations[command.lowerBound].continuesCommand,
            try !writer.queries.verdicts(log.replica, before...before).isEmpty
        {
            // The command began in an earlier request, and that part was refused.
            return .refused(at: command.lowerBound, .command)
        }
        if writer.state.recovers, !push.refused.isEmpty {
            // An earlier epoch has refused it, and its author has set it aside.
            for operation in command {
                if let reason = push.refused[log.position + UInt32(operation + 1)] {
                    return .refused(at: operation, reason)
                }
            }
        }
        var made: [Int] = []
        texts.begin()
        for operation in command {
            guard let verdict = try check(operation, of: index, log, refusals: refusals, &made) else { continue }
            for slot in made { unmake(slot) }
            texts.undo()
            return verdict
        }
        return .accepted
    }

    private mutating func check(
        _ index: Int, of pushIndex: Int, _ log: LogPosition, refusals: Int64, _ made: inout [Int]
    ) throws(StoreError) -> CommandVerdict? {
        let push = group[pushIndex]
        guard let slot = progress[pushIndex]?.slot(of: index) else { return nil }
        if push.malformed.contains(index) { return .refused(at: index, .malformed) }
        let operation = push.operations.operations[index]
        let existing = slots[slot].envelope
        if !push.isServer, existing?.kind == .account || operation.creates?.kind == .account {
            return .refused(at: index, .forbidden)
        }
        if let reason = collected(operation, slots[slot]) { return .refused(at: index, reason) }
        switch (operation.creates, existing) {
        case (nil, nil):
            // What makes it may come yet, when this server has lost it.
            if !writer.state.recovers { return .refused(at: index, .unknownRecord) }
        case (let envelope?, nil):
            if slots[slot].isCollected, !operation.record.isDerived { return .identifierTaken(at: index) }
            slots[slot].envelope = envelope
            slots[slot].isCollected = false
            made.append(slot)
        case (let envelope?, let existing?):
            if !operation.record.isDerived, try !isMade(slots[slot], by: log.dot(index)) {
                return .identifierTaken(at: index)
            }
            if envelope != existing { return .refused(at: index, .keyMismatch) }
            if slots[slot].isCollected { remake(slot, &made) }
        case (nil, _?): break
        }
        let number = log.position + UInt32(index + 1)
        for edit in push.operations.edits[operation.edits] where !edit.supersedes.isEmpty {
            guard try areKnown(edit.supersedes, of: push, index, log.replica, before: number, in: operation.record)
            else {
                return .refused(at: index, .unknownDot)
            }
        }
        guard try areKnown(operation.covers, of: push, index, log.replica, before: number, in: operation.record) else {
            return .refused(at: index, .unknownDot)
        }
        // In an epoch that recovers what a change hangs on may come yet.
        if !writer.state.recovers {
            for edit in push.operations.edits[operation.edits] where edit.kind == .textChange {
                guard try fits(edit, of: push.operations, slots[slot]) else { return .refused(at: index, .unknownText) }
            }
        }
        let footprint = push.operations.footprint(of: index)
        let size = slots[slot].bytes.count + slots[slot].growth + footprint.bytes
        if size > (footprint.writes ? Limits.record : Limits.recordAtMost) { return .refused(at: index, .tooLarge) }
        slots[slot].growth += footprint.bytes
        return nil
    }

    /// Whether a change of a text fits what is stored and what this group did before.
    private mutating func fits(
        _ edit: Operations.Edit, of batch: Operations, _ slot: Slot
    ) throws(StoreError) -> Bool {
        var stored: Record?
        if slot.isStored {
            stored = try Self.unpack(slot, of: packed) { bytes throws(DecodingFailure) in
                try Record(id: slot.record, sequence: slot.sequence, packed: bytes)
            }
        }
        return texts.take(edit, of: batch, slot.record) { stored }
    }

    /// A derived identifier may be made again after it was collected.
    private mutating func remake(_ slot: Int, _ made: inout [Int]) {
        slots[slot].isCollected = false
        made.append(slot)
    }

    private mutating func unmake(_ slot: Int) {
        slots[slot].isCollected = writer.state.collected.contains(slots[slot].record)
        if !slots[slot].isStored || slots[slot].isUnmade { slots[slot].envelope = nil }
    }

    /// Why an operation is refused because its record, or what that belongs to, was collected.
    private func collected(_ operation: Operations.Operation, _ slot: Slot) -> RefusalReason? {
        if writer.state.collected.isEmpty { return nil }
        guard let envelope = operation.creates else { return slot.isCollected ? .deletedRecord : nil }
        let isGone = MemberQueries.scopes(envelope).contains { scope in
            scope != operation.record && writer.state.collected.contains(scope)
                && slots.first { $0.record == scope }?.isCollected != false
        }
        return isGone ? .deletedRecord : nil
    }

    /// Whether the server took all these operations: of other logs those up to their position, of this one the earlier.
    /// In an epoch begun by a rollback those that never came may come yet.
    private func areKnown(
        _ dots: Range<Int>, of push: PreparedPush, _ index: Int, _ replica: ReplicaID, before number: UInt32,
        in record: RecordID
    ) throws(StoreError) -> Bool {
        for dot in push.operations.dots[dots] {
            guard dot.number > 0, dot.replica != replica || dot.number < number else { return false }
            guard let state = writer.state.logs[dot.replica], dot.number <= state.position || dot.replica == replica
            else {
                if writer.state.recovers { continue }
                if try isRelayed(dot, in: record) { continue }
                return false
            }
            // Another operation may have stood there when this was written.
            if writer.state.recovers, index < push.earlier, !push.isOwn(dot),
                writer.state.earlier.isDoubtful(dot, writer.state.logs)
            {
                continue
            }
            if state.refusals > 0, try !writer.queries.verdicts(dot.replica, dot.number...dot.number).isEmpty {
                return false
            }
        }
        return true
    }

    /// Whether a relay has brought the record that this operation makes.
    private func isMade(_ slot: Slot, by dot: Dot) throws(StoreError) -> Bool {
        guard !writer.state.relaySources.isEmpty, slot.isStored else { return false }
        if try isRelayed(dot, in: slot.record) { return true }
        let record = try Self.unpack(slot, of: packed) { bytes throws(DecodingFailure) in
            try Record(id: slot.record, sequence: slot.sequence, packed: bytes)
        }
        return record.entries[record.range(of: CellKey(.created))].contains { $0.dot == dot && !$0.kind.isMarker }
    }

    private func isRelayed(_ dot: Dot, in record: RecordID) throws(StoreError) -> Bool {
        guard let relayed = try writer.relayed(record) else { return false }
        return relayed.contains(dot)
            || writer.state.earlier.was(of: dot, writer.state.logs).contains { relayed.contains($0.place) }
    }

    // MARK: Writing

    private mutating func write() throws(StoreError) {
        var bytes: [UInt8] = []
        for index in slots.indices {
            let slot = slots[index]
            let sequence = writer.state.sequence + 1
            guard let record = try folded(slot, sequence: sequence) else { continue }
            writer.state.sequence = sequence
            bytes.removeAll(keepingCapacity: true)
            record.encode(sequence: sequence, into: &bytes)
            try writer.queries.writeRecord(
                slot.record, record.envelope, sequence: sequence, packed: bytes, isNew: !slot.isStored,
                wasUnmade: slot.isUnmade)
            try writer.queries.appendFeed(slot.record, sequence: sequence)
        }
    }

    /// The record with its operations applied, or nil if they change nothing.
    private mutating func folded(_ slot: Slot, sequence: Int64) throws(StoreError) -> Record? {
        var record: Record?
        var wasAway = false
        var changed = false
        let relayed = try writer.relayed(slot.record)
        for item in work[slot.work] {
            let push = group[Int(item.push)]
            guard progress[Int(item.push)]?.slot(of: Int(item.operation)) != nil, let log = push.logs.last
            else { continue }
            if record == nil {
                if slot.isStored {
                    let stored = try Self.unpack(slot, of: packed) { bytes throws(DecodingFailure) in
                        try Record(id: slot.record, sequence: slot.sequence, packed: bytes, isChecked: true)
                    }
                    wasAway = !stored.isPresent
                    record = stored
                } else {
                    record = Record(id: slot.record)
                }
            }
            let index = Int(item.operation)
            let dot = log.dot(index)
            let time = min(push.operations.operations[index].time, push.time)
            // A relay has brought what became of it.
            if relayed?.contains(dot) == true { continue }
            if writer.state.recovers {
                changed = applyRecovering(index, of: push, dot, time, sequence, relayed, to: &record) || changed
                continue
            }
            let isEffective = record?.apply(
                index, of: push.operations, dot: dot, time: time, sequence: sequence, clock: push.time)
            changed = isEffective == true || changed
        }
        guard changed, var record else { return nil }
        // Replicas that filled while it was deleted have nothing of it: a record that comes back is sent whole.
        if wasAway, record.isPresent { record.renumber(sequence: sequence) }
        try writer.noteMade(record)
        return record
    }

    /// Whether a relay has brought an operation under a place that it once had. Rather is one applied again that was
    /// replaced than one passed over that nobody brought.
    private func cameByRelay(
        _ former: (place: Dot, isProven: Bool), _ index: Int, of push: PreparedPush, _ relayed: VersionVector,
        _ record: Record?
    ) -> Bool {
        guard relayed.contains(former.place) else { return false }
        // Where something else has the place now, or may have had it then, only what is there can have come.
        if former.isProven, !writer.isTaken(former.place) { return true }
        return record?.holds(index, of: push.operations, at: former.place) == true
    }

    /// Applies an operation in an epoch begun by a rollback: what it names may not have come yet, and what it or those
    /// that came before it name may have stood elsewhere in an earlier epoch.
    private func applyRecovering(
        _ index: Int, of push: PreparedPush, _ dot: Dot, _ time: Int64, _ sequence: Int64, _ relayed: VersionVector?,
        to record: inout Record?
    ) -> Bool {
        let (earlier, logs) = (writer.state.earlier, writer.state.logs)
        let isEarlier = index < push.earlier
        func apply(_ index: Int, of batch: borrowing Operations) -> Bool {
            record?.apply(
                index, of: batch, dot: dot, time: time, sequence: sequence, clock: push.time,
                isKnown: {
                    (isEarlier && !push.isOwn($0) ? writer.isMeant($0) : writer.isTaken($0))
                        || relayed?.contains($0) == true || writer.isOfThisEpoch($0.replica)
                }) == true
        }
        let formerly = earlier.was(of: dot, logs)
        if let relayed, formerly.contains(where: { cameByRelay($0, index, of: push, relayed, record) }) { return false }
        var changed =
            isEarlier && !earlier.isEmpty
            ? apply(0, of: push.operations.naming(at: index) { push.isOwn($0) ? [] : earlier.now(of: $0, logs) })
            : apply(index, of: push.operations)
        for (place, _) in formerly {
            changed = record?.takeAhead(of: place, for: dot, sequence: sequence) == true || changed
        }
        return changed
    }
}

extension LogPosition {
    /// The place of operation `index` of a push that continues this log.
    fileprivate func dot(_ index: Int) -> Dot { Dot(replica, position + UInt32(index + 1)) }
}
