import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// What became of a push, before its commit has a mark.
enum PushOutcome {
    case taken(upTo: UInt32, verdicts: [Verdict])
    case identifierTaken(number: UInt32, upTo: UInt32, verdicts: [Verdict])
    case fork(PushAnswer.Fork)
    case rollback(replica: ReplicaID, logs: [PushAnswer.Standing])
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
    ///
    /// A genuine token of a commit that is not here proves that the server lost it: a new epoch begins.
    func lineage(of push: PreparedPush) throws(StoreError) -> Lineage {
        for log in push.logs {
            if let known = state.logs[log.replica], known.account != push.account, !isClaimed(log.replica) {
                return .ends(.refused(.foreignLog(log.replica)))
            }
        }
        if push.epoch != state.epoch {
            // Where a rollback was found already, whoever comes from another epoch is let in without a further one. Without a
            // token nothing proves that this server ever was in that epoch, unless a person says so.
            let isUnheard = try !queries.isFormerEpoch(push.epoch)
            if isUnheard, push.marks.isEmpty, !state.recovery { return .ends(.refused(.otherEpoch)) }
            if isUnheard { try queries.addFormerEpoch(push.epoch) }
            // An epoch that this server never heard of followed its own, and an earlier one may have gone on without it: there another
            // server may have taken more of the logs that are known here.
            if isUnheard, !push.marks.isEmpty, !state.recovers {
                try beginEpoch()
            } else if isUnheard || hasFollowed(push) {
                try doubtLogs(isEnding: false)
            }
            return .ends(try rollback(push))
        }
        for mark in push.marks where mark != state.commit {
            if try queries.isKnown(mark) { continue }
            // Tags below the collection point go; a genuine token that names one is behind, and so gets a fill.
            if mark.sequence <= state.collection.collected, try !queries.hasTag(mark.sequence) { continue }
            try beginEpoch()
            return .ends(try rollback(push))
        }
        for log in push.logs where state.logs[log.replica] == nil {
            // Handed out by a server that was set back since: the log comes again from its beginning.
            guard state.recovers else { return .ends(.refused(.foreignLog(log.replica))) }
            try addLog(log.replica, account: push.account, device: push.device)
            try setSure(0, of: log.replica)
        }
        if let log = push.logs.last, state.logs[log.replica]?.account != push.account {
            return .ends(try fork(push, log))
        }
        for log in push.logs {
            guard let state = state.logs[log.replica], state.account == push.account else { continue }
            if log.position > state.position { return .ends(try rollbackWithin(push)) }
            guard let hash = try storedHash(log.replica, log.position, state) else {
                // Forgotten with what is older than the lease: a copy from then, if it is not the log's own writer.
                if state.position > log.position, self.state.collection.hashes > 0 { continue }
                return .ends(try rollbackWithin(push))
            }
            if hash != log.hash { return .ends(try rollbackWithin(push)) }
        }
        guard let log = push.logs.last, let state = state.logs[log.replica] else { return .continues(firstNew: 0) }
        if log.end < state.position { return .ends(try fork(push, log)) }
        if push.skipped > 0 { return .ends(try fork(push, log)) }
        let named = push.tail.isEmpty ? push.hashes : push.tail
        let known = min(Int(state.position - log.position), named.count)
        if known > 0 {
            var matching = 0
            let numbers = log.position + 1...log.position + UInt32(known)
            try queries.forEachHash(log.replica, numbers) { number, hash in
                if named[Int(number - numbers.lowerBound)] == hash { matching += 1 }
            }
            if matching != known { return .ends(try fork(push, log)) }
            if try isRenamed(push, log, known: known) { return .ends(try fork(push, log)) }
        }
        // What was renumbered may be here already, pushed by another copy under its numbers. Copies share a beginning, so
        // that the first operation tells. After a loss it may also have come renumbered before it comes under its own.
        let mayBeElsewhere = !push.tail.isEmpty || push.isRenumbered || self.state.recovers
        if mayBeElsewhere, known < named.count, try !places(of: [named[known]], account: push.account).isEmpty {
            return .ends(try fork(push, log))
        }
        if try isClaimedByRelay(push, log, named, from: known) { return .ends(try fork(push, log)) }
        return .continues(firstNew: min(known, push.operations.count))
    }

    /// Whether a log of an earlier epoch is known here only because some account named it: its writer, if that is another one,
    /// goes on under another identifier.
    private func isClaimed(_ replica: ReplicaID) -> Bool { state.recovers && state.earlier.sure[replica] != nil }

    /// Whether a relay speaks of new operations' places, of which it is not sure that these stood there: they go on under other
    /// ones, so that none is passed over for one that only shares its place.
    private func isClaimedByRelay(
        _ push: PreparedPush, _ log: LogPosition, _ hashes: [OperationHash], from known: Int
    ) throws(StoreError) -> Bool {
        guard !state.relaySources.isEmpty, known < hashes.count, let sure = state.earlier.sure[log.replica] else {
            return false
        }
        let proven = push.proven.first { $0.replica == log.replica }?.number ?? 0
        let first = log.position + UInt32(known) + 1
        let last = log.position + UInt32(hashes.count)
        var claimed: UInt32 = 0
        for source in state.relaySources.values where !source.strange.contains(log.replica) {
            let end = source.vector[log.replica]
            if end >= first, end <= last, let check = source.checks[log.replica], check != .unknown {
                if check.contradicts(hashes[Int(end - log.position) - 1]) { return true }
            } else {
                claimed = max(claimed, min(end, last))
            }
        }
        guard claimed >= first else { return false }
        if !push.tail.isEmpty { return true }
        if try isAnother(known...Int(claimed - log.position) - 1, of: push, log) { return true }
        guard claimed > max(sure, proven) else { return false }
        guard try isHeld(Int(claimed - log.position) - 1, of: push, log) else { return true }
        try setSure(claimed, of: log.replica)
        return false
    }

    /// Whether a relay has brought something else under the place of an operation.
    private func isAnother(
        _ indices: ClosedRange<Int>, of push: PreparedPush, _ log: LogPosition
    ) throws(StoreError) -> Bool {
        for index in indices where try isAnother(index, of: push, at: log.dot(index)) { return true }
        return false
    }

    /// Whether a relay has brought what an operation leaves, under its place and with its time: then this one stood there, and
    /// with it all before it in its log.
    private func isHeld(_ index: Int, of push: PreparedPush, _ log: LogPosition) throws(StoreError) -> Bool {
        let operation = push.operations.operations[index]
        guard let record = try stored(operation.record) else { return false }
        let dot = log.dot(index)
        return record.holds(index, of: push.operations, at: dot)
            && record.entries.allSatisfy { $0.dot != dot || $0.kind.isMarker || $0.time == operation.time }
    }

    /// Whether a record that a known operation of the push makes is called otherwise here: another copy that pushed the same
    /// operation found its identifier taken.
    private func isRenamed(_ push: PreparedPush, _ log: LogPosition, known: Int) throws(StoreError) -> Bool {
        for index in 0..<known {
            // Whoever asks about its tail does not say what it calls its records.
            let operation = push.tail.isEmpty ? push.operations.operations[index] : nil
            if let operation, operation.creates == nil { continue }
            let made = try queries.made(by: Dot(log.replica, log.position + UInt32(index + 1)))
            if let made, made != operation?.record { return true }
        }
        return false
    }

    func storedHash(
        _ replica: ReplicaID, _ number: UInt32, _ state: LogState
    ) throws(StoreError) -> OperationHash? {
        if number == 0 { return .start }
        if number == state.position { return state.hash }
        var found: OperationHash?
        try queries.forEachHash(replica, number...number) { _, hash in found = hash }
        return found
    }

    // MARK: Rollback

    /// Begins a new epoch: what comes from now on may speak of what this server lost.
    private func beginEpoch() throws(StoreError) {
        try queries.addFormerEpoch(state.epoch)
        state.epoch = random(8).reduce(0) { $0 << 8 | UInt64($1) }
        state.recovers = true
        state.hasRecovered = false
        try queries.updateServer(state)
        try doubtLogs(isEnding: true)
    }

    /// Within one epoch somebody has more than the server, without a token that would prove it: what the server lacks here it may lack
    /// of other logs.
    private func rollbackWithin(_ push: PreparedPush) throws(StoreError) -> PushOutcome {
        if state.recovers { try doubtLogs(isEnding: false) }
        return try rollback(push)
    }

    /// From where the logs of the push go on in this epoch.
    private func rollback(_ push: PreparedPush) throws(StoreError) -> PushOutcome {
        var logs: [PushAnswer.Standing] = []
        for log in push.logs {
            var standing = PushAnswer.Standing(replica: log.replica, position: 0, hash: .start)
            if let state = state.logs[log.replica], state.account == push.account {
                standing.position = state.position
                // From where another copy may call a record otherwise it is compared operation by operation.
                if let made = try queries.firstMade(in: log.replica) {
                    standing.position = min(standing.position, made - 1)
                }
                standing.hash = try storedHash(log.replica, min(log.end, standing.position), state) ?? .start
            }
            logs.append(standing)
        }
        guard let replica = try handOut(answering: push) else { return .refused(.tooManyReplicas) }
        return .rollback(replica: replica, logs: logs)
    }

    // MARK: Fork

    /// Places and verdicts of the longest known prefix of the hashes that the request names, and an identifier for the
    /// rest as soon as it is known where that begins.
    ///
    /// The hash is the identity of an operation, so it is looked for in all logs of the account.
    private func fork(_ push: PreparedPush, _ log: LogPosition) throws(StoreError) -> PushOutcome {
        let isTooOld = try isTooOld(push)
        let places = try places(of: push.tail, account: push.account)
        var known: [KnownOperation] = []
        for (index, hash) in push.tail.enumerated() {
            guard let dot = places[hash] else {
                guard isTooOld, let own = push.place(of: index) else { break }
                known.append(KnownOperation(dot: own, reason: .tooOld))
                continue
            }
            let verdict = try queries.verdicts(dot.replica, dot.number...dot.number).first
            known.append(KnownOperation(dot: dot, reason: verdict?.reason, record: try queries.made(by: dot)))
        }
        let isWhole = Int(push.skipped) + push.tail.count == Int(log.end - log.position)
        let isClear = isWhole || known.count < push.tail.count
        let replica = isClear ? try handOut(answering: push) : nil
        if isClear, replica == nil { return .refused(.tooManyReplicas) }
        return .fork(.init(of: log, replica: replica, known: known, skipped: push.skipped))
    }

    /// Where operations stand in the logs of an account.
    private func places(
        of hashes: [OperationHash], account: RecordID
    ) throws(StoreError) -> [OperationHash: Dot] {
        var places: [OperationHash: Dot] = [:]
        let wanted = Set(hashes)
        if wanted.isEmpty { return places }
        for (replica, state) in state.logs where state.account == account && state.position > 0 {
            try queries.forEachHash(replica, 1...state.position) { number, hash in
                if wanted.contains(hash) { places[hash] = Dot(replica, number) }
            }
        }
        return places
    }

    // MARK: Replicas

    /// So many answers are remembered that named a new replica.
    private static let mostAnswers = 1_024
    /// With so many replicas of an account under which nothing was written, a push gets no other one.
    static let mostEmptyLogs = 1_024
    /// And with so many replicas in all: each is named in the account's record, which everybody has.
    static let mostLogs = 16_384

    /// A replica with an empty log for whoever sends a push. The same push again, whose answer was lost, gets the same one as
    /// long as nothing was written under it.
    ///
    /// - Returns: nil if the account has too many.
    private func handOut(answering push: PreparedPush) throws(StoreError) -> ReplicaID? {
        let asked = HandOut(account: push.account, epoch: state.epoch, logs: push.logs)
        if let known = state.answered[asked], state.logs[known]?.position == 0 { return known }
        var (all, empty) = (0, 0)
        for log in state.logs.values where log.account == push.account {
            all += 1
            if log.position == 0 { empty += 1 }
        }
        guard empty < Self.mostEmptyLogs, all < Self.mostLogs else { return nil }
        let replica = try handOut(to: push.account, device: push.device)
        if state.answered.count >= Self.mostAnswers { state.answered = [:] }
        state.answered[asked] = replica
        return replica
    }

    /// A replica that nobody had before, with an empty log.
    ///
    /// The upper half of the identifier is drawn at each start of the server, so that one that was set back, which has
    /// forgotten how far it had counted, does not hand out what it handed out before.
    ///
    /// - Parameter device: whose log it is; nil for that of a device of its own.
    func handOut(to account: RecordID, device: ReplicaID? = nil) throws(StoreError) -> ReplicaID {
        var replica: ReplicaID
        repeat {
            if state.replicas == UInt16.max {
                state.replicaEpoch = drawReplicaEpoch()
                state.replicas = 0
            }
            state.replicas += 1
            replica = ReplicaID(epoch: state.replicaEpoch, count: state.replicas)
            // Somebody may have claimed it for a log of an earlier epoch.
        } while state.logs[replica] != nil
        try queries.updateServer(state)
        try addLog(replica, account: account, device: device)
        state.handedOut.append(replica)
        return replica
    }

    func addLog(_ replica: ReplicaID, account: RecordID, device: ReplicaID? = nil) throws(StoreError) {
        try queries.insertLog(replica, account: account)
        if let device { try queries.note(replica, of: device) }
        state.logs[replica] = LogState(account: account, position: 0, hash: .start, refusals: 0)
    }
}

/// What a push said of its logs when it was answered by a new replica.
struct HandOut: Hashable {
    var account: RecordID
    var epoch: UInt64
    var logs: [LogPosition]
}
