import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// Judges commands: whether their operations are taken, refused, or stopped at an identifier that is taken (SPEC.md §3.4).
extension GroupFold {
    enum CommandVerdict {
        case accepted
        case refused(at: Int, RefusalReason)
        case identifierTaken(at: Int)
    }

    /// Judges a command as a whole. What it makes counts for its own later operations, and for nothing if it is refused.
    mutating func check(_ command: Range<Int>, of index: Int, refusals: Int64) throws(StoreError)
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
        if !push.isServer {
            if existing?.kind.isServers == true || operation.creates?.kind.isServers == true
                || Setting.isReserved(operation.record)
            {
                return .refused(at: index, .forbidden)
            }
            if let reason = try erased(operation, by: push) { return .refused(at: index, reason) }
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
        if !push.isServer, let reason = try forbidden(index, of: push, slots[slot], made) {
            return .refused(at: index, reason)
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
                if let reason = try refusal(of: edit, push.operations, slots[slot]) {
                    return .refused(at: index, reason)
                }
            }
        }
        let footprint = push.operations.footprint(of: index)
        let size = slots[slot].bytes.count + slots[slot].growth + footprint.bytes
        // What the server writes is small, and must not fail because somebody has filled the record.
        if size > (footprint.writes && !push.isServer ? Limits.record : Limits.recordAtMost) {
            return .refused(at: index, .tooLarge)
        }
        slots[slot].growth += footprint.bytes
        return nil
    }

    /// Why a change of a text is refused, which must fit what is stored and what this group did before.
    private mutating func refusal(
        of edit: Operations.Edit, _ batch: Operations, _ slot: Slot
    ) throws(StoreError) -> RefusalReason? {
        let packed = packed
        return try texts.take(edit, of: batch, slot.record) { () throws(StoreError) -> Record? in
            guard slot.isStored else { return nil }
            return try Self.unpack(slot, of: packed) { bytes throws(DecodingFailure) in
                try Record(id: slot.record, sequence: slot.sequence, packed: bytes)
            }
        }
    }

    /// Why an operation is refused that is about a person of whom everything was erased; nil if it is not. What it would make is
    /// remembered: others may write to it. Whoever never saw the person learns nothing of them.
    private func erased(
        _ operation: Operations.Operation, by push: PreparedPush
    ) throws(StoreError) -> RefusalReason? {
        if writer.state.erased.isEmpty { return nil }
        var record = operation.record
        if !writer.state.erased.contains(record) {
            guard let person = operation.creates?.scope.identifiers.first(where: writer.state.erased.contains) else {
                return nil
            }
            // A record that stands under the identifier is another one, if it belongs to nobody who was erased.
            if writer.made(operation.record, push.account), try !writer.isStoredElsewhere(operation.record) {
                try writer.bury(operation.record, of: person, time: push.time)
            }
            record = person
        }
        if writer.state.recovers { return .deletedRecord }
        return try writer.erasures.isNotified(push.account, of: record) ? .deletedRecord : .unknownRecord
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
        let isGone = envelope.scope.identifiers.contains { scope in
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
            // Nobody sees what was refused but who wrote it: another operation stood there when this was written.
            if writer.state.recovers, index < push.earlier, !push.isOwn(dot) { continue }
            if state.refusals > 0, try !writer.queries.verdicts(dot.replica, dot.number...dot.number).isEmpty {
                return false
            }
        }
        return true
    }

    /// Whether a relay has brought the record that this operation makes, under its place or one that it once had.
    private func isMade(_ slot: Slot, by dot: Dot) throws(StoreError) -> Bool {
        guard writer.state.recovers || !writer.state.relaySources.isEmpty, slot.isStored else { return false }
        if try isRelayed(dot, in: slot.record) { return true }
        let record = try Self.unpack(slot, of: packed) { bytes throws(DecodingFailure) in
            try Record(id: slot.record, sequence: slot.sequence, packed: bytes)
        }
        let places =
            [dot] + writer.state.earlier.was(of: dot, writer.state.logs).map(\.place).filter { !writer.isTaken($0) }
        return record.entries[record.range(of: CellKey(.created))].contains {
            places.contains($0.dot) && !$0.kind.isMarker
        }
    }

    private func isRelayed(_ dot: Dot, in record: RecordID) throws(StoreError) -> Bool {
        guard let relayed = try writer.relayed(record) else { return false }
        return relayed.contains(dot)
            || writer.state.earlier.was(of: dot, writer.state.logs).contains { relayed.contains(former: $0.place) }
    }
}
