import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// Up to where the rows of a relay are the fold of all logs, and what tells whose logs those were; SPEC.md §3.6.
struct RelaySource: Hashable {
    /// Logs in the state in which the relaying replica's server had them.
    var vector = VersionVector()
    var checks: [ReplicaID: LogCheck] = [:]
    /// Logs that are others here: a copy has written them further on another server.
    var strange: Set<ReplicaID> = []

    /// Whether it says that something else stands at that place.
    func disputes(_ replica: ReplicaID, _ number: UInt32, _ check: LogCheck) -> Bool {
        guard vector[replica] == number, let own = checks[replica] else { return false }
        return own != .unknown && check != .unknown && own != check
    }

    /// What it says of logs as they are here.
    var believed: VersionVector {
        strange.isEmpty ? vector : VersionVector(vector.positions.filter { !strange.contains($0.key) })
    }
}

/// What relays have brought of a record.
struct RelayedVector {
    /// The relays, by their numbers.
    fileprivate(set) var sources: [(number: Int64, source: RelaySource)] = []

    /// Whether the operation with this dot is in effect.
    func contains(_ dot: Dot) -> Bool {
        sources.contains { $0.source.vector.contains(dot) && !$0.source.strange.contains(dot.replica) }
    }

    /// Whether the operation is in effect that had this place in an earlier epoch, whatever has it here.
    ///
    /// - Parameter others: relays that speak of another one. What one of them brought may have taken its place.
    func contains(former place: Dot, except others: Set<Int64> = []) -> Bool {
        let speaking = sources.filter { $0.source.vector.contains(place) }
        return !speaking.isEmpty && !speaking.contains { others.contains($0.number) }
    }
}

/// What is believed of a relay's vector while its rows are joined.
struct BelievedVector {
    var source: RelaySource
    /// Logs of which it says more than has come here.
    fileprivate(set) var isAhead: Set<ReplicaID> = []
    /// Logs that another relay has shown as others.
    fileprivate(set) var disputed: Set<ReplicaID> = []
    /// How far logs had come when the server started: that its successors surely had too, unless an earlier one of them speaks.
    let start: [ReplicaID: UInt32]

    /// Whether something in a record does not die by the vector: another operation may have had its place.
    ///
    /// - Parameters:
    ///   - isTaken: whether it was taken from its log.
    ///   - isCommon: whether the rows show that both mean the same log up to there.
    ///   - isUndisputed: whether nobody says that something else was acknowledged there.
    func spares(_ dot: Dot, isTaken: Bool, isCommon: Bool, isUndisputed: Bool) -> Bool {
        guard isTaken else { return disputed.contains(dot.replica) && !isCommon }
        let isLater = dot.number > start[dot.replica] ?? 0
        if source.strange.contains(dot.replica) { return isLater || !isCommon }
        return !isCommon && (!isUndisputed || isLater && isAhead.contains(dot.replica))
    }
}

// Copies of a replica may have written one log further on servers that knew nothing of each other.
extension StoreWriter {
    /// A log that is another one here is not believed. Of one that has not come so far here, what came since the server started
    /// may be another's.
    func believed(_ request: RelayRequest) throws(StoreError) -> BelievedVector {
        // Rows from before the loss know nothing of logs that were handed out since.
        let vector = VersionVector(request.vector.positions.filter { !isOfThisEpoch($0.key) })
        var believed = BelievedVector(
            source: RelaySource(vector: vector, checks: request.checks), start: positionsAtStart)
        for (replica, number) in vector.positions {
            guard let check = request.checks[replica] else { continue }
            if state.relaySources.values.contains(where: { $0.disputes(replica, number, check) }) {
                believed.disputed.insert(replica)
            }
            guard let log = state.logs[replica] else { continue }
            if number > log.position {
                believed.isAhead.insert(replica)
            } else if let hash = try storedHash(replica, number, log), check.contradicts(hash) {
                believed.source.strange.insert(replica)
            }
        }
        return believed
    }

    /// What relays have brought of a record; nil if nothing.
    func relayed(_ record: RecordID) throws(StoreError) -> RelayedVector? {
        if state.relaySources.isEmpty { return nil }
        var relayed = RelayedVector()
        for number in try relays.sources(of: record) {
            if let source = state.relaySources[number] { relayed.sources.append((number, source)) }
        }
        return relayed.sources.isEmpty ? nil : relayed
    }

    /// Whether a relay's vector shows that something else stood at a place than what stands elsewhere now.
    func isOther(_ now: Dot, than place: Dot, in source: RelaySource) throws(StoreError) -> Bool {
        guard source.vector[place.replica] == place.number, let check = source.checks[place.replica],
            let log = state.logs[now.replica], now.number <= log.position
        else { return false }
        return try storedHash(now.replica, now.number, log).map { check.contradicts($0) } ?? false
    }

    /// Whether the record of an operation has something else at a place that nothing was taken for.
    func isAnother(_ index: Int, of push: PreparedPush, at place: Dot) throws(StoreError) -> Bool {
        guard !isTaken(place), let record = try stored(push.operations.operations[index].record) else { return false }
        return record.entries.contains { $0.dot == place && !$0.kind.isMarker }
            && !record.holds(index, of: push.operations, at: place)
    }

    /// The relays of which the push of a renumbered log shows that they do not speak of its operations, but of others that had their
    /// places.
    func others(than push: PreparedPush) throws(StoreError) -> Set<Int64> {
        guard !state.relaySources.isEmpty, let log = push.logs.last else { return [] }
        let runs = state.earlier.runs(in: log.replica, of: push.account)
        var others: Set<Int64> = []
        var undecided: [Int64: RelaySource] = [:]
        for run in runs {
            for (number, source) in state.relaySources where source.vector[run.was.replica] >= run.was.number {
                let last = Dot(run.was.replica, source.vector[run.was.replica])
                if let check = source.checks[last.replica], let hash = try hash(run.now(of: last), push, log) {
                    if check.contradicts(hash) { others.insert(number) }
                } else {
                    undecided[number] = source
                }
            }
        }
        if undecided.isEmpty { return others }
        for index in push.operations.operations.indices {
            for place in runs.lazy.compactMap({ $0.was(of: log.dot(index)) }) {
                let speaking = undecided.filter { $0.value.vector.contains(place) && !others.contains($0.key) }
                if speaking.isEmpty { continue }
                if try isAnother(index, of: push, at: place) { others.formUnion(speaking.keys) }
            }
        }
        return others
    }

    /// The hash at a place of the log that is pushed; nil where it does not reach.
    private func hash(_ dot: Dot?, _ push: PreparedPush, _ log: LogPosition) throws(StoreError) -> OperationHash? {
        guard let dot, let state = state.logs[log.replica] else { return nil }
        if dot.number <= log.position { return try storedHash(dot.replica, dot.number, state) }
        let index = Int(dot.number - log.position) - 1
        return index < push.hashes.count ? push.hashes[index] : nil
    }
}
