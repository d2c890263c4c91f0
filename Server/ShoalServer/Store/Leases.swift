import ShoalCRDT
import ShoalProtocol

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
    private(set) var epoch: UInt64
    private(set) var clock: Int64
    private(set) var standings: [ReplicaID: Standing]
    /// What must be stored again.
    private(set) var changed: Set<ReplicaID> = []
    private var lastLook: Int64?

    init(length: Int64, epoch: UInt64 = 0, clock: Int64 = 0, standings: [ReplicaID: Standing] = [:]) {
        self.length = max(1, length)
        self.epoch = epoch
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
    /// A replica names every log that it ever wrote. What it has seen counts for all of them, so a log that was given up
    /// after a fork is never waited for; copies of a home that have a log in common count as the one that was here last.
    ///
    /// - Parameter reached: the floor of its cursor, if it carried the end of its tail and a pull has ended before.
    mutating func note(_ logs: [LogPosition], reached: Int64?) {
        for log in logs {
            var standing = standings[log.replica] ?? Standing(began: clock, contact: clock)
            // Not the greater one: a replica that was restored has not seen what it had seen.
            if let reached { standing.reached = reached }
            standing.acknowledged = log.position
            standing.contact = clock
            if standings[log.replica] != standing { changed.insert(log.replica) }
            standings[log.replica] = standing
        }
    }

    /// Begins the lease of a replica that never was in contact: it has seen nothing.
    mutating func begin(_ log: ReplicaID) {
        guard standings[log] == nil else { return }
        standings[log] = Standing(began: clock, contact: clock)
        changed.insert(log)
    }

    /// What was reached in another epoch says nothing about this one: nothing is collected until all have reached anew.
    mutating func enter(epoch: UInt64) {
        guard epoch != self.epoch else { return }
        self.epoch = epoch
        for log in standings.keys { standings[log]?.reached = 0 }
        changed.formUnion(standings.keys)
    }

    mutating func stored() { changed.removeAll(keepingCapacity: true) }

    /// The least that a live replica has reached; nil when nobody is waited for.
    var watermark: Watermark? {
        live.min { ($0.sequence, -$0.silence, $0.holder) < ($1.sequence, -$1.silence, $1.holder) }
    }

    /// What each one that was in contact within the lease has reached.
    var live: [Watermark] {
        standings.compactMap { log, standing in
            guard clock - standing.contact <= length else { return nil }
            return Watermark(sequence: standing.reached, holder: log, silence: clock - standing.contact)
        }
    }
}
