import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Testing

@testable import ShoalServer

import struct ShoalCRDT.Record

/// Erasing everything about a customer; SPEC.md §4.4.
struct ErasureTests {
    private static let canary = "柠檬糖-canary"
    private static let lostLog = ReplicaID(rawValue: 0x7777_0001)

    /// In which files of the server the text stands.
    private static func holding(_ text: String, _ server: TestServer) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: server.directory).filter { name in
            try Data(contentsOf: URL(fileURLWithPath: "\(server.directory)/\(name)")).range(of: Data(text.utf8)) != nil
        }
    }

    private static func ledger(_ server: TestServer) -> ErasureLedger {
        ErasureLedger(path: server.directory + "/erasures")
    }

    /// The server's store, opened again with a ledger beside it.
    private static func reopened(_ server: TestServer) throws -> ServerStore {
        try ServerStore(path: server.store.path, environment: server.environment, ledger: ledger(server))
    }

    /// A customer with a note that its maker follows, pushed.
    private static func makePerson(_ replica: TestReplica) throws -> (person: RecordID, note: RecordID) {
        let (person, note) = (replica.newID(), replica.newID())
        try replica.push(
            Operations {
                $0.makeCustomer(person, name: canary)
                $0.edit(CellKey(.follow, id: replica.account), .present)
                $0.begin(
                    record: note, time: 1_700_000_000_000, creates: Envelope(kind: .note, scope: .customer(person)),
                    salt: 3)
                $0.edit(CellKey(.body), text: canary)
            })
        return (person, note)
    }

    /// A note about somebody, with the canary in it.
    private static func noting(_ id: RecordID, of person: RecordID) -> Operations {
        Operations {
            $0.begin(
                record: id, time: 1_700_000_000_000, creates: Envelope(kind: .note, scope: .customer(person)), salt: 4)
            $0.edit(CellKey(.body), text: canary)
        }
    }

    /// However many follow: each is told, and none keeps it in its view.
    @Test func everyFollowerIsToldAndNoneIsLeft() throws {
        let server = try TestServer()
        let replicas = try ["anna", "bert", "cora"].map { try server.replica($0, role: .sales) }
        let (person, _) = try Self.makePerson(replicas[0])
        for other in replicas.dropFirst() {
            try replicas[0].push(
                Operations {
                    $0.begin(record: person, time: 1_700_000_000_000, salt: 4)
                    $0.edit(CellKey(.follow, id: other.account), .present)
                })
        }
        let views = {
            try server.store.withWriter { _, database in
                try Int.fetchOne(
                    database, sql: "SELECT count(*) FROM visibility WHERE scope = ?", arguments: [person.rawValue]) ?? 0
            }
        }
        #expect(try views() == 3)
        #expect(try server.store.erase(person, by: "root", time: server.clock.now).accounts == 3)
        #expect(try views() == 0)
    }

    private static func edit(_ record: RecordID, _ field: Field = .name) -> Operations {
        Operations {
            $0.begin(record: record, time: 1_700_000_000_000, salt: 9)
            $0.edit(CellKey(field), text: "\(canary) again")
        }
    }

    @Test func nothingIsLeftInTheFilesAndATombstoneStays() throws {
        let server = try TestServer()
        let anna = try server.replica("anna")
        let (person, note) = try Self.makePerson(anna)
        let other = anna.newID()
        try anna.push(Operations { $0.makeCustomer(other, name: "somebody else") })
        #expect(try !Self.holding(Self.canary, server).isEmpty)
        let plan = try server.store.erase(person, by: "root", time: server.clock.now, isDryRun: true)
        #expect(plan.records == 2 && plan.stored == 2 && plan.accounts == 1 && plan.isDryRun && !plan.isRepeated)
        #expect(try server.dump().contains(Self.canary))

        let report = try server.store.erase(person, by: "root", time: server.clock.now)
        #expect(report.records == 2 && report.stored == 2)
        #expect(try Self.holding(Self.canary, server).isEmpty)
        #expect(try !server.dump().contains(Self.canary))
        #expect(try server.dump().contains("somebody else"))
        #expect(try server.store.check().isSound)
        let stones = try server.store.pool.read { try ErasureQueries($0).records() }
        #expect(stones == [person, note])
        #expect(try server.store.erase(person, by: "root", time: server.clock.now).isRepeated)
    }

    /// What a revoked device handed over and was refused is in no record, and the audit has what it said.
    @Test func whatWasRefusedOfAHandOverGoesWithThePersonThatItWasAbout() throws {
        let server = try TestServer()
        let anna = try server.replica("anna", role: .sales)
        let bert = try server.replica("bert", role: .sales)
        let (person, _) = try Self.makePerson(anna)
        let (stranger, note) = (bert.newID(), bert.newID())
        let written = "柚子茶-canary"
        var push = bert.push(
            of: bert.request(
                Operations {
                    $0.begin(
                        record: note, time: server.clock.now,
                        creates: Envelope(kind: .note, scope: .customer(person)), salt: 3)
                    $0.edit(CellKey(.body), text: written)
                    // A customer whom nobody but this device ever had.
                    $0.makeCustomer(stranger, name: written, salt: 4)
                    $0.edit(CellKey(.addWay, id: anna.account), text: "1")
                    // Whoever follows a customer need not read what somebody says of it who never saw it.
                    $0.rename(person, written, salt: 5)
                }))
        push.isHandover = true
        let answer = try server.store.commit(group: [push])[0].answer
        #expect(answer.verdicts.map(\.reason) == [.unknownRecord, .forbidden, .unknownRecord])
        let seen = try server.store.audit(AuditQuery(), viewer: anna.account).entries
        #expect(!seen.isEmpty && !seen.contains { "\($0.changes)".contains(written) })
        let kept = try server.store.audit(AuditQuery()).entries.filter { $0.action == .handoverRefuse }
        #expect(kept.count == 3 && kept.allSatisfy { "\($0.changes)".contains(written) && $0.by == "bert" })
        #expect(try !Self.holding(written, server).isEmpty)
        for erased in [person, stranger] {
            try server.store.erase(erased, by: "root", time: server.clock.now)
        }
        #expect(try Self.holding(written, server).isEmpty)
        #expect(try server.store.check().isSound)
    }

    /// A revoked device says of others' records, and of names that nobody has used yet, that they are about its own customer.
    @Test func whatARevokedDeviceNamesIsNotErasedWithItsCustomer() throws {
        let server = try TestServer()
        let eve = try server.replica("eve", role: .sales)
        let anna = try server.replica("anna", role: .sales)
        let (mine, _) = try Self.makePerson(eve)
        let (person, note) = try Self.makePerson(anna)
        let (colleagues, own, tag) = (anna.newID(), eve.newID(), RecordID(derivedFrom: 5))
        let used = RecordID(derivedFrom: 6)
        try anna.push(
            Operations {
                $0.begin(record: used, time: 0, creates: Envelope(kind: .tag, scope: .workspace), salt: 5)
                $0.edit(CellKey(.tagName), text: "肤质")
            })
        let named = [person, note, anna.account, colleagues, own, tag, used]
        var push = eve.push(
            of: eve.request(
                Operations {
                    // Refused, and with it the whole command.
                    $0.rename(RecordID(rawValue: 77), "x")
                    for id in named {
                        $0.begin(
                            record: id, time: 0, creates: Envelope(kind: .note, scope: .customer(mine)), salt: nil,
                            continuesCommand: true)
                        $0.edit(CellKey(.body), text: "柚子茶-canary")
                    }
                }))
        push.isHandover = true
        #expect(try server.store.commit(group: [push])[0].answer.verdicts.count == 1 + named.count)
        #expect(try server.store.erase(mine, by: "root", time: server.clock.now).records == 3)
        #expect(try Self.holding("柚子茶-canary", server).isEmpty)
        let erased = try server.store.withWriter { writer, _ in writer.state.erased }
        #expect(erased.isDisjoint(with: named.filter { $0 != own }) && erased.contains(own))
        let entries = try server.store.audit(AuditQuery()).entries
        for id in [note, used] {
            let hers = entries.filter { $0.record == id.description && $0.by == "anna" }
            #expect(hers.count == 1 && !hers[0].erased)
        }
        #expect(try anna.push(Self.edit(person)).verdicts.isEmpty)
        #expect(try anna.push(Operations { $0.makeCustomer(colleagues, name: "李四") }).verdicts.isEmpty)
        let tagging = Operations {
            $0.begin(record: tag, time: 0, creates: Envelope(kind: .tag, scope: .workspace), salt: 6)
            $0.edit(CellKey(.tagName), text: "复购")
        }
        #expect(try anna.push(tagging).verdicts.isEmpty)
        #expect(try server.store.check().isSound)
    }

    /// Refused with a command that was refused for something else: who sees the record is not told what a stranger said of it.
    @Test func whatAStrangersCommandSaysIsToldToNobodyWhoSeesTheRecord() throws {
        let server = try TestServer()
        let anna = try server.replica("anna", role: .sales)
        let bert = try server.replica("bert", role: .sales)
        let (person, _) = try Self.makePerson(anna)
        let own = bert.newID()
        try bert.push(
            Operations {
                $0.makeCustomer(own, name: "own")
                $0.edit(CellKey(.follow, id: bert.account), .present)
            })
        var push = bert.push(
            of: bert.request(
                Operations {
                    $0.rename(RecordID(rawValue: 77), "x")
                    $0.rename(person, "柚子茶-canary", salt: nil, continues: true)
                    $0.rename(own, "柚子茶-canary", salt: nil, continues: true)
                }))
        push.isHandover = true
        let verdicts = try server.store.commit(group: [push])[0].answer.verdicts
        #expect(verdicts.map(\.reason) == [.unknownRecord, .command, .command])
        let seen = try server.store.audit(AuditQuery(), viewer: anna.account).entries
        #expect(!seen.isEmpty && !seen.contains { "\($0.changes)".contains("柚子茶-canary") })
        let all = try server.store.audit(AuditQuery()).entries.filter { "\($0.changes)".contains("柚子茶-canary") }
        #expect(all.map(\.record) == [own, person].map(\.description))
        #expect("\(all[0].changes)".contains("command") && "\(all[1].changes)".contains("unknown-record"))
    }

    @Test func nobodyErasesWhatIsNoCustomerOrWasNever() throws {
        let server = try TestServer()
        let anna = try server.replica("anna")
        let (_, note) = try Self.makePerson(anna)
        #expect(throws: ErasureProblem.noCustomer(note)) { try server.store.erase(note, by: "root", time: 1) }
        let never = RecordID(rawValue: 77)
        #expect(throws: ErasureProblem.unknown(never)) { try server.store.erase(never, by: "root", time: 1) }
        #expect(throws: ErasureProblem.badName) { try server.store.erase(note, by: "a\nb", time: 1) }
        #expect(try server.dump().contains(Self.canary))
    }

    @Test func whatIsPushedAboutAnErasedPersonIsRefusedAndNothingOfItStays() throws {
        let server = try TestServer()
        let anna = try server.replica("anna")
        let (person, note) = try Self.makePerson(anna)
        try server.store.erase(person, by: "root", time: server.clock.now)
        let another = anna.newID()
        let making = Self.noting(another, of: person)
        let pair = anna.newID()
        let linking = Operations {
            $0.begin(
                record: pair, time: 1_700_000_000_000,
                creates: Envelope(
                    kind: Kind(rawValue: 900),
                    scope: .pair(min(person, RecordID(rawValue: 5)), max(person, RecordID(rawValue: 5)))), salt: 5)
            $0.edit(CellKey(Field(rawValue: 9_000)), text: Self.canary)
        }
        let remaking = Operations { $0.makeCustomer(person, name: Self.canary) }
        for operations in [
            Self.edit(person), Self.edit(note, .body), making, Self.edit(another, .body), linking, remaking,
        ] {
            let answer = try anna.push(operations)
            #expect(answer.verdicts.map(\.reason) == Array(repeating: .deletedRecord, count: answer.verdicts.count))
            #expect(answer.verdicts.count == 1)
        }
        #expect(try Self.holding(Self.canary, server).isEmpty)
        #expect(try server.store.check().isSound)
    }

    /// Nobody says of another's identifiers, or of the server's, that they were those of somebody who was erased.
    @Test func whoNamesIdentifiersThatAreNotTheirOwnTakesNoneOfThemAway() throws {
        let server = try TestServer()
        let eve = try server.replica("eve", role: .sales)
        let anna = try server.replica("anna", role: .sales)
        let (person, _) = try Self.makePerson(eve)
        try server.store.erase(person, by: "root", time: server.clock.now)
        let (colleagues, own) = (anna.newID(), eve.newID())
        for id in [colleagues, own, RecordID(derivedFrom: 5), Setting.tagEditors.id] {
            #expect(try eve.push(Self.noting(id, of: person)).verdicts.count == 1)
        }
        let erased = try server.store.withWriter { writer, _ in writer.state.erased }
        #expect(erased.contains(own) && erased.isDisjoint(with: [colleagues, RecordID(derivedFrom: 5)]))
        #expect(try anna.push(Operations { $0.makeCustomer(colleagues, name: "李四") }).verdicts.isEmpty)
        #expect(try server.dump().contains("李四"))
        try server.accounts.set("tag-editors", to: "supervisors")
        #expect(try server.dump().contains("tag-editors"))
        #expect(try Self.holding(Self.canary, server).isEmpty)
    }

    /// Of a person whom an account never saw it learns nothing, not even that there was one.
    @Test func whoNeverSawAPersonIsAnsweredAsIfThereHadBeenNone() throws {
        let server = try TestServer()
        let anna = try server.replica("anna", role: .sales)
        let stranger = try server.replica("stranger", role: .sales)
        let (person, note) = try Self.makePerson(anna)
        try server.store.erase(person, by: "root", time: server.clock.now)
        let making = Self.noting(stranger.newID(), of: person)
        for operations in [Self.edit(person), Self.edit(note, .body), making] {
            #expect(try stranger.push(operations).verdicts.map(\.reason) == [.unknownRecord])
            #expect(try stranger.push(Self.edit(RecordID(rawValue: 77))).verdicts.map(\.reason) == [.unknownRecord])
        }
        #expect(try anna.push(Self.edit(note, .body)).verdicts.map(\.reason) == [.deletedRecord])
    }

    @Test func thoseWhoSeeOrSawThePersonAreToldAndNobodyElse() throws {
        let server = try TestServer()
        let anna = try server.replica("anna", role: .expert)
        let former = try server.replica("former", role: .expert)
        let boss = try server.replica("boss", role: .supervisor)
        let stranger = try server.replica("stranger", role: .expert)
        let (person, _) = try Self.makePerson(anna)
        try anna.push(
            Operations {
                $0.begin(record: person, time: 1_700_000_000_001, salt: 7)
                $0.edit(CellKey(.follow, id: former.account), .present)
            })
        let added = Dot(anna.replica, anna.position)
        for replica in [anna, former, boss, stranger] { try replica.sync() }
        try boss.push(
            Operations {
                $0.begin(record: person, time: 1_700_000_000_002, salt: 8)
                $0.edit(CellKey(.follow, id: former.account), .absent, supersedes: [added])
            })
        for replica in [anna, former, boss, stranger] { try replica.sync() }
        try server.store.pool.write { try VisibilityQueries($0).forgetLeft(upTo: .max) }
        try server.store.erase(person, by: "root", time: server.clock.now)
        func told(_ replica: TestReplica, from cursor: String) throws -> [RecordID] {
            try server.store.page(
                cursor: cursor, own: .nothing, account: replica.account, budget: Limits.page
            ).erased.map(\.person)
        }
        for replica in [anna, former, boss] {
            #expect(try told(replica, from: replica.cursor) == [person])
            #expect(try told(replica, from: "") == [person])
        }
        #expect(try told(stranger, from: stranger.cursor).isEmpty)
        #expect(try told(stranger, from: "").isEmpty)
        // Once told, no more.
        try anna.pullAll()
        #expect(try told(anna, from: anna.cursor).isEmpty)
    }

    @Test func aRelayBringsNothingBack() throws {
        let server = try TestServer()
        let anna = try server.replica("anna")
        let (person, note) = try Self.makePerson(anna)
        try anna.sync()
        var page = RecordPage()
        for id in [person, note].sorted() {
            guard let record = anna.rows[id] else { continue }
            page.begin(id, record.envelope)
            for entry in record.entries {
                // Of a log that the server has lost: what it knows of a log would keep the entries out anyway.
                var lost = entry
                lost.dot = Dot(Self.lostLog, entry.dot.number)
                page.append(lost, from: record.arena)
            }
        }
        #expect(page.heads.count == 2)
        try server.store.erase(person, by: "root", time: server.clock.now)
        _ = try server.store.beginRecovery()
        let request = RelayRequest(
            epoch: server.store.epoch, vector: VersionVector([Self.lostLog: 9]), page: page)
        // Acknowledged, so that its replica drops it.
        #expect(try server.store.relay(request, account: anna.account, time: server.clock.now).taken == 2)
        #expect(try Self.holding(Self.canary, server).isEmpty)
    }

    @Test func aRestoredBackupIsErasedAgainBeforeItIsServed() throws {
        let server = try TestServer()
        let anna = try server.replica("anna")
        let (person, _) = try Self.makePerson(anna)
        let backup = server.directory + "/before.db"
        try server.store.backup(to: backup)
        try server.store.close()
        let store = try Self.reopened(server)
        try store.erase(person, by: "root", time: server.clock.now)
        try store.close()
        for suffix in ["", "-wal", "-shm"] { unlink(server.store.path + suffix) }
        try ServerStore.restore(backup, to: server.store.path)
        unlink(backup)
        #expect(try Self.holding(Self.canary, server) == ["shoald.db"])
        let restored = try Self.reopened(server)
        #expect(try Self.holding(Self.canary, server).isEmpty)
        #expect(try restored.check().isSound)
        #expect(
            try restored.page(cursor: "", own: .nothing, account: anna.account, budget: Limits.page).erased.map(
                \.person)
                == [person])
        try restored.close()
    }

    @Test func whatALedgerLacksItGetsFromTheDatabase() throws {
        let server = try TestServer()
        let anna = try server.replica("anna")
        let (person, note) = try Self.makePerson(anna)
        try server.store.erase(person, by: "root", time: server.clock.now)
        try server.store.close()
        #expect(try Self.ledger(server).entries().isEmpty)
        try Self.reopened(server).close()
        #expect(Set(try Self.ledger(server).entries().map(\.record)) == [person, note])
        let status = try FileManager.default.attributesOfItem(atPath: Self.ledger(server).path)
        #expect((status[.posixPermissions] as? Int).map { $0 & 0o077 } == 0)
    }

    @Test func aServerSetBackWithoutItsLedgerBelievesReplicasOnlyWithItsOwnWord() throws {
        let server = try TestServer()
        let anna = try server.replica("anna")
        let (person, _) = try Self.makePerson(anna)
        func request(_ proof: String) throws -> SyncRequest {
            var request = anna.request(Operations())
            request.erased = [Erasure(person: person, proof: proof)]
            return try SyncRequest(decoding: try request.encoded())
        }
        let proof = server.store.seal.proof(ofErasing: person)
        let foreign = Seal(key: Array(repeating: 7, count: 32), epoch: 0).proof(ofErasing: person)
        for wrong in [foreign, "", server.store.seal.proof(ofErasing: RecordID(rawValue: 99)), anna.cursor] {
            _ = try server.store.commit(group: [anna.push(of: try request(wrong))])
            #expect(try server.dump().contains(Self.canary))
        }
        _ = try server.store.commit(group: [anna.push(of: try request(proof))])
        #expect(try !server.dump().contains(Self.canary))
        #expect(try Self.holding(Self.canary, server).isEmpty)
    }

    @Test func aLedgerThatCannotBeReadIsNotPassedOver() throws {
        let server = try TestServer()
        let ledger = Self.ledger(server)
        let entry = ErasureLedger.Entry(
            record: RecordID(rawValue: 5), person: RecordID(rawValue: 5), time: 9, by: "some body")
        try ledger.append([entry])
        try ledger.append([entry])
        #expect(try ledger.entries() == [entry, entry])
        var bytes = try Data(contentsOf: URL(fileURLWithPath: ledger.path))
        // A line that was not finished is none, and the next one takes its place.
        try (bytes + Data("0123".utf8)).write(to: URL(fileURLWithPath: ledger.path))
        #expect(try ledger.entries() == [entry, entry])
        try ledger.append([entry])
        #expect(try ledger.entries() == [entry, entry, entry])
        bytes[20] ^= 1
        try bytes.write(to: URL(fileURLWithPath: ledger.path))
        #expect(throws: StoreError.self) { try ledger.entries() }
        try server.store.close()
        #expect(throws: StoreError.self) { try Self.reopened(server) }
    }
}
