import Foundation
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer
@testable import ShoalStore

/// Whom the server does not let in any more, it does not let in when its database is replaced by a backup.
final class RevocationTests {
    private let server: TestServer
    private let directory: String
    private var store: ServerStore
    private var accounts: Accounts

    private var ledger: RevocationLedger { RevocationLedger(path: directory + "/revocations") }

    init() throws {
        server = try TestServer()
        directory = server.directory + "/brand"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        store = try ServerStore(
            path: directory + "/shoald.db", environment: server.environment,
            revocations: RevocationLedger(path: directory + "/revocations"))
        accounts = Accounts(store: store, environment: server.environment)
    }

    deinit { try? store.close() }

    private func open() throws {
        store = try ServerStore(
            path: directory + "/shoald.db", environment: server.environment, revocations: ledger)
        accounts = Accounts(store: store, environment: server.environment)
    }

    private func putBack(_ backup: String) throws {
        try store.close()
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: store.path + suffix) }
        try ServerStore.restore(backup, to: store.path)
        try open()
    }

    private func enroll(_ code: String) throws -> (replica: ReplicaID, key: String) {
        let key = Base64URL.encode(server.random.bytes(32))
        return (try accounts.enroll(EnrollRequest(code: code, key: key)).replica, key)
    }

    private func standing(_ key: String) throws -> Credential.Standing? { try accounts.credential(key: key)?.standing }

    /// Three accounts with a device each and an open code each, then a backup.
    private func backup() throws -> (devices: [(replica: ReplicaID, key: String)], codes: [String], file: String) {
        let names = ["小美", "阿强", "大伟"]
        let devices = try names.map { try enroll(try accounts.add(name: $0, role: .sales).code) }
        let codes = try names.map { try accounts.newCode(name: $0).code }
        let file = server.directory + "/backup.db"
        try store.backup(to: file)
        return (devices, codes, file)
    }

    @Test func whoeverWasRevokedSinceTheBackupStaysOut() throws {
        let (devices, codes, file) = try backup()
        try accounts.revoke(device: devices[0].replica.text, discards: true)
        try accounts.setDisabled(true, name: "阿强")
        let later = try enroll(codes[2])
        _ = try accounts.cancelCodes(name: "小美")
        try putBack(file)
        #expect(try standing(devices[0].key) == .revoked)
        #expect(try accounts.credential(key: devices[0].key)?.isDiscarded == true)
        #expect(try standing(devices[1].key) == .revoked)
        #expect(try standing(devices[2].key) == .active)
        #expect(try standing(later.key) == nil)
        for code in codes { #expect(throws: AccountProblem.wrongCode) { try enroll(code) } }
        // The accounts are as they were, and whoever runs the server can let somebody in.
        #expect(try standing(try enroll(try accounts.newCode(name: "阿强").code).key) == .active)
        #expect(try DatabaseCheck.run(path: store.path).isSound)
    }

    /// Devices are enrolled and revoked at once: no line of the ledger is lost or torn.
    @Test func theLedgerHasWhatHappensAtOnce() throws {
        let server = try TestServer(isInMemory: true)
        let ledger = RevocationLedger(path: server.directory + "/revocations")
        let store = try ServerStore(
            path: server.directory + "/other.db", environment: server.environment, revocations: ledger)
        let accounts = Accounts(store: store, environment: server.environment)
        _ = try accounts.add(name: "小美", role: .sales)
        let codes = try (0..<400).map { _ in try accounts.newCode(name: "小美").code }
        @Sendable func enroll(_ code: String) throws -> ReplicaID {
            try accounts.enroll(EnrollRequest(code: code, key: Base64URL.encode(server.random.bytes(32)))).replica
        }
        let devices = try codes[..<100].map(enroll)
        DispatchQueue.concurrentPerform(iterations: 300) { index in
            if index % 3 == 0 {
                #expect(throws: Never.self) { try accounts.revoke(device: devices[index / 3].text, discards: false) }
            } else {
                #expect(throws: Never.self) { _ = try enroll(codes[100 + index]) }
            }
        }
        #expect(try ledger.problems().isEmpty)
        let entries = try ledger.entries()
        #expect(entries.count { if case .device = $0 { true } else { false } } == 100)
        #expect(entries.count == 400)
        try store.close()
    }

    /// The ledger is what does it.
    @Test func withoutTheFileABackupIsAsItWas() throws {
        let (devices, codes, file) = try backup()
        try accounts.revoke(device: devices[0].replica.text, discards: false)
        _ = try enroll(codes[2])
        try FileManager.default.removeItem(atPath: ledger.path)
        try putBack(file)
        #expect(try standing(devices[0].key) == .active)
        _ = try enroll(codes[2])
    }

    @Test func aDeviceThatHandedOverDoesSoAgainAfterwards() throws {
        let (devices, _, file) = try backup()
        try accounts.revoke(device: devices[0].replica.text, discards: false)
        try putBack(file)
        #expect(try accounts.credential(key: devices[0].key)?.isDiscarded == false)
        #expect(try accounts.devices(of: "小美").map(\.state) == [.revoked])
    }

    /// A database that is older than the ledger, or was interrupted between the two.
    @Test func whatTheLedgerLacksItGetsFromTheDatabase() throws {
        let (devices, codes, file) = try backup()
        try accounts.revoke(device: devices[0].replica.text, discards: false)
        _ = try enroll(codes[2])
        try store.close()
        try FileManager.default.removeItem(atPath: ledger.path)
        try open()
        let status = try FileManager.default.attributesOfItem(atPath: ledger.path)
        #expect((status[.posixPermissions] as? Int).map { $0 & 0o077 } == 0)
        let once = try Data(contentsOf: URL(fileURLWithPath: ledger.path))
        try store.close()
        try open()
        #expect(try Data(contentsOf: URL(fileURLWithPath: ledger.path)) == once)
        try putBack(file)
        #expect(try standing(devices[0].key) == .revoked)
        #expect(throws: AccountProblem.wrongCode) { try enroll(codes[2]) }
    }

    @Test func aLineThatCannotBeReadIsNotPassedOver() throws {
        let (devices, _, _) = try backup()
        try accounts.revoke(device: devices[0].replica.text, discards: false)
        let whole = try Data(contentsOf: URL(fileURLWithPath: ledger.path))
        #expect(try ledger.problems().isEmpty && !ledger.isMissing)
        // A line that was not finished is none.
        try (whole + Data("0123".utf8)).write(to: URL(fileURLWithPath: ledger.path))
        #expect(try ledger.entries().contains(.device(devices[0].replica, isDiscarded: false)))
        var damaged = whole
        damaged[25] ^= 1
        try damaged.write(to: URL(fileURLWithPath: ledger.path))
        #expect(try ledger.problems().count == 1)
        try store.close()
        #expect(throws: StoreError.self) { try open() }
        try whole.write(to: URL(fileURLWithPath: ledger.path))
        try open()
    }
}
