import Testing

@testable import ShoalClient

/// By how much the server's clock is ahead, as one sync's exchanges tell (SPEC.md §4).
struct ClockOffsetTests {
    private static let second: UInt64 = 1_000_000_000

    /// An exchange that took `trip` milliseconds and ended `ticks` seconds after the start, with the server's clock right.
    private func exchange(_ offset: inout ClockOffset, endsAt ticks: UInt64, trip: UInt64, machineAheadBy ahead: Int64)
    {
        let end = ticks * Self.second
        offset.sending(ticks: end - trip * 1_000_000)
        let now = Int64(ticks) * 1_000
        offset.received(server: now - Int64(trip) / 2, now: now + ahead, ticks: end)
    }

    @Test func theShortestRoundTripSaysMost() {
        var offset = ClockOffset()
        exchange(&offset, endsAt: 100, trip: 400, machineAheadBy: 7_000)
        exchange(&offset, endsAt: 101, trip: 20, machineAheadBy: 7_100)
        exchange(&offset, endsAt: 102, trip: 800, machineAheadBy: 7_300)
        #expect(offset.milliseconds == -7_100)
    }

    @Test(arguments: [3_600_000, -3_600_000] as [Int64]) func aClockThatWasSetMakesWorthlessWhatWasLearned(
        by step: Int64
    ) {
        var offset = ClockOffset()
        exchange(&offset, endsAt: 100, trip: 20, machineAheadBy: 0)
        exchange(&offset, endsAt: 101, trip: 300, machineAheadBy: step)
        #expect(offset.milliseconds == -step)
    }
}
