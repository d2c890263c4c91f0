import ShoalCRDT
import Testing

@testable import ShoalServer

/// Who is waited for, and for how long.
struct LeaseTests {
    private let day: Int64 = 86_400_000
    private let a = ReplicaID(rawValue: 1)
    private let b = ReplicaID(rawValue: 2)
    private let c = ReplicaID(rawValue: 3)

    private func leases(days: Int64 = 90) -> Leases {
        var leases = Leases(length: days * day)
        leases.look(at: 0)
        return leases
    }

    @Test func theWatermarkIsTheLeastThatALiveReplicaHasReached() {
        var leases = leases()
        leases.note(a, family: a, reached: 10, acknowledged: 0)
        leases.note(b, family: b, reached: 7, acknowledged: 0)
        #expect(leases.watermark(of: [a, b])?.sequence == 7)
        #expect(leases.watermark(of: [a, b])?.holder == b)
        leases.note(b, family: b, reached: nil, acknowledged: 5)
        #expect(leases.watermark(of: [a, b])?.sequence == 7, "contact alone reaches nothing")
        leases.note(b, family: b, reached: 12, acknowledged: 5)
        #expect(leases.watermark(of: [a, b])?.sequence == 10)
        #expect(leases.watermark(of: [ReplicaID]()) == nil)
    }

    @Test func whoNeverSyncedHasReachedNothingAndIsWaitedForToo() {
        var leases = leases()
        leases.note(a, family: a, reached: 10, acknowledged: 0)
        leases.begin(b)
        #expect(leases.watermark(of: [a, b])?.sequence == 0)
        leases.begin(a)
        #expect(leases.watermark(of: [a])?.sequence == 10)
    }

    @Test func aSilentReplicaIsWaitedForUntilItsLeaseEnds() {
        var leases = leases(days: 10)
        leases.note(a, family: a, reached: 1, acknowledged: 0)
        var now: Int64 = 0
        for _ in 0..<10 * 24 {
            now += 3_600_000
            leases.look(at: now)
            leases.note(b, family: b, reached: 9, acknowledged: 0)
        }
        #expect(leases.watermark(of: [a, b])?.sequence == 1)
        leases.look(at: now + 1)
        #expect(leases.watermark(of: [a, b])?.sequence == 9)
    }

    @Test func aClockThatJumpsEndsNobodysLease() {
        var leases = leases(days: 90)
        leases.note(a, family: a, reached: 1, acknowledged: 0)
        leases.look(at: 365 * day)
        #expect(leases.clock == 3 * day)
        leases.look(at: 0)
        leases.look(at: 1)
        #expect(leases.clock == 3 * day + 1, "nor does one that steps back stand still for a year")
        #expect(leases.watermark(of: [a])?.sequence == 1)
    }

    @Test func aLogThatItsReplicaGaveUpIsNotWaitedForUnlessItsCopyStillWrites() {
        var leases = leases()
        leases.note(a, family: a, reached: 3, acknowledged: 0)
        leases.look(at: 1_000)
        leases.begin(b)
        leases.note(b, family: a, reached: 8, acknowledged: 0)
        #expect(leases.watermark(of: [a, b])?.sequence == 8)
        leases.look(at: 2_000)
        leases.note(a, family: a, reached: 3, acknowledged: 0)
        #expect(leases.watermark(of: [a, b])?.sequence == 3, "the original is there after all")
        leases.note(c, family: c, reached: 2, acknowledged: 0)
        #expect(leases.watermark(of: [a, b, c])?.sequence == 2, "another replica's log changes nothing of that")
    }

    @Test func aRestoredReplicaHasNotSeenWhatItHadSeen() {
        var leases = leases()
        leases.note(a, family: a, reached: 10, acknowledged: 0)
        leases.note(a, family: a, reached: 4, acknowledged: 0)
        #expect(leases.watermark(of: [a])?.sequence == 4)
    }

    @Test func anEpochForgetsWhatWasReached() {
        var leases = leases()
        leases.note(a, family: a, reached: 10, acknowledged: 0)
        leases.stored()
        leases.beginEpoch()
        #expect(leases.watermark(of: [a])?.sequence == 0)
        #expect(leases.changed == [a])
    }
}
