import GRDB
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// An acknowledgement means that the disk has it.
@Suite struct DurabilityTests {
    @Test func theWriterWaitsForTheDisk() throws {
        let server = try TestServer()
        let level = try server.store.withWriter { _, database in
            try Int.fetchOne(database, sql: "PRAGMA synchronous")
        }
        // Opening a pool sets NORMAL, which would acknowledge what a loss of power takes back.
        #expect(level == 2)
    }

    @Test func aRecordThatNoPageCouldCarryIsRefusedBeforeItIsThatLarge() throws {
        let server = try TestServer()
        let replica = try server.replica("小王")
        let id = RecordID(rawValue: 1 << 40)
        let text = String(repeating: "长", count: Limits.text / 3 - 1)
        var operations = Operations()
        operations.begin(record: id, time: 1, creates: Envelope(kind: .customer, scope: .customer(id)))
        operations.edit(CellKey(.name), text: "陈晨")
        for number in 1...40 {
            operations.begin(record: id, time: 1)
            let key = CellKey(.free, text: operations.store("x-\(number)".utf8))
            operations.edit(key, text: text)
        }
        // Taking away is possible also when the record is full.
        operations.begin(record: id, time: 1)
        operations.cover([Dot(replica.enrolled.replica, 1)])
        let log = LogPosition(
            replica: replica.enrolled.replica, position: 0, hash: .start, end: UInt32(operations.count))
        let push = ServerSession.Push(
            account: replica.enrolled.account, epoch: server.store.epoch, acknowledgement: "", cursor: "", logs: [log],
            operations: operations, tail: [], time: 2)
        let receipt = try #require(try server.store.commit(group: [push]).first)
        guard case .taken(let upTo, _, let verdicts) = receipt.answer else {
            Issue.record("not taken")
            return
        }
        #expect(upTo == 42)
        let fitting = Limits.record / Limits.text
        #expect(verdicts.allSatisfy { $0.reason == .tooLarge && $0.number <= 41 })
        #expect((41 - fitting - 2...41 - fitting + 2).contains(verdicts.count + 1))
    }
}
