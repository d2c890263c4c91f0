import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

struct AccountTests {
    let server: TestServer
    init() throws { server = try TestServer() }

    private func key() -> String { Base64URL.encode(server.random.bytes(32)) }

    @Test func aCodeEnrollsOnceAndTheSameKeyGetsTheSameAnswer() throws {
        let code = try server.accounts.add(name: "小美", role: .expert).code
        let request = EnrollRequest(code: code, key: key())
        let first = try server.accounts.enroll(request)
        #expect(first.name == "小美" && first.role == .expert)
        #expect(try server.accounts.enroll(request) == first)
        #expect(throws: AccountProblem.usedCode) {
            try server.accounts.enroll(EnrollRequest(code: code, key: key()))
        }
        #expect(try server.accounts.list().map(\.replicas) == [1])
    }

    @Test func aCodeExpiresAfterADayAlsoForTheKeyThatUsedIt() throws {
        let used = EnrollRequest(code: try server.accounts.add(name: "小美", role: .expert).code, key: key())
        let unused = EnrollRequest(code: try server.accounts.newCode(name: "小美").code, key: key())
        _ = try server.accounts.enroll(used)
        server.clock.advance(EnrolmentCode.lifetime - 1)
        _ = try server.accounts.enroll(used)
        server.clock.advance(1)
        for request in [used, unused] {
            #expect(throws: AccountProblem.expiredCode) { try server.accounts.enroll(request) }
        }
    }

    @Test func aCodeIsTakenAsItWasMeant() throws {
        let code = try server.accounts.add(name: "小美", role: .expert).code
        #expect(code.utf8.count == 14)
        let typed = code.lowercased().replacing("-", with: " ").replacing("0", with: "o").replacing("1", with: "l")
        _ = try server.accounts.enroll(EnrollRequest(code: typed, key: key()))
    }

    @Test(arguments: ["", "XXXX", "0000-0000-0000", "0000-0000-000U", "0000-0000-00000", "小美"])
    func aWrongCodeIsRefused(code: String) throws {
        _ = try server.accounts.add(name: "小美", role: .expert)
        #expect(throws: AccountProblem.wrongCode) { try server.accounts.enroll(EnrollRequest(code: code, key: key())) }
    }

    @Test(arguments: ["", "short", String(repeating: "A", count: 44), String(repeating: "*", count: 43)])
    func aKeyThatIsNot32BytesIsRefused(key: String) throws {
        let code = try server.accounts.add(name: "小美", role: .expert).code
        #expect(throws: AccountProblem.badKey) { try server.accounts.enroll(EnrollRequest(code: code, key: key)) }
    }

    @Test func twoReplicasNeverShareAKey() throws {
        let key = key()
        _ = try server.accounts.enroll(
            EnrollRequest(code: try server.accounts.add(name: "a", role: .sales).code, key: key))
        let other = try server.accounts.add(name: "b", role: .sales).code
        #expect(throws: AccountProblem.keyTaken) { try server.accounts.enroll(EnrollRequest(code: other, key: key)) }
        // Nothing of the refused one remains: the code is still good.
        _ = try server.accounts.enroll(EnrollRequest(code: other, key: self.key()))
    }

    @Test func aNameIsTakenOnceAndHasAForm() throws {
        _ = try server.accounts.add(name: "小美", role: .expert)
        #expect(throws: AccountProblem.nameTaken("小美")) { try server.accounts.add(name: "小美", role: .sales) }
        for name in [
            "", " a", "a\n", "a\u{7}b", "a\u{202E}b", "a\u{E0041}", "a\u{200B}b", String(repeating: "美", count: 22),
        ] {
            #expect(throws: AccountProblem.badName) { try server.accounts.add(name: name, role: .sales) }
        }
        _ = try server.accounts.add(name: "Bo Li", role: .sales)
        for name in ["bo li", "BOLI", "ｂｏ　ｌｉ"] {
            #expect(throws: AccountProblem.nameTaken("Bo Li")) { try server.accounts.add(name: name, role: .sales) }
        }
        let other = try server.accounts.add(name: "b", role: .sales).account
        #expect(throws: AccountProblem.badName) {
            try server.accounts.add(name: other.description, role: .supervisor)
        }
        #expect(throws: AccountProblem.unknownAccount("nobody")) { try server.accounts.newCode(name: "nobody") }
    }

    @Test func accountsReachReplicasAsRecords() throws {
        let replica = try server.replica("小美")
        try replica.pullAll()
        let record = try #require(replica.rows[replica.account])
        #expect(record.envelope == Envelope(kind: .account, scope: .workspace))
        #expect(replica.dump().contains("小美") && replica.dump().contains("supervisor"))
    }

    @Test func aKeyNamesItsReplicaAndNothingElseDoes() throws {
        let replica = try server.replica("小美")
        #expect(
            try server.accounts.credential(key: replica.key)
                == Credential(account: replica.account, replica: replica.replica))
        #expect(try server.accounts.credential(key: key()) == nil)
        #expect(try server.accounts.credential(key: "") == nil)
    }
}
