import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

import struct ShoalCRDT.Record

/// What a server that lost everything gets back from what replicas held and what they push again.
@Suite struct RelayTests {
    /// A server, and another that stands in its place after it was lost.
    private struct Loss {
        let before: TestServer
        let after: TestServer
        /// In whose name everything comes to the other one.
        let account: RecordID

        init() throws {
            before = try TestServer(seed: 1)
            after = try TestServer(seed: 2)
            after.clock.advance(1)
            account = try after.replica("小美").account
            _ = try after.store.beginRecovery()
        }

        /// Relays all that a replica holds.
        @discardableResult
        ///
        /// - Parameter vector: what it says of how far that goes; all that it was told by default.
        func relay(_ replica: TestReplica, vector: [ReplicaID: UInt32]? = nil) throws -> RelayResponse {
            var page = RecordPage()
            for id in replica.rows.keys.sorted() {
                guard let record = replica.rows[id], record.envelope.kind == .customer else { continue }
                page.begin(id, record.envelope)
                for entry in record.entries { page.append(entry, from: record.arena) }
            }
            let request = RelayRequest(
                epoch: after.store.epoch, vector: VersionVector(vector ?? replica.positions), page: page)
            return try after.store.relay(
                try RelayRequest(decoding: try request.encoded()), account: account, time: after.clock.now)
        }

        /// Pushes a log again from its beginning.
        @discardableResult
        ///
        /// - Parameter isProven: whether the server that is lost had acknowledged them.
        func replay(_ replica: TestReplica, _ operations: Operations, isProven: Bool = true) throws -> PushAnswer {
            let end = UInt32(operations.count)
            let log = LogPosition(replica: replica.replica, position: 0, hash: .start, end: end)
            return try after.store.commit(group: [
                ServerSession.Push(
                    account: account, epoch: after.store.epoch, acknowledgement: "", cursor: "", logs: [log],
                    operations: operations, tail: [], proven: isProven ? [Dot(replica.replica, end)] : [],
                    time: after.clock.now)
            ])[0].answer
        }

        func row(_ id: RecordID) throws -> Record? {
            var found: Record?
            try after.store.forEachRecord { if $0.id == id { found = $0 } }
            return found
        }

        func customers(_ server: TestServer) throws -> String {
            try server.dump().split(separator: "\n").filter { $0.contains("\"customer\"") }.joined(separator: "\n")
        }

        func expectEverythingBack(_ sourceLocation: SourceLocation = #_sourceLocation) throws {
            let wanted = try customers(before)
            #expect(!wanted.isEmpty, sourceLocation: sourceLocation)
            #expect(try customers(after) == wanted, sourceLocation: sourceLocation)
        }
    }

    @Test func whatAReplicaThatIsGoneHadWrittenComesBackFromOneThatHadPulledIt() throws {
        let loss = try Loss()
        let gone = try loss.before.replica("小红")
        let id = gone.newID()
        try gone.push(Operations { $0.makeCustomer(id, name: "李雷") })
        let reader = try loss.before.replica("小兰")
        try reader.pullAll()
        #expect(try loss.relay(reader) == RelayResponse(taken: 1, more: true))
        try loss.expectEverythingBack()
    }

    /// A row may be that of more than its vector says: nothing is wrong with a database that has it.
    @Test func whatGoesBeyondItsVectorIsNoDamage() throws {
        let loss = try Loss()
        let gone = try loss.before.replica("小红")
        try gone.push(Operations { $0.makeCustomer(gone.newID(), name: "李雷") })
        let reader = try loss.before.replica("小兰")
        try reader.pullAll()
        try loss.relay(reader, vector: [:])
        try loss.expectEverythingBack()
        let report = try DatabaseCheck.run(path: loss.after.store.path)
        #expect(report.isSound, "\(report.problems)")
    }

    /// One replica holds what was removed, another knows that it was, in any order, with the remover's log or without.
    @Test(arguments: [true, false], [true, false])
    func nothingThatWasRemovedReturns(staleFirst: Bool, replays: Bool) throws {
        let loss = try Loss()
        let gone = try loss.before.replica("小红")
        let writer = try loss.before.replica("小兰")
        let stale = try loss.before.replica("小青")
        let id = gone.newID()
        try gone.push(Operations { $0.makeCustomer(id, name: "李雷") })
        try stale.pullAll()
        let first = Dot(gone.replica, 1)
        try gone.push(Operations { $0.rename(id, "李磊", supersedes: [first]) })
        try writer.pullAll()
        let renaming = Operations { $0.rename(id, "李蕾", supersedes: [Dot(gone.replica, 2)]) }
        try writer.push(renaming)
        try writer.pullAll()
        if replays { try loss.replay(writer, renaming) }
        for replica in staleFirst ? [stale, writer] : [writer, stale] { try loss.relay(replica) }
        try loss.expectEverythingBack()
    }

    @Test func anOperationThatARelayHasBroughtIsTakenAndChangesNothing() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let reader = try loss.before.replica("小兰")
        let id = author.newID()
        let operations = Operations {
            $0.makeCustomer(id, name: "李雷")
            $0.rename(id, "李磊", supersedes: [Dot(author.replica, 1)])
        }
        try author.push(operations)
        try reader.pullAll()
        let renaming = Operations { $0.rename(id, "李蕾", supersedes: [Dot(author.replica, 2)]) }
        try reader.push(renaming)
        try reader.pullAll()
        try loss.relay(reader)
        #expect(try loss.replay(author, operations).upTo == 2)
        try loss.expectEverythingBack()
        #expect(try loss.replay(reader, renaming).upTo == 1)
        try loss.expectEverythingBack()
    }

    /// Another copy may have had the place of which the relay speaks.
    @Test func whatOnlyMayHaveStoodWhereARelaySpeaksOfGoesOnElsewhere() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let reader = try loss.before.replica("小兰")
        let id = author.newID()
        try author.push(Operations { $0.makeCustomer(id, name: "李雷") })
        try reader.pullAll()
        try loss.relay(reader)
        let other = Operations { $0.makeCustomer(author.newID(), name: "副本") }
        // Also if it only wrote the same at another time.
        let later = Operations {
            $0.begin(record: id, time: 1_700_000_000_001, creates: Envelope(kind: .customer, scope: .customer(id)))
            $0.edit(CellKey(.name), text: "李雷")
        }
        for operations in [other, later] {
            guard case .fork = try loss.replay(author, operations, isProven: false) else {
                Issue.record("it is passed over")
                return
            }
        }
    }

    /// A row that is not whole says nothing of what it lacks, and its operations may come again.
    @Test func aRowWithoutAVectorAddsAndItsLogMayFollow() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let id = author.newID()
        let making = Operations { $0.makeCustomer(id, name: "李雷") }
        try author.push(making)
        let reader = try loss.before.replica("小兰")
        _ = try reader.pull()
        let renaming = Operations { $0.rename(id, "李磊", supersedes: [Dot(author.replica, 1)]) }
        try reader.push(renaming)
        var page = RecordPage()
        let row = try #require(reader.rows[id])
        page.begin(id, row.envelope)
        for entry in row.entries { page.append(entry, from: row.arena) }
        let request = RelayRequest(epoch: loss.after.store.epoch, vector: VersionVector(), page: page)
        #expect(try loss.after.store.relay(request, account: loss.account, time: loss.after.clock.now).taken == 1)
        try loss.replay(reader, renaming)
        #expect(try loss.replay(author, making).upTo == 1)
        try loss.expectEverythingBack()
    }

    @Test func theSameRelayAgainChangesNothing() throws {
        let loss = try Loss()
        let gone = try loss.before.replica("小红")
        let id = gone.newID()
        try gone.push(Operations { $0.makeCustomer(id, name: "李雷") })
        try gone.pullAll()
        try loss.relay(gone)
        let follower = try loss.after.replica("小兰")
        try follower.pullAll()
        #expect(try loss.relay(gone).taken == 1)
        let cursor = follower.cursor
        let page = try loss.after.store.page(
            cursor: cursor, own: .init(replica: follower.replica, numbers: nil), account: follower.account)
        #expect(page.page.isEmpty)
        #expect(try loss.after.store.finishRecovery().sources == 1)
    }

    /// A record that comes back by relay reaches replicas that pull, and what was relayed can be superseded.
    @Test func whatCameBackIsPulledAndCanBeChanged() throws {
        let loss = try Loss()
        let gone = try loss.before.replica("小红")
        let id = gone.newID()
        try gone.push(Operations { $0.makeCustomer(id, name: "李雷") })
        try gone.pullAll()
        let follower = try loss.after.replica("小兰")
        try follower.pullAll()
        try loss.relay(gone)
        try follower.pullAll()
        let answer = try follower.push(
            Operations { $0.rename(id, "李磊", supersedes: [Dot(gone.replica, 1)]) })
        #expect(answer.verdicts.isEmpty)
        try follower.pullAll()
        #expect(try follower.dump() == loss.after.dump())
        #expect(!(try loss.after.dump().contains("李雷")))
    }

    @Test func aRelayIsRefusedUnlessAPersonAskedForItAndInAnotherEpoch() throws {
        let loss = try Loss()
        let gone = try loss.before.replica("小红")
        try gone.push(Operations { $0.makeCustomer(gone.newID(), name: "李雷") })
        try gone.pullAll()
        #expect(loss.after.store.isRecovering)
        let request = RelayRequest(epoch: 1, vector: VersionVector(), page: RecordPage())
        #expect(throws: SyncProblem.relayOfOtherEpoch) {
            try loss.after.store.relay(request, account: loss.account, time: 0)
        }
        _ = try loss.after.store.finishRecovery()
        #expect(!loss.after.store.isRecovering)
        #expect(throws: SyncProblem.noRecovery) { try loss.relay(gone) }
        #expect(try loss.customers(loss.after).isEmpty)
    }

    @Test func aRecordInWhichAMarkWaitsIsOpenUntilRecoveryEnds() throws {
        let loss = try Loss()
        let gone = try loss.before.replica("小红")
        let writer = try loss.before.replica("小兰")
        let id = gone.newID()
        try gone.push(Operations { $0.makeCustomer(id, name: "李雷") })
        try writer.pullAll()
        let renaming = Operations { $0.rename(id, "李磊", supersedes: [Dot(gone.replica, 1)]) }
        try writer.push(renaming)
        try loss.replay(writer, renaming)
        let follower = try loss.after.replica("小红")
        func page() throws -> RecordPage {
            try loss.after.store.page(
                cursor: "", own: .init(replica: follower.replica, numbers: nil), account: follower.account
            ).page
        }
        // Nobody knows yet what kind of record it is.
        #expect(try page().heads.allSatisfy { $0.id != id })
        let row = Record(id: id)
        var relayed = RecordPage()
        relayed.begin(row.id, Envelope(kind: .customer, scope: .customer(id)))
        relayed.append(
            Entry(key: CellKey(.created), kind: .present, dot: Dot(gone.replica, 9), time: 0, sequence: 0), from: [])
        let request = RelayRequest(epoch: loss.after.store.epoch, vector: VersionVector(), page: relayed)
        _ = try loss.after.store.relay(request, account: loss.account, time: loss.after.clock.now)
        #expect(try page().open == [id])
        #expect(try loss.after.store.finishRecovery().forgotten == 1)
        #expect(try page().open.isEmpty)
        #expect(try loss.customers(loss.after).contains("李磊"))
    }

    @Test func anAccountComesBackWithItsRecordAndWithoutAKey() throws {
        let loss = try Loss()
        let gone = try loss.before.replica("小红")
        try gone.pullAll()
        var page = RecordPage()
        for record in gone.rows.values where record.envelope.kind == .account {
            page.begin(record.id, record.envelope)
            for entry in record.entries { page.append(entry, from: record.arena) }
        }
        let request = RelayRequest(
            epoch: loss.after.store.epoch, vector: VersionVector(gone.positions), page: page)
        _ = try loss.after.store.relay(request, account: loss.account, time: loss.after.clock.now)
        let account = try #require(try loss.after.accounts.list().first { $0.name == "小红" })
        #expect(account.id == gone.account.description)
        #expect(account.replicas == 0)
        #expect(try loss.after.accounts.credential(key: gone.key) == nil)
        #expect(try loss.after.accounts.add(name: "小红", role: .sales).account == gone.account)
    }

    @Test func anAccountRelaysSoManyVectorsAndNoMore() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let id = author.newID()
        try author.push(Operations { $0.makeCustomer(id, name: "李雷") })
        try author.pullAll()
        func relay(_ number: UInt32) throws {
            var vector = VersionVector(author.positions)
            vector.advance(author.replica, to: number)
            let request = RelayRequest(epoch: loss.after.store.epoch, vector: vector, page: RecordPage())
            _ = try loss.after.store.relay(request, account: loss.account, time: loss.after.clock.now)
        }
        for number in 1...UInt32(StoreWriter.mostSources) { try relay(number) }
        // Another one is too many, the same again is not.
        #expect(throws: SyncProblem.tooManyVectors) { try relay(100_000) }
        try relay(7)
        #expect(try loss.after.store.beginRecovery().sources == StoreWriter.mostSources)
    }

    /// The vectors are kept as long as somebody may push what they name, also across a restart.
    @Test func aVectorIsForgottenWhenTheLogsHaveReachedIt() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let id = author.newID()
        let operations = Operations { $0.makeCustomer(id, name: "李雷") }
        try author.push(operations)
        try author.pullAll()
        try loss.relay(author)
        #expect(try loss.after.store.beginRecovery().sources == 1)
        try loss.replay(author, operations)
        // The old server's own log, which named the accounts, does not come again.
        #expect(try loss.after.store.finishRecovery().sources == 1)
    }

    /// Whoever relays may say too little of what they knew: a row that came from a relay has the vector of the logs only.
    @Test(arguments: [true, false])
    func whatAReplacementReplacedGoesThoughARelayBroughtTheReplacement(replacedFirst: Bool) throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let writer = try loss.before.replica("小兰")
        let id = author.newID()
        let making = Operations { $0.makeCustomer(id, name: "李雷") }
        try author.push(making)
        let change = Operations { $0.rename(id, "李蕾", supersedes: [Dot(author.replica, 1)]) }
        try writer.push(change)
        try writer.pullAll()
        try loss.relay(writer, vector: [writer.replica: 1])
        for isReplaced in [replacedFirst, !replacedFirst] {
            if isReplaced { try loss.replay(author, making) } else { try loss.replay(writer, change) }
        }
        try loss.expectEverythingBack()
    }

    /// Who knew a record before another one had its identifier names it otherwise than whoever made it does now.
    @Test func whatIsNamedByAnotherIdentifierIsNotRemoved() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let reader = try loss.before.replica("小兰")
        let id = author.newID()
        let tag = author.newID()
        let renamed = author.newID()
        func work(_ tag: RecordID) -> Operations {
            Operations {
                $0.makeCustomer(id, name: "李雷")
                $0.begin(record: id, time: 1_700_000_000_000, salt: 2, continuesCommand: false)
                $0.edit(CellKey(.tagged, id: tag), .present)
                // It shows that both mean the same log.
                $0.rename(id, "李蕾", supersedes: [Dot(author.replica, 1)], salt: 3)
            }
        }
        try author.push(work(tag))
        try reader.pullAll()
        try loss.replay(author, work(renamed))
        try loss.relay(reader)
        let row = try #require(try loss.row(id))
        func isTagged(_ tag: RecordID) -> Bool {
            row.entries[row.range(of: CellKey(.tagged, id: tag), in: [])].contains { $0.kind == .present }
        }
        #expect(isTagged(renamed) && !isTagged(tag))
    }

    /// A row that knows who made a record, and has not the name that came with it, knows that the name was replaced, whatever its
    /// vector says.
    @Test(arguments: [true, false])
    func whoHasAnythingOfAnOperationKnowsAllOfIt(isTaken: Bool) throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let gone = try loss.before.replica("小兰")
        let stale = try loss.before.replica("小青")
        let id = author.newID()
        let making = Operations { $0.makeCustomer(id, name: "李雷") }
        try author.push(making)
        try stale.pullAll()
        try gone.push(Operations { $0.rename(id, "李蕾", supersedes: [Dot(author.replica, 1)]) })
        try gone.pullAll()
        if isTaken { try loss.replay(author, making) } else { try loss.relay(stale, vector: [:]) }
        try loss.relay(gone, vector: [:])
        try loss.expectEverythingBack()
        // In the other order, and when the log follows.
        try loss.relay(stale, vector: [:])
        try loss.replay(author, making)
        try loss.expectEverythingBack()
    }

    /// What stands there is what the author wrote, to the millisecond: it stood there, though its acknowledgement was lost.
    @Test func whatARelayHasBroughtProvesItsPlace() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let reader = try loss.before.replica("小兰")
        let id = author.newID()
        let operations = Operations {
            $0.makeCustomer(id, name: "李雷")
            $0.rename(id, "李磊", supersedes: [Dot(author.replica, 1)])
        }
        try author.push(operations)
        try reader.pullAll()
        try loss.relay(reader)
        #expect(try loss.replay(author, operations, isProven: false).upTo == 2)
        try loss.expectEverythingBack()
    }

    /// Once its vector is forgotten, too.
    @Test func aRecordThatCameWithoutAVectorIsItsMakers() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let reader = try loss.before.replica("小兰")
        let making = Operations { $0.makeCustomer(author.newID(), name: "李雷") }
        try author.push(making)
        try reader.pullAll()
        try loss.relay(reader, vector: [:])
        #expect(try loss.after.store.beginRecovery().sources == 0)
        #expect(try loss.replay(author, making).upTo == 1)
        try loss.expectEverythingBack()
    }

    /// Somebody filled before it was made, and it comes back deleted: what was there before its maker comes too.
    @Test func aRecordThatIsMadeIsSentWholeAlsoIfItIsDeleted() throws {
        let loss = try Loss()
        let maker = try loss.before.replica("小红")
        let other = try loss.before.replica("小兰")
        let id = maker.newID()
        try maker.push(Operations { $0.makeCustomer(id, name: "李雷") })
        try maker.pullAll()
        let deletion = Operations {
            $0.begin(record: id, time: 1_700_000_000_000, salt: 3)
            $0.edit(CellKey(.phone), text: "1")
            $0.begin(record: id, time: 1_700_000_000_000, salt: 4)
            $0.cover([Dot(maker.replica, 1), Dot(other.replica, 1)])
        }
        try other.push(deletion)
        try loss.replay(other, deletion)
        let follower = try loss.after.replica("小青")
        try follower.pullAll()
        try loss.relay(maker)
        try follower.pullAll()
        let row = try #require(try loss.row(id))
        #expect(!row.isPresent && row.entries.count == 3)
        #expect(follower.rows[id]?.hasSameEntries(as: row) == true)
    }

    /// A person who asks for recovery proves no loss: of a log that the server has handed out nobody else has taken anything.
    @Test func whatALogBringsThatWasHandedOutSinceTheStartIsNotInDoubt() throws {
        let server = try TestServer()
        let author = try server.replica("小红")
        _ = try server.store.beginRecovery()
        try author.push(Operations { $0.makeCustomer(author.newID(), name: "李雷") })
        func isSure() throws -> Bool {
            try server.store.withWriter { writer, _ in
                writer.state.earlier.isSure(Dot(author.replica, 1), writer.state.logs)
            }
        }
        #expect(try isSure())
        // Nor if somebody proves one.
        let lost = CommitMark(sequence: 1_000, tag: 7)
        author.acknowledgement = server.store.seal.of(epoch: server.store.epoch).close(lost, for: author.account)
        #expect(try author.send(Operations()).isRollback)
        #expect(try isSure())
    }

    /// What both rows show proves that they mean the same log: a name that its author brought without a proof dies all the same.
    @Test func aPlaceThatARelayShowsTooIsNotInDoubt() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let gone = try loss.before.replica("小兰")
        let id = author.newID()
        let making = Operations { $0.makeCustomer(id, name: "李雷") }
        try author.push(making)
        try gone.push(Operations { $0.rename(id, "李蕾", supersedes: [Dot(author.replica, 1)]) })
        try gone.pullAll()
        #expect(try loss.replay(author, making, isProven: false).upTo == 1)
        try loss.relay(gone)
        try loss.expectEverythingBack()
    }

    /// What an author has proven of a log stays proven when somebody comes from an epoch that nobody here has heard of, and when the
    /// epoch ends: a name that was replaced goes.
    @Test(arguments: [false, true])
    func whatWasProvenOfALogStaysSoWhenAnotherEpochIsHeardOf(isEnding: Bool) throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let gone = try loss.before.replica("小兰")
        let id = author.newID()
        let making = Operations {
            $0.makeCustomer(id, name: "李雷")
            $0.rename(id, "李磊", supersedes: [Dot(author.replica, 1)])
        }
        try author.push(making)
        try gone.push(Operations { $0.rename(id, "李蕾", supersedes: [Dot(author.replica, 2)]) })
        try gone.pullAll()
        #expect(try loss.replay(author, making).upTo == 2)
        let lost = CommitMark(sequence: 1_000, tag: 7)
        let epoch = loss.after.store.epoch
        let stranger = ServerSession.Push(
            account: loss.account, epoch: isEnding ? epoch : 77,
            acknowledgement: isEnding ? loss.after.store.seal.of(epoch: epoch).close(lost, for: loss.account) : "",
            cursor: "",
            logs: [LogPosition(replica: ReplicaID(rawValue: 77), position: 0, hash: .start, end: 0)],
            operations: Operations(), tail: [], time: loss.after.clock.now)
        #expect(try loss.after.store.commit(group: [stranger])[0].answer.isRollback)
        #expect((loss.after.store.epoch != epoch) == isEnding)
        try loss.relay(gone)
        try loss.expectEverythingBack()
    }

    /// Two copies of a home had one place, each with another server. A row that knows what replaced the one says nothing of the other.
    @Test func aRowThatNamesAPlaceOfTwoCopiesTakesNothingAway() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let gone = try loss.before.replica("小兰")
        let id = author.newID()
        let making = Operations { $0.makeCustomer(id, name: "李雷") }
        let named = { (name: String) in Operations { $0.rename(id, name, supersedes: [Dot(author.replica, 1)]) } }
        try author.push(making)
        try author.push(named("李磊"))
        try gone.push(Operations { $0.rename(id, "李蕾", supersedes: [Dot(author.replica, 2)]) })
        try gone.pullAll()
        // The other copy comes first, with what a server in between had acknowledged.
        let other = Operations {
            $0.makeCustomer(id, name: "李雷")
            $0.rename(id, "李丽", supersedes: [Dot(author.replica, 1)])
        }
        #expect(try loss.replay(author, other).upTo == 2)
        let home = try loss.after.replica(code: try loss.after.accounts.newCode(name: "小美").code)
        let place = FormerPlace(was: Dot(author.replica, 2), now: Dot(home.replica, 1), count: 1, isProven: true)
        let renumbered = ServerSession.Push(
            account: loss.account, epoch: loss.after.store.epoch, acknowledgement: "", cursor: "",
            logs: [LogPosition(replica: home.replica, position: 0, hash: .start, end: 1)], operations: named("李磊"),
            tail: [], former: [place], time: loss.after.clock.now)
        #expect(try loss.after.store.commit(group: [renumbered])[0].answer.upTo == 1)
        try loss.relay(gone)
        let row = try #require(try loss.row(id))
        let names = row.entries[row.range(of: CellKey(.name))].filter { !$0.kind.isMarker }.map { row.text($0.slice) }
        #expect(names.contains("李丽") && names.contains("李蕾"))
    }

    /// A counter's part is a sum: what its last addition added counts where that stands now.
    @Test func aCountersPartDoesNotComeBesideItsLastAddition() throws {
        let loss = try Loss()
        let author = try loss.before.replica("小红")
        let reader = try loss.before.replica("小兰")
        let id = author.newID()
        let counter = CellKey(Field(rawValue: 3_000))
        func count(_ operations: inout Operations, _ amount: Int64) {
            operations.begin(record: id, time: 1_700_000_000_000, salt: UInt32(amount))
            operations.edit(counter, .count, integer: amount)
        }
        let kept = Operations {
            $0.makeCustomer(id, name: "李雷")
            count(&$0, 3)
        }
        let moved = Operations { count(&$0, 4) }
        try author.push(kept)
        try author.push(moved)
        try reader.pullAll()
        try loss.replay(author, kept)
        // Nobody had acknowledged the last one, which goes on elsewhere.
        let home = try loss.after.replica(code: try loss.after.accounts.newCode(name: "小美").code)
        let place = FormerPlace(was: Dot(author.replica, 3), now: Dot(home.replica, 1), count: 1, isProven: false)
        let answer = try loss.after.store.commit(group: [
            ServerSession.Push(
                account: loss.account, epoch: loss.after.store.epoch, acknowledgement: "", cursor: "",
                logs: [LogPosition(replica: home.replica, position: 0, hash: .start, end: 1)], operations: moved,
                tail: [], former: [place], time: loss.after.clock.now)
        ])[0].answer
        #expect(answer.upTo == 1)
        try loss.relay(reader, vector: [:])
        let row = try #require(try loss.row(id))
        #expect(row.sum(in: row.range(of: counter)) == 7)
    }
}

/// Homes that knew an account under another identifier.
@Suite struct FormerAccountTests {
    private func enroll(_ server: TestServer, _ code: String, former: RecordID) throws -> EnrollResponse {
        try server.accounts.enroll(
            EnrollRequest(code: code, key: Base64URL.encode(server.random.bytes(32)), former: former))
    }

    private let former = RecordID(milliseconds: 77, count: 0, sequence: 0)

    @Test func whileTheServerRecoversAnAccountGetsItsIdentifierBack() throws {
        let server = try TestServer()
        let made = try server.accounts.add(name: "小美", role: .expert)
        #expect(throws: AccountProblem.unknownFormer) { try enroll(server, made.code, former: former) }
        _ = try server.store.beginRecovery()
        let key = Base64URL.encode(server.random.bytes(32))
        let request = EnrollRequest(code: made.code, key: key, former: former)
        let answer = try server.accounts.enroll(request)
        #expect(answer.account == former && answer.role == .expert)
        #expect(try server.accounts.enroll(request).replica == answer.replica)
        #expect(try server.accounts.list().map(\.id) == [former.description])
        // The other record is deleted, and everybody knows the account by this one.
        let lines = try server.dump().split(separator: "\n")
        #expect(lines.count == 1 && lines[0].contains("小美"))
        #expect(try server.accounts.credential(key: key)?.account == former)
        #expect(try enroll(server, try server.accounts.newCode(name: "小美").code, former: former).account == former)
    }

    /// A person hands customers over to an account whose homes have not come yet.
    @Test func whatAnAccountWasGivenMeanwhileGoesOnWithIt() throws {
        let server = try TestServer()
        let chief = try server.replica("chief")
        let id = chief.newID()
        try chief.push(
            Operations {
                $0.makeCustomer(id, name: "张三")
                $0.edit(CellKey(.follow, id: chief.account), .present)
            })
        let code = try server.accounts.add(name: "小美", role: .sales).code
        _ = try server.store.beginRecovery()
        _ = try server.accounts.handover(from: "chief", to: "小美", isDryRun: false)
        #expect(try enroll(server, code, former: former).account == former)
        let record = try server.store.withWriter { writer, _ in try writer.stored(id) }
        #expect(record?.followers() == [former])
        #expect(try server.dump(account: "小美").contains("张三"))
    }

    @Test func anAccountThatIsInUseKeepsItsIdentifierAndAnotherOnesIsNotGivenAway() throws {
        let server = try TestServer()
        let used = try server.replica("小美")
        let code = try server.accounts.newCode(name: "小美").code
        let other = try server.accounts.add(name: "小红", role: .sales)
        _ = try server.store.beginRecovery()
        #expect(throws: AccountProblem.otherAccount("小美")) {
            try enroll(server, code, former: other.account)
        }
        #expect(try enroll(server, code, former: former).account == used.account)
        #expect(throws: AccountProblem.otherAccount("小红")) {
            try enroll(server, other.code, former: used.account)
        }
    }

    /// Also where the account of the code goes on under an identifier of its own, and nothing else tells.
    @Test func aHomeOfAnotherNameIsRefusedAndTheCodeStaysGood() throws {
        let server = try TestServer()
        let used = try server.replica("小美")
        let code = try server.accounts.newCode(name: "小美").code
        let fresh = try server.accounts.add(name: "小红", role: .sales).code
        _ = try server.store.beginRecovery()
        func enroll(_ code: String, name: String) throws -> EnrollResponse {
            try server.accounts.enroll(
                EnrollRequest(
                    code: code, key: Base64URL.encode(server.random.bytes(32)), former: former, name: name))
        }
        #expect(throws: AccountProblem.otherName("小美", home: "小兰")) { try enroll(code, name: "小兰") }
        #expect(throws: AccountProblem.otherName("小红", home: "小兰")) { try enroll(fresh, name: "小兰") }
        #expect(try enroll(code, name: "小美").account == used.account)
        #expect(try enroll(fresh, name: "小红").account == former)
    }
}

/// What a replica says of places in earlier epochs.
@Suite struct FormerPlaceTests {
    /// A log that its writer has not named yet may be claimed by nobody else: what was said of it counts for nothing once the
    /// server knows whose it is.
    @Test func nobodySpeaksForTheLogOfAnotherAccount() throws {
        let server = try TestServer()
        let liar = try server.replica("a")
        let victim = try server.replica("b")
        let id = victim.newID()
        try victim.push(Operations { $0.makeCustomer(id, name: "张三") })
        try liar.push(Operations { $0.makeCustomer(liar.newID(), name: "x") })
        // A rollback: logs are those of an earlier epoch.
        let lost = CommitMark(sequence: 1_000, tag: 7)
        liar.acknowledgement = server.store.seal.of(epoch: server.store.epoch).close(lost, for: liar.account)
        #expect(try liar.send(Operations()).isRollback)
        let unknown = ReplicaID(rawValue: 0x7777_0001)
        func say(_ places: [FormerPlace]) throws {
            let log = LogPosition(replica: liar.replica, position: liar.position, hash: liar.hash, end: liar.position)
            _ = try server.store.commit(group: [
                ServerSession.Push(
                    account: liar.account, epoch: server.store.epoch, acknowledgement: "", cursor: "", logs: [log],
                    operations: Operations(), tail: [], former: places, time: server.clock.now)
            ])
        }
        func counted() throws -> Int {
            try server.store.withWriter { writer, _ in
                let places = [Dot(victim.replica, 1), Dot(unknown, 1), Dot(liar.replica, 1)]
                return places.reduce(0) { $0 + writer.state.earlier.now(of: $1, writer.state.logs).count }
                    + places.reduce(0) { $0 + writer.state.earlier.was(of: $1, writer.state.logs).count }
            }
        }
        let base = try counted()
        // Another account's log, as the place of then or of now.
        try say([
            FormerPlace(was: Dot(victim.replica, 1), now: Dot(liar.replica, 1), count: 1, isProven: true),
            FormerPlace(was: Dot(liar.replica, 1), now: Dot(victim.replica, 1), count: 1, isProven: true),
        ])
        #expect(try counted() == base)
        // One that the server does not know turns out to be another account's.
        try say([FormerPlace(was: Dot(unknown, 1), now: Dot(liar.replica, 1), count: 1, isProven: true)])
        try server.store.withWriter { writer, _ in
            try writer.transaction { try writer.addLog(unknown, account: victim.account) }
        }
        #expect(try counted() == base)
    }
}
