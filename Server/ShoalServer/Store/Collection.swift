import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// What a step of collection did.
public struct CollectionStep: Sendable, Equatable {
    /// Whether nothing is left to do until replicas have reached more.
    public var isDone = true
    /// Changes that were looked at.
    public var swept = 0
    /// Absences that were emptied, and records that were emptied as a whole.
    public var cells = 0
    public var records = 0
    /// Marks of emptied cells, and rows without anything left, that went without a word.
    public var marks = 0
    public var rows = 0
    /// Hash rows and commit tags that went.
    public var hashes = 0
    public var tags = 0

    mutating func add(_ other: CollectionStep) {
        isDone = other.isDone
        swept += other.swept
        cells += other.cells
        records += other.records
        marks += other.marks
        rows += other.rows
        hashes += other.hashes
        tags += other.tags
    }

    var changesFile: Bool { swept + cells + records + marks + rows + hashes + tags > 0 }
}

/// How far collection is, for people and for `/metrics`.
public struct CollectionStatus: Sendable, Equatable {
    /// The newest sequence, and the one that every live replica has reached.
    public var sequence: Int64 = 0
    public var watermark: Int64 = 0
    /// The collection point: a cursor below it gets a fresh fill.
    public var collected: Int64 = 0
    /// Records and cells collected ever.
    public var records: Int64 = 0
    public var cells: Int64 = 0
    /// The live replica that has reached least, and milliseconds since its last contact.
    public var holder: UInt32?
    public var silence: Int64 = 0
    /// How many replicas are waited for.
    public var live = 0
}

extension ServerStore {
    /// 90 days, in milliseconds.
    public static let defaultLease: Int64 = Leases.defaultLength

    /// Does one bounded step of collection in a transaction of its own, or nothing when there is nothing to do.
    ///
    /// - Parameters:
    ///   - time: milliseconds since 1970 by the server's clock.
    ///   - limit: how many changes, rows or tags it looks at, at most.
    /// - Throws: `StoreError`, and then nothing of the step was stored.
    public func collect(time: Int64, limit: Int = 64) throws -> CollectionStep {
        try withWriter { writer, _ in
            writer.leases.look(at: time)
            writer.leases.enter(epoch: writer.state.epoch)
            for replica in try writer.collection.enrolled() { writer.leases.begin(replica) }
            var step = CollectionStep()
            guard writer.needsStep else { return step }
            step = try writer.transaction {
                var collector = CollectorStep(writer, limit: max(2, limit))
                try collector.run()
                try writer.collection.store(writer.state.collection, writer.leases)
                return collector.step
            }
            writer.leases.stored()
            return step
        }
    }

    /// Collects until nothing is left to do: for simulators.
    public func collectAll(time: Int64, limit: Int = 1_000) throws -> CollectionStep {
        var all = CollectionStep()
        repeat { all.add(try collect(time: time, limit: limit)) } while !all.isDone
        return all
    }

    public func collectionStatus() throws -> CollectionStatus {
        try withWriter { writer, _ in
            let watermark = writer.leases.watermark
            let state = writer.state.collection
            return CollectionStatus(
                sequence: writer.state.commit.sequence, watermark: watermark?.sequence ?? writer.state.commit.sequence,
                collected: state.collected, records: state.records, cells: state.cells,
                holder: watermark?.holder.rawValue, silence: watermark?.silence ?? 0,
                live: writer.leases.live.count)
        }
    }
}

extension StoreWriter {
    /// Notes what the writers of a committed group have seen.
    func noteReached(_ group: [PreparedPush], _ outcomes: [PushOutcome?]) {
        leases.enter(epoch: state.epoch)
        for (push, outcome) in zip(group, outcomes) where !push.isServer && push.epoch == state.epoch {
            let isWhole: Bool
            switch outcome {
            case .taken(let upTo, _):
                isWhole = upTo == push.logs.last?.end && push.logs.dropLast().allSatisfy { $0.position == $0.end }
            case .identifierTaken: isWhole = false
            default: continue
            }
            leases.look(at: push.time)
            leases.note(push.logs, reached: isWhole ? push.floor : nil)
        }
    }

    /// A record that was collected under a derived identifier and made again is a record like any other.
    func noteMade(_ record: Record) throws(StoreError) {
        guard !state.collected.isEmpty, record.isPresent, state.collected.remove(record.id) != nil else { return }
        try collection.forget(record.id)
    }

    /// Where the next sweep would end.
    ///
    /// While replicas are asked for what they held, nobody may be told less than they hold.
    private var target: Int64 {
        if state.recovery { return state.collection.collected }
        return min(leases.watermark?.sequence ?? state.commit.sequence, state.commit.sequence)
    }

    var needsStep: Bool {
        hasMore || !leases.changed.isEmpty
    }

    /// Whether another step would find something to do.
    var hasMore: Bool {
        state.collection.swept < state.collection.collected || target > state.collection.collected
            || needsUpkeep
    }

    /// Begins a sweep up to the watermark, if the last one has ended and it has moved.
    func beginSweep() {
        guard state.collection.swept == state.collection.collected, target > state.collection.collected else { return }
        // From now on whoever is behind takes a fresh fill, also while the sweep is under way.
        state.collection.collected = target
    }
}

/// One step, in a transaction.
private struct CollectorStep {
    /// Packed bytes that a step unpacks, about.
    private static let budget = 512 << 10
    private let writer: StoreWriter
    private let limit: Int
    private var bytes = 0
    private var hasChanged = false
    var step = CollectionStep()

    init(_ writer: StoreWriter, limit: Int) {
        self.writer = writer
        self.limit = limit
    }

    mutating func run() throws {
        writer.beginSweep()
        if writer.state.collection.swept < writer.state.collection.collected {
            try sweep()
        } else {
            try keepUp()
        }
        if hasChanged { try writer.markCommit() }
        step.isDone = !writer.hasMore
    }

    // MARK: Records

    /// Looks at the records that changed next, and forgets that they did.
    private mutating func sweep() throws {
        let end = writer.state.collection.collected
        let rows = try writer.collection.feed(after: writer.state.collection.swept, upTo: end, limit: limit)
        var last = writer.state.collection.swept
        var seen: Set<RecordID> = []
        for row in rows {
            if seen.insert(row.record).inserted { try look(at: row.record) }
            last = row.sequence
            step.swept += 1
            if bytes > Self.budget { break }
        }
        if step.swept == rows.count, rows.count < limit {
            last = end
            writer.upkeep.isTidy = false
        }
        try writer.collection.deleteFeed(upTo: last)
        writer.state.collection.swept = last
    }

    private mutating func look(at id: RecordID) throws {
        guard let stored = try read(id) else { return }
        var record = stored
        let limit = writer.state.collection.collected
        guard record.isMade, !record.isOpen else { return }
        let marks = record.forgetEmptied(upTo: limit)
        step.marks += marks
        if record.entries.isEmpty { return try remove(record) }
        let next = writer.state.sequence + 1
        if try isCollectable(record) {
            record.empty(sequence: next)
            writer.state.collected.insert(id)
            try writer.collection.remember(id, clock: writer.leases.clock)
            try rememberOwners(of: record)
            step.records += 1
            writer.state.collection.records += 1
            return try write(record, isChange: true)
        }
        let absences = record.collectAbsences(upTo: limit, sequence: next)
        step.cells += absences
        writer.state.collection.cells += Int64(absences)
        if absences + marks > 0 { try write(record, isChange: absences > 0) }
    }

    /// Whether everybody has seen that a record is deleted, and nothing belongs to it any more.
    private func isCollectable(_ record: Record) throws -> Bool {
        try !record.isPresent && !record.isEmptied && !record.envelope.kind.isKept
            && record.sequence <= writer.state.collection.collected && !writer.collection.members.hasMembers(record.id)
    }

    /// Deletes the row of a record of which nothing is left; what it belonged to may be collectable now.
    private mutating func remove(_ record: Record) throws {
        try writer.collection.delete(record.id, record.envelope)
        try rememberOwners(of: record)
        step.rows += 1
        guard RecordTable.isDetail(record.id, record.envelope) else { return }
        for scope in record.envelope.scope.identifiers { try look(at: scope) }
    }

    /// To whom a record belonged stays known: the audit has what it said, and its identifier may be made anew elsewhere. What was
    /// everybody's is everybody's still.
    private func rememberOwners(of record: Record) throws(StoreError) {
        for scope in record.envelope.scope.identifiers {
            try writer.erasures.remember(record.id, of: scope, upTo: writer.state.audit.number)
        }
    }

    private mutating func read(_ id: RecordID) throws -> Record? {
        var packed: [UInt8] = []
        guard let (sequence, _) = try writer.queries.readRecord(id, into: &packed) else { return nil }
        bytes += packed.count
        do {
            return try packed.withUnsafeBytes { try Record(id: id, sequence: sequence, packed: $0) }
        } catch let failure as DecodingFailure {
            throw StoreError.damaged(path: "record \(id)", reason: failure.description)
        }
    }

    private mutating func write(_ record: Record, isChange: Bool) throws {
        var packed: [UInt8] = []
        let sequence = record.sequence
        record.encode(sequence: sequence, into: &packed)
        try writer.collection.rewrite(record.id, record.envelope, sequence: sequence, packed: packed)
        guard isChange else { return }
        writer.state.sequence = sequence
        try writer.queries.appendFeed(record.id, record.envelope, sequence: sequence)
        hasChanged = true
    }

    // MARK: Hashes, tags, memory of collected records

    private mutating func keepUp() throws {
        try writer.visibility.forgetLeft(upTo: writer.state.collection.collected)
        step.tags = try writer.collection.deleteTags(upTo: writer.state.collection.collected, limit: limit)
        if step.tags == limit { return }
        let expired = try writer.collection.expiredCollected(
            before: writer.leases.clock - writer.leases.length, limit: limit)
        for id in expired {
            try writer.collection.forget(id)
            writer.state.collected.remove(id)
        }
        if expired.count == limit { return }
        writer.upkeep.isTidy = true
        step.hashes = try writer.keepHashes(limit: limit)
    }
}
