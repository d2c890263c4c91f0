import Foundation
import Logging
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// Accounts, devices and settings after they are there.
struct DeviceTests {
    let server: TestServer
    init() throws { server = try TestServer() }

    private func key() -> String { Base64URL.encode(server.random.bytes(32)) }

    private func standing(_ replica: TestReplica) throws -> Credential.Standing? {
        try server.accounts.credential(key: replica.key)?.standing
    }

    // MARK: Devices

    @Test func aDeviceHasTheNameThatItBroughtUntilSomebodyGivesItAnother() throws {
        let code = try server.accounts.add(name: "小美", role: .sales).code
        let answer = try server.accounts.enroll(EnrollRequest(code: code, key: key(), device: "laptop"))
        #expect(try server.accounts.devices(of: "小美").map(\.name) == ["laptop"])
        try server.accounts.rename(device: answer.replica.text, to: "她的平板")
        #expect(try server.accounts.devices(of: "小美").map(\.name) == ["她的平板"])
        #expect(throws: AccountProblem.badDeviceName) {
            try server.accounts.rename(device: answer.replica.text, to: "a\u{202E}b")
        }
        #expect(throws: AccountProblem.unknownDevice("00000000")) {
            try server.accounts.rename(device: "00000000", to: "x")
        }
        let other = try server.accounts.newCode(name: "小美").code
        #expect(throws: AccountProblem.badDeviceName) {
            try server.accounts.enroll(EnrollRequest(code: other, key: key(), device: "a\nb"))
        }
    }

    @Test func aForkGivesADeviceAnotherReplicaByWhichItCanBeRevoked() throws {
        let replica = try server.replica("小美")
        try replica.push(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        // A copy that did not see its original write.
        var request = replica.request(Operations())
        request.logs = [LogPosition(replica: replica.replica, position: 0, hash: .start, end: 0)]
        request.acknowledgement = ""
        let session = ServerSession(
            request, account: replica.account, device: replica.replica, time: server.clock.now)
        guard case .commit(let push) = session.start() else { throw SyncProblem.malformed("no commit") }
        guard case .fork(let fork) = try server.store.commit(group: [push])[0].answer, let another = fork.replica
        else { throw SyncProblem.malformed("no fork") }
        let devices = try server.accounts.devices(of: "小美")
        #expect(devices.map(\.replicas) == [[replica.replica.text, another.text]])
        try server.accounts.revoke(device: another.text, discards: false)
        #expect(try standing(replica) == .revoked)
        #expect(try server.accounts.devices(of: "小美").map(\.state) == [.revoked])
    }

    @Test func revokingOneDeviceLeavesTheOthers() throws {
        let first = try server.replica("小美")
        let second = try server.replica(code: try server.accounts.newCode(name: "小美").code)
        try server.accounts.revoke(device: first.replica.text, discards: false)
        #expect(try standing(first) == .revoked)
        #expect(try standing(second) == .active)
    }

    // MARK: Accounts

    @Test func aDisabledAccountsDevicesStayRevokedWhenItIsEnabled() throws {
        let replica = try server.replica("小美")
        let open = try server.accounts.newCode(name: "小美").code
        try server.accounts.setDisabled(true, name: "小美")
        #expect(try standing(replica) == .disabled)
        #expect(throws: AccountProblem.wrongCode) {
            try server.accounts.enroll(EnrollRequest(code: open, key: key()))
        }
        #expect(throws: AccountProblem.disabled) { try server.accounts.newCode(name: "小美") }
        #expect(try server.accounts.list().map { $0.disabled != nil } == [true])

        try server.accounts.setDisabled(false, name: "小美")
        #expect(try standing(replica) == .revoked)
        let again = try server.replica(code: try server.accounts.newCode(name: "小美").code)
        #expect(try standing(again) == .active)
        #expect(again.account == replica.account)
    }

    @Test func aUsedCodeDoesNotBringARevokedDeviceBack() throws {
        let code = try server.accounts.add(name: "小美", role: .sales).code
        let request = EnrollRequest(code: code, key: key())
        let answer = try server.accounts.enroll(request)
        #expect(try server.accounts.enroll(request) == answer)
        try server.accounts.revoke(device: answer.replica.text, discards: false)
        #expect(throws: AccountProblem.usedCode) { try server.accounts.enroll(request) }
    }

    @Test func aRoleReachesTheReplicasByTheRecordAndEnrolmentsByTheTable() throws {
        let replica = try server.replica("小美", role: .sales)
        try replica.sync()
        try server.accounts.setRole(.supervisor, name: "小美")
        try replica.sync()
        let record = try #require(replica.rows[replica.account])
        let cell = record.range(of: CellKey(.accountRole))
        #expect(cell.count == 1, "the old role is superseded")
        #expect(record.shown(in: cell).map { record.text($0.slice) } == "supervisor")
        let code = try server.accounts.newCode(name: "小美").code
        #expect(try server.accounts.enroll(EnrollRequest(code: code, key: key())).role == .supervisor)
        #expect(try server.accounts.list().map(\.role) == ["supervisor"])
    }

    // MARK: Codes

    @Test func openCodesAreListedAndCanBeTakenBack() throws {
        let first = try server.accounts.add(name: "小美", role: .sales).code
        let second = try server.accounts.newCode(name: "小美").code
        let used = EnrollRequest(code: first, key: key())
        let answer = try server.accounts.enroll(used)
        #expect(try server.accounts.list().map(\.codes.count) == [1])
        #expect(try server.accounts.cancelCodes(name: "小美") == 1)
        #expect(throws: AccountProblem.wrongCode) {
            try server.accounts.enroll(EnrollRequest(code: second, key: key()))
        }
        // The one whose answer may have been lost is still answered.
        #expect(try server.accounts.enroll(used) == answer)
        _ = try server.accounts.newCode(name: "小美")
        server.clock.advance(EnrolmentCode.lifetime)
        #expect(try server.accounts.list().map(\.codes.count) == [0])
    }

    // MARK: Settings

    @Test func whoMayEditTagsIsASettingThatSurvivesARestart() throws {
        let replicas = try Role.allCases.map { role in
            try server.replica(code: server.accounts.add(name: role.rawValue, role: role).code)
        }
        func editors() throws -> [Bool] {
            try server.store.withWriter { writer, _ in replicas.map { writer.state.mayEditTags($0.account) } }
        }
        // expert, sales, supervisor
        #expect(try editors() == [true, true, true])
        try server.accounts.set("tag-editors", to: "experts")
        #expect(try editors() == [true, false, true])
        try server.accounts.set("tag-editors", to: "supervisors")
        #expect(try editors() == [false, false, true])
        try server.accounts.setRole(.supervisor, name: "sales")
        #expect(try editors() == [false, true, true])
        #expect(try server.accounts.settings().map(\.value) == ["supervisors"])
        #expect(throws: AccountProblem.badSetting(.tagEditors)) {
            try server.accounts.set("tag-editors", to: "nobody")
        }
        #expect(throws: AccountProblem.unknownSetting("x")) { try server.accounts.set("x", to: "y") }

        try server.store.close()
        let again = try ServerStore(path: server.store.path, environment: server.environment)
        defer { try? again.close() }
        let kept = try again.withWriter { writer, _ in replicas.map { writer.state.mayEditTags($0.account) } }
        #expect(kept == [false, true, true])
    }

    // MARK: Handing over

    /// It would go on writing as if it were not revoked.
    @Test func aRevokedDeviceThatIsNeverDoneIsClosed() throws {
        let replica = try server.replica("小美")
        try replica.sync(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        try server.accounts.revoke(device: replica.replica.text, discards: false)
        let handler = SyncHandler(
            store: server.store, committer: Committer(store: server.store, metrics: Metrics()) { _ in },
            metrics: Metrics(), environment: server.environment,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        /// Hands over one more operation of a log that is said to end later.
        func hand(_ name: String, end: UInt32) throws {
            let credential = try #require(try server.accounts.credential(key: replica.key))
            let operations = Operations { $0.makeCustomer(replica.newID(), name: name) }
            let body = try replica.request(operations, end: end).encoded()
            replica.note(try SyncResponse(decoding: handler.handOverAlone(body, by: credential)).push, operations)
        }
        // A home that is locked writes nothing more: it names one end.
        for number in 1...40 { try hand("李\(number)", end: 1_000) }
        for number in 2...Limits.handoversBegun { try hand("王\(number)", end: 1_000 + UInt32(number)) }
        #expect(throws: AccountProblem.handoverClosed) { try hand("赵", end: 2_000) }
        try hand("周", end: 1_000)
        try server.pass(days: 29)
        try hand("吴", end: 1_000)
        try server.pass(days: 2)
        #expect(throws: AccountProblem.handoverClosed) { try hand("郑", end: 1_000) }
        let dump = try server.dump()
        #expect(dump.contains("周") && dump.contains("吴") && !dump.contains("赵") && !dump.contains("郑"))
    }

    @Test func aRevokedDeviceHandsOverToTheEndAndNoFurther() async throws {
        let replica = try server.replica("小美")
        try replica.sync(Operations { $0.makeCustomer(replica.newID(), name: "张三") })
        let unsent = Operations {
            $0.makeCustomer(replica.newID(), name: "李四")
            $0.makeCustomer(replica.newID(), name: "王五")
        }
        func part(_ count: Int) throws -> [UInt8] {
            var operations = Operations()
            for index in 0..<count { operations.append(index, of: unsent) }
            return try replica.request(operations, end: replica.position + 2).encoded()
        }
        // Copies of the home went on: each has one more that is not here yet.
        var more = unsent
        let copies = try (1...Limits.handovers).map { number in
            more.makeCustomer(replica.newID(), name: "赵\(number)")
            return try replica.request(more).encoded()
        }
        let (first, whole) = (try part(1), try replica.request(unsent).encoded())
        try await Served.run(server) { served in
            func hand(_ body: [UInt8]) async throws -> Served.Reply {
                try await served.send("POST", "/v1/handover", body, key: replica.key)
            }
            #expect(try await hand(whole).problem == "not-revoked")
            try server.accounts.revoke(device: replica.replica.text, discards: false)
            #expect(try await served.send("POST", "/v1/sync", whole, key: replica.key).problem == "revoked")
            // In parts, and each part again because its answer was lost.
            for body in [first, first, whole, whole] {
                let reply = try await hand(body)
                #expect(reply.status == 200)
                #expect(try SyncResponse(decoding: reply.body).page.isEmpty)
            }
            for copy in copies.dropLast() {
                for _ in 0..<2 { #expect(try await hand(copy).status == 200) }
            }
            #expect(try await hand(copies[Limits.handovers - 1]).problem == "handover-closed")
            // What it has already is still answered.
            #expect(try await hand(copies[Limits.handovers - 2]).status == 200)
        }
        let dump = try server.dump()
        #expect(dump.contains("李四") && dump.contains("王五"))
        #expect((1...Limits.handovers).map { dump.contains("赵\($0)") }.filter { $0 }.count == Limits.handovers - 1)
        #expect(try server.accounts.devices(of: "小美").map(\.state) == [.handedOver])
    }

    @Test func fromADiscardedDeviceNothingIsTaken() async throws {
        let replica = try server.replica("小美")
        let body = try replica.request(Operations { $0.makeCustomer(replica.newID(), name: "李四") }).encoded()
        try server.accounts.revoke(device: replica.replica.text, discards: true)
        try await Served.run(server) { served in
            let reply = try await served.send("POST", "/v1/handover", body, key: replica.key)
            #expect(reply.problem == "handover-closed")
        }
        #expect(try !server.dump().contains("李四"))
        #expect(try server.accounts.devices(of: "小美").map(\.state) == [.discarded])
    }
}
