import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Testing

@testable import ShoalServer

import struct ShoalCRDT.Record

/// What exists only to be told to replicas that are behind goes, and nothing comes back.
struct CollectionTests {
    let tag = RecordID(rawValue: 7)

    private func delete(_ record: Record, salt: UInt32 = 1) -> Operations {
        Operations {
            $0.begin(record: record.id, time: 0, salt: salt)
            $0.cover(record.uncoveredDots())
        }
    }

    private func untag(_ record: Record, _ tag: RecordID) -> Operations {
        let key = CellKey(.tagged, id: tag)
        return Operations {
            $0.begin(record: record.id, time: 0, salt: 1)
            $0.edit(key, .absent, supersedes: record.liveDots(in: record.range(of: key)))
        }
    }

    private func addTag(_ id: RecordID, _ tag: RecordID) -> Operations {
        Operations {
            $0.begin(record: id, time: 0, salt: 1)
            $0.edit(CellKey(.tagged, id: tag), .present)
        }
    }

    private func makeNote(_ id: RecordID, of customer: RecordID) -> Operations {
        Operations {
            $0.begin(record: id, time: 0, creates: Envelope(kind: .note, scope: .customer(customer)), salt: 1)
            $0.edit(CellKey(.body), text: "记录")
        }
    }

    /// What a note said stays in the audit when its row is collected; it goes with its customer.
    @Test func whatWasCollectedIsErasedWithItsCustomer() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        let (customer, note, other) = (a.newID(), a.newID(), a.newID())
        try a.sync(Operations { $0.makeCustomer(customer, name: "张三") })
        try a.sync(makeNote(note, of: customer))
        try a.sync(Operations { $0.makeCustomer(other, name: "李四") })
        try a.sync(delete(try #require(try row(server, note))))
        try settle(server, a)
        #expect(try row(server, note) == nil)
        func values() throws -> Int {
            var query = AuditQuery()
            query.record = note.description
            return try server.store.audit(query).entries.filter { !$0.erased }.count
        }
        #expect(try values() > 0)
        let report = try server.store.erase(customer, by: "root", time: server.clock.now)
        #expect(report.records == 2 && report.stored == 1)
        #expect(try values() == 0)
        #expect(try count(server, "former_member") == 0)
        #expect(try server.store.check().isSound)
    }

    /// An identifier that was collected may be made anew by whoever never saw what it was. The audit of that time is not told,
    /// and what is called so now does not go with the customer that it once belonged to.
    @Test func whatIsMadeAnewHasNothingOfWhatWasCalledSoBefore() throws {
        let server = try TestServer()
        let anna = try server.replica("anna", role: .sales)
        let eve = try server.replica("eve", role: .sales)
        let boss = try server.replica("boss")
        let (person, note, kept) = (RecordID(derivedFrom: 0x1234), RecordID(derivedFrom: 0x5678), anna.newID())
        func make(_ id: RecordID, _ replica: TestReplica, _ name: String) -> Operations {
            Operations {
                $0.makeCustomer(id, name: name)
                $0.edit(CellKey(.follow, id: replica.account), .present)
            }
        }
        func entries(_ id: RecordID?, _ viewer: TestReplica?) throws -> [AuditLine] {
            var query = AuditQuery()
            query.record = id?.description
            return try server.store.audit(query, viewer: viewer?.account).entries
        }
        try anna.sync(make(person, anna, "旧人"))
        try anna.sync(make(kept, anna, "张三"))
        try anna.sync(makeNote(note, of: kept))
        for id in [note, person] { try anna.sync(delete(try #require(try row(server, id)))) }
        for replica in [anna, eve, boss] { try replica.sync() }
        try settle(server, anna, eve, boss)
        #expect(try row(server, note) == nil && row(server, person) == nil)
        #expect(try entries(note, eve).isEmpty && entries(person, eve).isEmpty)

        let own = eve.newID()
        try eve.sync(make(own, eve, "own"))
        try eve.sync(make(person, eve, "新人"))
        try eve.sync(makeNote(note, of: own))
        for id in [note, person] {
            #expect(try entries(id, eve).map(\.by) == ["eve"])
            #expect(try entries(nil, eve).filter { $0.record == id.description }.map(\.by) == ["eve"])
            #expect(try entries(id, boss).count == 3 && entries(id, nil).count == 3)
        }
        let report = try server.store.erase(kept, by: "root", time: server.clock.now)
        #expect(report.records == 1 && report.stored == 1)
        #expect(try row(server, note)?.envelope.scope == .customer(own))
        #expect(try entries(note, nil).map(\.erased) == [false, true, true])
        #expect(try entries(note, eve).map(\.by) == ["eve"])
        #expect(
            try eve.push(
                Operations {
                    $0.begin(record: note, time: 0, salt: 7); $0.edit(CellKey(.body), text: "x")
                }
            ).verdicts.isEmpty)
        // Who erases what it belongs to now erases all that was ever said of it.
        #expect(try server.store.erase(own, by: "root", time: server.clock.now).records == 2)
        #expect(try entries(note, nil).allSatisfy(\.erased))
        #expect(try server.store.check().isSound)
    }

    /// The server's row, with the sequences.
    private func row(_ server: TestServer, _ id: RecordID) throws -> Record? {
        try server.store.withWriter { _, database in try RecordTable(database).read(id) }
    }

    private func count(_ server: TestServer, _ table: String) throws -> Int {
        try server.store.withWriter { _, database in
            try Int.fetchOne(database, sql: "SELECT count(*) FROM \(table)") ?? 0
        }
    }

    /// All sync, and the server collects, until nothing is left to do.
    private func settle(_ server: TestServer, _ replicas: TestReplica...) throws {
        for _ in 0..<4 {
            for replica in replicas { try replica.sync() }
            try server.collect()
        }
    }

    // MARK: Deleted records

    @Test func aDeletedRecordGoesOnceEverybodyHasSeenThatItIsDeleted() throws {
        let server = try TestServer()
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        let id = a.newID()
        try a.sync(Operations { $0.makeCustomer(id, name: "张三") })
        try b.sync()
        try a.sync(delete(try #require(a.rows[id])))
        try server.collect()
        #expect(try row(server, id)?.isEmptied == false, "b has not seen the deletion")
        try settle(server, a, b)
        #expect(try row(server, id) == nil)
        #expect(a.rows[id] == nil && b.rows[id] == nil, "replicas forget it too")
        #expect(try count(server, "feed") == 0)
        #expect(a.fills == 1 && b.fills == 1, "nobody who is waited for takes a fill")
        let step = try server.collect()
        #expect(step.isDone && !step.changesFile, "nothing is left to do")
    }

    @Test func aReplicaThatMerelySyncedButDidNotShowItsCursorHoldsCollectionBack() throws {
        let server = try TestServer()
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        let id = a.newID()
        try a.sync(Operations { $0.makeCustomer(id, name: "张三") })
        try b.sync()
        try a.sync(delete(try #require(a.rows[id])))
        // The page may be lost on the way: only the next request proves that it was stored.
        try b.pullAll()
        try server.collect()
        #expect(try row(server, id)?.isEmptied == false)
    }

    @Test func whatIsWrittenBeforeTheDeletionWasSeenIsPushedBeforeTheReplicaCountsAsHavingSeenIt() throws {
        let server = try TestServer()
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        let id = a.newID()
        try a.sync(Operations { $0.makeCustomer(id, name: "张三") })
        try b.sync()
        try a.sync(delete(try #require(a.rows[id])))
        try b.pullAll()
        // b holds the deletion now, and two frames of work from before it; the first does not carry the tail's end.
        let first = Operations { $0.makeCustomer(b.newID(), name: "李四") }
        let request = b.request(first, end: b.position + 2)
        b.note(try server.store.commit(group: [b.push(of: request)])[0].answer, first)
        try a.sync()
        try server.collect()
        #expect(try row(server, id)?.isEmptied == false, "b's second frame is not here yet")
        #expect(try b.push(Operations { $0.rename(id, "王五", salt: 3) }).verdicts == [])
        try settle(server, a, b)
        #expect(try row(server, id)?.isPresent == true)
        #expect(try server.dump().contains("王五"))
        #expect(a.dump() == (try server.dump()) && b.dump() == a.dump())
    }

    @Test func anEditOfACollectedRecordIsRefusedAsDeletedAndNothingComesBack() throws {
        let server = try TestServer(lease: 90 * 86_400_000)
        let (a, silent) = (try server.replica("a"), try server.replica("silent"))
        let (id, note) = (a.newID(), a.newID())
        try a.sync(Operations { $0.makeCustomer(id, name: "张三") })
        try a.sync(makeNote(note, of: id))
        try silent.sync()
        try a.sync(delete(try #require(a.rows[note])))
        try a.sync(delete(try #require(a.rows[id])))
        for _ in 0..<100 {
            try server.pass(days: 1)
            try a.sync()
        }
        #expect(try row(server, id) == nil && row(server, note) == nil)
        // silent was away for longer than the lease and wrote all the time.
        let edits = Operations {
            $0.rename(id, "李四", supersedes: [Dot(a.replica, 1)])
            $0.begin(record: note, time: 0, salt: 3)
            $0.edit(CellKey(.body), text: "改")
        }
        #expect(try silent.push(edits).verdicts.map(\.reason) == [.deletedRecord, .deletedRecord])
        let orphan = silent.newID()
        #expect(try silent.push(makeNote(orphan, of: id)).verdicts.last?.reason == .deletedRecord)
        let fills = silent.fills
        try silent.sync()
        #expect(silent.fills == fills + 1, "it is behind the collection point")
        #expect(silent.rows[id] == nil && silent.rows[note] == nil && silent.rows[orphan] == nil)
        #expect(silent.dump() == (try server.dump()))
        try settle(server, a, silent)
        try server.pass(days: 200)
        // The server does not remember for ever; nothing comes back all the same.
        #expect(try count(server, "collected") == 0)
        #expect(try silent.push(Operations { $0.rename(id, "李四", salt: 9) }).verdicts.last?.reason == .unknownRecord)
    }

    @Test func aDeletedCustomerStaysAsLongAsSomethingBelongsToIt() throws {
        let server = try TestServer()
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        let (id, note) = (a.newID(), b.newID())
        try a.sync(Operations { $0.makeCustomer(id, name: "张三") })
        try b.sync()
        // The note is added while the customer is deleted elsewhere.
        try a.sync(delete(try #require(a.rows[id])))
        try b.sync(makeNote(note, of: id))
        try settle(server, a, b)
        #expect(try row(server, id)?.entries.contains { $0.kind == .text } == true, "its name is shown with the note")
        let late = try server.replica("late")
        try late.sync()
        #expect(late.rows[id]?.entries.count == b.rows[id]?.entries.count && late.rows[note] != nil)
        try b.sync(delete(try #require(b.rows[note])))
        try settle(server, a, b, late)
        #expect(try row(server, note) == nil)
        #expect(try row(server, id) == nil, "the last of its notes took it along")
        #expect(try count(server, "member WHERE scope <> 0") == 0)
        #expect(a.rows[id] == nil && b.rows[id] == nil && late.rows[id] == nil)
    }

    @Test func accountsStayEvenWhenTheyAreDeleted() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        try a.sync()
        let before = try count(server, "record")
        try settle(server, a)
        #expect(try count(server, "record") == before)
    }

    @Test func aDerivedIdentifierMayBeMadeAgainAfterItWasCollected() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        let id = RecordID(derivedFrom: 0x1234_5678)
        func make(_ name: String, _ salt: UInt32) -> Operations {
            Operations { $0.makeCustomer(id, name: name, salt: salt) }
        }
        try a.sync(make("一", 1))
        try a.sync(delete(try #require(a.rows[id])))
        try a.sync()
        try server.collect()
        #expect(try row(server, id)?.isEmptied == true, "its cells are being told to be empty")
        #expect(try a.push(make("二", 2)).verdicts == [])
        try a.sync(Operations { $0.rename(id, "三", supersedes: [Dot(a.replica, 3)], salt: 5) })
        #expect(a.dump() == (try server.dump()) && a.dump().contains("三"))
        try a.sync(delete(try #require(a.rows[id]), salt: 6))
        try settle(server, a)
        #expect(try row(server, id) == nil)
        #expect(try a.sync(make("四", 7)).verdicts == [])
        #expect(a.dump() == (try server.dump()) && a.dump().contains("四"))
        let time = a.newID()
        try a.sync(Operations { $0.makeCustomer(time, name: "五", salt: 8) })
        try a.sync(delete(try #require(a.rows[time]), salt: 9))
        try settle(server, a)
        guard case .identifierTaken = try a.send(Operations { $0.makeCustomer(time, name: "六", salt: 10) }) else {
            Issue.record("a time identifier stands for one record only")
            return
        }
    }

    // MARK: Absences

    @Test func aRemovalGoesAndNeverReturns() throws {
        let server = try TestServer()
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        let id = a.newID()
        try a.sync(Operations { $0.makeCustomer(id, name: "张三") })
        try a.sync(addTag(id, tag))
        try b.sync()
        try a.sync(untag(try #require(a.rows[id]), tag))
        // Something newer keeps the customer present, so that the absence may go.
        try a.sync(Operations { $0.rename(id, "张四", supersedes: [Dot(a.replica, 1)]) })
        try server.collect()
        #expect(try row(server, id)?.entries.contains { $0.kind == .absent } == true, "b still shows the tag")
        #expect(b.rows[id]?.entries.contains { $0.key.field == .tagged && $0.kind == .present } == true)
        try settle(server, a, b)
        #expect(try row(server, id)?.range(of: Field.tagged).isEmpty == true)
        for replica in [a, b] {
            #expect(replica.rows[id]?.range(of: Field.tagged).isEmpty == true)
            #expect(replica.dump() == (try server.dump()))
        }
        // Who adds the tag again supersedes nothing, and it is there.
        try b.sync(addTag(id, tag))
        try a.sync()
        #expect(a.rows[id]?.entries.contains { $0.key.field == .tagged && $0.kind == .present } == true)
    }

    @Test func aDeletionThatDidNotSeeARemovalDoesNotWinOverIt() throws {
        let server = try TestServer()
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        let id = a.newID()
        try a.sync(Operations { $0.makeCustomer(id, name: "张三") })
        try a.sync(addTag(id, tag))
        try b.sync()
        let seen = try #require(b.rows[id])
        try a.sync(untag(try #require(a.rows[id]), tag))
        try server.collect()
        // b deletes what it sees; a's removal was at the same time.
        try b.sync(delete(seen))
        try settle(server, a, b)
        #expect(try row(server, id)?.isPresent == true)
        #expect(a.dump() == (try server.dump()) && b.dump() == a.dump())
    }

    // MARK: Cursors

    @Test func aReplicaInTheMiddleOfAFillBeginsAnewWhenItIsBehindAndKeepsNothingOfTheFirst() throws {
        let server = try TestServer(lease: 86_400_000)
        let a = try server.replica("a")
        var ids: [RecordID] = []
        for index in 0..<6 {
            ids.append(a.newID())
            server.clock.advance(1_000)
            try a.sync(Operations { $0.makeCustomer(ids[index], name: "客户\(index)", salt: UInt32(index)) })
        }
        let slow = try server.replica("slow")
        #expect(try slow.pull(budget: 1))
        while slow.rows[ids[1]] == nil { #expect(try slow.pull(budget: 1)) }
        try a.sync()
        for id in ids[0..<2] { try a.sync(delete(try #require(a.rows[id]))) }
        for _ in 0..<4 {
            try server.pass(days: 1)
            try settle(server, a)
        }
        #expect(try row(server, ids[0]) == nil)
        try slow.sync(budget: 1)
        #expect(slow.fills == 2)
        #expect(slow.rows[ids[0]] == nil && slow.rows[ids[1]] == nil)
        #expect(slow.dump() == (try server.dump()))
    }

    @Test func aCursorAtTheCollectionPointGoesOnAndOneBelowItBeginsAnew() throws {
        let server = try TestServer(lease: 86_400_000)
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        try a.sync(Operations { $0.makeCustomer(a.newID(), name: "一") })
        try b.sync()
        let old = b.cursor
        try a.sync(Operations { $0.makeCustomer(a.newID(), name: "二") })
        try b.sync()
        try a.sync()
        try server.collect()
        let status = try server.store.collectionStatus()
        #expect(status.collected == status.sequence && status.watermark == status.sequence)
        // A copy of b that is one commit behind.
        try b.sync()
        #expect(b.fills == 1)
        b.cursor = old
        try b.sync()
        #expect(b.fills == 2)
        #expect(b.dump() == (try server.dump()))
    }

    @Test func aGenuineTokenWhoseCommitIsForgottenIsBehindAndNoRollback() throws {
        let server = try TestServer(lease: 86_400_000)
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        try b.sync(Operations { $0.makeCustomer(b.newID(), name: "一") })
        for index in 0..<20 {
            try a.sync(Operations { $0.makeCustomer(a.newID(), name: "\(index)", salt: UInt32(index)) })
        }
        for _ in 0..<3 {
            try server.pass(days: 1)
            try a.sync()
        }
        try server.collect()
        #expect(try count(server, "commit_tag") == 1)
        #expect(try b.sync(Operations { $0.makeCustomer(b.newID(), name: "二", salt: 9) }).verdicts == [])
        #expect(b.dump() == (try server.dump()))
        // Above the bound a commit that is not known still proves a rollback.
        let newest = try server.store.collectionStatus().sequence
        b.acknowledgement = server.store.seal.of(epoch: server.store.epoch).close(
            CommitMark(sequence: newest + 1, tag: 7), for: b.account)
        #expect(try b.send(Operations()).isRollback)
    }

    // MARK: Steps

    @Test func aStepIsBoundedAndFailsAsAWhole() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        for index in 0..<40 {
            let id = a.newID()
            try a.sync(Operations { $0.makeCustomer(id, name: "\(index)", salt: UInt32(index)) })
            try a.sync(delete(try #require(a.rows[id])))
        }
        let before = try count(server, "feed")
        let step = try server.store.collect(time: server.clock.now, limit: 8)
        #expect(step.swept == 8 && !step.isDone)
        #expect(try count(server, "feed") >= before - 8)
        let collected = try server.store.collectionStatus()
        try server.store.withWriter { _, database in
            try database.execute(
                sql: "CREATE TEMP TRIGGER full BEFORE DELETE ON feed BEGIN SELECT RAISE(ABORT, 'x'); END")
        }
        #expect(throws: StoreError.self) { try server.store.collect(time: server.clock.now, limit: 8) }
        #expect(try server.store.collectionStatus() == collected)
        try server.store.withWriter { _, database in try database.execute(sql: "DROP TRIGGER full") }
        try settle(server, a)
        #expect(try server.store.collectionStatus().records == 40)
        #expect(try count(server, "detail") == 0)
    }

    @Test func whatWasReachedIsThereAfterTheStoreIsOpenedAgain() throws {
        let server = try TestServer()
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        try a.sync(Operations { $0.makeCustomer(a.newID(), name: "一") })
        try b.sync()
        try a.sync()
        try server.collect()
        let status = try server.store.collectionStatus()
        #expect(status.live == 2 && status.collected > 0)
        let again = try ServerStore(path: server.store.path, environment: server.environment)
        defer { try? again.close() }
        var reopened = try again.collectionStatus()
        reopened.silence = status.silence
        #expect(reopened == status)
    }

    @Test func inANewEpochNothingIsCollectedUntilAllHaveReachedAnew() throws {
        let server = try TestServer()
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        for replica in [a, b] { try replica.sync() }
        try a.sync(Operations { $0.makeCustomer(a.newID(), name: "一") })
        for replica in [a, b] { try replica.sync() }
        try server.collect()
        #expect(try server.store.collectionStatus().watermark > 0)
        // Proof that the server was set back: a genuine token of a commit that it does not have.
        let lost = CommitMark(sequence: 1_000_000, tag: 7)
        a.acknowledgement = server.store.seal.of(epoch: server.store.epoch).close(lost, for: a.account)
        #expect(try a.send(Operations()).isRollback)
        let collected = try server.store.collectionStatus().collected
        try server.collect()
        #expect(try server.store.collectionStatus().watermark == 0)
        #expect(try server.store.collectionStatus().collected == collected)
        let again = try ServerStore(path: server.store.path, environment: server.environment)
        defer { try? again.close() }
        #expect(try again.collectionStatus().watermark == 0)
    }

    @Test func whileReplicasAreAskedForWhatTheyHeldNothingIsCollected() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        let id = a.newID()
        try a.sync(Operations { $0.makeCustomer(id, name: "一") })
        try a.sync(delete(try #require(a.rows[id])))
        try server.store.withWriter { writer, _ in writer.state.recovery = true }
        try settle(server, a)
        #expect(try row(server, id)?.isEmptied == false)
        try server.store.withWriter { writer, _ in writer.state.recovery = false }
        try settle(server, a)
        #expect(try row(server, id) == nil)
    }

    @Test func aDatabaseOfTheVersionBeforeLearnsWhatBelongsToWhat() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        let (id, note) = (a.newID(), a.newID())
        try a.sync(Operations { $0.makeCustomer(id, name: "一") })
        try a.sync(makeNote(note, of: id))
        try server.store.close()
        let queue = try DatabaseQueue(path: server.store.path)
        try queue.write { database in
            for table in ["collection", "lease", "collected", "lease_mark", "log_mark", "member"] {
                try database.execute(sql: "DROP TABLE \(table)")
            }
            try database.execute(sql: "DELETE FROM grdb_migrations WHERE identifier = '3 collection'")
        }
        try queue.close()
        let again = try ServerStore(path: server.store.path, environment: server.environment)
        defer { try? again.close() }
        let members = try again.withWriter { _, database in
            try Row.fetchAll(database, sql: "SELECT scope, record FROM member").map { [$0[0], $0[1]] as [Int64] }
        }
        #expect(members == [[id.rawValue, note.rawValue]])
    }
}
