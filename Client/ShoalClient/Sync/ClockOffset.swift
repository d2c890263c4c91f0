/// What the exchanges of one sync tell about the clocks: by how much the server's is ahead of this machine's.
///
/// The server reads its clock somewhere within the round trip, so half of it is the best guess and the most that it can be
/// wrong by; the shortest round trip says most. A clock that was set meanwhile makes what was learned before worthless.
struct ClockOffset {
    /// More than this between clock and ticks is a clock that was set, in milliseconds.
    private static let step: Int64 = 1_000

    /// Milliseconds; nil before the first answer.
    private(set) var milliseconds: Int64?
    private var roundTrip: UInt64 = 0
    private var seen: (now: Int64, ticks: UInt64) = (0, 0)
    private var sent: UInt64?

    /// A request goes out.
    mutating func sending(ticks: UInt64) { sent = ticks }

    /// Its answer came.
    ///
    /// - Parameters:
    ///   - server: the server's clock in the answer, milliseconds since 1970.
    ///   - now: this machine's clock.
    ///   - ticks: monotonic nanoseconds.
    mutating func received(server: Int64, now: Int64, ticks: UInt64) {
        // Who does not say when a request went out is taken to have had its answer at once.
        let trip = ticks &- (sent ?? ticks)
        let elapsed = Int64(clamping: (ticks &- seen.ticks) / 1_000_000)
        let drift = (now &- seen.now) &- elapsed
        let wasSet = drift > Self.step || drift < -Self.step
        seen = (now, ticks)
        sent = nil
        if milliseconds != nil, !wasSet, trip > roundTrip { return }
        roundTrip = trip
        milliseconds = server &+ Int64(clamping: trip / 2_000_000) &- now
    }
}
