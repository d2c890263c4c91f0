import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// What became of a push, before its commit has a mark.
enum PushOutcome {
    case taken(upTo: UInt32, verdicts: [Verdict])
    case identifierTaken(number: UInt32, upTo: UInt32, verdicts: [Verdict])
    case fork(known: [KnownOperation])
    case rollback
    case refused(SyncProblem)
}

/// How a push relates to the logs that the server has.
enum Lineage {
    /// It continues them; the operations from this index on are new.
    case continues(firstNew: Int)
    case ends(PushOutcome)
}

extension StoreWriter {
    /// Compares the logs of a push with those taken: every known operation by its hash.
    func lineage(of push: PreparedPush) throws(StoreError) -> Lineage {
        for log in push.logs {
            guard let state = state.logs[log.replica], state.account == push.account else {
                return .ends(.refused(.foreignLog(log.replica)))
            }
        }
        for mark in push.marks {
            if mark == state.commit { continue }
            // Tags below the collection point go; a genuine token that names one is behind, and so gets a fill.
            if mark.sequence <= state.collection.collected, try !queries.hasTag(mark.sequence) { continue }
            guard try queries.isKnown(mark) else { return .ends(.rollback) }
        }
        for log in push.logs {
            guard let state = state.logs[log.replica] else { continue }
            if log.position > state.position { return .ends(.rollback) }
            if log.end < state.position { return .ends(try fork(push)) }
            guard try storedHash(log.replica, log.position, state) == log.hash else { return .ends(try fork(push)) }
        }
        guard let log = push.logs.last, let state = state.logs[log.replica] else { return .continues(firstNew: 0) }
        let known = min(Int(state.position - log.position), push.operations.count)
        if known > 0 {
            var matching = 0
            let numbers = log.position + 1...log.position + UInt32(known)
            try queries.forEachHash(log.replica, numbers) { number, hash in
                if push.hashes[Int(number - numbers.lowerBound)] == hash { matching += 1 }
            }
            if matching != known { return .ends(try fork(push)) }
        }
        return .continues(firstNew: known)
    }

    private func storedHash(
        _ replica: ReplicaID, _ number: UInt32, _ state: LogState
    ) throws(StoreError) -> OperationHash? {
        if number == 0 { return .start }
        if number == state.position { return state.hash }
        var found: OperationHash?
        try queries.forEachHash(replica, number...number) { _, hash in found = hash }
        return found
    }

    /// Places and verdicts of the longest known prefix of the hashes that the request names.
    ///
    /// The hash is the identity of an operation, so it is looked for in all logs of the account.
    private func fork(_ push: PreparedPush) throws(StoreError) -> PushOutcome {
        let wanted = Set(push.tail)
        guard !wanted.isEmpty else { return .fork(known: []) }
        let isTooOld = try isTooOld(push)
        var places: [OperationHash: Dot] = [:]
        for (replica, state) in state.logs where state.account == push.account && state.position > 0 {
            try queries.forEachHash(replica, 1...state.position) { number, hash in
                if wanted.contains(hash) { places[hash] = Dot(replica, number) }
            }
        }
        var known: [KnownOperation] = []
        for (index, hash) in push.tail.enumerated() {
            guard let dot = places[hash] else {
                guard isTooOld, let own = push.place(of: index) else { break }
                known.append(KnownOperation(dot: own, reason: .tooOld))
                continue
            }
            let verdict = try queries.verdicts(dot.replica, dot.number...dot.number).first
            known.append(KnownOperation(dot: dot, reason: verdict?.reason))
        }
        return .fork(known: known)
    }
}
