import Foundation
import GRDB
import Logging
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// Who changed what: what the audit holds, to whom it is told, and that it cannot be changed unnoticed.
struct AuditTests {
    private func lines(_ server: TestServer, _ query: AuditQuery = AuditQuery(), viewer: RecordID? = nil) throws
        -> [AuditLine]
    {
        try server.audit(query, viewer: viewer)
    }

    private func change(_ field: String, from: [String] = [], _ to: String?, element: String? = nil)
        -> AuditLine.Change
    {
        AuditLine.Change(field: field, element: element, from: from, to: to)
    }

    // MARK: What is in it

    @Test func everyChangeOfARecordIsThereWithWhatItWasAndWhatItIs() throws {
        let server = try TestServer()
        let anna = try server.replica("Anna")
        try server.accounts.rename(device: anna.replica.text, to: "柜台")
        let id = anna.newID()
        try anna.push(Operations { $0.makeCustomer(id, name: "张三") })
        server.clock.advance(1_000)
        let first = Dot(anna.replica, 1)
        try anna.push(Operations { $0.rename(id, "李四", supersedes: [first]) })
        // Concurrent to that: both are there, until somebody settles it.
        let ben = try server.replica("Ben")
        try ben.push(Operations { $0.rename(id, "王五", supersedes: [first]) })
        let (second, other) = (Dot(anna.replica, 2), Dot(ben.replica, 1))
        try ben.push(Operations { $0.rename(id, "王五", supersedes: [second, other]) })
        let tag = CellKey(.tagged, id: RecordID(rawValue: 77))
        try ben.push(
            Operations {
                $0.begin(record: id, time: 1, salt: 9)
                $0.edit(tag, .present)
            })
        try ben.push(
            Operations {
                $0.begin(record: id, time: 1, salt: 10)
                $0.edit(tag, .absent, supersedes: [Dot(ben.replica, 3)])
            })
        try ben.push(
            Operations {
                $0.begin(record: id, time: 1, salt: 11)
                $0.cover([first])
            })
        let found = try lines(server, AuditQuery(record: id.description))
        #expect(found.map(\.action) == Array(repeating: .change, count: 7))
        #expect(found.map(\.by) == ["Anna", "Anna"] + Array(repeating: "Ben", count: 5))
        #expect(found.map(\.device) == ["柜台", "柜台"] + Array(repeating: nil, count: 5))
        #expect(found[0].replica == anna.replica.text && found[0].account == anna.account.description)
        #expect(found[0].at == PlainTime.text(server.clock.now - 1_000))
        #expect(found[1].at == PlainTime.text(server.clock.now))
        #expect(found[0].changes.prefix(2) == [change("made", "customer"), change("name", "张三")])
        #expect(found[1].changes == [change("name", from: ["张三"], "李四")])
        // What it replaces was replaced already.
        #expect(found[2].changes == [change("name", "王五")])
        #expect(Set(found[3].changes[0].from) == ["李四", "王五"] && found[3].changes[0].to == "王五")
        let element = RecordID(rawValue: 77).description
        #expect(found[4].changes == [change("tag", "yes", element: element)])
        #expect(found[5].changes == [change("tag", from: ["yes"], nil, element: element)])
        #expect(found[6].changes == [change("deleted", nil)])
        #expect(try server.store.check().isSound)
    }

    @Test func anOperationThatIsRefusedOrKnownLeavesNothing() throws {
        let server = try TestServer()
        let anna = try server.replica("Anna")
        let id = anna.newID()
        let make = Operations { $0.makeCustomer(id, name: "张三") }
        try anna.send(make)
        let count = try lines(server).count
        try anna.send(make)
        try anna.push(make)
        try anna.push(Operations { $0.rename(anna.newID(), "nobody") })
        #expect(try lines(server).count == count)
        // The second deletion has nothing left to cover.
        for salt in [7, 8] as [UInt32] {
            try anna.push(
                Operations {
                    $0.begin(record: id, time: 1, salt: salt)
                    $0.cover([Dot(anna.replica, 1)])
                })
        }
        #expect(try lines(server).count == count + 1)
    }

    @Test func whatIsDoneToAccountsDevicesAndTheWorkspaceIsThere() async throws {
        let server = try TestServer()
        let anna = try server.replica("Anna")
        let ben = try server.replica("Ben", role: .sales)
        try anna.push(
            Operations {
                $0.makeCustomer(anna.newID(), name: "张三")
                $0.edit(CellKey(.follow, id: anna.account), .present)
            })
        let start = try #require(try lines(server).last?.number)
        _ = try server.accounts.newCode(name: "Ben")
        #expect(try server.accounts.cancelCodes(name: "Ben") == 1)
        try server.accounts.setRole(.expert, name: "Ben")
        try server.accounts.rename(device: ben.replica.text, to: "旧手机")
        try server.accounts.revoke(device: ben.replica.text, discards: false)
        try server.store.noteHandedOver(ben.replica, of: ben.account, time: server.clock.now)
        try server.accounts.setDisabled(true, name: "Ben")
        try server.accounts.setDisabled(false, name: "Ben")
        try server.accounts.set("tag-editors", to: "experts")
        _ = try server.accounts.handover(from: "Anna", to: "Ben", isDryRun: false)
        for action in [AuditAction.dump, .backup, .recover, .recoverEnd, .mend] {
            try server.store.note(action, account: action == .dump ? "Ben" : nil, time: server.clock.now)
        }
        try server.store.noteFill(by: anna.account, anna.replica, time: server.clock.now)
        try server.store.noteFill(by: ben.account, ben.replica, time: server.clock.now)
        let found = try lines(server).filter { $0.number > start && $0.action != .change }
        #expect(
            found.map(\.action) == [
                .code, .codesCancel, .accountRole, .deviceName, .deviceRevoke, .deviceHandover, .accountDisable,
                .accountEnable, .setting, .accountHandover, .dump, .backup, .recover, .recoverEnd, .mend, .fill,
            ])
        func one(_ action: AuditAction) -> AuditLine? { found.first { $0.action == action } }
        #expect(one(.accountRole)?.changes == [change("role", from: ["sales"], "expert")])
        #expect(one(.accountRole)?.record == ben.account.description && one(.accountRole)?.by == nil)
        #expect(one(.deviceName)?.changes == [change("name", from: [""], "旧手机")])
        #expect(one(.deviceRevoke)?.changes == [change("unsent work", "taken")])
        #expect(one(.deviceRevoke)?.replica == ben.replica.text)
        #expect(one(.setting)?.changes == [change("tag-editors", from: ["everyone"], "experts")])
        #expect(one(.accountHandover)?.changes == [change("to", ben.account.description), change("customers", "1")])
        #expect(one(.dump)?.record == ben.account.description)
        #expect(one(.fill)?.by == "Anna" && one(.fill)?.replica == anna.replica.text)
        // What the hand-over changed of the customer is there too.
        let moved = try lines(server).filter { $0.number > start && $0.action == .change && $0.by == nil }
        #expect(moved.contains { $0.changes.contains { $0.field == "follow" && $0.from == ["yes"] && $0.to == nil } })
        #expect(try lines(server).filter { $0.action == .accountAdd || $0.action == .enroll }.count == 4)
        #expect(try server.store.check().isSound)
    }

    @Test func aSupervisorsReplicaThatFetchesEverythingIsThere() throws {
        let server = try TestServer()
        let handler = SyncHandler(
            store: server.store, committer: Committer(store: server.store, metrics: Metrics()) { _ in },
            metrics: Metrics(), environment: server.environment,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let (anna, ben) = (try server.replica("Anna"), try server.replica("Ben", role: .sales))
        for replica in [anna, ben] {
            _ = try handler.handleAlone(try replica.request(Operations()).encoded(), account: replica.account)
        }
        let fills = try lines(server).filter { $0.action == .fill }
        #expect(fills.map(\.by) == ["Anna"] && fills.map(\.replica) == [anna.replica.text])
    }

    /// It has what everybody ever wrote.
    @Test func whoReadsTheAuditOfEverythingIsInIt() async throws {
        let server = try TestServer()
        let (anna, ben) = (try server.replica("Anna"), try server.replica("Ben", role: .sales))
        try await Served.run(server) { served in
            for replica in [anna, ben] {
                for query in ["", "?before=9", "?record=\(ben.account)"] {
                    let reply = try await served.send("GET", "/v1/audit\(query)", [], key: replica.key)
                    #expect(reply.status == 200)
                }
            }
        }
        let reads = try lines(server).filter { $0.action == .audit }
        #expect(
            reads.map(\.by) == ["Anna", "Anna"] && reads.map(\.replica) == Array(repeating: anna.replica.text, count: 2)
        )
        _ = try server.store.auditForOperator(AuditQuery(), time: server.clock.now)
        _ = try server.store.auditForOperator(AuditQuery(record: ben.account.description), time: server.clock.now)
        #expect(try lines(server).filter { $0.action == .audit }.map(\.by) == ["Anna", "Anna", nil])
    }

    // MARK: To whom it is told

    @Test func nobodyIsToldWhatIsNotInTheirView() throws {
        let server = try TestServer()
        let (anna, ben) = (try server.replica("Anna", role: .sales), try server.replica("Ben", role: .sales))
        let boss = try server.replica("Boss")
        func customer(of replica: TestReplica, _ name: String) throws -> RecordID {
            let id = replica.newID()
            try replica.push(
                Operations {
                    $0.makeCustomer(id, name: name)
                    $0.edit(CellKey(.follow, id: replica.account), .present)
                })
            return id
        }
        let (hers, his) = (try customer(of: anna, "张三"), try customer(of: ben, "李四"))
        #expect(try Set(lines(server, viewer: anna.account).map(\.record)) == [hers.description])
        #expect(try lines(server, AuditQuery(record: his.description), viewer: anna.account).isEmpty)
        #expect(try lines(server, AuditQuery(record: hers.description), viewer: anna.account).count == 1)
        #expect(try lines(server, AuditQuery(record: ben.account.description), viewer: anna.account).isEmpty)
        #expect(try lines(server, AuditQuery(record: anna.account.description), viewer: anna.account).isEmpty)
        #expect(try lines(server, viewer: boss.account) == lines(server))
        #expect(try lines(server).contains { $0.action == .accountAdd })
    }

    @Test func pagesAreBoundedAndLackNothing() throws {
        let server = try TestServer()
        let anna = try server.replica("Anna")
        try anna.push(
            Operations { operations in
                for index in 0..<30 { operations.makeCustomer(anna.newID(), name: "\(index)", salt: UInt32(index)) }
            })
        let all = try lines(server)
        #expect(all.map(\.number) == Array(1...Int64(all.count)))
        for limit in [1, 7, 200] {
            #expect(try server.store.audit(AuditQuery(limit: limit)).entries.count == min(limit, all.count))
            #expect(try lines(server, AuditQuery(limit: limit)) == all)
        }
        for limit in [0, 201] {
            #expect(throws: AccountProblem.self) { try server.store.audit(AuditQuery(limit: limit)) }
        }
        #expect(try lines(server, AuditQuery(account: "Anna")).allSatisfy { $0.by == "Anna" })
        #expect(try lines(server, AuditQuery(since: server.clock.now + 1)).isEmpty)
    }

    // MARK: The chain

    private func written() throws -> (TestServer, RecordID) {
        let server = try TestServer()
        let anna = try server.replica("Anna")
        let id = anna.newID()
        try anna.push(Operations { $0.makeCustomer(id, name: "张三") })
        for number in 1...4 { try anna.push(Operations { $0.rename(id, "名\(number)", supersedes: []) }) }
        #expect(try server.store.check().isSound)
        return (server, id)
    }

    static let tamperings = [
        ("UPDATE audit SET time = time + 1 WHERE number = 5", "its hash is another one"),
        ("UPDATE audit SET account = account + 1 WHERE number = 5", "its hash is another one"),
        ("UPDATE audit SET replica = replica + 1 WHERE number = 5", "its hash is another one"),
        ("UPDATE audit SET action = 'backup' WHERE number = 5 AND action = 'change'", "its hash is another one"),
        ("UPDATE audit SET action = 'nothing' WHERE number = 5", "none of this version"),
        (
            "UPDATE audit SET sections = CAST(replace(CAST(sections AS TEXT), '名1', '名9') AS BLOB) WHERE instr(sections, CAST('名1' AS BLOB)) > 0",
            "its hash is another one"
        ),
        ("UPDATE audit SET sections = x'00' WHERE number = 5", "the audit"),
        ("DELETE FROM audit WHERE number = 5", "lacks entries from 5 on"),
        ("DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)", "does not end where it ended"),
        ("UPDATE audit SET mark = mark + 100 WHERE number = 5", "not linked"),
        ("UPDATE audit SET salt = zeroblob(16) WHERE number = 5", "its hash is another one"),
        ("UPDATE audit SET salt = x'' WHERE number = 5", "audit"),
        ("UPDATE audit SET salt = NULL WHERE number = 5", "audit"),
        ("UPDATE audit SET salt = x'00' WHERE number = 5", "its salt is none"),
        ("UPDATE record SET audit = audit - 1 WHERE audit = (SELECT max(audit) FROM record)", "not linked"),
        ("UPDATE record SET audit = 0", "not linked"),
        ("INSERT INTO audit_head VALUES (1, 1000)", "not linked"),
        ("INSERT INTO audit_record VALUES (1, 1000)", "not in step"),
        (
            "INSERT INTO audit SELECT max(number) + 1, 1, time, account, replica, action, sections, hash, mark, salt FROM audit",
            "is not what it was from entry"
        ),
        (
            """
            UPDATE audit SET number = -5 WHERE number = 5; UPDATE audit SET number = 5 WHERE number = 6;
            UPDATE audit SET number = 6 WHERE number = -5
            """, "from entry 5 on"
        ),
        ("UPDATE server SET audit_hash = x'00'", "does not end where it ended"),
    ]

    @Test(arguments: tamperings) func tamperingIsFound(_ sql: String, _ sentence: String) throws {
        let (server, _) = try written()
        try server.store.execute(sql)
        let report = try server.store.check()
        #expect(report.problems.contains { $0.contains(sentence) }, "\(report.problems)")
    }

    /// Whoever changes a row and makes its hash anew has not made the next one's.
    @Test func aRowThatIsForgedWithItsOwnHashIsFound() throws {
        let (server, _) = try written()
        try server.store.withWriter { _, database in
            let row = try #require(try AuditRow.read(database, upTo: 5))
            let before = try #require(
                try Data.fetchOne(
                    database, sql: "SELECT hash FROM audit WHERE number < ? ORDER BY number DESC LIMIT 1",
                    arguments: [row.number]))
            var leaves = AuditLeaves()
            for section in try row.sections() {
                row.bytes.withUnsafeBytes { bytes in
                    section.digest(in: bytes, row.form).withUnsafeBytes { leaves.append(section.record, $0) }
                }
            }
            var author = row.author
            let head = AuditHead(number: row.number - 1, hash: Array(before))
            #expect(
                try Data.fetchOne(database, sql: "SELECT hash FROM audit WHERE number = ?", arguments: [row.number])
                    == Data(leaves.hash(after: head, author, isFirstForm: false)))
            author.time += 1
            try database.execute(
                sql: "UPDATE audit SET time = time + 1, hash = ? WHERE number = ?",
                arguments: [Data(leaves.hash(after: head, author, isFirstForm: false)), row.number])
        }
        let next = try server.store.check().problems
        #expect(next.contains { $0.contains("its hash is another one") }, "\(next)")
    }

    @Test func theCheckTellsWhereTheChainEnds() throws {
        let (server, _) = try written()
        let before = try server.store.check()
        #expect(before.auditHash.count == 64)
        #expect(try before.audit == Int64(lines(server).count))
        try server.store.note(.backup, time: server.clock.now)
        let after = try server.store.check()
        #expect(after.audit == before.audit + 1 && after.auditHash != before.auditHash)
        // It goes on where it ended.
        try server.store.close()
        let store = try ServerStore(path: server.store.path, environment: server.environment)
        try store.note(.backup, time: server.clock.now)
        #expect(try store.check().isSound)
        try store.close()
    }

    // MARK: Erasure

    @Test func valuesCanBeErasedAndTheChainStaysWhole() throws {
        let (server, id) = try written()
        let replica = try server.replica("Ben")
        try replica.push(
            Operations {
                $0.rename(id, "秘密甲", salt: 5)
                $0.makeCustomer(replica.newID(), name: "另一位", salt: 6)
            })
        let before = try server.store.check()
        let erased = try server.store.eraseAudit(of: id, time: server.clock.now)
        #expect(erased == 6)
        let found = try lines(server, AuditQuery(record: id.description))
        #expect(found.count == 7 && found.dropLast().allSatisfy { $0.erased && $0.changes.isEmpty })
        #expect(found.last?.action == .erase)
        // Others of the same row keep theirs.
        #expect(try lines(server).contains { $0.changes.contains { $0.to == "另一位" } })
        let report = try server.store.check()
        #expect(report.isSound && report.audit == before.audit + 1, "\(report.problems)")
        #expect(try server.store.eraseAudit(of: id, time: server.clock.now) == 1)
        // The row of the record itself still has its name; nothing else in the file may.
        let names = ["名1", "名2", "名3"].map { Data($0.utf8) }
        let rows = try server.store.withWriter { _, database in
            try Data.fetchAll(database, sql: "SELECT sections FROM audit")
        }
        #expect(!rows.contains { row in names.contains { row.range(of: $0) != nil } })
    }
}
