import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalClient

/// A home whose account was disabled or whose device was revoked.
@Suite struct LockoutTests {
    static let canary = "柠檬糖-canary"

    static func problem(_ name: String, _ status: Int = 403) -> ScriptedTransport.Step {
        .status(status, body: #"{"type":"urn:shoal:problem:\#(name)","title":"T","status":\#(status),"detail":"D"}"#)
    }

    /// A home with a record, a note, an indexed text and something unsent.
    private func prepared() async throws -> DriverTests.Enrolled {
        let one = try await DriverTests.enrolled()
        let id = try one.replica.addCustomer(name: Self.canary)
        _ = try one.replica.addNote(to: id, "note \(Self.canary)")
        try await one.sync()
        try one.replica.drainTextIndex()
        // Commands by the hundred leave more in the write-ahead log than emptying writes over it.
        for number in 0..<200 { try one.replica.setFields(of: id, [FieldValue("phone", "\(number) \(Self.canary)")]) }
        try await one.sync()
        _ = try one.replica.addCustomer(name: "unsent \(Self.canary)")
        return one
    }

    private func expectLocked(
        _ reason: Lockout.Reason, _ stage: Lockout.Stage, _ body: () async throws -> Void,
        location: SourceLocation = #_sourceLocation
    ) async {
        do {
            try await body()
            Issue.record("it is not locked", sourceLocation: location)
        } catch ReplicaError.locked(_, let lockout) {
            #expect(lockout.reason == reason && lockout.stage == stage, sourceLocation: location)
            #expect(lockout.account == "Anna" && lockout.time > 0, sourceLocation: location)
        } catch { Issue.record("\(error)", sourceLocation: location) }
    }

    /// All bytes of all files of a home.
    static func holds(_ text: String, _ home: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: home).filter { name in
            try Data(contentsOf: URL(fileURLWithPath: "\(home)/\(name)")).range(of: Data(text.utf8)) != nil
        }
    }

    /// Nor is it written as plain text, or under a passphrase that whoever locked it does not know.
    @Test func aLockedHomeIsNeitherEncryptedNorDecrypted() async throws {
        let one = try await prepared()
        let gone = ScriptedTransport.Step.fail(.unreachable("gone"))
        one.transport.script([Self.problem("disabled")] + Array(repeating: gone, count: 4))
        try? await one.sync()
        try one.replica.close()
        let encryption = HomeEncryption(home: one.home.path, environment: one.world.environment)
        var secret = HomeSecret.passphrase("a long passphrase")
        secret.scrypt = { KeyFile.Scrypt(salt: $0, rounds: 16, blockSize: 1, parallelism: 1) }
        await expectLocked(.disabled, .handingOver) { try encryption.encrypt(secret) }
        #expect(try encryption.lock() == nil)
    }

    @Test func aLockedHomeKeepsItsPassphrase() async throws {
        let one = try await prepared()
        try one.replica.close()
        var environment = one.world.environment
        environment.secret = { _, _ in Array("a long passphrase".utf8) }
        var secret = HomeSecret.passphrase("a long passphrase")
        secret.scrypt = { KeyFile.Scrypt(salt: $0, rounds: 16, blockSize: 1, parallelism: 1) }
        let (encryption, first) = (HomeEncryption(home: one.home.path, environment: environment), secret)
        try encryption.encrypt(first)
        let gone = ScriptedTransport.Step.fail(.unreachable("gone"))
        one.transport.script([Self.problem("disabled")] + Array(repeating: gone, count: 4))
        let replica = try Replica(home: one.home.path, environment: environment)
        _ = try? await SyncDriver(replica: replica, transport: one.transport).sync()
        try replica.close()
        let key = try environment.homes.keyFile(one.home.path)
        await expectLocked(.disabled, .handingOver) { try encryption.change { first } }
        #expect(try environment.homes.keyFile(one.home.path) == key)
    }

    /// What editors left goes with the customer that it is about, and all of it with the home.
    @Test func draftsGoWithTheirCustomerOrTheirHome() throws {
        let (home, memory) = (TemporaryHome(), TemporaryHome())
        for directory in [home.path, memory.path] {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        }
        let homes = HomeDirectory(drafts: [memory.path, "/nowhere"])
        let (a, b) = (RecordID(rawValue: 1 << 40), RecordID(rawValue: 2 << 40))
        let foreign = HomeDirectory.draftName(memory.path, of: a) + "x.txt"
        func write() throws {
            for directory in [home.path, memory.path] {
                for customer in [a, b] {
                    let name = HomeDirectory.draftName(home.path, of: customer) + "x.txt"
                    try Data("x".utf8).write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
                }
            }
            try Data("x".utf8).write(to: URL(fileURLWithPath: "\(memory.path)/\(foreign)"))
        }
        func left(_ directory: String) throws -> Set<String> {
            Set(try FileManager.default.contentsOfDirectory(atPath: directory))
        }
        try write()
        try homes.removeCopies(home.path, of: [a])
        let other = HomeDirectory.draftName(home.path, of: b) + "x.txt"
        #expect(try left(home.path) == [other] && left(memory.path) == [other, foreign])
        try write()
        try homes.removeCopies(home.path, of: nil)
        #expect(try left(home.path) == [] && left(memory.path) == [foreign])
    }

    @Test(arguments: [Lockout.Reason.disabled, .revoked])
    func itHandsOverWhatWasNotSentAndIsEmptied(_ reason: Lockout.Reason) async throws {
        let one = try await prepared()
        try Data(Self.canary.utf8).write(to: URL(fileURLWithPath: one.home.path + "/replica.db.damaged-1"))
        #expect(try !Self.holds(Self.canary, one.home.path).isEmpty)
        one.transport.script([Self.problem(reason.rawValue)])
        await expectLocked(reason, .wiped) { try await one.sync() }
        #expect(one.transport.dump.contains { $0.contains("unsent \(Self.canary)") })
        #expect(one.transport.requests.suffix(2).map(\.url) == ["http://host:1/v1/sync", "http://host:1/v1/handover"])
        #expect(try Self.holds(Self.canary, one.home.path).isEmpty)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: one.home.path).allSatisfy { !$0.contains("damaged") })
        // Everything, also in this process, and for good.
        await expectLocked(reason, .wiped) { _ = try one.replica.customers() }
        await expectLocked(reason, .wiped) { _ = try one.replica.addCustomer(name: "x") }
        await expectLocked(reason, .wiped) { _ = try one.replica.status() }
        try one.replica.close()
        await expectLocked(reason, .wiped) {
            _ = try Replica(home: one.home.path, environment: one.world.environment, mayHandOver: true)
        }
        #expect(try Self.holds(Self.canary, one.home.path).isEmpty)
    }

    @Test func noTableKeepsARow() async throws {
        let one = try await prepared()
        one.transport.script([Self.problem("revoked")])
        await expectLocked(.revoked, .wiped) { try await one.sync() }
        try one.replica.connection.access { store in
            let tables = try String.fetchAll(
                store.database,
                sql: "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'text_index%'")
            #expect(tables.contains("record") && tables.contains("log") && tables.contains("identity"))
            for table in tables where !["grdb_migrations", "locked", "sqlite_sequence"].contains(table) {
                let count = try Int.fetchOne(store.database, sql: "SELECT count(*) FROM \(table)")
                #expect(count == 0, "\(table)")
            }
            let segments = try Int.fetchOne(
                store.database, sql: "SELECT count(*) FROM text_index_idx")
            #expect(segments == 0)
        }
    }

    @Test func whatCannotBeHandedOverStaysLockedUntilItWas() async throws {
        let one = try await prepared()
        let gone = ScriptedTransport.Step.fail(.unreachable("gone"))
        one.transport.script([Self.problem("disabled")] + Array(repeating: gone, count: 4))
        await expectLocked(.disabled, .handingOver) { try await one.sync() }
        await expectLocked(.disabled, .handingOver) { _ = try one.replica.customers() }
        await expectLocked(.disabled, .handingOver) { _ = try one.replica.addCustomer(name: "x") }
        #expect(try one.replica.pending() == 1)
        try one.replica.close()
        await expectLocked(.disabled, .handingOver) {
            _ = try Replica(home: one.home.path, environment: one.world.environment)
        }
        // The next contact, in another process; an answer is lost on the way.
        let again = try Replica(home: one.home.path, environment: one.world.environment, mayHandOver: true)
        one.transport.script([.loseAnswer])
        await expectLocked(.disabled, .wiped) {
            _ = try await SyncDriver(replica: again, transport: one.transport).sync()
        }
        #expect(one.transport.dump.count { $0.contains("unsent \(Self.canary)") } == 1)
        #expect(try Self.holds(Self.canary, one.home.path).isEmpty)
    }

    @Test func aLongTailIsHandedOverInPartsAndWholeBeforeAnythingGoes() async throws {
        let one = try await prepared()
        for number in 1...5 { _ = try one.replica.addCustomer(name: "later \(number)") }
        try one.replica.close()
        let again = try Replica(
            home: one.home.path, environment: one.world.environment, options: .init(frameOperations: 2))
        one.transport.script([Self.problem("revoked")])
        await expectLocked(.revoked, .wiped) {
            _ = try await SyncDriver(replica: again, transport: one.transport).sync()
        }
        #expect(one.transport.requests.count { $0.url.hasSuffix("/v1/handover") } == 3)
        for number in 1...5 { #expect(one.transport.dump.contains { $0.contains("later \(number)") }) }
    }

    @Test func whoseWorkIsNotWantedIsEmptiedAtOnce() async throws {
        let one = try await prepared()
        one.transport.script([Self.problem("revoked"), Self.problem("handover-closed")])
        await expectLocked(.revoked, .wiped) { try await one.sync() }
        // It is said how much went with it.
        do {
            _ = try Replica(home: one.home.path, environment: one.world.environment)
            Issue.record("the home is locked")
        } catch ReplicaError.locked(_, let lockout) {
            #expect(lockout.untaken == 1 && lockout.refused == 0)
            #expect("\(ReplicaError.locked(home: "h", lockout))".contains("1 change that the server no longer takes"))
        }
        #expect(!one.transport.dump.contains { $0.contains("unsent") })
        #expect(try Self.holds(Self.canary, one.home.path).isEmpty)
    }

    @Test func aServerThatKnowsNothingOfItUnlocksTheHome() async throws {
        let one = try await prepared()
        one.transport.script([Self.problem("revoked"), Self.problem("not-revoked", 409)])
        await #expect(throws: SyncError.lockedOut(.revoked)) { try await one.sync() }
        #expect(try one.replica.customers().count == 2)
        try await one.sync()
        #expect(try one.replica.pending() == 0)
    }

    @Test func otherRefusalsLockNothing() async throws {
        let one = try await prepared()
        for (name, status) in [("foreign-log", 403), ("unauthorized", 401), ("revoked", 400), ("disabled", 503)] {
            one.transport.script(Array(repeating: Self.problem(name, status), count: 4))
            await #expect(throws: SyncError.self) { try await one.sync() }
            #expect(try one.replica.lockout() == nil, "\(name)")
        }
        #expect(try one.replica.customers().count == 2)
    }

    @Test func anEmptiedHomeCanBeEnrolledAnew() async throws {
        let one = try await prepared()
        one.transport.script([Self.problem("revoked")])
        await expectLocked(.revoked, .wiped) { try await one.sync() }
        try one.replica.close()
        let answer = EnrollResponse(
            replica: ReplicaID(epoch: 9, count: 1), account: RecordID(rawValue: 1 << 30), name: "Anna", role: .sales,
            epoch: 7, time: one.world.time)
        one.transport.script([.bytes(answer.encoded())])
        let again = try await Replica.enroll(
            home: one.home.path, url: "http://host:1", code: "EFGH", transport: one.transport,
            environment: one.world.environment)
        _ = try await SyncDriver(replica: again, transport: one.transport).sync()
        #expect(try again.customers().count == 2)
        _ = try again.addCustomer(name: "new")
        _ = try await SyncDriver(replica: again, transport: one.transport).sync()
        #expect(try again.status().pending == 0)
    }

    @Test func aHomeThatStillHasWorkToHandOverIsNotEnrolledAnew() async throws {
        let one = try await prepared()
        one.transport.script([Self.problem("revoked")] + Array(repeating: .fail(.unreachable("gone")), count: 4))
        await expectLocked(.revoked, .handingOver) { try await one.sync() }
        await expectLocked(.revoked, .handingOver) {
            _ = try await Replica.enroll(
                home: one.home.path, url: "http://host:1", code: "EFGH", transport: one.transport,
                environment: one.world.environment)
        }
    }
}

/// What only some may do to the tag book.
@Suite struct TagEditorTests {
    private let server = TinyServer()

    private func set(_ value: String) {
        server.write { batch in
            batch.begin(record: Setting.tagEditors.id, time: 1, creates: Envelope(kind: .setting, scope: .workspace))
            batch.edit(CellKey(.settingValue), text: value)
        }
    }

    @Test(arguments: [
        ("everyone", [true, true, true]), ("experts", [true, false, true]), ("supervisors", [false, false, true]),
        ("of a later version", [false, false, true]),
    ])
    func tagsThatAreThereAreChangedByThoseWhoMay(_ value: String, _ expected: [Bool]) throws {
        set(value)
        for (role, may) in zip(Role.allCases, expected) {
            let one = try Operator(role.rawValue, server, role: role)
            try one.replica.sync(server)
            _ = try one.replica.addTag("\(role)/油皮")
            let change = { try one.replica.addTag("\(role)/干皮", single: true) }
            if may {
                _ = try change()
            } else {
                #expect(throws: ReplicaError.mayNotEditTags(TagEditors(rawValue: value) ?? .supervisors)) {
                    _ = try change()
                }
                #expect(try one.replica.tags().map(\.name) == ["油皮"])
            }
        }
    }

    @Test func theOwnRoleIsWhatTheAccountsRecordSays() throws {
        set("supervisors")
        let one = try Operator("Anna", server)
        try one.replica.sync(server)
        #expect(try one.replica.status().role == "sales")
        let account = try one.replica.read { $0.standing.account }
        server.write { batch in
            batch.begin(record: account, time: 2_000_000_000_000)
            batch.edit(CellKey(.accountRole), text: "supervisor")
        }
        try one.replica.sync(server)
        #expect(try one.replica.status().role == "supervisor")
        _ = try one.replica.addTag("肤质/油皮")
        _ = try one.replica.addTag("肤质/干皮", single: true)
        try one.replica.close()
        let again = try Replica(home: one.home.path, environment: one.world.environment)
        #expect(try again.status().role == "supervisor")
    }
}
