import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// How long an epoch begun by a rollback takes in what it does not know (SPEC.md §3.5).
struct RecoveringTests {
    private let server: TestServer
    private let chief: TestReplica
    private let anna: TestReplica

    init() throws {
        server = try TestServer()
        chief = try server.replica("chief")
        anna = try server.replica("anna", role: .sales)
        for replica in [chief, anna] { try replica.sync(Operations { $0.makeCustomer(replica.newID(), name: "张三") }) }
        // Somebody proves that the server has lost a commit.
        let lost = CommitMark(sequence: 1_000, tag: 7)
        let known = chief.acknowledgement
        chief.acknowledgement = server.store.seal.of(epoch: server.store.epoch).close(lost, for: chief.account)
        #expect(try chief.send(Operations()).isRollback)
        chief.acknowledgement = known
    }

    private var recovers: Bool { get throws { try server.store.withWriter { writer, _ in writer.state.recovers } } }

    /// A request in the epoch of now, whose last log is `replica`'s own or the one that it got since.
    private func send(
        _ replica: TestReplica, _ operations: Operations = Operations(), newer: ReplicaID? = nil, earlier: Int = 0,
        isWhole: Bool = true
    ) throws -> PushAnswer {
        var request = replica.request(operations)
        request.epoch = server.store.epoch
        request.earlier = earlier
        if let newer {
            request.logs.append(LogPosition(replica: newer, position: 0, hash: .start, end: isWhole ? 0 : 1))
        }
        let answer = try server.store.commit(group: [replica.push(of: request)])[0].answer
        if newer == nil { replica.note(answer, operations) }
        return answer
    }

    /// The replica hears of the rollback.
    private func hear(_ replica: TestReplica) throws -> ReplicaID {
        guard case .rollback(let rollback) = try replica.send(Operations()) else {
            Issue.record("the server was set back")
            return replica.replica
        }
        replica.acknowledgement = ""
        replica.cursor = ""
        return rollback.replica
    }

    /// Hears of the rollback, fills, and shows that it has.
    private func come(_ replica: TestReplica, as known: ReplicaID? = nil) throws {
        let newer = try known ?? hear(replica)
        try replica.pullAll()
        _ = try send(replica, newer: newer)
    }

    private func renaming(_ id: RecordID) -> Operations { Operations { $0.rename(id, "李四") } }
    private var chiefs: RecordID {
        get throws { try #require(chief.rows.keys.first { chief.rows[$0]?.envelope.kind == .customer }) }
    }

    @Test func itEndsWhenEverybodyHasCome() throws {
        try come(chief)
        _ = try send(chief)
        #expect(try recovers)
        try come(anna)
        _ = try send(chief)
        #expect(try !recovers)
        let again = try ServerStore(path: server.store.path, environment: server.environment)
        defer { try? again.close() }
        #expect(try again.withWriter { writer, _ in !writer.state.recovers && writer.state.hasRecovered })
    }

    /// A server that was set back may have handed out any log that it does not know, and then others may have seen more of those
    /// that it does.
    @Test func aLogThatIsNotKnownPutsThoseOfTheEpochInDoubt() throws {
        let newer = try hear(anna)
        let again = try ServerStore(path: server.store.path, environment: server.environment)
        defer { try? again.close() }
        #expect(try again.withWriter { writer, _ in writer.isOfThisEpoch(newer) })
        var late = chief.request(Operations())
        late.logs = [LogPosition(replica: ReplicaID(rawValue: 77), position: 0, hash: .start, end: 0)]
        #expect(try again.commit(group: [chief.push(of: late)])[0].answer.isRollback)
        #expect(try again.withWriter { writer, _ in !writer.isOfThisEpoch(newer) })
    }

    /// It followed one that this server was in, and there others may have seen more of the logs of this one.
    @Test func anEpochThatWasNeverHeardOfPutsTheLogsOfThisOneInDoubt() throws {
        let newer = try hear(anna)
        let again = try ServerStore(path: server.store.path, environment: server.environment)
        defer { try? again.close() }
        let unheard = again.epoch ^ 1
        var late = chief.request(Operations())
        late.epoch = unheard
        late.cursor = ""
        late.acknowledgement = again.seal.of(epoch: unheard).close(CommitMark(sequence: 5, tag: 7), for: chief.account)
        #expect(try again.withWriter { writer, _ in writer.isOfThisEpoch(newer) })
        #expect(try again.commit(group: [chief.push(of: late)])[0].answer.isRollback)
        #expect(try again.withWriter { writer, _ in !writer.isOfThisEpoch(newer) })
    }

    @Test func itEndsALeaseAfterTheFirstOneCameWhoeverHoldsItUp() throws {
        try come(chief)
        let newer = try hear(anna)
        for _ in 0..<3 {
            try server.pass(days: 30)
            _ = try send(anna, newer: newer, isWhole: false)
            #expect(try recovers)
        }
        try server.pass(days: 2)
        _ = try send(anna, newer: newer, isWhole: false)
        #expect(try !recovers)
    }

    @Test func whoComesLaterIsTakenInButNotBelievedAboutWhatItsAccountMaySee() throws {
        let customer = try chiefs
        #expect(anna.rows[customer] == nil)
        let newer = try hear(anna)
        // What made anna its follower may come yet.
        #expect(try send(anna, renaming(customer), earlier: 1).verdicts.isEmpty)
        try come(anna, as: newer)
        try come(chief)
        _ = try send(chief)
        #expect(try !recovers)
        let answer = try send(anna, renaming(customer), earlier: 1)
        #expect(try recovers)
        #expect(answer.verdicts.last == Verdict(number: anna.position, reason: .unknownRecord))
        _ = try send(chief)
        #expect(try !recovers)
        // A log that the server does not know is taken from its beginning, as before.
        let log = LogPosition(replica: ReplicaID(rawValue: 77), position: 0, hash: .start, end: 1)
        var late = anna.request(Operations { $0.makeCustomer(anna.newID(), name: "王五") })
        late.epoch = server.store.epoch
        late.earlier = 1
        late.logs = [log]
        #expect(try server.store.commit(group: [anna.push(of: late)])[0].answer.upTo == 1)
    }

    /// Whom a loss concerns is believed about what it may see, and about nothing else.
    @Test func whatWasWrittenEarlierIsStillWhatOneMayWrite() throws {
        let bert = try server.replica("bert", role: .sales)
        let customer = try chiefs
        _ = try hear(anna)
        let foreign = Operations {
            $0.begin(record: customer, time: 0, salt: 1)
            $0.edit(CellKey(.description, id: bert.account), text: "别人的备注")
            $0.begin(record: customer, time: 0, salt: 2)
            $0.edit(CellKey(.follow, id: bert.account), .absent)
            $0.begin(record: customer, time: 0, salt: 3)
            $0.edit(CellKey(.description, id: anna.account), text: "自己的")
        }
        #expect(try send(anna, foreign, earlier: 3).verdicts.map(\.reason) == [.forbidden, .forbidden])
    }

    /// What anna was when she added bert is lost with the server; a person makes her a supervisor again.
    @Test func whatASupervisorAddedCountsAsSoonAsItIsKnownThatSheIsOne() throws {
        let bert = try server.replica("bert", role: .sales)
        try come(chief)
        let customers = [try chiefs, chief.newID()]
        _ = try send(chief, Operations { $0.makeCustomer(customers[1], name: "王五") })
        _ = try hear(anna)
        let added = Operations {
            for id in customers {
                $0.begin(record: id, time: 0, salt: 1)
                $0.edit(CellKey(.follow, id: bert.account), .present)
            }
        }
        #expect(try send(anna, added, earlier: 2).verdicts.isEmpty)
        try bert.pullAll()
        #expect(customers.allSatisfy { bert.rows[$0] == nil })
        #expect(try server.store.unprovenFollows().count == 2)
        try server.accounts.setRole(.supervisor, name: "anna")
        try bert.pullAll()
        #expect(customers.allSatisfy { bert.rows[$0] != nil } && bert.fills == 1)
        #expect(try server.store.unprovenFollows().isEmpty)
        #expect(bert.dump() == (try server.dump(account: "bert")))
    }

    @Test func whatAFollowerAddedCountsAsSoonAsItIsKnownThatSheFollows() throws {
        let bert = try server.replica("bert", role: .sales)
        try come(chief)
        let customer = try chiefs
        func adding(_ account: RecordID) -> Operations {
            Operations {
                $0.begin(record: customer, time: 0, salt: 1)
                $0.edit(CellKey(.follow, id: account), .present)
            }
        }
        _ = try hear(anna)
        #expect(try send(anna, adding(bert.account), earlier: 1).verdicts.isEmpty)
        try bert.pullAll()
        #expect(bert.rows[customer] == nil)
        #expect(try send(chief, adding(anna.account)).verdicts.isEmpty)
        try bert.pullAll()
        #expect(bert.rows[customer] != nil)
        #expect(try server.store.unprovenFollows().isEmpty)
    }

    /// What a relay has brought counts; that its author comes with it later, of whom nobody knows that she follows, takes nothing away.
    @Test func whatARelayHasBroughtCountsWhenItsAuthorComes() throws {
        let bert = try server.replica("bert", role: .sales)
        try come(chief)
        _ = try server.store.beginRecovery()
        let customer = try chiefs
        let added = Operations {
            $0.begin(record: customer, time: 0, salt: 1)
            $0.edit(CellKey(.follow, id: bert.account), .present)
        }
        let place = anna.dot()
        var row = try #require(chief.rows[customer])
        row.apply(0, of: added, dot: place, time: 0)
        var page = RecordPage()
        page.begin(customer, row.envelope)
        for entry in row.entries { page.append(entry, from: row.arena) }
        let relay = RelayRequest(
            epoch: server.store.epoch, vector: VersionVector([place.replica: place.number]), page: page)
        #expect(try server.store.relay(relay, account: chief.account, time: server.clock.now).taken == 1)
        _ = try hear(anna)
        #expect(try send(anna, added, earlier: 1).upTo == place.number)
        #expect(try server.store.unprovenFollows().isEmpty)
        try bert.pullAll()
        #expect(bert.rows[customer] != nil)
    }

    /// A note came whose customer nobody has brought yet: supervisors see it, and nobody else.
    @Test func whatBelongsToACustomerThatHasNotComeLeavesWithEverything() throws {
        try come(chief)
        _ = try hear(anna)
        let (customer, note) = (anna.newID(), anna.newID())
        let added = Operations {
            $0.begin(record: note, time: 0, creates: Envelope(kind: .note, scope: .customer(customer)), salt: 1)
            $0.edit(CellKey(.body), text: "备注")
        }
        #expect(try send(anna, added, earlier: 1).verdicts.isEmpty)
        try chief.pullAll()
        #expect(chief.rows[note] != nil)
        for role in [Role.sales, .supervisor, .sales] {
            try server.accounts.setRole(role, name: "chief")
            try chief.pullAll()
            #expect((chief.rows[note] != nil) == (role == .supervisor))
            #expect(chief.dump() == (try server.dump(account: "chief")))
        }
    }
}
