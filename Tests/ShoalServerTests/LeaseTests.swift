import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// Who is waited for, and for how long.
struct LeaseTests {
    private let day: Int64 = 86_400_000
    private let a = ReplicaID(rawValue: 1)
    private let b = ReplicaID(rawValue: 2)
    private let c = ReplicaID(rawValue: 3)

    private func note(_ leases: inout Leases, _ logs: [ReplicaID], reached: Int64?) {
        leases.note(logs.map { LogPosition(replica: $0, position: 0, hash: .start, end: 0) }, reached: reached)
    }

    private func leases(days: Int64 = 90) -> Leases {
        var leases = Leases(length: days * day)
        leases.look(at: 0)
        return leases
    }

    @Test func theWatermarkIsTheLeastThatALiveReplicaHasReached() {
        var leases = leases()
        note(&leases, [a], reached: 10)
        note(&leases, [b], reached: 7)
        #expect(leases.watermark?.sequence == 7)
        #expect(leases.watermark?.holder == b)
        note(&leases, [b], reached: nil)
        #expect(leases.watermark?.sequence == 7, "contact alone reaches nothing")
        note(&leases, [b], reached: 12)
        #expect(leases.watermark?.sequence == 10)
        #expect(self.leases().watermark == nil)
    }

    @Test func whoNeverSyncedHasReachedNothingAndIsWaitedForToo() {
        var leases = leases()
        note(&leases, [a], reached: 10)
        leases.begin(b)
        #expect(leases.watermark?.sequence == 0)
    }

    @Test func aSilentReplicaIsWaitedForUntilItsLeaseEnds() {
        var leases = leases(days: 10)
        note(&leases, [a], reached: 1)
        var now: Int64 = 0
        for _ in 0..<10 * 24 {
            now += 3_600_000
            leases.look(at: now)
            note(&leases, [b], reached: 9)
        }
        #expect(leases.watermark?.sequence == 1)
        leases.look(at: now + 1)
        #expect(leases.watermark?.sequence == 9)
    }

    @Test func aClockThatJumpsEndsNobodysLease() {
        var leases = leases(days: 90)
        note(&leases, [a], reached: 1)
        leases.look(at: 365 * day)
        #expect(leases.clock == 3 * day)
        leases.look(at: 0)
        leases.look(at: 1)
        #expect(leases.clock == 3 * day + 1, "nor does one that steps back stand still for a year")
        #expect(leases.watermark?.sequence == 1)
    }

    @Test func aLogThatItsReplicaGaveUpIsNotWaitedFor() {
        var leases = leases()
        note(&leases, [a], reached: 3)
        note(&leases, [c], reached: 9)
        leases.look(at: 1_000)
        #expect(leases.watermark?.holder == a)
        note(&leases, [a, b], reached: 8)
        #expect(leases.watermark?.sequence == 8, "what the replica has seen counts for every log that it wrote")
        note(&leases, [a], reached: 5)
        #expect(leases.watermark?.sequence == 5, "a copy that still writes the first counts again")
    }

    @Test func aRestoredReplicaHasNotSeenWhatItHadSeen() {
        var leases = leases()
        note(&leases, [a], reached: 10)
        note(&leases, [a], reached: 4)
        #expect(leases.watermark?.sequence == 4)
    }

    @Test func anEpochForgetsWhatWasReached() {
        var leases = leases()
        note(&leases, [a], reached: 10)
        leases.stored()
        leases.enter(epoch: 0)
        #expect(leases.watermark?.sequence == 10, "the same epoch")
        leases.enter(epoch: 1)
        #expect(leases.watermark?.sequence == 0)
        #expect(leases.changed == [a])
    }
}
