import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

import struct ShoalCRDT.Record

/// The cursor never skips (I5), whatever is committed between two pages.
struct CursorTests {
    /// Replicas write, delete and revive what they see; readers pull pages of random size in between and join late.
    @Test(arguments: 0..<120)
    func pagesOfAnySizeBetweenCommitsBringTheSameRecords(seed: Int) throws {
        let server = try TestServer(seed: UInt64(seed) + 1)
        let random = SeededRandom(UInt64(seed) + 1_000)
        var replicas = [try server.replica("a"), try server.replica("b"), try server.replica("c")]
        for step in 0..<60 {
            let replica = replicas[random.below(replicas.count)]
            switch random.below(5) {
            case 0, 1: _ = try replica.pull(budget: 1 + random.below(400))
            case 2 where step > 20 && replicas.count < 6:
                replicas.append(try server.replica("late\(replicas.count)"))
            default:
                let operations = randomOperations(replica, random)
                #expect(try replica.push(operations).verdicts == [], "seed \(seed)")
            }
        }
        let expected = try server.dump()
        for replica in replicas {
            try replica.pullAll(budget: 1 + random.below(400))
            #expect(replica.dump() == expected, "seed \(seed)")
            #expect(replica.positions.count >= replicas.count(where: { $0.position > 0 }), "seed \(seed)")
            for other in replicas where other.position > 0 {
                #expect(replica.positions[other.replica] == other.position, "seed \(seed)")
            }
        }
    }

    private func randomOperations(_ replica: TestReplica, _ random: SeededRandom) -> Operations {
        var operations = Operations()
        for _ in 0...random.below(4) {
            let seen = replica.rows.values.filter { $0.envelope.kind == .customer }.sorted { $0.id < $1.id }
            guard !seen.isEmpty, random.below(4) > 0 else {
                operations.makeCustomer(
                    replica.newID(), name: "客户\(random.below(100))", salt: UInt32(random.below(1 << 30)))
                continue
            }
            let record = seen[random.below(seen.count)]
            operations.begin(record: record.id, time: server(replica), salt: UInt32(random.below(1 << 30)))
            if random.below(4) == 0 {
                operations.cover(record.uncoveredDots())
                continue
            }
            let keys = [CellKey(.name), CellKey(.phone), CellKey(.tagged, id: RecordID(rawValue: 7))]
            let key = keys[random.below(keys.count)]
            let live = record.liveDots(in: record.range(of: key))
            if key.elementKind == .id {
                operations.edit(key, random.below(2) == 0 ? .present : .absent, supersedes: live)
            } else {
                operations.edit(key, text: "值\(random.below(1_000))", supersedes: live)
            }
        }
        return operations
    }

    private func server(_ replica: TestReplica) -> Int64 { replica.server.clock.now }

    @Test func aRecordThatComesBackReachesReplicasThatFilledWhileItWasDeleted() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        let b = try server.replica("b")
        let id = a.newID()
        try a.push(Operations { $0.makeCustomer(id, name: "张三") })
        try b.pullAll()
        try a.push(
            Operations {
                $0.begin(record: id, time: 0, salt: 1)
                $0.cover([Dot(a.replica, 1)])
            })
        let late = try server.replica("late")
        try late.pullAll()
        #expect(late.rows[id]?.isPresent != true)
        try b.push(
            Operations {
                $0.begin(record: id, time: 0, salt: 1)
                $0.edit(CellKey(.phone), text: "138")
            })
        try late.pullAll()
        #expect(late.dump() == (try server.dump()))
        #expect(late.dump().contains("张三"))
    }

    /// A fill names deleted customers, but nothing else that was deleted.
    @Test func aNoteThatComesBackReachesReplicasThatFilledWhileItWasDeleted() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        let b = try server.replica("b")
        let (id, note) = (a.newID(), a.newID())
        try a.push(
            Operations {
                $0.makeCustomer(id, name: "张三")
                $0.begin(record: note, time: 0, creates: Envelope(kind: .note, scope: .customer(id)), salt: 1)
                $0.edit(CellKey(.body), text: "旧")
            })
        try b.pullAll()
        try a.push(
            Operations {
                $0.begin(record: note, time: 0, salt: 1)
                $0.cover([Dot(a.replica, 2)])
            })
        let late = try server.replica("late")
        try late.pullAll()
        #expect(late.rows[note] == nil)
        try b.push(
            Operations {
                $0.begin(record: note, time: 0, salt: 1)
                $0.edit(CellKey(.body), text: "新")
            })
        try late.pullAll()
        #expect(late.dump() == (try server.dump()))
        #expect(late.dump().contains("旧") && late.dump().contains("新"))
    }

    @Test func aDeletionReachesReplicasThatHaveTheRecord() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        let b = try server.replica("b")
        let id = a.newID()
        try a.push(Operations { $0.makeCustomer(id, name: "张三") })
        try b.pullAll()
        try a.push(
            Operations {
                $0.begin(record: id, time: 0, salt: 1)
                $0.cover([Dot(a.replica, 1)])
            })
        try b.pullAll()
        #expect(b.rows[id]?.isPresent == false)
    }

    @Test func anImmediateSecondPullBringsNothing() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        try replica.push(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        try replica.pullAll()
        let own = ServerSession.Holdings(replica: replica.replica, numbers: nil)
        let page = try server.store.page(cursor: replica.cursor, own: own, account: replica.account)
        #expect(page.page.isEmpty && !page.more && !page.isFill && page.positions.isEmpty)
    }

    @Test func valuesThatTheTailHoldsDoNotTravelBack() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        try replica.pullAll()
        try replica.push(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        let own = ServerSession.Holdings(replica: replica.replica, numbers: 1...1)
        let page = try server.store.page(cursor: replica.cursor, own: own, account: replica.account)
        #expect(page.page.entries.count == 2)
        #expect(page.page.own == [1])
        #expect(page.page.arena.isEmpty)
    }

    @Test func aTokenOfWhichAByteIsChangedIsRefused() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        try replica.pullAll()
        let bytes = try #require(Base64URL.decode(replica.cursor))
        let own = ServerSession.Holdings(replica: replica.replica, numbers: nil)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            let cursor = Base64URL.encode(changed)
            #expect(throws: SyncProblem.foreignToken("cursor"), "byte \(index)") {
                try server.store.page(cursor: cursor, own: own, account: replica.account)
            }
            replica.cursor = cursor
            #expect(throws: SyncProblem.foreignToken("cursor")) { try replica.send(Operations()) }
        }
    }

    @Test func anotherAccountsTokenAndAnotherPurposesAreRefused() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        let b = try server.replica("b")
        try a.pullAll()
        try a.push(Operations())
        b.cursor = a.cursor
        #expect(throws: SyncProblem.foreignToken("cursor")) { try b.send(Operations()) }
        let cursor = a.cursor
        a.cursor = a.acknowledgement
        #expect(throws: SyncProblem.foreignToken("cursor")) { try a.send(Operations()) }
        a.cursor = ""
        a.acknowledgement = cursor
        #expect(throws: SyncProblem.foreignToken("acknowledgement")) { try a.send(Operations()) }
    }
}
