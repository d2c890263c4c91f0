import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalClient

import struct ShoalCRDT.Record

@Suite struct TailTests {
    let server = TinyServer()

    private func tail(_ one: Operator) throws -> Set<RecordID> { try one.replica.read { try $0.log.tailRecords() } }

    @Test func anOperationLeavesTheTailWithThePageOfItsRecordOrTheLastPage() throws {
        let anna = try Operator("Anna", server)
        let ids = try (0..<3).map { try anna.replica.addCustomer(name: "c\($0)") }
        #expect(try tail(anna) == Set(ids))
        server.pageSize = 2
        let request = try anna.replica.nextRequest()
        var session = ClientSession()
        _ = session.start(request)
        // The first page holds the account and the first customer only.
        guard case .commit(let first) = session.receive(server.handle(request)) else {
            Issue.record("no commit")
            return
        }
        try anna.replica.commit(first)
        #expect(try tail(anna) == [ids[1], ids[2]])
        #expect(try anna.replica.status().pending == 0)
        #expect(try anna.replica.customers().count == 3)
        try anna.replica.sync(server)
        #expect(try tail(anna).isEmpty)
        #expect(try anna.replica.dumpLines == server.dump)
    }

    @Test func whatIsWrittenWhileTheServerAnswersStaysInTheTail() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        var session = ClientSession()
        let request = try anna.replica.nextRequest()
        _ = session.start(request)
        let other = try anna.replica.addCustomer(name: "meanwhile")
        guard case .commit(let commit) = session.receive(server.handle(request)) else {
            Issue.record("no commit")
            return
        }
        #expect(commit.isLast)
        try anna.replica.commit(commit)
        #expect(try tail(anna) == [other])
        #expect(try Set(anna.replica.customers().map(\.id)) == [id, other])
        // The same on a record that the page brings.
        let next = try anna.replica.nextRequest()
        try anna.replica.setFields(of: other, [FieldValue("stage", "later")])
        session = ClientSession()
        _ = session.start(next)
        guard case .commit(let second) = session.receive(server.handle(next)) else {
            Issue.record("no commit")
            return
        }
        try anna.replica.commit(second)
        #expect(try tail(anna) == [other])
        #expect(try anna.replica.customer(other).fields.contains { $0.value == "later" })
    }

    @Test func aLostAnswerCostsNothing() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        // The server takes the operations, the answer never comes.
        _ = server.handle(try anna.replica.nextRequest())
        try anna.replica.setFields(of: id, [FieldValue("stage", "later")])
        let report = try anna.replica.sync(server)
        #expect(report.pushed == 2)
        #expect(try anna.replica.dumpLines == server.dump)
        #expect(try tail(anna).isEmpty)
    }

    /// A copy that lay in a drawer for longer than the lease: nobody knows whether its work was taken.
    @Test func whatIsTooOldIsSetAsideWithItsValues() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "known")
        try anna.replica.sync(server)
        _ = try anna.replica.addCustomer(name: "old")
        try anna.replica.setFields(of: id, [FieldValue("stage", "old")])
        let log = try #require(try anna.replica.nextRequest().logs.last)
        let known = (1...2).map {
            KnownOperation(dot: Dot(log.replica, log.position + UInt32($0)), reason: RefusalReason.tooOld)
        }
        try anna.replica.heal(.fork(.init(of: log, replica: ReplicaID(epoch: 9, count: 9), known: known)))
        #expect(try anna.replica.status().pending == 0)
        #expect(try anna.replica.customers().map(\.name) == ["known"])
        #expect(try anna.replica.customer(id).fields.allSatisfy { $0.value != "old" })
        let refused = try anna.replica.refused()
        #expect(refused.map(\.reason) == ["too-old", "too-old"])
        #expect(refused.flatMap(\.values).map(\.value).filter { $0 == "old" }.count == 2)
        // Work goes on under the new replica.
        try anna.replica.setFields(of: id, [FieldValue("stage", "new")])
        let next = try anna.replica.nextRequest()
        #expect(next.logs.last?.replica == ReplicaID(epoch: 9, count: 9) && next.operations.count == 1)
    }

    @Test func aRefusedOperationIsSetAsideWithItsValues() throws {
        let anna = try Operator("Anna", server)
        let good = try anna.replica.addCustomer(name: "good")
        let bad = try anna.replica.addCustomer(name: "bad")
        server.refuses = [bad]
        let report = try anna.replica.sync(server)
        #expect(report.pushed == 1)
        #expect(report.refused == [Verdict(number: 2, reason: .forbidden)])
        #expect(try anna.replica.customers().map(\.id) == [good])
        let refused = try anna.replica.refused()
        #expect(refused.map(\.record) == [bad] && refused.map(\.reason) == ["forbidden"])
        #expect(refused[0].values.contains(FieldValue("name", "bad")))
        #expect(try anna.replica.status().refused == 1)
        // The verdict comes again with every answer, but is new only once.
        _ = try anna.replica.addCustomer(name: "next")
        try anna.replica.sync(server)
        #expect(try anna.replica.refused().count == 1)
        #expect(try anna.replica.dumpLines == server.dump)
    }

    @Test func aFrameHoldsWholeCommandsAndRespectsTheLimits() throws {
        let anna = try Operator("Anna", server)
        let ids = try anna.replica.write { commands in try (0..<300).map { try commands.addCustomer(name: "c\($0)") } }
        _ = try anna.replica.editTags(of: ids, [.add("x")])
        func frame(after number: UInt32, operations: Int, bytes: Int = 1 << 20) throws -> Int {
            try anna.replica.read { store in
                var log = store.current
                log.acknowledged = number
                return try store.log.frame(of: log, operations: operations, bytes: bytes).operations.count
            }
        }
        let frames = try [299, 300, 301, 302, 600].map { try frame(after: 0, operations: $0) }
        // 300 commands of one operation, then one of 301.
        #expect(frames == [299, 300, 300, 300, 300])
        let rest = try [100, 301].map { try frame(after: 300, operations: $0) }
        #expect(rest == [100, 301])
        #expect(try frame(after: 0, operations: 5_000, bytes: 400) < 20)
    }

    @Test func aBigTailIsPushedInFrames() throws {
        let anna = try Operator("Anna", server)
        try anna.replica.write { commands in
            for index in 0..<12_000 { _ = try commands.addCustomer(name: "c\(index)") }
        }
        #expect(try anna.replica.nextRequest().operations.count == Limits.operations)
        #expect(try anna.replica.sync(server).pushed == 12_000)
        #expect(try tail(anna).isEmpty)
        #expect(try anna.replica.customers().count == 12_000)
    }

    @Test func anAnswerAboutAnotherLogChangesNothing() throws {
        let anna = try Operator("Anna", server)
        let request = try anna.replica.nextRequest()
        let commit = ClientSession.Commit.test(
            server.handle(request), replica: ReplicaID(rawValue: 99), takenUpTo: 0, isFill: true)
        #expect(throws: SyncError.self) { try anna.replica.commit(commit) }
        #expect(try anna.replica.status().cursor == "")
    }

    @Test func idsNeverGoBackEvenWhenTheClockDoes() throws {
        let anna = try Operator("Anna", server)
        let first = try anna.replica.addCustomer(name: "a")
        anna.world.time = 0
        let second = try anna.replica.addCustomer(name: "b")
        anna.world.time = 4_000_000_000_000
        let third = try anna.replica.addCustomer(name: "c")
        #expect(first < second && second < third)
    }
}
