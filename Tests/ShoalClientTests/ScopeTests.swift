import Foundation
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalClient

import struct ShoalCRDT.Record

/// Customers leave the account's view and come back (SPEC.md §4.3).
struct ScopeTests {
    private let server = TinyServer()
    private let anna: Operator
    private let id: RecordID
    private let note: RecordID
    private let gone: RecordID

    init() throws {
        anna = try Operator("Anna", server)
        id = try anna.replica.addCustomer(name: "张三", fields: [FieldValue("phone", "13800000000")])
        note = try anna.replica.addNote(to: id, "换季泛红")
        gone = try anna.replica.addNote(to: id, "已删除")
        try anna.replica.deleteNote(gone)
        try anna.replica.sync(server)
    }

    private func rows() throws -> Set<RecordID> {
        Set(try [id, note, gone].filter { id in try anna.replica.read { try $0.records.has(id) } })
    }

    @Test func whatLeavesGoesWholeWithWhatWasDeletedOfIt() throws {
        #expect(try rows() == [id, note, gone])
        server.moves.left = [id]
        // Something must change, so that there is a page.
        server.write {
            $0.begin(record: RecordID(rawValue: 99 << 21), time: 1, creates: Envelope(kind: .tag, scope: .workspace))
        }
        try anna.replica.sync(server)
        #expect(try rows().isEmpty)
        #expect(try anna.replica.customers().isEmpty && anna.replica.search("泛红").isEmpty)
        #expect(throws: ReplicaError.self) { try anna.replica.addNote(to: id, "x") }
        let derived = (try anna.replica.customers(), try anna.replica.conflicts(), try anna.replica.tags())
        try anna.replica.rebuildProjections()
        #expect(derived == (try anna.replica.customers(), try anna.replica.conflicts(), try anna.replica.tags()))
    }

    /// What the doctor kept of a damaged database shows it still.
    @Test func theDoctorsCopiesGoWithWhatLeaves() throws {
        let copy = anna.home.path + "/replica.db.damaged-1"
        for name in [copy, copy + "-wal"] { try Data("13800000000".utf8).write(to: URL(fileURLWithPath: name)) }
        func isKept() -> Bool { [copy, copy + "-wal"].contains { FileManager.default.fileExists(atPath: $0) } }
        server.write {
            $0.begin(record: id, time: 5); $0.edit(CellKey(.stage), text: "老客")
        }
        try anna.replica.sync(server)
        #expect(isKept())
        server.moves.left = [id]
        server.write {
            $0.begin(record: RecordID(rawValue: 99 << 21), time: 1, creates: Envelope(kind: .tag, scope: .workspace))
        }
        try anna.replica.sync(server)
        #expect(try rows().isEmpty)
        #expect(!isKept())
    }

    /// The doctor begins a fill. What that does not name may only have been deleted.
    @Test func theDoctorsCopiesStayInAFillThatNamesAllCustomers() throws {
        let copy = anna.home.path + "/replica.db.damaged-1"
        try Data("13800000000".utf8).write(to: URL(fileURLWithPath: copy))
        func fill() throws {
            var request = try anna.replica.nextRequest()
            let (replica, end) = (request.logs[0].replica, request.logs[0].position)
            request.cursor = ""
            var answer = server.handle(request)
            answer.cursor = "filled \(try rows().count)"
            try anna.replica.commit(.test(answer, replica: replica, takenUpTo: end, isFill: true))
        }
        server.records[gone] = nil
        try fill()
        #expect(try rows() == [id, note])
        #expect(FileManager.default.fileExists(atPath: copy))
        server.records[id] = nil
        server.records[note] = nil
        try fill()
        #expect(try rows().isEmpty)
        #expect(!FileManager.default.fileExists(atPath: copy))
    }

    /// A note is written while the answer is under way that takes its customer away.
    @Test func whatIsUnsentStaysVisibleUntilItIsJudged() throws {
        var session = ClientSession()
        guard case .send(let request) = session.start(try anna.replica.nextRequest()) else { return }
        let unsent = try anna.replica.addNote(to: id, "offline")
        server.moves.left = [id]
        guard case .commit(let commit) = session.receive(server.handle(request)) else { return }
        _ = try anna.replica.commit(commit)
        #expect(try rows() == [id, note, gone])
        #expect(try anna.replica.customer(id).notes.map(\.id) == [note, unsent])
        server.refuses = [unsent]
        try anna.replica.sync(server)
        #expect(try rows().isEmpty)
        #expect(try anna.replica.customers().isEmpty)
        // It is set aside with what it says.
        #expect(try anna.replica.refused().contains { $0.values.contains { $0.value == "offline" } })
    }

    @Test func whatEntersAgainIsWhatTheServerHasNow() throws {
        // While it was away somebody took a note off the server for good.
        server.records[gone] = nil
        server.records[note] = nil
        server.moves.entered = [id]
        server.write {
            $0.begin(record: id, time: 5)
            $0.edit(CellKey(.stage), text: "老客")
        }
        try anna.replica.sync(server)
        #expect(try rows() == [id])
        #expect(try anna.replica.customer(id).notes.isEmpty)
    }

    // MARK: After a loss

    /// The server is set back to when the account followed the customer, before the home had judged what it wrote about it.
    @Test func whatLeftBeforeAFillIsThereAgainIfTheFillNamesIt() throws {
        var session = ClientSession()
        guard case .send(let request) = session.start(try anna.replica.nextRequest()) else { return }
        _ = try anna.replica.addNote(to: id, "offline")
        server.moves.left = [id]
        guard case .commit(let commit) = session.receive(server.handle(request)) else { return }
        _ = try anna.replica.commit(commit)
        let named = try anna.replica.nextRequest().logs
        let rollback = PushAnswer.Rollback(
            of: 7, epoch: 8, replica: ReplicaID(epoch: 8, count: 1), acknowledgement: "8",
            logs: named.map { PushAnswer.Standing(replica: $0.replica, position: $0.position, hash: $0.hash) })
        try anna.replica.heal(.rollback(rollback, of: named))
        try anna.replica.sync(server)
        #expect(try rows() == [id, note, gone])
        #expect(try anna.replica.customer(id).notes.map(\.body) == ["换季泛红", "offline"])
    }

    /// Two copies had drawn one identifier for a note each; after a loss it is the other one's.
    @Test func whatBelongsToAnotherCustomerNowGoesAndStaysWithThat() throws {
        let other = try anna.replica.addCustomer(name: "李四")
        try anna.replica.sync(server)
        server.sequence += 1
        var batch = Operations()
        batch.begin(record: note, time: 1, creates: Envelope(kind: .note, scope: .customer(other)))
        batch.edit(CellKey(.body), text: "另一条")
        var record = Record(id: note)
        record.apply(0, of: batch, dot: Dot(TinyServer.own, 90), time: 1, sequence: server.sequence)
        server.records[note] = record
        try anna.replica.sync(server)
        func leave(_ scope: RecordID) throws {
            server.moves.left = [scope]
            server.write {
                $0.begin(
                    record: RecordID(rawValue: 99 << 21), time: 1, creates: Envelope(kind: .tag, scope: .workspace))
            }
            try anna.replica.sync(server)
        }
        try leave(id)
        #expect(try rows() == [note])
        #expect(try anna.replica.customer(other).notes.map(\.id) == [note])
        try leave(other)
        #expect(try rows().isEmpty)
    }
}
