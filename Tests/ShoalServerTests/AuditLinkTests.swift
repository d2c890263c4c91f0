import Crypto
import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

extension TestServer {
    /// The whole audit, oldest first, page by page.
    func audit(_ query: AuditQuery = AuditQuery(), viewer: RecordID? = nil) throws -> [AuditLine] {
        var query = query
        var lines: [AuditLine] = []
        while true {
            let page = try store.audit(query, viewer: viewer)
            lines += page.entries
            guard let next = page.next else { return lines.reversed() }
            query.before = next
        }
    }
}

/// How the entries about one record are found, and what of a row is left when values in it are erased.
struct AuditLinkTests {
    private let server: TestServer
    private let anna: TestReplica
    private let ben: TestReplica

    init() throws {
        server = try TestServer()
        anna = try server.replica("Anna")
        ben = try server.replica("Ben")
    }

    /// What the links give must be what looking through everything gives.
    private func expectLinked(_ records: [RecordID], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let all = try server.audit()
        for record in records {
            let wanted = all.filter { $0.record == record.description }
            for limit in [1, 2, 200] {
                let found = try server.audit(AuditQuery(record: record.description, limit: limit))
                #expect(found == wanted, sourceLocation: sourceLocation)
            }
        }
        let problems = try server.store.check().problems.filter { $0.contains("audit") }
        #expect(problems.isEmpty, "\(problems)", sourceLocation: sourceLocation)
    }

    private func customers(_ names: [String]) throws -> [RecordID] {
        let ids = names.map { _ in anna.newID() }
        try anna.push(
            Operations { operations in
                for (index, name) in names.enumerated() {
                    operations.makeCustomer(ids[index], name: name, salt: UInt32(index))
                }
            })
        return ids
    }

    @Test func entriesOfOneRecordAreFoundHoweverTheyWereWritten() throws {
        let ids = try customers(["甲", "乙", "丙"])
        // Two pushes of one commit change the same records.
        let operations = Operations { operations in
            for (index, id) in ids.enumerated() { operations.rename(id, "新\(index)", salt: UInt32(index)) }
        }
        _ = try server.store.commit(
            group: [anna.push(of: anna.request(operations)), ben.push(of: ben.request(operations))])
        let code = try server.accounts.newCode(name: "Ben")
        _ = try server.replica(code: code.code)
        try server.accounts.setRole(.expert, name: "Ben")
        try expectLinked(ids + [anna.account, ben.account])
        #expect(try server.audit(AuditQuery(record: ids[0].description)).count == 3)
        #expect(try server.audit(AuditQuery(record: ben.account.description)).count > 3)
        // It goes on after a restart.
        try server.store.close()
        let store = try ServerStore(path: server.store.path, environment: server.environment)
        try store.note(.dump, account: "Ben", time: server.clock.now)
        #expect(try store.audit(AuditQuery(record: ben.account.description)).entries.count > 4)
        #expect(try store.check().problems.filter { $0.contains("audit") }.isEmpty)
        try store.close()
    }

    @Test func fromAnyNumberOnEntriesOfOneRecordAreFound() throws {
        let ids = try customers(["甲", "乙"])
        for number in 1...5 {
            for id in ids { try anna.push(Operations { $0.rename(id, "\(number)", salt: UInt32(number)) }) }
        }
        let wanted = try server.audit(AuditQuery(record: ids[0].description))
        for before in -1...Int64(try server.audit().count + 2) {
            let found = try server.audit(AuditQuery(record: ids[0].description, before: before, limit: 2))
            #expect(found == wanted.filter { $0.number < before })
        }
        for before in [Int64.min, .max] {
            let found = try server.audit(AuditQuery(record: ids[0].description, before: before))
            #expect(found == (before < 0 ? [] : wanted))
            #expect(try server.audit(AuditQuery(before: before)).isEmpty == (before < 0))
        }
    }

    @Test func whatLosesItsRowKeepsItsEntries() throws {
        let ids = try customers(["甲", "乙"])
        try anna.push(Operations { $0.rename(ids[0], "丙") })
        try server.store.execute("DELETE FROM record WHERE id = \(ids[0].rawValue)")
        try expectLinked(ids)
        #expect(try server.audit(AuditQuery(record: ids[0].description)).count == 2)
        // What is noted about it now, and when somebody makes it again, follows on.
        try server.store.eraseAudit(of: ids[0], time: server.clock.now)
        try expectLinked(ids)
        try ben.push(Operations { $0.makeCustomer(ids[0], name: "丁", salt: 3) })
        try ben.push(Operations { $0.rename(ids[0], "戊", salt: 4) })
        try expectLinked(ids)
        #expect(try server.audit(AuditQuery(record: ids[0].description)).count == 5)
    }

    // MARK: Entries of the first versions

    /// Puts a row of the first form at the end of the audit: about each record that it was made with a name.
    private func writeFirst(_ records: [RecordID], _ name: String) throws {
        try server.store.withWriter { writer, database in
            var bytes: [UInt8] = []
            var leaves = AuditLeaves()
            for (index, record) in records.enumerated() {
                var changes = Array(repeating: UInt8(index + 1), count: 16)
                changes += [1, UInt8(Kind.customer.rawValue), 3, UInt8(Field.name.rawValue), 0, 0, 2]
                changes += [UInt8(name.utf8.count)] + Array(name.utf8)
                bytes.appendVarint(UInt64(bitPattern: record.rawValue))
                bytes += [1, UInt8(changes.count)] + changes
                SHA256.hash(data: changes).withUnsafeBytes { leaves.append(record, $0) }
            }
            let head = writer.state.audit
            let author = AuditAuthor(time: 5, account: anna.account, replica: anna.replica, action: .change)
            let hash = leaves.hash(after: head, author, isFirstForm: true)
            try database.execute(
                sql: """
                    INSERT INTO audit (number, count, time, account, replica, action, sections, hash)
                    VALUES (?, ?, 5, ?, ?, 'change', ?, ?)
                    """,
                arguments: [
                    head.number + 1, records.count, anna.account.rawValue, Int64(anna.replica.rawValue), Data(bytes),
                    Data(hash),
                ])
            for (index, record) in records.enumerated() {
                try database.execute(
                    sql: "INSERT INTO audit_record VALUES (?, ?)",
                    arguments: [record.rawValue, head.number + 1 + Int64(index)])
            }
            try writer.transaction {
                writer.state.audit = AuditHead(number: head.number + Int64(records.count), hash: hash)
            }
        }
    }

    @Test func entriesOfTheFirstVersionsAreReadVerifiedAndErased() throws {
        let (one, other) = (anna.newID(), anna.newID())
        try writeFirst([one, other], "甲")
        try writeFirst([one], "乙")
        try expectLinked([one, other])
        // Links lead to them.
        for (index, id) in [one, other].enumerated() {
            try anna.push(Operations { $0.makeCustomer(id, name: "丙", salt: UInt32(index)) })
            try anna.push(Operations { $0.rename(id, "丁", salt: UInt32(index)) })
        }
        try expectLinked([one, other])
        let found = try server.audit(AuditQuery(record: one.description))
        #expect(found.map { $0.changes.last?.to } == ["甲", "乙", "丙", "丁"])
        #expect(found[0].changes.map(\.field) == ["made", "name"])
        #expect(try server.store.eraseAudit(of: one, time: server.clock.now) == 4)
        try expectLinked([one, other])
        #expect(try server.audit(AuditQuery(record: one.description)).dropLast().allSatisfy(\.erased))
        let left = try server.audit(AuditQuery(record: other.description))
        #expect(left.map { $0.changes.last?.to } == ["甲", "丙", "丁"])
    }

    @Test(arguments: [
        "UPDATE audit SET sections = CAST(replace(CAST(sections AS TEXT), '甲', '申') AS BLOB) WHERE salt IS NULL",
        "UPDATE audit SET salt = x'' WHERE salt IS NULL", "UPDATE audit SET salt = zeroblob(16) WHERE salt IS NULL",
        "DELETE FROM audit_record WHERE number = (SELECT max(number) FROM audit_record)",
        "UPDATE audit_record SET record = 1 WHERE number = (SELECT max(number) FROM audit_record)",
    ]) func tamperingWithEntriesOfTheFirstVersionsIsFound(_ sql: String) throws {
        try writeFirst([anna.newID(), anna.newID()], "甲")
        try expectLinked([])
        try server.store.execute(sql)
        #expect(try server.store.check().problems.contains { $0.contains("audit") })
    }

    // MARK: Erasure

    private func rows() throws -> [AuditRow] {
        try server.store.withWriter { _, database in
            try Row.fetchAll(database, sql: "SELECT \(AuditRow.columns) FROM audit ORDER BY number").map(AuditRow.init)
        }
    }

    /// One that is erased in a row could else be made of what another row still tells.
    @Test func noTwoRowsHaveOneSalt() throws {
        let ids = try customers(["甲", "乙"])
        for id in ids { try anna.push(Operations { $0.rename(id, "丙", salt: 1) }) }
        try ben.push(Operations { $0.makeCustomer(ben.newID(), name: "丁", salt: 1) })
        let salts = try rows().compactMap { row -> [UInt8]? in
            if case .linked(let salt) = row.form { salt.bytes } else { nil }
        }
        #expect(salts.count > 3)
        #expect(Set(salts).count == salts.count)
    }

    /// The salt of a row tells those of all its sections: with it the value that was erased could be guessed.
    @Test func aRowOfWhichSomethingIsErasedKeepsNothingThatTellsItsSalt() throws {
        let ids = try customers(["甲", "乙", "丙", "丁"])
        let before = try #require(
            try rows().first {
                $0.bytes.count > 1 && $0.form != .opened && $0.author.action == .change
                    && ((try? $0.sections().count) ?? 0) == 4
            })
        guard case .linked(let salt) = before.form else {
            Issue.record("a new row has its salt")
            return
        }
        try server.store.eraseAudit(of: ids[1], time: server.clock.now)
        let after = try #require(try rows().first { $0.number == before.number })
        #expect(after.form == .opened)
        for needle in [salt.bytes, salt.salt(1)] {
            #expect(Data(after.bytes).range(of: Data(needle)) == nil)
        }
        // The others can still be verified, and erased, one after the other.
        #expect(Data(after.bytes).range(of: Data(salt.salt(0))) != nil)
        try expectLinked(ids)
        for id in ids { try server.store.eraseAudit(of: id, time: server.clock.now) }
        try expectLinked(ids)
        let last = try #require(try rows().first { $0.number == before.number })
        #expect(try last.sections().allSatisfy(\.isErased))
        for index in 0..<4 { #expect(Data(last.bytes).range(of: Data(salt.salt(index))) == nil) }
    }

    @Test func whatIsLeftOfARowIsStillProtected() throws {
        let ids = try customers(["甲", "乙"])
        try server.store.eraseAudit(of: ids[0], time: server.clock.now)
        try expectLinked(ids)
        try server.store.execute(
            "UPDATE audit SET sections = CAST(replace(CAST(sections AS TEXT), '乙', '乞') AS BLOB) WHERE salt = x''")
        #expect(try server.store.check().problems.contains { $0.contains("its hash is another one") })
    }

    /// Without the salt, which goes with the values, what stays says nothing about them.
    @Test func equalChangesHaveUnequalDigests() throws {
        let ids = try customers(["甲", "甲", "甲", "甲"])
        for salt in [5, 6] as [UInt32] { try anna.push(Operations { $0.rename(ids[0], "甲", salt: salt) }) }
        for id in ids { try server.store.eraseAudit(of: id, time: server.clock.now) }
        var digests: [[UInt8]] = []
        for row in try rows() {
            for section in try row.sections() where section.isErased { digests.append(Array(row.bytes[section.body])) }
        }
        #expect(digests.count == 6 && Set(digests).count == 6)
    }

    @Test func theSaltsOfARowAreHalvesOfHashes() throws {
        let salt = try #require(AuditSalt(Array(1...16)))
        for index in 0..<5 {
            let digest = Array(SHA256.hash(data: Array(1...16) + [UInt8(index / 2), 0, 0, 0, 0, 0, 0, 0]))
            #expect(salt.salt(index) == Array(index % 2 == 0 ? digest.prefix(16) : digest.suffix(16)))
        }
    }

    @Test func theSameLeavesInAnotherFormHaveAnotherHash() {
        var leaves = AuditLeaves()
        [UInt8](repeating: 7, count: 32).withUnsafeBytes { leaves.append(anna.account, $0) }
        let author = AuditAuthor(time: 5, account: anna.account, replica: anna.replica, action: .change)
        #expect(
            leaves.hash(after: AuditHead(), author, isFirstForm: true)
                != leaves.hash(after: AuditHead(), author, isFirstForm: false))
    }
}
