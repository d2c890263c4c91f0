import GRDB
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// What the server keeps of the logs' hashes.
struct HashUpkeepTests {
    private let day: Int64 = 86_400_000

    private func hashRows(_ server: TestServer, _ replica: TestReplica) throws -> [(first: Int64, count: Int)] {
        try server.store.withWriter { _, database in
            try Row.fetchAll(
                database, sql: "SELECT first, length(hashes) / 8 FROM log_hashes WHERE replica = ? ORDER BY first",
                arguments: [Int64(replica.replica.rawValue)]
            ).map { ($0[0], $0[1]) }
        }
    }

    private func work(_ replica: TestReplica, _ index: Int) throws {
        try replica.sync(Operations { $0.makeCustomer(replica.newID(), name: "\(index)", salt: UInt32(index)) })
    }

    @Test func shortRowsAreJoinedAndNothingOfThemIsLost() throws {
        let server = try TestServer()
        let a = try server.replica("a")
        let old = a.request(Operations())
        var all = Operations()
        for index in 0..<700 {
            let operations = Operations {
                $0.makeCustomer(a.newID(), name: "\(index)", salt: UInt32(index))
            }
            for index in 0..<operations.count { all.append(index, of: operations) }
            try a.push(operations)
        }
        try server.collect()
        let rows = try hashRows(server, a)
        #expect(rows.map(\.count).reduce(0, +) == 700)
        #expect(rows.count <= 3, "\(rows)")
        // The whole log again: every operation is known by its hash.
        var request = old
        request.operations = all
        request.logs[0].end = 700
        #expect(try server.store.commit(group: [a.push(of: request)])[0].answer.upTo == 700)
        for index in 700..<720 { try work(a, index) }
        try server.pass(days: 30)
        #expect(try hashRows(server, a).map(\.count).reduce(0, +) == 720)
        #expect(try hashRows(server, a).count <= 3)
    }

    @Test func hashesGoWhenTheyAreOlderThanTheLease() throws {
        let server = try TestServer(lease: 40 * day)
        let a = try server.replica("a")
        for index in 0..<200 {
            try work(a, index)
            try server.pass(days: 1)
        }
        let rows = try hashRows(server, a)
        #expect(try #require(rows.first).first > 100, "\(rows)")
        #expect(try #require(rows.last).first + Int64(rows[rows.count - 1].count) == 201)
        #expect(rows.map(\.count).reduce(0, +) >= 40, "those of the lease are there")
        let marks = try server.store.withWriter { _, database in
            try Int.fetchOne(database, sql: "SELECT count(*) FROM lease_mark") ?? 0
        }
        #expect(marks < 40)
    }

    @Test func aLostAnswerIsNotTakenForAForkHoweverLateTheNextRequestComes() throws {
        let server = try TestServer(lease: 10 * day)
        let (a, b) = (try server.replica("a"), try server.replica("b"))
        for index in 0..<5 { try work(a, index) }
        let lost = Operations { lost in
            for index in 0..<3 { lost.makeCustomer(a.newID(), name: "丢", salt: UInt32(77 + index)) }
        }
        #expect(try a.send(lost).upTo == 8)
        for index in 0..<60 {
            try work(b, index)
            try server.pass(days: 1)
        }
        #expect(try #require(hashRows(server, b).first).first > 1, "hashes do go")
        #expect(try a.send(lost).upTo == 8)
        #expect(try a.sync(lost).upTo == 8)
        #expect(a.dump() == (try server.dump()))
    }

    /// A copy of `replica`, as of now.
    private func copy(_ replica: TestReplica) -> TestReplica {
        let copy = TestReplica(server: replica.server, enrolled: replica.enrolled, key: replica.key)
        copy.position = replica.position
        copy.hash = replica.hash
        copy.acknowledgement = replica.acknowledgement
        copy.cursor = replica.cursor
        return copy
    }

    private func fork(_ replica: TestReplica, _ operations: Operations) throws -> [KnownOperation]? {
        var hash = replica.hash
        var scratch: [UInt8] = []
        var tail: [OperationHash] = []
        for index in 0..<operations.count {
            hash = operations.hash(of: index, after: hash, scratch: &scratch)
            tail.append(hash)
        }
        let end = replica.position + UInt32(operations.count)
        let request = replica.request(Operations(), end: end, tail: tail)
        guard case .fork(let fork) = try replica.server.store.commit(group: [replica.push(of: request)])[0].answer
        else { return nil }
        return fork.known
    }

    @Test func theTailOfACopyFromBeforeTheLeaseIsSetAsideForAPerson() throws {
        let server = try TestServer(lease: 20 * day)
        let a = try server.replica("a")
        for index in 0..<3 { try work(a, index) }
        let id = a.newID()
        let unsent = Operations {
            $0.makeCustomer(id, name: "未发", salt: 50)
            $0.rename(id, "未发二", supersedes: [a.dot(0)], salt: 51)
        }
        let old = copy(a)
        // The original sends it and works on; the copy lies in a drawer.
        try a.sync(unsent)
        try work(a, 9)
        let recent = copy(a)
        #expect(try fork(old, unsent)?.map(\.reason) == [nil, nil])
        for index in 10..<80 {
            try server.pass(days: 1)
            try work(a, index)
        }
        let known = try #require(try fork(old, unsent))
        #expect(known.map(\.reason) == [.tooOld, .tooOld])
        #expect(known.map(\.dot) == [old.dot(0), old.dot(1)])
        // A copy whose last contact lies within the lease is told exactly what is known.
        let late = copy(a)
        try work(a, 90)
        let unknown = Operations { $0.makeCustomer(late.newID(), name: "副本", salt: 91) }
        #expect(try fork(late, unknown) == [])
        #expect(try fork(recent, Operations { $0.makeCustomer(recent.newID(), name: "x", salt: 92) })?.count == 1)
    }
}
