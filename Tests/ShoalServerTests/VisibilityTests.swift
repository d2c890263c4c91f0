import GRDB
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

import struct ShoalCRDT.Record

/// Each account gets exactly what it may see, and may write exactly that (SPEC.md §4.3).
struct VisibilityTests {
    private let server: TestServer
    private let chief: TestReplica
    private let anna: TestReplica
    private let bert: TestReplica

    init() throws {
        server = try TestServer()
        chief = try server.replica("chief")
        anna = try server.replica("anna", role: .sales)
        bert = try server.replica("bert", role: .expert)
    }

    private func follow(_ account: RecordID, _ value: ValueKind = .present, _ dots: [Dot] = []) -> (inout Operations) ->
        Void
    {
        { $0.edit(CellKey(.follow, id: account), value, supersedes: dots) }
    }

    /// A customer that `replica` makes and its account follows.
    private func customer(_ replica: TestReplica, _ name: String = "张三") throws -> RecordID {
        let id = replica.newID()
        server.clock.advance(10)
        try replica.push(
            Operations {
                $0.begin(
                    record: id, time: server.clock.now, creates: Envelope(kind: .customer, scope: .customer(id)),
                    salt: 1)
                $0.edit(CellKey(.name), text: name)
                follow(replica.account)(&$0)
            })
        return id
    }

    private func note(_ replica: TestReplica, of customer: RecordID, _ text: String = "备注") throws -> (
        RecordID, PushAnswer
    ) {
        let id = replica.newID()
        let answer = try replica.push(
            Operations {
                $0.begin(
                    record: id, time: server.clock.now, creates: Envelope(kind: .note, scope: .customer(customer)),
                    salt: 1)
                $0.edit(CellKey(.body), text: text)
            })
        return (id, answer)
    }

    private func setFollow(
        _ account: RecordID, of id: RecordID, _ isPresent: Bool = true, by replica: TestReplica
    ) throws -> PushAnswer {
        let record = try #require(try stored(id))
        let cell = record.range(of: CellKey(.follow, id: account))
        return try replica.push(
            Operations {
                $0.begin(record: id, time: server.clock.now, salt: 7)
                follow(account, isPresent ? .present : .absent, record.liveDots(in: cell))(&$0)
            })
    }

    private func stored(_ id: RecordID) throws -> Record? {
        try server.store.withWriter { writer, _ in try writer.stored(id) }
    }

    /// Others' exports lie in the scopes of their accounts, which come into the view of whoever becomes a supervisor; the records of
    /// those accounts were there before.
    @Test func whoBecomesASupervisorIsToldOfAnAccountOnce() throws {
        try bert.sync()
        try bert.push(
            Operations {
                $0.begin(
                    record: bert.newID(), time: 1, creates: Envelope(kind: .export, scope: .account(bert.account)),
                    salt: 1)
                $0.edit(CellKey(.exportForm), text: "csv")
            })
        try anna.sync()
        try setRole(.sales, of: bert)
        try setRole(.supervisor, of: anna)
        try anna.sync()
        try expectViews(anna, bert, chief)
    }

    /// A pair changes while only one of its customers is seen; then the other comes too.
    @Test(arguments: [false, true])
    func aPairComesOnceWithTheSecondOfItsCustomers(_ promotes: Bool) throws {
        let (one, other) = (try customer(bert), try customer(bert))
        _ = try setFollow(anna.account, of: one, by: bert)
        try anna.sync()
        let pair = bert.newID()
        try bert.push(
            Operations {
                $0.begin(
                    record: pair, time: 1,
                    creates: Envelope(kind: Kind(rawValue: 900), scope: .pair(min(one, other), max(one, other))),
                    salt: 1)
                $0.edit(CellKey(Field(rawValue: 9_000)), text: "x")
            })
        if promotes { try setRole(.supervisor, of: anna) } else { _ = try setFollow(anna.account, of: other, by: bert) }
        try anna.sync()
        #expect(anna.rows[pair] != nil)
        // What changes then is told by itself.
        try bert.push(
            Operations {
                $0.begin(record: pair, time: 2, salt: 2)
                $0.edit(CellKey(Field(rawValue: 9_001)), text: "y")
            })
        try anna.sync()
        try expectViews(anna, bert, chief)
    }

    /// It has both its customers' scopes, on different pages.
    @Test func aFillNamesAPairOnce() throws {
        let customers = try (0..<6).map { try customer(anna, "客户 \($0)") }
        for (one, other) in zip(customers, customers.dropFirst(2)) {
            try anna.push(
                Operations {
                    $0.begin(
                        record: anna.newID(), time: 1,
                        creates: Envelope(kind: Kind(rawValue: 900), scope: .pair(min(one, other), max(one, other))),
                        salt: 1)
                    $0.edit(CellKey(Field(rawValue: 9_000)), text: "x")
                })
        }
        for budget in [1, 200, Limits.page] {
            anna.cursor = ""
            let before = anna.pulled
            try anna.pullAll(budget: budget)
            #expect(anna.pulled - before == anna.rows.count)
            try expectViews(anna)
            #expect(anna.rows.values.filter { $0.envelope.kind == Kind(rawValue: 900) }.count == 4)
        }
    }

    /// Somebody fills a customer up to the limit: it is handed over like any other.
    @Test func aFullCustomerIsHandedOver() throws {
        let (full, other) = (try customer(anna), try customer(anna))
        let text = String(repeating: "x", count: Limits.text - 1)
        var answer = PushAnswer.taken(upTo: 0, acknowledgement: "", verdicts: [])
        for number in 0..<40 where answer.verdicts.isEmpty {
            answer = try anna.push(
                Operations {
                    $0.begin(record: full, time: 1, salt: UInt32(number))
                    $0.edit(CellKey(Field(rawValue: 9_000 + UInt16(number))), text: text)
                })
        }
        #expect(answer.verdicts.map(\.reason) == [.tooLarge])
        // And the rest, so that not a byte fits.
        for size in [Limits.text / 2, 9_000, 2_000, 500, 100, 20, 1] {
            for number in 0..<8 {
                try anna.push(
                    Operations {
                        $0.begin(record: full, time: 1, salt: UInt32(size * 8 + number))
                        $0.edit(
                            CellKey(Field(rawValue: 9_100 + UInt16(number))), text: String(repeating: "y", count: size))
                    })
            }
        }
        let report = try server.accounts.handover(from: "anna", to: "bert", isDryRun: false)
        #expect(report.customers == 2)
        try bert.sync()
        #expect(bert.rows[full] != nil && bert.rows[other] != nil)
    }

    private func expectViews(_ replicas: TestReplica...) throws {
        for replica in replicas {
            try replica.pullAll()
            #expect(replica.dump() == (try server.dump(account: replica.enrolled.name)), "\(replica.enrolled.name)")
        }
    }

    @Test func theListSaysWhatALeaverHasThatNobodyElseFollows() throws {
        func leftAlone() throws -> [String: Int?] {
            Dictionary(uniqueKeysWithValues: try server.accounts.list().map { ($0.name, $0.leftAlone) })
        }
        let (alone, gone) = (try customer(anna, "甲"), try customer(anna, "乙"))
        let (shared, lost) = (try customer(anna, "丙"), try customer(anna, "丁"))
        let cora = try server.replica("cora", role: .sales)
        #expect(try setFollow(bert.account, of: shared, by: anna).verdicts.isEmpty)
        #expect(try setFollow(cora.account, of: lost, by: anna).verdicts.isEmpty)
        _ = try customer(bert, "戊")
        let record = try #require(try stored(gone))
        try chief.push(
            Operations {
                $0.begin(record: gone, time: server.clock.now, salt: 9)
                $0.cover(record.uncoveredDots())
            })
        #expect(try leftAlone() == ["anna": nil, "bert": nil, "chief": nil, "cora": nil])
        try server.accounts.setDisabled(true, name: "anna")
        #expect(try leftAlone()["anna"] == 1)
        // Who follows it beside her leaves too.
        try server.accounts.setDisabled(true, name: "cora")
        #expect(try leftAlone() == ["anna": 2, "bert": nil, "chief": nil, "cora": 1])
        #expect(try server.accounts.handover(from: "anna", to: "bert", isDryRun: false).customers == 4)
        #expect(try leftAlone() == ["anna": 0, "bert": nil, "chief": nil, "cora": 0])
        try expectViews(bert)
        #expect([alone, shared, lost].allSatisfy { bert.rows[$0] != nil })
    }

    // MARK: What is pulled

    @Test func aCustomerAndAllThatBelongsToItGoesToItsFollowersAndSupervisorsOnly() throws {
        let id = try customer(anna)
        let (note, _) = try note(anna, of: id)
        try expectViews(anna, bert, chief)
        #expect(anna.rows[id] != nil && anna.rows[note] != nil)
        #expect(chief.rows[id] != nil && chief.rows[note] != nil)
        #expect(bert.rows[id] == nil && bert.rows[note] == nil && bert.rows[anna.account] != nil)
    }

    @Test func aNewFollowerGetsTheWholeCustomerHoweverOldItIs() throws {
        let id = try customer(anna)
        let (note, _) = try note(anna, of: id)
        try expectViews(anna, bert)
        let before = bert.pulled
        #expect(try setFollow(bert.account, of: id, by: anna).verdicts.isEmpty)
        try expectViews(anna, bert)
        #expect(bert.rows[id] != nil && bert.rows[note] != nil)
        #expect(bert.pulled == before + 2 && bert.moved == 0)
    }

    @Test func whoFollowsNoMoreLosesItAndWhoFollowsAgainGetsItAsItIsNow() throws {
        let id = try customer(anna)
        let (note, _) = try note(anna, of: id)
        _ = try setFollow(bert.account, of: id, by: anna)
        try expectViews(anna, bert)
        _ = try setFollow(bert.account, of: id, false, by: bert)
        try expectViews(anna, bert)
        #expect(bert.rows[id] == nil && bert.rows[note] == nil && bert.moved == 1)
        try anna.push(Operations { $0.rename(id, "李四", supersedes: [Dot(anna.replica, 1)]) })
        try expectViews(bert)
        #expect(bert.rows[id] == nil)
        _ = try setFollow(bert.account, of: id, by: anna)
        try expectViews(bert)
        #expect(bert.rows[id] != nil && bert.rows[note] != nil)
    }

    @Test func aSyncWithoutChangeBringsNothingAndNobodysPulls() throws {
        for _ in 0..<20 { _ = try customer(anna) }
        try expectViews(bert)
        let before = bert.pulled
        for _ in 0..<20 { _ = try customer(anna) }
        try expectViews(bert)
        #expect(bert.pulled == before)
    }

    @Test func aDigestKnowsOnlyWhatTheAccountSees() throws {
        let id = try customer(anna)
        let own = try customer(bert)
        try expectViews(anna, bert)
        let request = DigestRequest(
            epoch: bert.enrolled.epoch, cursor: bert.cursor, seen: 0,
            ranges: [DigestRange(.all, .list([]))], wanted: [id, own].sorted())
        let answer = try server.store.digest(request, account: bert.account)
        #expect(answer.page.heads.contains { $0.id == own } && !answer.page.heads.contains { $0.id == id })
        #expect(answer.gone == [id] && !answer.omitted.contains(id))
        // What moved since is for a sync to tell.
        _ = try setFollow(bert.account, of: id, by: anna)
        #expect(try server.store.digest(request, account: bert.account).isBehind)
    }

    @Test func aDatabaseOfTheVersionBeforeEvictsWhatWasNeverTheirs() throws {
        let id = try customer(anna)
        try expectViews(anna, bert)
        // As it was: everybody had everything, and nobody noted who sees what.
        bert.rows[id] = anna.rows[id]
        try server.store.withWriter { _, database in
            for sql in ["DROP TABLE visibility", "DROP TABLE unproven_follow", "ALTER TABLE feed DROP COLUMN scope"] {
                try database.execute(sql: sql)
            }
            try database.execute(sql: "DELETE FROM grdb_migrations WHERE identifier = ?", arguments: ["7 visibility"])
            try database.execute(sql: "DELETE FROM member WHERE scope = 0")
        }
        try server.store.close()
        let again = try ServerStore(path: server.store.path, environment: server.environment)
        defer { try? again.close() }
        let page = try again.page(
            cursor: bert.cursor, own: .init(replica: bert.replica, numbers: nil), account: bert.account)
        #expect(page.moves.left == [id] && !page.isFill && page.page.isEmpty)
        let own = try again.page(
            cursor: anna.cursor, own: .init(replica: anna.replica, numbers: nil), account: anna.account)
        #expect(own.moves.isEmpty && own.page.isEmpty)
    }

    // MARK: What may be written

    @Test func knowingAnIdentifierGrantsNothing() throws {
        let id = try customer(anna)
        try bert.pullAll()
        let nothing = RecordID(rawValue: id.rawValue + 64)
        for target in [id, nothing] {
            let edit = try bert.push(Operations { $0.rename(target, "mine") })
            #expect(edit.verdicts.map(\.reason) == [.unknownRecord])
            let grab = try bert.push(
                Operations {
                    $0.begin(record: target, time: 1, salt: 3)
                    follow(bert.account)(&$0)
                })
            #expect(grab.verdicts.map(\.reason) == [.unknownRecord])
            #expect(try note(bert, of: target).1.verdicts.map(\.reason) == [.unknownRecord])
        }
        try expectViews(anna, bert)
        #expect(bert.rows[id] == nil)
    }

    @Test func onlyOneselfAndSupervisorsRemoveAFollowerAndOnlyFollowersAddOne() throws {
        let id = try customer(anna)
        #expect(try setFollow(bert.account, of: id, by: anna).verdicts.isEmpty)
        try expectViews(anna, bert, chief)
        #expect(try setFollow(anna.account, of: id, false, by: bert).verdicts.map(\.reason) == [.forbidden])
        #expect(try setFollow(anna.account, of: id, false, by: chief).verdicts.isEmpty)
        try expectViews(anna, bert, chief)
        #expect(anna.rows[id] == nil && bert.rows[id] != nil)
        // Having heard of it, anna cannot come back by herself.
        #expect(try setFollow(anna.account, of: id, by: anna).verdicts.map(\.reason) == [.forbidden])
    }

    @Test func aPresentFollowerCannotBeRemovedByWritingSomethingElseOverIt() throws {
        let id = try customer(anna)
        _ = try setFollow(bert.account, of: id, by: anna)
        try bert.pullAll()
        let record = try #require(try stored(id))
        let dots = record.liveDots(in: record.range(of: CellKey(.follow, id: anna.account)))
        let answer = try bert.push(
            Operations {
                $0.begin(record: id, time: 1, salt: 5)
                $0.edit(CellKey(.follow, id: anna.account), text: "gone", supersedes: dots)
            })
        #expect(answer.verdicts.map(\.reason) == [.forbidden])
        try expectViews(anna)
        #expect(anna.rows[id] != nil)
    }

    @Test func anotherAccountsFollowRelationIsNotOnesToWrite() throws {
        let id = try customer(anna)
        _ = try setFollow(bert.account, of: id, by: anna)
        try bert.pullAll()
        let answer = try bert.push(
            Operations {
                $0.begin(record: id, time: 1, salt: 5)
                $0.edit(CellKey(.description, id: anna.account), text: "x")
                $0.begin(record: id, time: 1, salt: 6)
                $0.edit(CellKey(.description, id: bert.account), text: "y")
            })
        #expect(answer.verdicts == [Verdict(number: bert.position - 1, reason: .forbidden)])
        try chief.pullAll()
        let over = try chief.push(
            Operations {
                $0.begin(record: id, time: 1, salt: 5)
                $0.edit(CellKey(.description, id: anna.account), text: "z")
            })
        #expect(over.verdicts.isEmpty)
    }

    @Test func whatWasWrittenBeforeHearingOfTheLossIsDeliveredAndWhatComesLaterIsSetAside() throws {
        let id = try customer(anna)
        _ = try setFollow(bert.account, of: id, by: anna)
        try expectViews(anna, bert)
        _ = try setFollow(bert.account, of: id, false, by: chief)
        let (late, answer) = try note(bert, of: id, "written offline")
        #expect(answer.verdicts.isEmpty)
        try expectViews(anna, bert)
        #expect(anna.rows[late] != nil && bert.rows[id] == nil && bert.rows[late] == nil)
        #expect(try note(bert, of: id).1.verdicts.map(\.reason) == [.forbidden])
        // And what is delivered late grants nothing to anybody.
        _ = try setFollow(bert.account, of: id, by: anna)
        try bert.pullAll()
        _ = try setFollow(bert.account, of: id, false, by: chief)
        #expect(try setFollow(bert.account, of: id, by: bert).verdicts.map(\.reason) == [.forbidden])
    }

    @Test func whoMakesACustomerWithoutFollowingItDoesNotSeeIt() throws {
        let id = anna.newID()
        try anna.push(Operations { $0.makeCustomer(id, name: "x") })
        try expectViews(anna, chief)
        #expect(anna.rows[id] == nil && chief.rows[id] != nil)
        #expect(try anna.push(Operations { $0.rename(id, "y") }).verdicts.map(\.reason) == [.unknownRecord])
    }

    /// A cursor that was kept reads nothing of what was lost since, and nothing that came later.
    @Test func aFillThatWasBegunBeforeALossTellsNothingOfIt() throws {
        let id = try customer(anna)
        var notes: [RecordID] = []
        for index in 0..<8 { notes.append(try note(anna, of: id, "甲\(index)").0) }
        _ = try setFollow(bert.account, of: id, by: anna)
        var cursors: [String] = []
        repeat { cursors.append(bert.cursor) } while try bert.pull(budget: 1)
        #expect(try setFollow(bert.account, of: id, false, by: chief).verdicts.isEmpty)
        let later = try note(anna, of: id, "乙").0
        for cursor in cursors {
            bert.cursor = cursor
            bert.rows = [:]
            for _ in 0..<100 {
                let more = try bert.pull(budget: 1)
                #expect(bert.rows[id] == nil && (notes + [later]).allSatisfy { bert.rows[$0] == nil })
                if !more { break }
            }
        }
    }

    // MARK: Roles

    /// Of what was made since it was one it never saw anything, whatever cursor it shows.
    @Test func aFormerSupervisorDoesNothingToWhatItNeverSaw() throws {
        let before = try customer(anna, "旧")
        try chief.pullAll()
        try setRole(.sales, of: chief)
        let after = try customer(anna, "新")
        for (id, reason) in [(before, nil), (after, RefusalReason.unknownRecord)] {
            let answer = try chief.push(Operations { $0.rename(id, "x") })
            #expect(answer.verdicts.map(\.reason) == (reason.map { [$0] } ?? []))
        }
        #expect(try note(chief, of: after).1.verdicts.map(\.reason) == [.unknownRecord])
    }

    @Test func aSupervisorWhoIsNoneAnyMoreKeepsWhatItFollowsAndLosesTheRest() throws {
        let own = try customer(chief, "own")
        var others: [RecordID] = []
        for index in 0..<5 { others.append(try customer(anna, "other \(index)")) }
        try expectViews(chief)
        #expect(others.allSatisfy { chief.rows[$0] != nil })
        try setRole(.sales, of: chief)
        _ = try note(anna, of: others[0])
        for _ in 0..<100 where try chief.pull(budget: 1) {}
        try expectViews(chief)
        #expect(others.allSatisfy { chief.rows[$0] == nil } && chief.rows[own] != nil && chief.fills == 1)
        try setRole(.supervisor, of: chief)
        for _ in 0..<100 where try chief.pull(budget: 1) {}
        try expectViews(chief)
        #expect(others.allSatisfy { chief.rows[$0] != nil } && chief.fills == 1)
    }

    /// Who sees everything is not told one by one what they follow, and then sees only that.
    @Test(arguments: 0..<16)
    func aSupervisorWhoIsNoneAnyMoreInTheMiddleOfAPullGetsWhatItFollows(pages: Int) throws {
        var ids: [RecordID] = []
        for index in 0..<4 { ids.append(try customer(anna, "客户 \(index)")) }
        try expectViews(bert)
        _ = try setFollow(bert.account, of: ids[1], by: anna)
        _ = try customer(anna, "last")
        try setRole(.supervisor, of: bert)
        for _ in 0..<pages { _ = try bert.pull(budget: 1) }
        try setRole(.sales, of: bert)
        try expectViews(bert)
        #expect(bert.rows[ids[1]] != nil && bert.rows[ids[0]] == nil)
    }

    @Test func whoFollowsAgainAfterItHeardOfItsLeaveMayHoldAnEarlierState() throws {
        let id = try customer(anna)
        _ = try setFollow(bert.account, of: id, by: anna)
        try bert.pullAll()
        _ = try setFollow(bert.account, of: id, false, by: bert)
        try bert.pullAll()
        _ = try setFollow(bert.account, of: id, by: anna)
        let page = try server.store.page(
            cursor: bert.cursor, own: .init(replica: bert.replica, numbers: nil), account: bert.account)
        #expect(page.moves.entered == [id] && page.moves.left.isEmpty && !page.isFill)
    }

    @Test func whoFollowsAgainAfterItsLeaveWasForgottenMayHoldAnEarlierState() throws {
        let id = try customer(anna)
        _ = try setFollow(bert.account, of: id, by: anna)
        try bert.pullAll()
        _ = try setFollow(bert.account, of: id, false, by: bert)
        for _ in 0..<4 {
            for replica in [chief, anna, bert] { try replica.sync() }
            try server.collect()
        }
        #expect(try server.store.withWriter { writer, _ in try writer.visibility.sight(bert.account, id) } == .never)
        _ = try setFollow(bert.account, of: id, by: anna)
        let page = try server.store.page(
            cursor: bert.cursor, own: .init(replica: bert.replica, numbers: nil), account: bert.account)
        #expect(page.moves.entered == [id] && !page.isFill)
    }

    /// Whoever sees or saw everything when it begins to follow a customer may hold an earlier state of it.
    @Test func aRoleThatChangesBetweenCommitsCountsForWhatIsFollowedThen() throws {
        var states: [Int] = []
        for role in [Role.expert, .supervisor, .expert] {
            try server.accounts.setRole(role, name: "bert")
            // Two in one commit: what was asked for the one holds for the other.
            let ids = [bert.newID(), bert.newID()]
            try bert.push(
                Operations {
                    for (index, id) in ids.enumerated() {
                        $0.makeCustomer(id, name: "张三", salt: UInt32(index))
                        follow(bert.account)(&$0)
                    }
                })
            states += try server.store.withWriter { _, database in
                try ids.map {
                    try #require(
                        try Int.fetchOne(
                            database, sql: "SELECT state FROM visibility WHERE account = ? AND scope = ?",
                            arguments: [bert.account.rawValue, $0.rawValue]))
                }
            }
        }
        #expect(states == [1, 1, 2, 2, 2, 2])
    }

    @Test func bothRoleChangesBetweenTwoPullsEndRight() throws {
        let id = try customer(anna)
        let (note, _) = try note(anna, of: id)
        try expectViews(chief)
        try setRole(.sales, of: chief)
        let record = try #require(try stored(note))
        try anna.push(
            Operations {
                $0.begin(record: note, time: 1, salt: 2)
                $0.cover(record.uncoveredDots())
            })
        try setRole(.supervisor, of: chief)
        try expectViews(chief)
    }

    /// What it began to follow while it did not know that it sees everything, it keeps as it keeps all else that it follows.
    @Test(arguments: 0..<16) func aRoleThatIsTakenBackBeforeEverythingWasToldLeavesWholeWhatIsFollowed(pages: Int)
        throws
    {
        for index in 0..<3 { _ = try note(bert, of: try customer(bert, "before \(index)")) }
        try expectViews(anna)
        var followed: [RecordID] = []
        for index in 0..<3 {
            let id = try customer(bert, "followed \(index)")
            for _ in 0..<2 { _ = try note(bert, of: id) }
            _ = try setFollow(anna.account, of: id, by: bert)
            followed.append(id)
        }
        try setRole(.supervisor, of: anna)
        for _ in 0..<pages { _ = try anna.pull(budget: 1) }
        try setRole(.sales, of: anna)
        try expectViews(anna)
        #expect(followed.allSatisfy { anna.rows[$0] != nil } && anna.fills == 1)
    }

    private func setRole(_ role: Role, of replica: TestReplica) throws {
        try server.store.withWriter { writer, database in
            try writer.transaction {
                let record = try #require(try writer.stored(replica.account))
                let dots = record.liveDots(in: record.range(of: CellKey(.accountRole)))
                try writer.writeOwn(time: server.clock.now) {
                    $0.begin(record: replica.account, time: server.clock.now, salt: 9)
                    $0.edit(CellKey(.accountRole), text: role.rawValue, supersedes: dots)
                }
                try database.execute(
                    sql: "UPDATE account SET role = ? WHERE id = ?",
                    arguments: [role.rawValue, replica.account.rawValue])
            }
        }
    }

    // MARK: Anything in any order

    /// Accounts make customers, share them, leave them, change roles, and pull pages of any size between; whoever has pulled
    /// everything holds exactly what a plain reading of the records says.
    @Test(arguments: 0..<40) func everyViewIsWhatTheRecordsSay(seed: UInt64) throws {
        let random = ViewRandom(seed: seed &* 7919 &+ 1)
        let replicas = [chief, anna, bert, try server.replica("cleo", role: .sales)]
        var ids: [RecordID] = []
        for _ in 0..<120 {
            let replica = replicas[random.below(replicas.count)]
            let other = replicas[random.below(replicas.count)]
            switch random.below(12) {
            case 0, 1: ids.append(try customer(replica, "客户 \(ids.count)"))
            case 2, 3:
                if let id = random.pick(ids) { _ = try note(replica, of: id, "note") }
            case 4, 5:
                if let id = random.pick(ids) { _ = try setFollow(other.account, of: id, by: replica) }
            case 6:
                if let id = random.pick(ids) { _ = try setFollow(other.account, of: id, false, by: replica) }
            case 7:
                guard let id = random.pick(ids), let record = try stored(id) else { continue }
                let dots = record.liveDots(in: record.range(of: CellKey(.name)))
                try replica.push(Operations { $0.rename(id, "x\(random.below(99))", supersedes: dots) })
            case 8:
                guard let id = random.pick(ids), let record = try stored(id) else { continue }
                try replica.push(
                    Operations {
                        $0.begin(record: id, time: 1, salt: 3)
                        $0.cover(record.uncoveredDots())
                    })
            case 9 where random.below(3) == 0:
                try setRole(random.below(2) == 0 ? .supervisor : .sales, of: replica)
            default: _ = try replica.pull(budget: 1 + random.below(300))
            }
        }
        for replica in replicas {
            try replica.pullAll(budget: 1 + random.below(300))
            let name = replica.enrolled.name
            #expect(replica.dump() == (try server.dump(account: name)), "\(name)")
            #expect(
                Set(replica.rows.values.filter(\.isPresent).map(\.id)) == (try seen(by: replica.account)), "\(name)")
        }
    }

    /// What an account sees by the words of the specification.
    private func seen(by account: RecordID) throws -> Set<RecordID> {
        var records: [RecordID: Record] = [:]
        try server.store.forEachRecord { records[$0.id] = $0 }
        let own = try #require(records[account])
        let role = try #require(own.shown(in: own.range(of: CellKey(.accountRole))))
        let isSupervisor = own.text(role.slice) == "supervisor"
        var seen: Set<RecordID> = []
        for (id, record) in records where record.isPresent {
            guard case .customer(let scope) = record.envelope.scope, !isSupervisor else {
                seen.insert(id)
                continue
            }
            guard let customer = records[scope] else { continue }
            let cell = customer.range(of: CellKey(.follow, id: account))
            if customer.entries[cell].contains(where: { $0.kind == .present }) { seen.insert(id) }
        }
        return seen
    }
}

/// Numbers that follow from a seed.
private final class ViewRandom {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }
    func pick<T>(_ list: [T]) -> T? { list.isEmpty ? nil : list[below(list.count)] }
}
