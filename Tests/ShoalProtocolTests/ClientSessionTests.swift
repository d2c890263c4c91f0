import Testing

@testable import ShoalCRDT
@testable import ShoalProtocol

/// Events in, actions out.
@Suite struct ClientSessionTests {
    private let replica = ReplicaID(epoch: 7, count: 1)

    private func request(
        position: UInt32 = 10, operations count: Int = 0, cursor: String = "c1", wantsPage: Bool = true
    ) -> SyncRequest {
        var operations = Operations()
        for index in 0..<count { operations.begin(record: RecordID(rawValue: 99), time: Int64(index)) }
        let log = LogPosition(
            replica: replica, position: position, hash: OperationHash(rawValue: 5), end: position + UInt32(count))
        return SyncRequest(
            epoch: 1, cursor: cursor, acknowledgement: "a", logs: [log], operations: operations, wantsPage: wantsPage)
    }

    private func response(
        _ push: PushAnswer, from: String = "c1", to cursor: String = "c2", more: Bool = false
    ) -> SyncResponse {
        SyncResponse(
            push: push, from: from, page: RecordPage(), cursor: cursor, more: more, isFill: false, positions: [],
            time: 77)
    }

    private func taken(_ upTo: UInt32, _ verdicts: [Verdict] = []) -> PushAnswer {
        .taken(upTo: upTo, acknowledgement: "b", verdicts: verdicts)
    }

    /// What an action is, in words.
    private func words(_ action: ClientSession.Action) -> String {
        switch action {
        case .send(let request):
            "send \(request.operations.count) after \(request.logs.last?.position ?? 0) from \(request.cursor)"
        case .commit(let commit):
            "commit up to \(commit.takenUpTo) \(commit.acknowledgement), \(commit.verdicts.count) refused, "
                + "cursor \(commit.cursor)\(commit.isLast ? ", last" : "")"
        case .finish(let report): "finish \(report.pushed) \(report.pulled) \(report.refused.map(\.number))"
        case .heal(let healing): "heal \(healing)"
        case .stop(let problem): "stop \(problem)"
        }
    }

    @Test func aSyncPushesPullsAndFinishes() {
        var session = ClientSession()
        #expect(words(session.start(request(operations: 3))) == "send 3 after 10 from c1")
        let first = session.receive(response(taken(13), more: true))
        #expect(words(first) == "commit up to 13 b, 0 refused, cursor c2")
        guard case .commit(let commit) = first else { return }
        #expect(commit.replica == replica && commit.serverTime == 77 && !commit.isFill && !commit.isLast)
        #expect(
            words(session.committed(next: request(position: 13, cursor: "c2"), pulled: 4)) == "send 0 after 13 from c2")
        #expect(
            words(session.receive(response(taken(13), from: "c2", to: "c3")))
                == "commit up to 13 b, 0 refused, cursor c3, last")
        #expect(words(session.committed(next: request(position: 13, cursor: "c3"), pulled: 2)) == "finish 3 6 []")
    }

    /// The numbers of two logs may be the same: what was taken of one, and refused, says nothing of another.
    @Test func anAnswerAboutAnotherLogIsNotApplied() {
        var answer = response(taken(13, [Verdict(number: 11, reason: .forbidden)]))
        answer.log = ReplicaID(epoch: 7, count: 2)
        var session = ClientSession()
        _ = session.start(request(operations: 3))
        #expect(words(session.receive(answer)).hasPrefix("stop "))
        answer.log = replica
        session = ClientSession()
        _ = session.start(request(operations: 3))
        #expect(words(session.receive(answer)) == "commit up to 13 b, 1 refused, cursor c2, last")
    }

    /// Another copy may push between the commit of a request and the reading of its page.
    @Test func aPageWithOperationsOfTheLogBeyondItsEndIsPassedOverOnce() {
        func answer(_ number: UInt32, from: String = "c1") -> SyncResponse {
            var answer = response(taken(11), from: from)
            answer.page.begin(RecordID(rawValue: 99), Envelope(kind: .tag, scope: .workspace))
            answer.page.append(
                Entry(
                    key: CellKey(.created), kind: .present, isCovered: false, dot: Dot(replica, number), time: 1,
                    sequence: 0), from: [])
            answer.positions = [Dot(replica, number)]
            return answer
        }
        var session = ClientSession()
        _ = session.start(request(operations: 1))
        #expect(words(session.receive(answer(11))) == "commit up to 11 b, 0 refused, cursor c2, last")
        session = ClientSession()
        _ = session.start(request(operations: 1))
        let first = session.receive(answer(12))
        #expect(words(first) == "commit up to 11 b, 0 refused, cursor c1")
        guard case .commit(let commit) = first else { return }
        #expect(commit.page.heads.isEmpty && commit.positions.isEmpty)
        #expect(words(session.committed(next: request(position: 11), pulled: 0)) == "send 0 after 11 from c1")
        #expect(words(session.receive(answer(12))) == "commit up to 11 b, 0 refused, cursor c2, last")
    }

    @Test func whatWasWrittenMeanwhileIsSentBeforeItFinishes() {
        var session = ClientSession()
        _ = session.start(request(operations: 1))
        _ = session.receive(response(taken(11)))
        let action = session.committed(next: request(position: 11, operations: 2, cursor: "c2"), pulled: 0)
        #expect(words(action) == "send 2 after 11 from c2")
        _ = session.receive(response(taken(13), from: "c2"))
    }

    @Test func refusedOperationsAreReportedOnceAndNotAsPushed() {
        var session = ClientSession()
        _ = session.start(request(operations: 3))
        let verdicts = [
            Verdict(number: 9, reason: .unknownDot), Verdict(number: 11, reason: .forbidden),
            Verdict(number: 13, reason: .command),
        ]
        let action = session.receive(response(taken(13, verdicts)))
        #expect(words(action) == "commit up to 13 b, 3 refused, cursor c2, last")
        // 9 was acknowledged before this sync; its verdict is only repeated.
        #expect(words(session.committed(next: request(position: 13, cursor: "c2"), pulled: 0)) == "finish 1 0 [11, 13]")
    }

    @Test(arguments: [false, true]) func aPageThatDoesNotBeginAtTheCursorIsRefused(isFollowed: Bool) {
        var session = ClientSession()
        _ = session.start(request())
        #expect(
            words(session.receive(response(taken(10), from: "c0", more: isFollowed)))
                == #"stop protocolError("the page does not begin at the cursor that was asked for")"#)
        // Nothing that comes later is applied either.
        #expect(
            words(session.receive(response(taken(10))))
                == #"stop protocolError("an answer came that nobody waited for")"#)
    }

    @Test func anAnswerMustTakeAllThatWasSent() {
        for (upTo, expected) in [
            (12 as UInt32, "12 of 13"), (14, "14 of 13"), (9, "9 of 13"), (.max, "4294967295 of 13"),
        ] {
            var session = ClientSession()
            _ = session.start(request(operations: 3))
            #expect(
                words(session.receive(response(taken(upTo)))) == #"stop protocolError("the server took \#(expected)")"#)
        }
    }

    @Test func aVerdictOnWhatWasNotTakenIsRefused() {
        for numbers in [[14], [11, 11], [.max]] as [[UInt32]] {
            var session = ClientSession()
            _ = session.start(request(operations: 3))
            let verdicts = numbers.map { Verdict(number: $0, reason: .forbidden) }
            #expect(
                words(session.receive(response(taken(13, verdicts))))
                    == #"stop protocolError("a verdict on an operation that was not taken")"#)
        }
    }

    @Test func aServerThatHasMoreMustMoveTheCursor() {
        var session = ClientSession()
        _ = session.start(request())
        #expect(
            words(session.receive(response(taken(10), to: "c1", more: true)))
                == #"stop protocolError("the server has more and the cursor does not move")"#)
    }

    @Test func aFrameThatAsksForNoPageIsCommittedWithoutOne() {
        var session = ClientSession()
        _ = session.start(request(operations: 2, wantsPage: false))
        #expect(
            words(session.receive(response(taken(12), to: "c1", more: true)))
                == "commit up to 12 b, 0 refused, cursor c1")
        let last = session.committed(next: request(position: 12, operations: 1), pulled: 0)
        #expect(words(last) == "send 1 after 12 from c1")
        #expect(words(session.receive(response(taken(13)))) == "commit up to 13 b, 0 refused, cursor c2, last")
        #expect(words(session.committed(next: request(position: 13, cursor: "c2"), pulled: 0)) == "finish 3 0 []")
    }

    @Test func aTakenIdentifierIsCommittedWithWhatCameBeforeIt() {
        var session = ClientSession()
        _ = session.start(request(operations: 3))
        let push = PushAnswer.identifierTaken(number: 12, upTo: 11, acknowledgement: "b", verdicts: [])
        let action = session.receive(response(push))
        #expect(words(action) == "commit up to 11 b, 0 refused, cursor c2, last")
        guard case .commit(let commit) = action else { return }
        #expect(commit.identifierTaken == 12)
        // The record has another identifier now; the same operations go out again.
        #expect(
            words(session.committed(next: request(position: 11, operations: 2, cursor: "c2"), pulled: 0))
                == "send 2 after 11 from c2")
        for (number, upTo) in [(14, 13), (11, 11), (12, 9)] as [(UInt32, UInt32)] {
            var session = ClientSession()
            _ = session.start(request(operations: 3))
            let push = PushAnswer.identifierTaken(number: number, upTo: upTo, acknowledgement: "b", verdicts: [])
            #expect(words(session.receive(response(push))).hasPrefix("stop protocolError"))
        }
    }

    @Test func aForkIsAskedAboutPartByPartAndThenHealed() {
        var session = ClientSession()
        let first = request(operations: 3)
        guard let log = first.logs.last else { return }
        _ = session.start(first)
        let known = [10, 11].map { KnownOperation(dot: Dot(replica, $0), reason: nil) }
        func fork(_ replica: ReplicaID?, _ known: [KnownOperation], after skipped: UInt32 = 0) -> SyncResponse {
            response(.fork(.init(of: log, replica: replica, known: known, skipped: skipped)))
        }
        guard case .heal(.askAboutTail(skipping: 0)) = session.receive(fork(nil, [])) else {
            Issue.record("nobody asks about the tail")
            return
        }
        var ask = request()
        ask.logs = first.logs
        ask.tail = [OperationHash(rawValue: 1)]
        _ = session.healed(next: ask)
        guard case .heal(.askAboutTail(skipping: 1)) = session.receive(fork(nil, [known[0]])) else {
            Issue.record("the next part is not asked about")
            return
        }
        ask.skipped = 1
        _ = session.healed(next: ask)
        // The answer to the first part, once more.
        var other = session
        #expect(words(other.receive(fork(nil, [known[0]]))).hasPrefix("stop protocolError"))
        guard case .heal(.fork(let healing)) = session.receive(fork(replica, [known[1]], after: 1)) else {
            Issue.record("the fork is not healed")
            return
        }
        #expect(healing.known == known && healing.replica == replica && healing.of == log)
        #expect(words(session.healed(next: request(position: 0, operations: 1))) == "send 1 after 0 from c1")
    }

    /// Answers to an earlier request must not heal what is healed already.
    @Test func aForkOrARollbackOfAnotherRequestStopsTheSession() {
        var session = ClientSession()
        let first = request(operations: 1)
        guard var log = first.logs.last else { return }
        log.position -= 1
        _ = session.start(first)
        let stale = PushAnswer.fork(.init(of: log, replica: replica, known: []))
        #expect(words(session.receive(response(stale))).hasPrefix("stop protocolError"))
        session = ClientSession()
        _ = session.start(first)
        let rollback = PushAnswer.rollback(
            .init(of: first.epoch &+ 1, epoch: 9, replica: replica, acknowledgement: "a", logs: []))
        #expect(words(session.receive(response(rollback))).hasPrefix("stop protocolError"))
    }

    @Test func afterARollbackTheLogsAreSentAgain() {
        var session = ClientSession()
        let first = request(operations: 1)
        _ = session.start(first)
        let logs = first.logs.map { PushAnswer.Standing(replica: $0.replica, position: 3, hash: .start) }
        let rollback = PushAnswer.Rollback(
            of: first.epoch, epoch: 9, replica: replica, acknowledgement: "a", logs: logs)
        guard case .heal(.rollback(rollback, first.logs)) = session.receive(response(.rollback(rollback))) else {
            Issue.record("the rollback is not healed")
            return
        }
        #expect(words(session.healed(next: request(position: 3, operations: 2))) == "send 2 after 3 from c1")
        session = ClientSession()
        _ = session.start(first)
        #expect(words(session.healed(next: first)).hasPrefix("stop protocolError"))
    }

    @Test func eventsThatNobodyAskedForStopIt() {
        var session = ClientSession()
        #expect(
            words(session.receive(response(taken(10))))
                == #"stop protocolError("an answer came that nobody waited for")"#)
        session = ClientSession()
        #expect(
            words(session.committed(next: request(), pulled: 0))
                == #"stop protocolError("a commit was reported that nobody asked for")"#)
        session = ClientSession()
        _ = session.start(request())
        #expect(words(session.committed(next: request(), pulled: 0)).hasPrefix("stop protocolError"))
        session = ClientSession()
        _ = session.start(request())
        _ = session.receive(response(taken(10)))
        // The same answer again, before the commit of the first.
        #expect(words(session.receive(response(taken(10)))).hasPrefix("stop protocolError"))
    }
}
