import ShoalProtocol
import Testing

@testable import ShoalClient

/// A replica that was long without contact asks for it; no clock gets around that, and none locks it for good.
@Suite struct LeaseTests {
    private static let day: Int64 = 86_400_000

    private func lease(_ days: Int? = 10, at time: Int64) -> ContactLease {
        var lease = ContactLease()
        lease.renew(at: time, days: days)
        return lease
    }

    @Test func itEndsAfterItsDays() {
        let lease = lease(at: 1_000)
        #expect(!lease.isExpired(now: 1_000 + 10 * Self.day, offset: 0))
        #expect(lease.isExpired(now: 1_001 + 10 * Self.day, offset: 0))
        #expect(!self.lease(nil, at: 0).isExpired(now: .max, offset: 0))
    }

    @Test func aClockThatIsWrongAndStaysSoMakesNoDifference() {
        // A year ahead, known by the offset.
        let lease = lease(at: 1_000)
        let offset = -365 * Self.day
        #expect(!lease.isExpired(now: 1_000 + 375 * Self.day, offset: offset))
        #expect(lease.isExpired(now: 1_001 + 375 * Self.day, offset: offset))
    }

    @Test func aClockThatIsSetBackGainsNothing() {
        var lease = lease(at: 100 * Self.day)
        let late = 111 * Self.day
        #expect(lease.isWorthStoring(now: late, offset: 0))
        lease.seen = lease.latest(now: late, offset: 0)
        for now in [100 * Self.day, 50 * Self.day, 0, .min] {
            #expect(lease.isExpired(now: now, offset: 0), "\(now)")
        }
        // Nor while it was ahead by a year at the contact, and then set right: it counts from there.
        let ahead = self.lease(at: 100 * Self.day)
        #expect(ahead.isExpired(now: 111 * Self.day, offset: -365 * Self.day))
        #expect(!ahead.isExpired(now: 109 * Self.day, offset: -365 * Self.day))
    }

    /// A machine whose battery is dead showed 2000 at the contact; then its clock was put right.
    @Test func aClockThatWasFarBehindAndIsPutRightEndsNoLease() {
        let contact = 20_000 * Self.day
        let lease = lease(at: contact)
        let offset = 9_000 * Self.day
        #expect(!lease.isExpired(now: contact + 3 * Self.day, offset: offset))
        #expect(lease.isExpired(now: contact + 11 * Self.day, offset: offset))
        // Not put right, it counts as ever.
        #expect(!lease.isExpired(now: contact - offset + 9 * Self.day, offset: offset))
        #expect(lease.isExpired(now: contact - offset + 11 * Self.day, offset: offset))
    }

    @Test(arguments: [
        // Right, wrong by minutes and by years: the offset holds while the clock goes on.
        (contact: 1_000, offset: 0, now: 1_005, shown: 1_005), (1_000_000, -300_000, 1_300_050, 1_000_050),
        (1_000_000, 300_000, 700_050, 1_000_050),
        // Ahead by a hundred years, and put right; ahead by five minutes, and put right.
        (20_000 * day, -36_500 * day, 20_001 * day, 20_001 * day), (1_000_000, -300_000, 1_000_050, 1_000_050),
        // Set back by a second, as clocks are.
        (1_000_000, -300_000, 1_299_000, 1_000_000), (1_000_000, -300_000, 1_298_000, 1_000_000),
        // Behind by years, and put right; set back to the beginning.
        (20_000 * day, 9_000 * day, 20_003 * day, 20_003 * day), (20_000 * day, 0, 0, 20_000 * day),
        // Before any contact.
        (0, 0, 77, 77),
    ])
    func theTimeIsAsNearAsOneContactAllows(_ one: (contact: Int64, offset: Int64, now: Int64, shown: Int64)) {
        #expect(ServerTime.now(one.now, offset: one.offset, contact: one.contact) == one.shown)
    }

    @Test func noValueFromAFileTraps() {
        for contact in [Int64.min, 0, .max] {
            for seen in [Int64.min, 0, .max] {
                for now in [Int64.min, 0, .max] {
                    for offset in [Int64.min, 0, .max] {
                        let lease = ContactLease(days: 3_650, contact: contact, seen: seen)
                        _ = lease.isExpired(now: now, offset: offset)
                        _ = lease.isWorthStoring(now: now, offset: offset)
                        _ = ServerTime.now(now, offset: offset, contact: contact)
                    }
                }
            }
        }
    }

    @Test func anExpiredReplicaShowsNothingTakesCommandsAndLosesNothing() async throws {
        let one = try await DriverTests.enrolled([.lease(30)])
        let id = try one.replica.addCustomer(name: "a")
        try await one.sync()
        let note = try one.replica.addNote(to: id, "n")
        _ = try one.replica.editTags(of: [id], [.add("肤质/油皮"), .add("发质/油皮")])
        _ = try one.replica.addCustomer(name: "b")
        let before = try one.replica.status().pending
        let start = one.world.time
        one.world.time = start + 31 * Self.day
        let refused = ReplicaError.outOfContact(days: 30)
        func expectRefused() {
            #expect(throws: refused) { try one.replica.customers() }
            #expect(throws: refused) { try one.replica.customer(id) }
            #expect(throws: refused) { try one.replica.dump { _ in } }
            #expect(throws: refused) { try one.replica.refused() }
            #expect(throws: refused) { try one.replica.conflicts() }
            #expect(throws: refused) { try one.replica.draft(of: note) }
            #expect(throws: refused) { try one.replica.tags() }
        }
        expectRefused()
        #expect(try one.replica.status().needsContact)
        // The clock may be what is wrong, and no clock makes a write fail.
        #expect(try one.replica.resolve(String(id.description.suffix(6)), kind: .customer) == id)
        _ = try one.replica.addCustomer(name: "c")
        try one.replica.editNote(note, "m")
        try one.replica.setFields(of: id, [FieldValue("stage", "老客")])
        // What it was not told it does not name.
        #expect(try one.replica.editTags(of: [id], [.add("肤质/油皮皮")]).map(\.near) == [[]])
        #expect(throws: ReplicaError.unknownTag("油", near: [])) {
            try one.replica.editTags(of: [id], [.remove("油")])
        }
        #expect(throws: ReplicaError.unknownAccount("人", near: [])) { try one.replica.follow(id, account: "人") }
        #expect(throws: refused) { try one.replica.editTags(of: [id], [.remove("油皮")]) }
        #expect(throws: refused) { try one.replica.resolve(String(id.description.prefix(4)), kind: .customer) }
        #expect(throws: refused) { try one.replica.resolveConflict(String(id.description.prefix(4))) }
        #expect(throws: refused) { try one.replica.resolve(String(note.description.suffix(6)), kind: .customer) }
        // Also another process that has never seen the later time, after the clock was set back.
        one.world.time = start
        expectRefused()
        try one.replica.close()
        let again = try Replica(home: one.home.path, environment: one.world.environment)
        #expect(throws: refused) { try again.customers() }
        #expect(try again.status().pending > before)
        _ = try await SyncDriver(replica: again, transport: one.transport).sync()
        #expect(try again.customers().map(\.name).sorted() == ["a", "b", "c"])
        #expect(try again.note(note).body == "m" && again.customer(id).fields.contains(FieldValue("stage", "老客")))
        #expect(try !again.status().needsContact)
    }

    @Test func aClockThatJumpedAheadIsMendedByOneContact() async throws {
        let one = try await DriverTests.enrolled([.lease(30)])
        try await one.sync()
        let start = one.world.time
        one.world.time = start + 100 * 365 * Self.day
        #expect(throws: ReplicaError.outOfContact(days: 30)) { try one.replica.customers() }
        // While the clock is still wrong, and after it was set right.
        try await one.sync()
        #expect(try one.replica.customers().isEmpty)
        one.world.time = start
        #expect(try one.replica.customers().isEmpty)
        one.world.time = start + 40 * Self.day
        #expect(throws: ReplicaError.outOfContact(days: 30)) { try one.replica.customers() }
    }
}
