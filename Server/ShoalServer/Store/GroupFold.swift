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
    let writer: StoreWriter
    let group: [PreparedPush]
    private(set) var outcomes: [PushOutcome?]

    /// An operation that is new, and on which record it acts.
    private struct Work {
        var record: RecordID
        var push: Int32
        var operation: Int32
    }

    /// A record of the group: its packed bytes in `packed` while nothing has changed, and its operations in `work`.
    struct Slot {
        var record: RecordID
        var bytes: Range<Int>
        var sequence: Int64
        /// The mark of the last row of the audit that mentions it, or 0.
        var audit: Int64 = 0
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
    struct Progress {
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
    var slots: [Slot] = []
    var packed: [UInt8] = []
    var texts = FoldedTexts()
    private var audit: FoldAudit
    private var handoverRefusals = HandoverRefusals()
    var rights: Rights
    /// Of the push that is folded alone: the relays that speak of others than its operations.
    private(set) var others: Set<Int64> = []
    var progress: [Progress?]

    init(_ writer: StoreWriter, _ group: [PreparedPush]) {
        self.writer = writer
        self.group = group
        rights = Rights(writer)
        audit = FoldAudit(group)
        outcomes = Array(repeating: nil, count: group.count)
        progress = Array(repeating: nil, count: group.count)
    }

    /// Folds everything; to be called in a transaction.
    mutating func run() throws {
        let (epoch, sequence, replicas) = (writer.state.epoch, writer.state.sequence, writer.state.replicas)
        try writer.endRecovering()
        for push in group { try writer.recoverAgain(for: push) }
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
        try handoverRefusals.write(group, writer)
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
                others = writer.state.recovers ? try writer.others(than: group[index]) : []
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
        if let row = try writer.queries.readRecord(record, into: &packed) {
            slot.sequence = row.sequence
            slot.audit = row.audit
            slot.bytes = offset..<packed.count
            let envelope = try Self.unpack(slot, of: packed) { bytes throws(DecodingFailure) in
                try Record.envelope(of: record, sequence: slot.sequence, packed: bytes)
            }
            slot.isUnmade = envelope.kind == .none
            slot.envelope = slot.isUnmade ? nil : envelope
        }
        if slot.audit == 0 { slot.audit = try writer.audit.rowlessHead(of: record) }
        slot.isCollected = writer.state.collected.contains(record)
        slots.append(slot)
    }

    static func unpack<T>(
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
            case .accepted:
                try noteMade(start..<end, push, log)
                try noteFollowers(start..<end, push, log)
            case .refused(let at, let reason):
                for operation in start..<end {
                    progress[index]?.slots[operation - firstNew] = -1
                    let number = log.position + UInt32(operation + 1)
                    let known = push.refused[number] ?? (operation == at ? reason : .command)
                    try writer.queries.appendVerdict(log.replica, Verdict(number: number, reason: known))
                    if push.isHandover { handoverRefusals.note(operation, of: index, known) }
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

    // MARK: Writing

    private mutating func write() throws(StoreError) {
        var bytes: [UInt8] = []
        audit.begin(&writer.state)
        writer.visibility.beginRound()
        defer { writer.visibility.endRound() }
        for index in slots.indices {
            let slot = slots[index]
            let sequence = writer.state.sequence + 1
            guard let (record, before) = try folded(slot, sequence: sequence) else { continue }
            writer.state.sequence = sequence
            bytes.removeAll(keepingCapacity: true)
            record.encode(sequence: sequence, into: &bytes)
            try writer.queries.writeRecord(
                slot.record, record.envelope, sequence: sequence, packed: bytes, isNew: !slot.isStored,
                wasUnmade: slot.isUnmade, audit: audit.head)
            try writer.queries.appendFeed(slot.record, record.envelope, sequence: sequence)
            try writer.noteViewers(of: record, before: before, sequence: sequence)
        }
        try audit.write(group, writer)
    }

    /// The record with its operations applied, and who saw what before; nil if they change nothing.
    private mutating func folded(
        _ slot: Slot, sequence: Int64
    ) throws(StoreError) -> (record: Record, before: Viewers?)? {
        var record: Record?
        var before: Viewers?
        var wasAway = false
        var changed = false
        let relayed = try writer.relayed(slot.record)
        audit.begin(slot.record, head: slot.audit)
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
                    before = writer.viewers(of: stored)
                    record = stored
                } else {
                    record = Record(id: slot.record)
                }
            }
            let index = Int(item.operation)
            let dot = log.dot(index)
            let time = min(push.operations.operations[index].time, push.time)
            // A relay has brought what became of it.
            let isPassedOver = relayed?.contains(dot) == true
            audit.begin(push: Int(item.push), writer.audit)
            if let record { audit.note(index, of: push.operations, before: record) }
            let isEffective =
                writer.state.recovers
                ? applyRecovering(index, of: push, dot, time, sequence, relayed, to: &record)
                : record?.apply(
                    index, of: push.operations, dot: dot, time: time, sequence: sequence, clock: push.time,
                    dropsText: false, isPassedOver: isPassedOver) == true
            if isEffective { changed = true } else { audit.forgetLast() }
        }
        audit.end(writer.audit)
        guard changed, var record else { return nil }
        record.dropDeletedTexts(sequence: sequence)
        // Replicas that filled while it was away have nothing of it: it is sent whole, also if it stays deleted.
        if wasAway { record.renumber(sequence: sequence) }
        try writer.noteMade(record)
        return (record, before)
    }
}

extension LogPosition {
    /// The place of operation `index` of a push that continues this log.
    func dot(_ index: Int) -> Dot { Dot(replica, position + UInt32(index + 1)) }
}
