import GRDB
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalClient

import struct ShoalCRDT.Record

/// What the server collects goes from the replica too, and the replica's own tables stay bounded.
@Suite struct CollectedTests {
    let server = TinyServer()

    private func rows(_ one: Operator, _ sql: String) throws -> Int {
        try one.replica.read { try Int.fetchOne($0.database, sql: sql) ?? 0 }
    }

    private func stored(_ one: Operator, _ id: RecordID) throws -> Record? {
        try one.replica.read { try $0.records.read(id) }
    }

    private func change(_ id: RecordID, _ body: (inout Record, Int64) -> Void) throws {
        var record = try #require(server.records[id])
        server.sequence += 1
        body(&record, server.sequence)
        server.records[id] = record
    }

    @Test func aCollectedRecordLeavesNoRow() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        let note = try anna.replica.addNote(to: id, "n")
        try anna.replica.sync(server)
        try anna.replica.deleteCustomer(id)
        try anna.replica.sync(server)
        #expect(try stored(anna, id)?.isPresent == false)
        for gone in [note, id] { try change(gone) { $0.empty(sequence: $1) } }
        #expect(try anna.replica.sync(server).pulled == 0, "nobody sees a difference")
        #expect(try stored(anna, id) == nil && stored(anna, note) == nil)
        for table in ["customer", "note", "conflict", "customer_tag", "follow"] {
            #expect(try rows(anna, "SELECT count(*) FROM \(table)") == 0, "\(table)")
        }
        _ = try anna.replica.drainTextIndex()
        #expect(try rows(anna, "SELECT count(*) FROM text_document") == 0)
        #expect(try anna.replica.dumpLines == server.dump)
    }

    @Test func aCollectedAbsenceLeavesNoCellAndIsNotCountedAsAChange() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        try anna.replica.editTags(of: [id], [.add("x")])
        try anna.replica.editTags(of: [id], [.remove("x")])
        try anna.replica.setFields(of: id, [FieldValue("stage", "s")])
        try anna.replica.sync(server)
        #expect(try stored(anna, id)?.range(of: Field.tagged).count == 1)
        try change(id) { #expect($0.collectAbsences(upTo: .max, sequence: $1) == 1) }
        #expect(try anna.replica.sync(server).pulled == 0)
        #expect(try stored(anna, id)?.range(of: Field.tagged).isEmpty == true)
        #expect(try stored(anna, id)?.entries.contains { $0.kind.isMarker } == false)
        // A change of somebody else is counted as ever.
        try anna.replica.editTags(of: [id], [.add("x")])
        try anna.replica.sync(server)
        #expect(try anna.replica.customer(id).tags.map(\.name) == ["x"])
    }

    @Test func unsentWorkOnACollectedRecordStaysUntilItHasAVerdict() throws {
        let anna = try Operator("Anna", server)
        let id = try anna.replica.addCustomer(name: "c")
        try anna.replica.sync(server)
        try anna.replica.setFields(of: id, [FieldValue("phone", "138")])
        server.refuses = [id]
        try change(id) { $0.empty(sequence: $1) }
        try anna.replica.sync(server)
        let refused = try anna.replica.refused()
        #expect(refused.map(\.kind) == ["customer"], "its field says what it was")
        #expect(refused.first?.values == [FieldValue("phone", "138")])
        #expect(try stored(anna, id) == nil)
        #expect(try anna.replica.customers().isEmpty)
    }

    @Test func theFirstPageOfAFillMakesWhatAnEarlierOneNamedCountNoLonger() throws {
        let anna = try Operator("Anna", server)
        let ids = try (0..<3).map { try anna.replica.addCustomer(name: "c\($0)") }
        try anna.replica.sync(server)
        func fill(_ named: [RecordID], cursor: String, begins: Bool, more: Bool) throws {
            var page = RecordPage()
            for id in named.sorted() {
                let record = try #require(server.records[id])
                page.begin(id, record.envelope)
                for entry in record.entries { page.append(entry, from: record.arena) }
            }
            let status = try anna.replica.nextRequest()
            let answer = SyncResponse(
                push: .taken(upTo: status.logs[0].position, acknowledgement: "a", verdicts: []), from: status.cursor,
                page: page, cursor: cursor, more: more, isFill: true, positions: [], time: server.time)
            var commit = ClientSession.Commit.test(
                answer, replica: status.logs[0].replica, takenUpTo: status.logs[0].position, isFill: true)
            commit.beginsFill = begins
            try anna.replica.commit(commit)
        }
        // The first fill names the first two and breaks off; by the next one they are collected.
        try fill([ids[0], ids[1]], cursor: "f1", begins: true, more: true)
        try fill([ids[2]], cursor: "f2", begins: true, more: false)
        #expect(try anna.replica.customers().map(\.id) == [ids[2]])
        #expect(try rows(anna, "SELECT count(*) FROM fill_seen") == 0)
    }

    @Test func onlyTheLastListingOfConflictsIsRemembered() throws {
        let (anna, bert) = (try Operator("Anna", server), try Operator("Bert", server, seed: 2))
        var ids: [RecordID] = []
        for index in 0..<4 { ids.append(try anna.replica.addCustomer(name: "c\(index)")) }
        try anna.replica.sync(server)
        try bert.replica.sync(server)
        for id in ids {
            try anna.replica.setFields(of: id, [FieldValue("stage", "a")])
            try bert.replica.setFields(of: id, [FieldValue("stage", "b")])
        }
        for one in [anna, bert, anna] { try one.replica.sync(server) }
        #expect(try anna.replica.conflicts().count == 4)
        #expect(try rows(anna, "SELECT count(*) FROM listed") == 4)
        try bert.replica.settle(ids[0], choice: 0, token: try bert.replica.conflicts(of: ids[0]).first?.token)
        for one in [bert, anna] { try one.replica.sync(server) }
        #expect(try anna.replica.conflicts(of: ids[1]).count == 1)
        #expect(try rows(anna, "SELECT count(*) FROM listed") == 4, "the listing of one touches no other")
        #expect(try anna.replica.conflicts().count == 3)
        #expect(try rows(anna, "SELECT count(*) FROM listed") == 3)
    }
}
