import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// How a recovery stands, for whoever administers the server.
public struct RecoveryReport: Codable, Sendable, Equatable {
    /// Whether replicas are asked for what they held.
    public var isOn: Bool
    /// How many vectors of relays are kept, because a log of theirs has not come.
    public var sources: Int
    /// How many marks were forgotten that waited for operations which never came.
    public var forgotten = 0
}

// Getting back what the authors will not push again; SPEC.md §3.6.
extension ServerStore {
    /// Joins what a replica held with what is here, in one durable transaction. The same again changes nothing.
    ///
    /// - Throws: `SyncProblem.otherEpoch`, `.noRecovery`, `.tooManyVectors`; `StoreError`.
    public func relay(_ request: RelayRequest, account: RecordID, time: Int64) throws -> RelayResponse {
        try withWriter { writer, database in
            guard request.epoch == writer.state.epoch else { throw SyncProblem.relayOfOtherEpoch }
            guard writer.state.recovery else { throw SyncProblem.noRecovery }
            return try writer.transaction {
                let taken = try writer.join(request, account: account, time: time, database)
                try writer.hear(request.page, from: account, time: time, database)
                return RelayResponse(taken: taken, more: true)
            }
        }
    }

    /// Begins to ask replicas for what they held, and takes in those of a server that is gone.
    public func beginRecovery() throws -> RecoveryReport {
        try withWriter { writer, _ in
            try writer.transaction {
                writer.state.recovery = true
                if !writer.state.recovers { try writer.doubtLogs(isEnding: false) }
                writer.state.recovers = true
                writer.state.hasRecovered = false
                try writer.relays.setRecovering(true)
                try writer.queries.updateServer(writer.state)
                try writer.forgetReachedSources()
            }
            return RecoveryReport(isOn: true, sources: writer.state.relaySources.count)
        }
    }

    /// Ends it: what still waits for an operation that never came waits no longer.
    ///
    /// The vectors of relays stay until the logs have reached them: whoever comes late must not bring back what others
    /// are known to have removed.
    public func finishRecovery() throws -> RecoveryReport {
        try withWriter { writer, database in
            let forgotten = try writer.transaction {
                writer.state.recovery = false
                try RelayedAccountQueries(database: database).settle()
                try writer.relays.setRecovering(false)
                try writer.forgetReachedSources()
                return try writer.forgetMarks()
            }
            return RecoveryReport(isOn: false, sources: writer.state.relaySources.count, forgotten: forgotten)
        }
    }
}

extension StoreWriter {
    /// Whether an operation was taken from its log.
    func isTaken(_ dot: Dot) -> Bool { dot.number <= state.logs[dot.replica]?.position ?? 0 }

    /// Joins the records of a relay, in the transaction under way.
    ///
    /// - Returns: how many of them are joined.
    func join(_ request: RelayRequest, account: RecordID, time: Int64, _ database: Database) throws -> Int {
        let believed = try believed(request)
        let source = try source(believed.source, account: account)
        let before = state.sequence
        var taken = 0
        var audited: [RecordPage.Head] = []
        for head in request.page.heads {
            // Roles are the server's own to give.
            let relayed = request.page.record(head, notAfter: time) {
                $0.key.field == .accountRole || self.countsAgain($0)
            }
            guard try isErased(relayed) || mayRelay(relayed, account), try join(relayed, believed, database)
            else {
                continue
            }
            try relays.addRecord(head.id, source: source)
            taken += 1
            audited.append(head)
        }
        let author = AuditAuthor(time: time, account: account, replica: ReplicaID(rawValue: 0), action: .relay)
        try note(author, about: audited.map(\.id)) { describe(audited[$0], of: request.page, to: &$1) }
        if state.sequence > before { try markCommit() }
        return taken
    }

    /// Whether an account may say what a record held: it sees its scope, or nobody has brought that yet.
    private func mayRelay(_ relayed: Record, _ account: RecordID) throws -> Bool {
        if try visibility.isSupervisor(account) { return true }
        for scope in relayed.envelope.scope.identifiers {
            if case .account = relayed.envelope.scope {
                if scope != account { return false }
            } else if try visibility.sight(account, scope) != .sees, try stored(scope)?.isMade == true {
                return false
            }
        }
        return true
    }

    /// The record as it is stored, or nil.
    func stored(_ id: RecordID) throws(StoreError) -> Record? {
        var packed: [UInt8] = []
        guard let (sequence, _) = try queries.readRecord(id, into: &packed) else { return nil }
        let result = packed.withUnsafeBytes { bytes -> Result<Record, DecodingFailure> in
            do throws(DecodingFailure) {
                return .success(try Record(id: id, sequence: sequence, packed: bytes))
            } catch { return .failure(error) }
        }
        do throws(DecodingFailure) { return try result.get() } catch {
            throw .damaged(path: "record \(id)", reason: error.description)
        }
    }

    /// So many vectors are kept of an account: one for each time that one of its homes heard of a loss.
    static let mostSources = 256

    /// - Throws: `SyncProblem.tooManyVectors`.
    private func source(_ source: RelaySource, account: RecordID) throws -> Int64 {
        if let known = state.relaySources.first(where: { $0.value == source })?.key { return known }
        if try relays.sourceCount(of: account) >= Self.mostSources {
            try forgetReachedSources()
            guard try relays.sourceCount(of: account) < Self.mostSources else { throw SyncProblem.tooManyVectors }
        }
        let number = try relays.addSource(source, account: account)
        state.relaySources[number] = source
        return number
    }

    /// - Returns: whether the record is joined: it is not where another stands under its identifier, or where it would
    ///   become larger than a page can carry.
    private func join(
        _ relayed: Record, _ believed: BelievedVector, _ database: Database
    ) throws -> Bool {
        let stored = try stored(relayed.id)
        var record = stored ?? Record(id: relayed.id)
        let before = stored.map { viewers(of: $0) }
        guard !record.isMade || record.envelope == relayed.envelope else { return false }
        // Nothing brings back what was erased, and whoever holds it has nothing more to say about it.
        if isErased(relayed) { return true }
        // Accounts are the server's own to write: a relay brings back those that are gone, and changes none.
        if relayed.envelope.kind == .account, record.isMade { return true }
        // Settings are what the server's own table says.
        if relayed.envelope.kind == .setting || Setting.isReserved(relayed.id) { return true }
        let wasUnmade = stored != nil && !record.isMade
        let wasAway = stored != nil && !record.isPresent
        let known = try self.relayed(relayed.id)
        let sequence = state.sequence + 1
        // Both in the terms of the row that is relayed, which knows the places of its epoch.
        let formerly = try formerPlaces(record, relayed, believed.source)
        let now = Dictionary(formerly.map { ($0.value, $0.key) }, uniquingKeysWith: { first, _ in first })
        // Of what has moved nothing follows for what stands before it now.
        let common = record.common(with: relayed, where: isTaken)
        _ = record.rename(Renaming(dots: formerly))
        var spared = Set(
            record.entries.map(\.dot).filter {
                believed.spares(
                    $0, isTaken: isTaken($0), isCommon: common.contains($0),
                    isUndisputed: state.earlier.isUndisputed($0, state.logs))
            })
        spared.formUnion(record.placesOfOtherElements(in: relayed))
        // Nobody knew before the loss what the server itself has written since.
        let own = record.entries.map(\.dot).filter { isOwn($0.replica) && isOfThisEpoch($0.replica) }
        let changed = record.join(
            relayed, vector: believed.source.believed, sparing: spared.union(own), sequence: sequence
        ) {
            isTaken(now[$0] ?? $0) || known?.contains($0) == true
        }
        _ = record.rename(Renaming(dots: now))
        if changed {
            // Replicas that filled while it was away have nothing of it.
            if wasAway { record.renumber(sequence: sequence) }
            var packed: [UInt8] = []
            record.encode(sequence: sequence, into: &packed)
            guard packed.count <= Limits.recordAtMost else { return false }
            state.sequence = sequence
            try queries.writeRecord(
                record.id, record.envelope, sequence: sequence, packed: packed, isNew: stored == nil,
                wasUnmade: wasUnmade)
            try queries.appendFeed(record.id, record.envelope, sequence: sequence)
            try noteViewers(of: record, before: before, sequence: sequence)
            try noteMade(record)
        }
        if record.envelope.kind == .account { try deriveAccount(record, database) }
        return true
    }

    /// Where operations stood that a relayed row has and the server has elsewhere now, by their places now.
    private func formerPlaces(
        _ record: Record, _ relayed: Record, _ source: RelaySource
    ) throws(StoreError) -> [Dot: Dot] {
        // What was taken has left something in the record that it is about.
        if state.earlier.isEmpty || record.entries.isEmpty { return [:] }
        let here = Set(record.entries.lazy.filter { !$0.kind.isMarker }.map(\.dot))
        var formerly: [Dot: Dot] = [:]
        let counted = Set(record.entries.lazy.filter { $0.kind == .count }.map(\.dot))
        for entry in relayed.entries
        where !entry.kind.isMarker && entry.kind != .count && !here.contains(entry.dot) {
            // Of a log of which nothing is here, what was never acknowledged may be another's. Rather does a value come in beside what
            // replaced it than not at all.
            let isLost = state.logs[entry.dot.replica]?.position ?? 0 == 0
            let now = state.earlier.now(of: entry.dot, state.logs, isProven: isLost)
            guard now.count == 1, let now = now.first, !counted.contains(now), formerly[now] == nil,
                !formerly.values.contains(entry.dot),
                // What was sent and not acknowledged there stood there only if it is what the row has there: another copy's may.
                state.earlier.now(of: entry.dot, state.logs, isProven: true).contains(now)
                    || record.has(entry, of: relayed, at: now),
                try !isOther(now, than: entry.dot, in: source)
            else { continue }
            formerly[now] = entry.dot
        }
        return formerly
    }

    /// Whether a counter's part ends with an addition that stands elsewhere now: it counts there.
    private func countsAgain(_ entry: Entry) -> Bool {
        entry.kind == .count && !isTaken(entry.dot)
            && state.earlier.now(of: entry.dot, state.logs).contains { isTaken($0) }
    }

    /// Forgets the vectors that the logs have reached: what they say is said by the logs' positions.
    func forgetReachedSources() throws(StoreError) {
        for (number, source) in state.relaySources
        where source.vector.positions.allSatisfy({ isTaken(Dot($0.key, $0.value)) }) {
            try relays.removeSource(number)
            state.relaySources[number] = nil
        }
    }

    /// Forgets the marks of all records.
    ///
    /// - Returns: how many there were.
    func forgetMarks() throws -> Int {
        var forgotten = 0
        var packed: [UInt8] = []
        var place = RecordID(rawValue: 0)
        while let open = try relays.openRecord(after: place) {
            var record = open.record
            forgotten += record.forgetMarks()
            packed.removeAll(keepingCapacity: true)
            record.encode(sequence: open.sequence, into: &packed)
            try queries.writeRecord(
                record.id, record.envelope, sequence: open.sequence, packed: packed, isNew: false, wasUnmade: false)
            place = record.id
        }
        return forgotten
    }
}

extension RecordPage {
    /// A record of the page by itself; times that lie ahead of the server's are lowered to it.
    func record(_ head: Head, notAfter time: Int64, without isLeftOut: (Entry) -> Bool) -> Record {
        var record = Record(id: head.id)
        record.setEnvelope(head.envelope)
        for index in head.entries {
            var entry = entries[index]
            if isLeftOut(entry) { continue }
            entry.time = min(entry.time, time)
            record.appendInOrder(entry, from: arena)
        }
        return record
    }
}
