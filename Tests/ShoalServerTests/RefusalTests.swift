import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// What the server does not take, and what becomes of the rest.
struct RefusalTests {
    let server: TestServer
    let replica: TestReplica

    init() throws {
        server = try TestServer()
        replica = try server.replica("a")
    }

    @Test func aVerdictIsStoredAndRepeated() throws {
        let id = replica.newID()
        let operations = Operations {
            $0.makeCustomer(id, name: "张三")
            $0.rename(RecordID(rawValue: 12345), "nobody")
        }
        let expected = [Verdict(number: 2, reason: .unknownRecord)]
        #expect(try replica.send(operations).verdicts == expected)
        #expect(try replica.send(operations).verdicts == expected)
        #expect(try replica.push(operations).upTo == 2)
        #expect(try replica.push(Operations()).verdicts == [], "acknowledged verdicts are not covered again")
    }

    @Test func aCommandIsRefusedAsAWholeAndTheNextIsTaken() throws {
        let first = replica.newID()
        let second = replica.newID()
        let answer = try replica.push(
            Operations {
                $0.makeCustomer(first, name: "张三")
                $0.rename(first, "x", supersedes: [Dot(replica.replica, 99)], salt: nil, continues: true)
                $0.makeCustomer(second, name: "李四")
            })
        #expect(
            answer.verdicts == [Verdict(number: 1, reason: .command), Verdict(number: 2, reason: .unknownDot)])
        try replica.pullAll()
        #expect(replica.rows[first] == nil)
        #expect(replica.rows[second]?.isPresent == true)
    }

    @Test func theRestOfARefusedCommandInTheNextRequestIsRefused() throws {
        let id = replica.newID()
        try replica.push(Operations { $0.rename(RecordID(rawValue: 12345), "x") })
        let answer = try replica.push(Operations { $0.makeCustomer(id, name: "张三", salt: nil, continues: true) })
        #expect(answer.verdicts == [Verdict(number: 2, reason: .command)])
    }

    @Test func supersedingARefusedOperationIsRefused() throws {
        let id = replica.newID()
        try replica.push(Operations { $0.makeCustomer(id, name: "张三") })
        let answer = try replica.push(
            Operations {
                $0.rename(id, "x", supersedes: [Dot(replica.replica, 99)])
                $0.rename(id, "y", supersedes: [replica.dot(0)])
            })
        #expect(answer.verdicts.map(\.reason) == [.unknownDot, .unknownDot])
    }

    @Test func namingWhatAnotherLogDoesNotHaveIsRefused() throws {
        let other = try server.replica("other")
        let id = replica.newID()
        try replica.push(Operations { $0.makeCustomer(id, name: "张三") })
        try other.push(Operations { $0.rename(id, "李四", supersedes: [Dot(replica.replica, 1)]) })
        let stranger = ReplicaID(rawValue: other.replica.rawValue &+ 1_000)
        let answer = try replica.push(
            Operations {
                $0.rename(id, "x", supersedes: [Dot(other.replica, 2)], salt: 1)
                $0.rename(id, "y", supersedes: [Dot(stranger, 1)], salt: 2)
                $0.begin(record: id, time: 0, salt: 3)
                $0.cover([Dot(other.replica, 1), Dot(other.replica, 2)])
                $0.rename(id, "z", supersedes: [Dot(other.replica, 1)], salt: 4)
            })
        #expect(answer.verdicts == [2, 3, 4].map { Verdict(number: $0, reason: .unknownDot) })
    }

    @Test func whatARefusedCommandMadeIsUnknownToLaterOnes() throws {
        let id = replica.newID()
        let answer = try replica.push(
            Operations {
                $0.makeCustomer(id, name: "张三")
                $0.rename(RecordID(rawValue: 12345), "x", salt: nil, continues: true)
                $0.rename(id, "y")
            })
        #expect(answer.verdicts.map(\.reason) == [.command, .unknownRecord, .unknownRecord])
    }

    @Test func makingATakenIdentifierStopsThePushAndConsumesNoNumber() throws {
        let other = try server.replica("b")
        let taken = other.newID()
        try other.push(Operations { $0.makeCustomer(taken, name: "李四") })
        let free = replica.newID()
        let operations = Operations {
            $0.makeCustomer(free, name: "张三")
            $0.rename(free, "张四", supersedes: [replica.dot(0)])
            $0.makeCustomer(taken, name: "王五", salt: nil, continues: true)
        }
        guard case .identifierTaken(let number, let upTo, _, let verdicts) = try replica.push(operations) else {
            Issue.record("the identifier should be taken")
            return
        }
        #expect((number, upTo) == (3, 1))
        #expect(verdicts.isEmpty)
        try replica.pullAll()
        #expect(replica.dump().contains("张三") && !replica.dump().contains("张四") && !replica.dump().contains("王五"))
    }

    @Test func aDerivedIdentifierMayBeMadeTwiceButNotAsSomethingElse() throws {
        let other = try server.replica("b")
        let id = RecordID(derivedFrom: 4_711)
        try other.push(Operations { $0.makeCustomer(id, name: "李四") })
        #expect(try replica.push(Operations { $0.makeCustomer(id, name: "李四") }).verdicts.isEmpty)
        let answer = try replica.push(
            Operations { $0.begin(record: id, time: 0, creates: Envelope(kind: .tag, scope: .workspace), salt: 3) })
        #expect(answer.verdicts.map(\.reason) == [.keyMismatch])
    }

    /// A customer that everybody sees could be erased by nobody, as what it is.
    @Test func aRecordIsMadeInTheScopeOfItsKind() throws {
        let customer = replica.newID()
        try replica.push(Operations { $0.makeCustomer(customer, name: "张三") })
        let wrong = [
            Envelope(kind: .customer, scope: .workspace), Envelope(kind: .customer, scope: .account(replica.account)),
            Envelope(kind: .customer, scope: .customer(customer)), Envelope(kind: .note, scope: .workspace),
            Envelope(kind: .tag, scope: .customer(customer)),
            Envelope(kind: .tagGroup, scope: .account(replica.account)),
            Envelope(kind: .export, scope: .workspace),
        ]
        for envelope in wrong {
            let answer = try replica.push(
                Operations { $0.begin(record: replica.newID(), time: 0, creates: envelope, salt: 5) })
            #expect(answer.verdicts.map(\.reason) == [.malformed], "\(envelope)")
        }
        // Nothing is known of a kind of a later version.
        let later = Envelope(kind: Kind(rawValue: 300), scope: .account(replica.account))
        #expect(
            try replica.push(Operations { $0.begin(record: replica.newID(), time: 0, creates: later, salt: 5) })
                .verdicts.isEmpty)
    }

    @Test func operationsThatAreNotInFormAreRefusedOneByOne() throws {
        let id = replica.newID()
        let answer = try replica.push(
            Operations {
                $0.makeCustomer(id, name: "张三")
                $0.rename(id, String(repeating: "x", count: Limits.text + 1), supersedes: [replica.dot(0)])
                $0.begin(record: id, time: 0, salt: 4)
                $0.edit(CellKey(.created), .present)
                $0.rename(id, "张四", supersedes: [replica.dot(0)])
            })
        #expect(
            answer.verdicts == [Verdict(number: 2, reason: .malformed), Verdict(number: 3, reason: .malformed)])
    }

    @Test func nobodyButTheServerWritesAccounts() throws {
        let answer = try replica.push(
            Operations {
                $0.begin(record: replica.account, time: 0, salt: 4)
                $0.edit(CellKey(.accountRole), text: Role.supervisor.rawValue)
                $0.begin(
                    record: replica.newID(), time: 0, creates: Envelope(kind: .account, scope: .workspace), salt: 5)
            })
        #expect(answer.verdicts.map(\.reason) == [.forbidden, .forbidden])
    }

    @Test func aTimeAheadOfTheServerIsLoweredToIts() throws {
        let id = replica.newID()
        try replica.push(
            Operations {
                $0.makeCustomer(id, name: "张三")
                $0.rename(id, "张四", supersedes: [replica.dot(0)], time: 4_000_000_000_000)
            })
        try replica.pullAll()
        let cell = try #require(replica.rows[id]?.range(of: CellKey(.name)))
        #expect(replica.rows[id]?.entries[cell].map(\.time) == [server.clock.now])
    }

    @Test func aPushThatIsRefusedAsAWholeDoesNotFailItsGroup() throws {
        let other = try server.replica("b")
        let good = try server.store.prepare(
            replica.push(of: replica.request(Operations { $0.makeCustomer(replica.newID(), name: "张三") })))
        let log = LogPosition(replica: replica.replica, position: 0, hash: .start, end: 0)
        let bad = try server.store.prepare(
            other.push(
                of: SyncRequest(
                    epoch: other.enrolled.epoch, cursor: "", acknowledgement: "", logs: [log], operations: Operations())
            ))
        let results = try server.store.commit([bad, good])
        #expect(throws: SyncProblem.foreignLog(replica.replica)) { try results[0].get() }
        #expect(try results[1].get().answer.upTo == 1)
    }
}
