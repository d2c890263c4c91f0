import ShoalCRDT
import ShoalProtocol
import ShoalStore

// What the server itself writes: accounts, and which replicas they have.
extension StoreWriter {
    /// In whose name the server writes its own log.
    static let serverAccount = RecordID(rawValue: 0)

    /// The server's own log since it started.
    var ownReplica: ReplicaID { ReplicaID(epoch: state.replicaEpoch, count: 0) }

    /// Whether a log is one that the server has written, now or before it was started last.
    func isOwn(_ replica: ReplicaID) -> Bool { state.logs[replica]?.account == Self.serverAccount }

    /// Upper halves of replicas that no log has yet.
    func drawReplicaEpoch() -> UInt16 {
        let taken = Set(state.logs.keys.map { UInt16(truncatingIfNeeded: $0.rawValue >> 16) })
        // With all of them taken, which takes 65,536 starts, one is shared.
        for _ in 0..<1_000 {
            let drawn = random(2).reduce(0) { $0 << 8 | UInt16($1) }
            if !taken.contains(drawn) { return drawn }
        }
        return random(2).reduce(0) { $0 << 8 | UInt16($1) }
    }

    /// Writes through the server's own log, in the transaction under way.
    ///
    /// - Throws: `StoreError`, `SyncProblem`.
    func writeOwn(time: Int64, _ body: (inout Operations) -> Void) throws {
        if state.logs[ownReplica] == nil { try addLog(ownReplica, account: Self.serverAccount) }
        guard let log = state.logs[ownReplica] else { return }
        var operations = Operations()
        body(&operations)
        let position = LogPosition(
            replica: ownReplica, position: log.position, hash: log.hash,
            end: log.position + UInt32(truncatingIfNeeded: operations.count))
        let push = ServerSession.Push(
            account: Self.serverAccount, epoch: state.epoch, acknowledgement: "", cursor: "", logs: [position],
            operations: operations, tail: [], time: time)
        var fold = GroupFold(self, [try PreparedPush(push, seal: seal, isServer: true)])
        try fold.run()
        if case .taken(_, let verdicts)? = fold.outcomes.first, let verdict = verdicts.first {
            throw StoreError.damaged(
                path: "the server's own records",
                reason: "operation \(verdict.number) of its log was refused: \(verdict.reason.rawValue)")
        }
    }

    /// Names the replicas handed out in this transaction in the records of their accounts, so that everybody can tell who
    /// wrote what.
    func nameHandedOut(time: Int64) throws {
        let replicas = state.handedOut
        state.handedOut = []
        if replicas.isEmpty { return }
        try writeOwn(time: time) { operations in
            for replica in replicas {
                guard let account = state.logs[replica]?.account else { continue }
                operations.begin(
                    record: account, time: time, salt: random(4).reduce(0) { $0 << 8 | UInt32($1) })
                operations.edit(
                    CellKey(.accountReplica, id: RecordID(rawValue: Int64(replica.rawValue))), .present)
            }
        }
    }
}
