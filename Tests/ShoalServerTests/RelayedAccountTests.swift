import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

import struct ShoalCRDT.Record

/// What relays and homes may say of accounts, and what they may not.
@Suite struct RelayedAccountTests {
    /// The server that is lost, with 王, 李 and their supervisor 周, and the one that stands in its place.
    private struct Loss {
        let before: TestServer
        let after: TestServer
        /// As they were enrolled before.
        var wang, li, zhou: TestReplica
        var codes: [String: String] = [:]

        init(adding names: [String] = ["王", "李", "周"]) throws {
            before = try TestServer(seed: 1)
            after = try TestServer(seed: 2)
            after.clock.advance(1)
            wang = try before.replica("王", role: .sales)
            li = try before.replica("李", role: .sales)
            zhou = try before.replica("周")
            for replica in [wang, li, zhou] { try replica.pullAll() }
            for name in names {
                codes[name] = try after.accounts.add(name: name, role: name == "周" ? .supervisor : .sales).code
            }
            _ = try after.store.beginRecovery()
        }

        /// Enrolls a home that says which account it is of.
        func enroll(_ name: String, as former: RecordID, code: String? = nil) throws -> TestReplica {
            let key = Base64URL.encode(after.random.bytes(32))
            let request = EnrollRequest(
                code: try code ?? #require(codes[name]), key: key, former: former, name: name)
            return TestReplica(server: after, enrolled: try after.accounts.enroll(request), key: key)
        }

        /// Relays the records of all accounts, as they were before or as somebody would like them to have been.
        func relay(
            from account: RecordID, _ rows: [RecordID: Record]? = nil, vector: [ReplicaID: UInt32] = [:]
        ) throws {
            var page = RecordPage()
            let rows = rows ?? zhou.rows
            for record in rows.values.sorted(by: { $0.id < $1.id }) {
                page.begin(record.id, record.envelope)
                for entry in record.entries { page.append(entry, from: record.arena) }
            }
            let request = RelayRequest(epoch: after.store.epoch, vector: VersionVector(vector), page: page)
            _ = try after.store.relay(
                try RelayRequest(decoding: try request.encoded()), account: account, time: after.clock.now)
        }

        func listed(_ name: String) throws -> Account? { try after.accounts.list().first { $0.name == name } }

        func events(_ action: AuditAction) throws -> [AuditLine] {
            try after.store.audit(AuditQuery(limit: 200)).entries.filter { $0.action == action }
        }
    }

    /// The record of an account as a liar would have it.
    private func forged(_ id: RecordID, _ name: String, role: Role = .sales) -> [RecordID: Record] {
        var operations = Operations()
        operations.begin(record: id, time: 1_700_000_000_000, creates: Envelope(kind: .account, scope: .workspace))
        operations.edit(CellKey(.accountName), text: name)
        operations.edit(CellKey(.accountRole), text: role.rawValue)
        var record = Record(id: id)
        _ = record.apply(
            0, of: operations, dot: Dot(ReplicaID(rawValue: 0x6666_0001), 1), time: 0, sequence: 1,
            clock: .max, dropsText: false, isKnown: { _ in true })
        return [id: record]
    }

    private func isKnown(_ replica: TestReplica) throws -> Bool {
        try replica.server.accounts.credential(key: replica.key) != nil
    }

    // MARK: Roles

    @Test func aRelayGivesNobodyARole() throws {
        let loss = try Loss(adding: ["王"])
        let wang = try loss.enroll("王", as: loss.wang.account)
        try loss.relay(from: wang.account)
        let found = try #require(try loss.listed("周"))
        #expect(found.doubt == .relayed && found.role == "sales" && found.id == loss.zhou.account.description)
        #expect(!(try loss.after.dump().contains("supervisor")))
        #expect(throws: AccountProblem.noRole("周")) { try loss.after.accounts.newCode(name: "周") }
        // Its operator knows a 周 who is none.
        let made = try loss.after.accounts.add(name: "周", role: .sales)
        #expect(made.account == loss.zhou.account)
        #expect(throws: AccountProblem.nameTaken("周")) { try loss.after.accounts.add(name: "周", role: .sales) }
        let zhou = try loss.enroll("周", as: loss.zhou.account, code: made.code)
        #expect(zhou.account == loss.zhou.account && zhou.enrolled.role == .sales)
        try wang.push(
            Operations {
                $0.makeCustomer(wang.newID(), name: "张三")
                $0.edit(CellKey(.follow, id: wang.account), .present)
            })
        try zhou.pullAll()
        #expect(!zhou.dump().contains("张三"))
    }

    /// Also after the server was started again, and if the least role is the right one.
    @Test func aRoleIsTheOperatorsToGive() throws {
        let loss = try Loss(adding: ["王"])
        let wang = try loss.enroll("王", as: loss.wang.account)
        try loss.relay(from: wang.account)
        try loss.after.store.close()
        let store = try ServerStore(path: loss.after.store.path, environment: loss.after.environment)
        let accounts = Accounts(store: store, environment: loss.after.environment)
        #expect(throws: AccountProblem.noRole("李")) { try accounts.newCode(name: "李") }
        try accounts.setRole(.sales, name: "李")
        #expect(try accounts.newCode(name: "李").account == loss.li.account)
        #expect(try accounts.add(name: "周", role: .supervisor).account == loss.zhou.account)
        #expect(try accounts.list().map(\.role).sorted() == ["sales", "sales", "supervisor"])
        try store.close()
    }

    @Test func aRoleThatTheServerKnowsIsReplacedByNoRelay() throws {
        let loss = try Loss()
        let wang = try loss.enroll("王", as: loss.wang.account)
        let added = try #require(try loss.after.store.account(named: "李"))
        for id in [wang.account, added] {
            try loss.relay(from: wang.account, forged(id, "李", role: .supervisor), vector: [wang.replica: 9])
        }
        #expect(try loss.listed("王")?.role == "sales" && loss.listed("李")?.role == "sales")
        #expect(try loss.listed("李")?.id == added.description)
        let lines = try loss.after.dump().split(separator: "\n")
        #expect(lines.filter { $0.contains("supervisor") }.count == 1)
    }

    @Test func theAuditSaysWhatARelayBroughtOfAccounts() throws {
        let loss = try Loss(adding: ["王"])
        let wang = try loss.enroll("王", as: loss.wang.account)
        try loss.relay(from: wang.account)
        let entry = try #require(try loss.events(.relay).first { $0.record == loss.zhou.account.description })
        #expect(entry.by == "王")
        #expect(Set(entry.changes.map { "\($0.field) \($0.to ?? "")" }) == ["name 周", "role supervisor"])
    }

    @Test func aNameThatNoAccountCanHaveMakesNone() throws {
        let loss = try Loss(adding: ["王"])
        let wang = try loss.enroll("王", as: loss.wang.account)
        try loss.relay(from: wang.account, forged(loss.li.account, "李\u{1B}[2J"))
        #expect(try loss.after.accounts.list().map(\.name) == ["王"])
    }

    // MARK: Identifiers

    /// 王 says that he was 李, before anybody else is there.
    @Test func anIdentifierThatWasSomebodyElsesIsTakenBackWhenTheySaySo() throws {
        let loss = try Loss()
        let thief = try loss.enroll("王", as: loss.li.account)
        #expect(thief.account == loss.li.account)
        #expect(try loss.listed("王")?.doubt == .claimed)
        let log = thief.replica
        try thief.push(
            Operations {
                $0.makeCustomer(thief.newID(), name: "王五")
                $0.edit(CellKey(.follow, id: thief.account), .present)
            })
        let zhou = try loss.enroll("周", as: loss.zhou.account)
        let id = zhou.newID()
        try zhou.push(
            Operations {
                $0.makeCustomer(id, name: "李四")
                $0.edit(CellKey(.follow, id: loss.li.account), .present)
            })
        // What he says himself does not help him.
        try loss.relay(from: thief.account, forged(loss.li.account, "王"))
        try loss.relay(from: zhou.account)
        #expect(!(try isKnown(thief)))
        let own = try #require(try loss.listed("王"))
        #expect(own.id != loss.li.account.description && own.doubt == nil && own.devices.isEmpty)
        #expect(!(try loss.after.dump(account: "王").contains("李四")))
        // What he has written is his, also after a restart.
        #expect(try loss.after.store.withWriter { writer, _ in writer.state.logs[log]?.account.description } == own.id)
        let entry = try #require(try loss.events(.accountTakeBack).first)
        #expect(entry.changes.first { $0.field == "name" }?.to == "李" && entry.record == loss.li.account.description)
        // She is not locked out, and neither is he.
        let li = try loss.enroll("李", as: loss.li.account)
        #expect(li.account == loss.li.account)
        #expect(try loss.listed("李")?.doubt == nil)
        #expect(try loss.after.dump(account: "李").contains("李四"))
        let again = try loss.enroll("王", as: loss.wang.account, code: loss.after.accounts.newCode(name: "王").code)
        #expect(again.account == loss.wang.account)
        #expect(try loss.after.store.withWriter { writer, _ in writer.state.logs[log]?.account } == again.account)
        try again.pullAll()
        let record = try #require(again.rows[again.account])
        #expect(record.range(of: CellKey(.accountReplica, id: RecordID(rawValue: Int64(log.rawValue)))).count > 0)
    }

    /// As soon as others have said who was who, nobody gets an identifier by saying otherwise. He goes on as who he is here.
    @Test func anIdentifierThatOthersSayWasSomebodyElsesIsNotGiven() throws {
        let loss = try Loss()
        let zhou = try loss.enroll("周", as: loss.zhou.account)
        try loss.relay(from: zhou.account)
        let own = try #require(try loss.listed("王")?.id)
        let thief = try loss.enroll("王", as: loss.li.account)
        #expect(thief.account.description == own)
        #expect(try loss.events(.accountFormer).first?.changes.map(\.field) == ["refused"])
        #expect(try loss.enroll("李", as: loss.li.account).account == loss.li.account)
    }

    /// She has her work and an identifier of her own until it is told who was who.
    @Test func whoComesSecondIsNotLockedOut() throws {
        let loss = try Loss()
        let thief = try loss.enroll("王", as: loss.li.account)
        try thief.push(
            Operations {
                $0.makeCustomer(thief.newID(), name: "李四")
                $0.edit(CellKey(.follow, id: loss.li.account), .present)
            })
        let li = try loss.enroll("李", as: loss.li.account)
        #expect(li.account != loss.li.account && thief.account == loss.li.account)
        try loss.relay(from: li.account)
        #expect(!(try isKnown(thief)))
        #expect(try isKnown(li))
        // Her customers stand under the identifier that she had.
        let report = try loss.after.accounts.handover(from: loss.li.account.description, to: "李", isDryRun: false)
        #expect(report.customers == 1)
        #expect(try loss.after.dump(account: "李").contains("李四"))
        #expect(!(try loss.after.dump(account: "王").contains("李四")))
    }

    /// One liar takes nothing from whom somebody else has confirmed, whoever speaks first.
    @Test(arguments: [true, false]) func oneWordAgainstAnotherTakesNothingAway(liesFirst: Bool) throws {
        let loss = try Loss()
        let zhou = try loss.enroll("周", as: loss.zhou.account)
        let liar = try loss.enroll("王", as: loss.wang.account)
        func lie() throws { try loss.relay(from: liar.account, forged(loss.li.account, "赵")) }
        if liesFirst { try lie() }
        try loss.relay(from: zhou.account)
        let li = try loss.enroll("李", as: loss.li.account)
        #expect(li.account == loss.li.account)
        if !liesFirst { try lie() }
        #expect(try isKnown(li))
        #expect(try isKnown(zhou) && isKnown(liar))
    }

    /// Nor does it give anybody what somebody else has, who is confirmed as well.
    @Test func whatSomebodyHasIsNotGivenByOneWord() throws {
        let loss = try Loss()
        let li = try loss.enroll("李", as: loss.li.account)
        try loss.relay(from: try loss.enroll("周", as: loss.zhou.account).account)
        try loss.relay(from: try loss.after.replica("钱", role: .sales).account, forged(loss.li.account, "王"))
        let own = try #require(try loss.listed("王")?.id)
        #expect(try loss.enroll("王", as: loss.li.account).account.description == own)
        #expect(try isKnown(li))
    }

    /// An accomplice who spoke first does not outweigh two who say the truth.
    @Test func theMostOfTheOthersAreBelieved() throws {
        let loss = try Loss()
        try loss.relay(from: try loss.after.replica("钱", role: .sales).account, forged(loss.zhou.account, "王"))
        for name in ["孙", "吴"] { try loss.relay(from: try loss.after.replica(name, role: .sales).account) }
        let own = try #require(try loss.listed("王")?.id)
        #expect(try loss.enroll("王", as: loss.zhou.account).account.description == own)
        #expect(try loss.enroll("周", as: loss.zhou.account).account == loss.zhou.account)
    }

    /// What the operator adds by the word of a relay is taken back like what a home says.
    @Test func anAccountThatWasAddedByTheWordOfARelayIsTakenBackToo() throws {
        let loss = try Loss(adding: ["王", "周"])
        let wang = try loss.enroll("王", as: loss.wang.account)
        try loss.relay(from: wang.account, forged(loss.zhou.account, "赵"))
        let made = try loss.after.accounts.add(name: "赵", role: .expert)
        #expect(made.account == loss.zhou.account)
        let enrolled = try loss.enroll("赵", as: loss.zhou.account, code: made.code)
        let code = try #require(loss.codes["周"])
        let zhou = try loss.enroll("周", as: loss.zhou.account, code: code)
        try loss.relay(from: zhou.account)
        // One word against one: it stays. With a second one it goes, and the role with it.
        #expect(try isKnown(enrolled))
        let other = try loss.after.accounts.add(name: "李", role: .sales)
        try loss.relay(from: try loss.enroll("李", as: loss.li.account, code: other.code).account)
        #expect(!(try isKnown(enrolled)))
        let own = try #require(try loss.listed("赵"))
        #expect(own.id != loss.zhou.account.description && own.role == "expert")
    }

    /// An account that others deny is not adopted: the operator's is another one.
    @Test func anAccountThatOthersDenyIsNotAdopted() throws {
        let loss = try Loss(adding: ["王", "李", "周"])
        let wang = try loss.enroll("王", as: loss.wang.account)
        let zhou = try loss.enroll("周", as: loss.zhou.account)
        let li = try loss.enroll("李", as: loss.li.account)
        let lost = RecordID(milliseconds: 77, count: 0, sequence: 0)
        try loss.relay(from: wang.account, forged(lost, "赵"))
        for honest in [zhou, li] { try loss.relay(from: honest.account, forged(lost, "钱")) }
        #expect(try loss.after.accounts.add(name: "赵", role: .sales).account != lost)
    }

    /// When recovery ends, what nobody has denied stands, and nothing is heard any more.
    @Test func whatNobodyHasDeniedStandsWhenRecoveryEnds() throws {
        let loss = try Loss()
        let li = try loss.enroll("李", as: loss.li.account)
        #expect(try loss.listed("李")?.doubt == .claimed)
        _ = try loss.after.store.finishRecovery()
        #expect(try loss.listed("李")?.doubt == nil)
        _ = try loss.after.store.beginRecovery()
        let zhou = try loss.enroll("周", as: loss.zhou.account)
        try loss.relay(from: zhou.account, forged(loss.li.account, "王"))
        #expect(try isKnown(li))
        #expect(throws: AccountProblem.otherAccount("王")) { try loss.enroll("王", as: loss.li.account) }
    }

    // MARK: What the server has written since

    /// A row from before the loss says nothing of what the server has written since, whatever it claims to know.
    @Test func whatTheServerHasWrittenSinceTheLossIsTakenAwayByNoRelay() throws {
        let loss = try Loss()
        let zhou = try loss.enroll("周", as: loss.zhou.account)
        let wang = try loss.enroll("王", as: loss.wang.account)
        let id = zhou.newID()
        try zhou.push(
            Operations {
                $0.makeCustomer(id, name: "张三")
                for account in [zhou.account, wang.account].sorted() {
                    $0.edit(CellKey(.follow, id: account), .present)
                }
            })
        _ = try loss.after.accounts.handover(from: "周", to: "李", isDryRun: false)
        func stored() throws -> Record {
            try #require(try loss.after.store.withWriter { writer, _ in try writer.stored(id) })
        }
        let wanted = try stored()
        let added = try #require(try loss.listed("李")?.id)
        let key = CellKey(.follow, id: try #require(RecordID(text: added)))
        let dot = wanted.entries[try #require(wanted.range(of: key).first)].dot
        // The row has something of the hand-over, and not the new follower.
        var page = RecordPage()
        page.begin(id, wanted.envelope)
        page.append(
            Entry(key: CellKey(.created), kind: .present, dot: Dot(zhou.replica, 1), time: 0, sequence: 0), from: [])
        page.append(Entry(key: CellKey(.phone), kind: .absent, dot: dot, time: 0, sequence: 0), from: [])
        let request = RelayRequest(
            epoch: loss.after.store.epoch, vector: VersionVector([dot.replica: dot.number]), page: page)
        _ = try loss.after.store.relay(request, account: wang.account, time: loss.after.clock.now)
        #expect(try stored().range(of: key).count == 1)
        #expect(try loss.after.dump(account: "李").contains(id.description))
    }
}
