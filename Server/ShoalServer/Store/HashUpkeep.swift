import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// Which logs' hashes are still to be looked at in this round, and where joining goes on.
struct HashUpkeep {
    /// Lease clock at which the next round begins.
    var next: Int64 = 0
    /// Logs of this round, and below which number each one's hashes go.
    var logs: [(replica: ReplicaID, keep: UInt32)] = []
    /// Where joining left off, by log.
    var joined: [ReplicaID: Int64] = [:]
    /// Whether the tags and the memory of collected records have been looked at since the last sweep.
    var isTidy = false
    var isUnderWay: Bool { !logs.isEmpty }
}

extension StoreWriter {
    /// Rounds of upkeep in a lease.
    private static let rounds: Int64 = 32

    var needsUpkeep: Bool { upkeep.isUnderWay || needsRound || !upkeep.isTidy }

    private var needsRound: Bool { leases.clock >= upkeep.next }

    /// Joins and deletes hashes of one log, or begins a round.
    ///
    /// - Returns: how many rows went.
    func keepHashes(limit: Int) throws -> Int {
        if !upkeep.isUnderWay {
            guard needsRound else { return 0 }
            return try beginRound()
        }
        guard let (replica, keep) = upkeep.logs.last else { return 0 }
        if let next = try hashes.join(replica, from: upkeep.joined[replica] ?? 0, limit: limit) {
            upkeep.joined[replica] = next
            return 0
        }
        upkeep.logs.removeLast()
        return keep > 1 ? try hashes.delete(replica, below: keep) : 0
    }

    /// Notes where the logs stand now, and works out what nobody can name any more.
    ///
    /// A hash is kept while a copy of its log that was in contact within the lease may ask for it, and as long as the
    /// log's own writer may not know that the operation was taken: a lost answer is never a fork, however late.
    private func beginRound() throws -> Int {
        let pause = max(1, leases.length / Self.rounds)
        upkeep.next = leases.clock + pause
        upkeep.isTidy = false
        if try hashes.newestMark().map({ leases.clock - $0 >= pause }) ?? true {
            try hashes.mark(clock: leases.clock, sequence: state.commit.sequence)
        }
        let marks = try hashes.marks(upTo: leases.clock - leases.length)
        upkeep.logs = state.logs.sorted { $0.key < $1.key }.filter { $0.value.position > 0 }.map { replica, _ in
            guard let position = marks?.positions[replica], let standing = leases.standings[replica] else {
                return (replica, 0)
            }
            return (replica, min(position, standing.acknowledged))
        }
        if let marks, upkeep.logs.contains(where: { $0.keep > 1 }) {
            state.collection.hashes = max(state.collection.hashes, marks.sequence)
        }
        return 0
    }

    /// Whether a push that is a fork comes from a copy so old that hashes of its operations may be gone.
    ///
    /// Whatever a copy has in its tail was taken, if at all, after the copy's last contact: its newest token names a
    /// commit up to which everything was answered.
    func isTooOld(_ push: PreparedPush) throws(StoreError) -> Bool {
        let bound = state.collection.hashes
        guard bound > 0 else { return false }
        if let newest = push.marks.map(\.sequence).max() { return newest < bound }
        // It was never in contact: what it holds is not older than its logs.
        guard let began = push.logs.compactMap({ leases.standings[$0.replica]?.began }).min() else { return true }
        return began < leases.clock - leases.length
    }
}

extension PreparedPush {
    /// The place that the operation at `index` of the tail has in the log that the request continues.
    func place(of index: Int) -> Dot? {
        guard let log = logs.last, let number = UInt32(exactly: Int(log.position) + Int(skipped) + index + 1)
        else { return nil }
        return Dot(log.replica, number)
    }
}
