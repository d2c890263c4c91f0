import Foundation
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Testing

@testable import ShoalServer

import struct ShoalCRDT.Record

/// The digest of a real store, with writers that go on meanwhile.
struct DigestTests {
    private struct Rows: DigestSource {
        var rows: [RecordID: Record]
        func forEachFingerprint(
            in range: IdentifierRange, _ body: (RecordID, RecordFingerprint) throws -> Void
        ) throws {
            var scratch: [UInt8] = []
            for id in rows.keys.sorted() where range.contains(id) {
                guard let record = rows[id], record.isPresent else { continue }
                try body(id, record.fingerprint(scratch: &scratch))
            }
        }
    }

    /// Compares a replica's rows with the server and takes over what it says.
    ///
    /// - Parameter meanwhile: called before each answer.
    private func compare(
        _ replica: TestReplica, meanwhile: () throws -> Void = {}
    ) throws -> (repaired: [RecordID], gone: [RecordID], report: DigestSession.Report) {
        var session = DigestSession(epoch: replica.enrolled.epoch, cursor: replica.cursor)
        var action = try session.start(Rows(rows: replica.rows))
        var repaired: [RecordID] = []
        var gone: [RecordID] = []
        while true {
            switch action {
            case .send(let request):
                try meanwhile()
                let handler = DigestHandler(store: replica.server.store)
                let answer = try handler.handle(
                    try request.encoded(), account: replica.account, device: replica.enrolled.replica, time: 1)
                action = try session.receive(try DigestResponse(decoding: answer), Rows(rows: replica.rows))
            case .commit(let repair):
                for head in repair.page.heads {
                    var record = Record(id: head.id)
                    record.setEnvelope(head.envelope)
                    for entry in repair.page.entries[head.entries] {
                        record.appendInOrder(entry, from: repair.page.arena)
                    }
                    replica.rows[head.id] = record
                    repaired.append(head.id)
                }
                for id in repair.gone { replica.rows[id] = nil }
                gone += repair.gone
                action = session.committed()
            case .finish(let report): return (repaired, gone, report)
            case .stop(let problem): throw problem
            }
        }
    }

    private func filled(_ count: Int) throws -> (writer: TestReplica, reader: TestReplica, ids: [RecordID]) {
        let server = try TestServer()
        let writer = try server.replica("anna")
        let reader = try server.replica("berta")
        var ids: [RecordID] = []
        try writer.push(
            Operations { batch in
                for number in 0..<count {
                    let id = writer.newID()
                    ids.append(id)
                    batch.makeCustomer(id, name: "Name \(number)")
                }
            })
        try reader.pullAll()
        return (writer, reader, ids)
    }

    /// Of a pair it takes both to know that it is there.
    @Test func whatChangedIsNamedToThoseWhoSeeAllOfIt() throws {
        let server = try TestServer()
        let anna = try server.replica("anna", role: .sales)
        let boss = try server.replica("boss")
        let (hers, other, pair) = (anna.newID(), boss.newID(), boss.newID())
        try anna.sync(
            Operations {
                $0.makeCustomer(hers, name: "张三")
                $0.edit(CellKey(.follow, id: anna.account), .present)
            })
        try anna.pullAll()
        try boss.sync(Operations { $0.makeCustomer(other, name: "李四") })
        let link = Envelope(kind: Kind(rawValue: 900), scope: .pair(min(hers, other), max(hers, other)))
        try boss.push(
            Operations {
                $0.begin(record: pair, time: 0, creates: link, salt: 3)
                $0.edit(CellKey(Field(rawValue: 9_000)), text: "x")
                $0.rename(hers, "张三丰", salt: 4)
            })
        let request = DigestRequest(epoch: anna.enrolled.epoch, cursor: anna.cursor)
        let answer = try server.store.digest(request, account: anna.account)
        #expect(!answer.isBehind && answer.omitted == [hers])
    }

    @Test func aReplicaThatAgreesNeedsTwoMessages() throws {
        let (writer, reader, _) = try filled(1_000)
        let result = try compare(reader)
        #expect(result.report == DigestSession.Report(messages: 2, omitted: 0))
        #expect(result.repaired.isEmpty && result.gone.isEmpty)
        // Neither clocks nor markers nor the order of arrival matter.
        try writer.pullAll()
        #expect(try compare(writer).report.messages == 2)
    }

    @Test func exactlyWhatDiffersIsMended() throws {
        let (writer, reader, ids) = try filled(1_000)
        let deleted = ids[500]
        let whole = reader.dump()
        // Stale, missing, extra.
        let stale = try #require(reader.rows[ids[3]])
        var other = Record(id: ids[3])
        other.setEnvelope(stale.envelope)
        other.appendInOrder(stale.entries[0], from: stale.arena)
        reader.rows[ids[3]] = other
        reader.rows[ids[700]] = nil
        let extra = writer.newID()
        var ghost = Record(id: extra)
        ghost.setEnvelope(Envelope(kind: .customer, scope: .customer(extra)))
        ghost.appendInOrder(stale.entries[0], from: stale.arena)
        reader.rows[extra] = ghost
        let result = try compare(reader)
        #expect(Set(result.repaired) == [ids[3], ids[700]])
        #expect(result.gone == [extra])
        #expect(reader.dump() == whole)
        #expect(reader.rows[deleted] != nil)
    }

    @Test func aRecordThatWasDeletedIsNotThereOnBothSides() throws {
        let (writer, reader, ids) = try filled(100)
        let dot = Dot(writer.replica, 8)
        try writer.push(
            Operations { batch in
                batch.begin(record: ids[7], time: 0, salt: 9)
                batch.cover([dot])
            })
        try reader.pullAll()
        #expect(try compare(reader).report.messages == 2)
        #expect(reader.rows[ids[7]]?.isPresent == false)
    }

    /// Writers that change, make and delete records before every answer raise no false alarm and lose nothing.
    @Test func writersThatGoOnMeanwhileMakeNoFalseAlarm() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            let (writer, reader, ids) = try filled(2_000)
            let random = SeededRandom(seed)
            // A few rows are missing, or all of them: then it is the replica that lists, and the server that compares.
            let damaged = seed % 2 == 0 ? ids : (0..<5).map { _ in ids[random.below(ids.count)] }
            for id in damaged { reader.rows[id] = nil }
            var touched: Set<RecordID> = []
            let result = try compare(reader) {
                try writer.push(
                    Operations { batch in
                        for _ in 0..<random.below(6) {
                            let id =
                                random.below(3) == 0
                                ? damaged[random.below(damaged.count)] : ids[random.below(ids.count)]
                            if !touched.insert(id).inserted { continue }
                            batch.rename(id, "Changed \(random.next())", supersedes: [], salt: 7)
                        }
                        let id = writer.newID()
                        touched.insert(id)
                        batch.makeCustomer(id, name: "New")
                    })
            }
            #expect(Set(result.repaired).subtracting(damaged).count == 0, "seed \(seed)")
            #expect(result.gone.isEmpty, "seed \(seed)")
            #expect(Set(damaged).subtracting(touched).subtracting(result.repaired).count == 0, "seed \(seed)")
            #expect(result.report.omitted > 0)
            // Nothing of a later state than the cursor's has come.
            let isLater = reader.dump().contains("Changed") || reader.dump().contains("\"New\"")
            #expect(!isLater, "seed \(seed)")
            try reader.pullAll()
            _ = try compare(reader)
            #expect(reader.dump() == (try reader.server.dump()), "seed \(seed)")
        }
    }

    @Test func aRowThatTheServerCannotReadIsNotTakenFromTheReplica() throws {
        let (_, reader, ids) = try filled(300)
        try reader.server.store.flipBit(of: ids[150])
        for _ in 0..<2 {
            let result = try compare(reader)
            #expect(result.repaired.isEmpty && result.gone.isEmpty)
            #expect(result.report.omitted == 1)
        }
        #expect(reader.rows[ids[150]] != nil)
        #expect(reader.server.store.quarantine.records == [ids[150]])
    }

    @Test func aCursorThatIsNotTheEndOfAWholePullIsBehind() throws {
        let (_, reader, _) = try filled(300)
        let fresh = try reader.server.replica("cora")
        _ = try fresh.pull(budget: 1_000)
        #expect(throws: DigestSession.Problem.behind) { _ = try compare(fresh) }
        #expect(
            try reader.server.store.digest(
                DigestRequest(epoch: reader.enrolled.epoch, cursor: reader.cursor), account: reader.account
            ).isBehind == false)
    }

    @Test func anothersCursorAndAnotherEpochAreRefused() throws {
        let (writer, reader, _) = try filled(3)
        let foreign = DigestRequest(epoch: reader.enrolled.epoch, cursor: reader.cursor)
        #expect(throws: SyncProblem.self) { try reader.server.store.digest(foreign, account: writer.account) }
        let old = DigestRequest(epoch: 5, cursor: reader.cursor)
        #expect(throws: SyncProblem.otherEpoch) { try reader.server.store.digest(old, account: reader.account) }
    }

    /// What a request may ask at most is answered within the limits and without a trap.
    @Test func aRequestAtTheLimitsIsAnswered() throws {
        let (_, reader, ids) = try filled(3_000)
        var ranges: [DigestRange] = []
        for index in 0..<Limits.digestRanges {
            let lower = UInt64(ids[2 * index].rawValue)
            ranges.append(DigestRange(IdentifierRange(lower, UInt64(ids[2 * index + 2].rawValue)), .list([])))
        }
        let wanted = Array(ids.prefix(1_000))
        let request = DigestRequest(
            epoch: reader.enrolled.epoch, cursor: reader.cursor, ranges: ranges, wanted: wanted)
        let body = try DigestHandler(store: reader.server.store).handle(
            try request.encoded(), account: reader.account, device: reader.enrolled.replica, time: 1)
        var query = AuditQuery()
        query.limit = 1
        let entry = try #require(try reader.server.store.audit(query).entries.first)
        #expect(entry.action == .fetch && entry.changes.first?.to == "\(2 * Limits.digestRanges)")
        #expect(try DigestResponse(decoding: body).page.heads.count == 2 * Limits.digestRanges)
        let alone = DigestRequest(epoch: reader.enrolled.epoch, cursor: reader.cursor, ranges: ranges)
        let answer = try reader.server.store.digest(alone, account: reader.account)
        #expect(answer.page.heads.count == 2 * Limits.digestRanges)
    }
}
