import ShoalCRDT

/// How long collection waits for a replica that is silent, and what each replica is known to have seen.
///
/// A replica has *reached* the floor of a cursor that it presents in a request that carries the end of its tail, once
/// that request is committed: all that it wrote before is here, and whatever it writes from then on has seen everything
/// up to that floor. The least of what the live ones have reached is the *watermark*: nobody who is waited for can still
/// write something that has not seen what lies below it.
///
/// Time is the *lease clock*: milliseconds that the server was there to be reached. It never goes back, and from one
/// look at the server's clock to the next it goes on by a thirtieth of the lease at most. So neither a clock that jumps
/// by a year nor a server that was off for one ends everybody's lease.
struct Leases {
    /// 90 days.
    static let defaultLength: Int64 = 90 * 24 * 3_600_000

    /// What is known of the writer of a log.
    struct Standing: Hashable {
        /// The first log that its replica ever wrote: copies of a home have the same.
        var family: ReplicaID
        var reached: Int64 = 0
        /// The position that it named last: it may not know of more that was taken.
        var acknowledged: UInt32 = 0
        /// The first and the last contact, by the lease clock.
        var began: Int64
        var contact: Int64
    }

    /// Which log holds the watermark.
    struct Watermark: Hashable {
        var sequence: Int64
        var holder: ReplicaID
        /// Milliseconds since the holder's last contact.
        var silence: Int64
    }

    /// Milliseconds; at least one.
    let length: Int64
    private(set) var clock: Int64
    private(set) var standings: [ReplicaID: Standing]
    /// What must be stored again.
    private(set) var changed: Set<ReplicaID> = []
    private var lastLook: Int64?

    init(length: Int64, clock: Int64 = 0, standings: [ReplicaID: Standing] = [:]) {
        self.length = max(1, length)
        self.clock = clock
        self.standings = standings
    }

    /// Lets the lease clock follow the server's.
    mutating func look(at now: Int64) {
        if let last = lastLook, now > last {
            clock += min(now - last, max(1, length / 30))
        }
        lastLook = now
    }

    /// Notes a request whose push was taken.
    ///
    /// - Parameters:
    ///   - reached: the floor of its cursor, if it carried the end of its tail and is not in the middle of a fill.
    ///   - acknowledged: the position that it named.
    mutating func note(_ log: ReplicaID, family: ReplicaID, reached: Int64?, acknowledged: UInt32) {
        var standing = standings[log] ?? Standing(family: family, began: clock, contact: clock)
        if standing.family != family {
            standing.family = family
            standing.began = clock
        }
        // Not the greater one: a replica that was restored has not seen what it had seen.
        if let reached { standing.reached = reached }
        standing.acknowledged = acknowledged
        standing.contact = clock
        if standings[log] != standing { changed.insert(log) }
        standings[log] = standing
    }

    /// Begins the lease of a log that never was in contact: it has seen nothing.
    mutating func begin(_ log: ReplicaID) {
        guard standings[log] == nil else { return }
        standings[log] = Standing(family: log, began: clock, contact: clock)
        changed.insert(log)
    }

    /// What was reached in an earlier epoch says nothing about this one: nothing is collected until all have reached anew.
    mutating func beginEpoch() {
        for log in standings.keys { standings[log]?.reached = 0 }
        changed.formUnion(standings.keys)
    }

    mutating func stored() { changed.removeAll(keepingCapacity: true) }

    /// The least that a live one of these logs has reached; nil when nobody is waited for.
    func watermark(of logs: some Sequence<ReplicaID>) -> Watermark? {
        live(of: logs).min { ($0.sequence, -$0.silence, $0.holder) < ($1.sequence, -$1.silence, $1.holder) }
    }

    /// What each live one of these logs has reached.
    ///
    /// Live is who was in contact within the lease and did not give this log up since: after a fork a replica goes on
    /// under another log of its family. The other copy, if there is one, counts again from its next contact on.
    func live(of logs: some Sequence<ReplicaID>) -> [Watermark] {
        var newest: [ReplicaID: Int64] = [:]
        for standing in standings.values { newest[standing.family] = max(newest[standing.family] ?? 0, standing.began) }
        return logs.compactMap { log in
            guard let standing = standings[log], clock - standing.contact <= length,
                newest[standing.family, default: 0] <= standing.contact
            else { return nil }
            return Watermark(sequence: standing.reached, holder: log, silence: clock - standing.contact)
        }
    }
}
