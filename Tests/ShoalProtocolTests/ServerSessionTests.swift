import Testing

@testable import ShoalCRDT
@testable import ShoalProtocol

/// Events in, actions out.
@Suite struct ServerSessionTests {
    private let replica = ReplicaID(epoch: 7, count: 1)
    private let account = RecordID(rawValue: 41)

    private func session(operations count: Int = 2, wantsPage: Bool = true) -> ServerSession {
        var operations = Operations()
        for index in 0..<count { operations.begin(record: RecordID(rawValue: 99), time: Int64(index)) }
        let other = LogPosition(replica: ReplicaID(rawValue: 3), position: 8, hash: .start, end: 8)
        let log = LogPosition(replica: replica, position: 10, hash: .start, end: 10 + UInt32(count))
        let request = SyncRequest(
            epoch: 6, cursor: "c1", acknowledgement: "a", logs: [other, log], operations: operations,
            tail: [OperationHash(rawValue: 4)], wantsPage: wantsPage)
        return ServerSession(request, account: account, time: 77)
    }

    private func page(more: Bool = false) -> ServerSession.Page {
        var page = RecordPage()
        page.begin(RecordID(rawValue: 33), Envelope(kind: .customer, scope: .workspace))
        return ServerSession.Page(page: page, cursor: "c2", more: more, isFill: true, positions: [Dot(replica, 12)])
    }

    @Test func thePushIsCommittedFirst() {
        guard case .commit(let push) = session().start() else {
            Issue.record("a session does not begin with its commit")
            return
        }
        #expect(push.account == account && push.epoch == 6 && push.cursor == "c1" && push.acknowledgement == "a")
        #expect(push.logs.map(\.position) == [8, 10] && push.operations.count == 2 && push.time == 77)
        #expect(push.tail == [OperationHash(rawValue: 4)])
    }

    @Test func thePageIsReadAfterTheCommitWithoutTheValuesThatTheClientHolds() {
        var session = session()
        let receipt = ServerSession.Receipt(answer: .taken(upTo: 12, acknowledgement: "b", verdicts: []))
        guard case .readPage("c1", let own) = session.committed(receipt) else {
            Issue.record("no page is read after the commit")
            return
        }
        #expect(own.replica == replica && own.numbers == 11...12)
        #expect(own.contains(Dot(replica, 11)) && own.contains(Dot(replica, 12)))
        #expect(!own.contains(Dot(replica, 10)) && !own.contains(Dot(replica, 13)))
        #expect(!own.contains(Dot(ReplicaID(rawValue: 3), 11)))
    }

    @Test func theAnswerCarriesTheAcknowledgementOfTheReceipt() {
        var session = session()
        let verdict = Verdict(number: 12, reason: .forbidden)
        _ = session.committed(
            ServerSession.Receipt(answer: .taken(upTo: 12, acknowledgement: "b", verdicts: [verdict])))
        guard case .respond(let response) = session.read(page(more: true)),
            case .taken(12, "b", [verdict]) = response.push, response.log == replica
        else {
            Issue.record("the answer is not the receipt's")
            return
        }
        #expect(
            response.from == "c1" && response.cursor == "c2" && response.more && response.isFill && response.time == 77)
        #expect(response.page.heads.count == 1 && response.positions == [Dot(replica, 12)])
    }

    @Test func withoutAReceiptNothingIsAcknowledged() {
        guard case .respond(let response) = session().read(page()), case .taken(0, "", []) = response.push else {
            Issue.record("something is acknowledged that was not committed")
            return
        }
        // The client refuses it: it is not what it sent.
        var client = ClientSession()
        guard case .commit(let push) = session().start() else { return }
        _ = client.start(
            SyncRequest(epoch: 6, cursor: "c1", acknowledgement: "", logs: push.logs, operations: push.operations))
        guard case .stop(.protocolError) = client.receive(response) else {
            Issue.record("the client takes an answer without an acknowledgement")
            return
        }
    }

    @Test func aPageThatIsNotWantedIsNotRead() {
        for answer in [
            PushAnswer.taken(upTo: 12, acknowledgement: "b", verdicts: []),
            .identifierTaken(number: 12, upTo: 11, acknowledgement: "b", verdicts: []),
        ] {
            var session = session(wantsPage: false)
            guard case .respond(let response) = session.committed(ServerSession.Receipt(answer: answer)) else {
                Issue.record("a page is read")
                return
            }
            #expect(response.page.isEmpty && response.from == "c1" && response.cursor == "c1" && response.more)
        }
    }

    @Test func whatWasTakenBeforeATakenIdentifierIsOwn() {
        var session = session()
        let answer = PushAnswer.identifierTaken(number: 12, upTo: 11, acknowledgement: "b", verdicts: [])
        guard case .readPage("c1", let own) = session.committed(ServerSession.Receipt(answer: answer)) else {
            Issue.record("no page is read after the commit")
            return
        }
        #expect(own.numbers == 11...11)
        var idle = self.session(operations: 0)
        let nothing = ServerSession.Receipt(answer: .taken(upTo: 10, acknowledgement: "b", verdicts: []))
        guard case .readPage(_, let own) = idle.committed(nothing) else { return }
        #expect(own.numbers == nil && !own.contains(Dot(replica, 10)))
    }

    @Test func aForkAndARollbackAnswerAtOnceAndMoveNothing() {
        for answer in [
            PushAnswer.fork(
                .init(of: .init(replica: replica, position: 0, hash: .start, end: 0), replica: nil, known: [])),
            .rollback(.init(of: 8, epoch: 9, replica: replica, acknowledgement: "", logs: [])),
        ] {
            var session = session()
            guard case .respond(let response) = session.committed(ServerSession.Receipt(answer: answer)) else {
                Issue.record("a page is read")
                return
            }
            #expect(response.page.isEmpty && response.from == "c1" && response.cursor == "c1" && !response.more)
            #expect(response.positions.isEmpty && !response.isFill)
        }
    }
}
