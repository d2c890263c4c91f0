import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// How a pushed log relates to the one that the server has.
struct LineageTests {
    @Test func aPushAgainAfterALostAnswerChangesNothing() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        let id = replica.newID()
        let operations = Operations {
            $0.makeCustomer(id, name: "张三")
            $0.rename(id, "张四", supersedes: [replica.dot(0)])
        }
        #expect(try replica.send(operations).upTo == 2)
        let dump = try server.dump()
        #expect(try replica.send(operations).upTo == 2)
        #expect(try server.dump() == dump)
    }

    @Test func aLongerPushAfterALostAnswerTakesOnlyWhatIsNew() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        let id = replica.newID()
        var operations = Operations { $0.makeCustomer(id, name: "张三") }
        try replica.send(operations)
        operations.rename(id, "张四", supersedes: [replica.dot(0)])
        #expect(try replica.push(operations).upTo == 2)
        try replica.pullAll()
        #expect(replica.dump().contains("张四"))
        #expect(try replica.push(Operations { $0.rename(id, "张五", supersedes: [replica.dot(-1)]) }).upTo == 3)
    }

    @Test func twoTriesOfOnePushInOneGroupCountOnce() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        let id = replica.newID()
        let push = replica.push(of: replica.request(Operations { $0.makeCustomer(id, name: "张三") }))
        let receipts = try server.store.commit(group: [push, push])
        #expect(receipts.map(\.answer.upTo) == [1, 1])
        try replica.pullAll()
        #expect(replica.rows[id]?.entries.count == 2)
    }

    @Test func anotherOperationAtAKnownNumberIsAForkAndChangesNothing() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        let id = replica.newID()
        try replica.send(Operations { $0.makeCustomer(id, name: "张三") })
        let dump = try server.dump()
        #expect(try replica.send(Operations { $0.makeCustomer(id, name: "李四", salt: 9) }).isFork)
        #expect(try server.dump() == dump)
    }

    /// Such a replica holds an acknowledgement of an operation that is not there.
    @Test func anotherHashAtThePositionIsARollback() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        try replica.push(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        replica.hash = OperationHash(rawValue: 5)
        #expect(try replica.send(Operations()).isRollback)
    }

    @Test func aLogThatEndsBeforeWhatTheServerTookIsAFork() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        try replica.send(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        // A restored backup: it has no operation, and a local one would take number 1 again.
        #expect(try replica.send(Operations()).isFork)
    }

    @Test func aForkNamesPlacesAndVerdictsOfTheLongestKnownPrefix() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        let id = replica.newID()
        let operations = Operations {
            $0.makeCustomer(id, name: "张三")
            $0.rename(id, "x", supersedes: [Dot(replica.replica, 77)])
        }
        // The original went on; this is a copy that did not hear of it and writes something else.
        var original = operations
        original.rename(id, "y")
        try replica.send(original)
        var hash = OperationHash.start
        var scratch: [UInt8] = []
        var tail: [OperationHash] = []
        for index in 0..<2 {
            hash = operations.hash(of: index, after: hash, scratch: &scratch)
            tail.append(hash)
        }
        let unknown = OperationHash(rawValue: 99)
        let request = replica.request(Operations(), end: 4, tail: tail + [unknown, tail[0]])
        guard case .fork(let fork) = try server.store.commit(group: [replica.push(of: request)])[0].answer else {
            Issue.record("the push should be a fork")
            return
        }
        let known = fork.known
        #expect(fork.of == request.logs[0] && fork.replica != nil && fork.replica != replica.replica)
        #expect(
            known == [
                KnownOperation(dot: Dot(replica.replica, 1), reason: nil),
                KnownOperation(dot: Dot(replica.replica, 2), reason: .unknownDot),
            ])
    }

    @Test func aPositionBeyondWhatTheServerHasIsARollback() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        replica.position = 4
        replica.hash = OperationHash(rawValue: 4)
        #expect(try replica.send(Operations()).isRollback)
    }

    @Test func aGenuineAcknowledgementOfAnUnknownCommitIsARollback() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        try replica.push(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        let lost = CommitMark(sequence: 1_000, tag: 7)
        replica.acknowledgement = server.store.seal.of(epoch: server.store.epoch).close(lost, for: replica.account)
        #expect(try replica.send(Operations()).isRollback)
    }

    @Test func anotherAccountsLogIsRefused() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        let b = try server.replica("b")
        let log = LogPosition(replica: b.replica, position: 0, hash: .start, end: 0)
        let request = SyncRequest(
            epoch: a.enrolled.epoch, cursor: "", acknowledgement: "", logs: [log], operations: Operations())
        #expect(throws: SyncProblem.foreignLog(b.replica)) {
            try server.store.commit(group: [a.push(of: request)])
        }
    }

    @Test func anotherEpochIsRefused() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        var request = replica.request(Operations())
        request.epoch += 1
        #expect(throws: SyncProblem.otherEpoch) { try server.store.commit(group: [replica.push(of: request)]) }
    }

    @Test func whatWasTakenIsThereAfterTheStoreIsOpenedAgain() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        let id = replica.newID()
        try replica.push(Operations { $0.makeCustomer(id, name: "张三") })
        let again = try ServerStore(path: server.store.path, environment: server.environment)
        defer { try? again.close() }
        #expect(again.epoch == server.store.epoch)
        let next = replica.request(Operations { $0.rename(id, "张四", supersedes: [Dot(replica.replica, 1)]) })
        #expect(try again.commit(group: [replica.push(of: next)])[0].answer.upTo == 2)
    }

    /// A lost answer costs no replica.
    @Test func theSamePushAgainIsAnsweredByTheSameReplica() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        try replica.send(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        func fork(end: UInt32 = 1) throws -> ReplicaID? {
            let request = replica.request(Operations(), end: end, tail: [OperationHash(rawValue: 99)])
            guard case .fork(let fork) = try server.store.commit(group: [replica.push(of: request)])[0].answer else {
                return nil
            }
            return fork.replica
        }
        let first = try #require(try fork())
        #expect(try fork() == first)
        // Whoever stands elsewhere is another one, and so is everybody once something was written under it.
        #expect(try fork(end: 2) != first)
        let log = LogPosition(replica: first, position: 0, hash: .start, end: 1)
        let operations = Operations { $0.makeCustomer(replica.newID(), name: "李四") }
        let push = ServerSession.Push(
            account: replica.account, epoch: server.store.epoch, acknowledgement: "", cursor: "", logs: [log],
            operations: operations, tail: [], time: server.clock.now)
        #expect(try server.store.commit(group: [push])[0].answer.upTo == 1)
        #expect(try fork() != first)
    }

    @Test func anAccountHasSoManyReplicasWithoutWorkAndNoMore() throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        let other = try server.replica("b")
        try replica.push(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        func ask(_ replica: TestReplica, _ end: UInt32) throws {
            let request = replica.request(
                Operations(), end: replica.position + end, tail: [OperationHash(rawValue: 99)])
            _ = try server.store.commit(group: [replica.push(of: request)])
        }
        replica.position = 0
        replica.hash = .start
        for end in 1...UInt32(StoreWriter.mostEmptyLogs) { try ask(replica, end) }
        #expect(throws: SyncProblem.tooManyReplicas) { try ask(replica, 100_000) }
        try ask(replica, 1_000)
        try ask(other, 1)
        // Nor so many with work.
        let busy = try server.replica("c")
        try busy.push(Operations { $0.makeCustomer(busy.newID(), name: "李四") })
        (busy.position, busy.hash) = (0, .start)
        try ask(busy, 1)
        try server.store.withWriter { writer, _ in
            try writer.transaction {
                for count in 0..<UInt32(StoreWriter.mostLogs) {
                    let replica = ReplicaID(rawValue: 0x9999_0000 + count)
                    try writer.queries.appendHashes(
                        replica, first: 1, [OperationHash(rawValue: 1_000 + UInt64(count))][...])
                    writer.state.logs[replica] = LogState(
                        account: busy.account, position: 1, hash: .start, refusals: 0)
                }
            }
        }
        #expect(throws: SyncProblem.tooManyReplicas) { try ask(busy, 2) }
    }
}
