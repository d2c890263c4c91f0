import Foundation
import ShoalCRDT
import ShoalStore
import Testing

@testable import ShoalClient

/// Homes that are encrypted, become so, or cease to be.
@Suite struct EncryptedHomeTests {
    private let server = TinyServer()
    private let home = TemporaryHome()
    private static let canaries = ["Canary-Anna-Customer", "canary-note-body", "canary-tag"]

    private func environment(_ passphrase: String = "right passphrase") -> Environment {
        var environment = TestWorld(seed: .random(in: 0 ... .max)).environment
        environment.secret = { _, _ in Array(passphrase.utf8) }
        return environment
    }

    private func secret(_ passphrase: String = "right passphrase") -> HomeSecret {
        var secret = HomeSecret.passphrase(passphrase)
        secret.scrypt = { KeyFile.Scrypt(salt: $0, rounds: 16, blockSize: 1, parallelism: 1) }
        return secret
    }

    private func encryption(_ passphrase: String = "right passphrase") -> HomeEncryption {
        HomeEncryption(home: home.path, environment: environment(passphrase))
    }

    private func make() throws -> Replica {
        try Replica.create(
            home: home.path, server: "http://test", key: "credential-canary", enrolment: server.enrolment("anna"),
            environment: environment())
    }

    /// Work of which some is in the database and some in its write-ahead log.
    private func fill(_ replica: Replica) throws {
        let id = try replica.addCustomer(name: Self.canaries[0])
        _ = try replica.addNote(to: id, Self.canaries[1])
        try replica.editTags(of: [id], [.add(Self.canaries[2])])
        try replica.drainTextIndex()
        try replica.sync(server)
        for step in 0..<50 { try replica.setFields(of: id, [FieldValue("stage", "\(Self.canaries[0])-\(step)")]) }
    }

    private func open(_ passphrase: String = "right passphrase") throws -> Replica {
        try Replica(home: home.path, environment: environment(passphrase))
    }

    /// The files of the home in which a canary stands.
    private func leaks() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: home.path).filter { name in
            let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(home.path)/\(name)"))
            return (Self.canaries + ["credential-canary", "SQLite format"]).contains {
                bytes.range(of: Data($0.utf8)) != nil
            }
        }
    }

    private var files: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: home.path).sorted() }
    }

    @Test func noFileOfAnEncryptedHomeHoldsContents() throws {
        try encryption().prepare(secret())
        let replica = try make()
        try fill(replica)
        #expect(try files == ["key", "lock", "replica.db", "replica.db-shm", "replica.db-wal", "sync.lock"])
        #expect(try leaks() == [])
        let dump = try replica.dumpLines
        try replica.close()
        #expect(try leaks() == [] && files == ["key", "lock", "replica.db", "replica.db.spare", "sync.lock"])
        #expect(try open().dumpLines == dump)
        let mode = try FileManager.default.attributesOfItem(atPath: home.path + "/key")[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test func aPlainHomeDoesHoldThem() throws {
        let replica = try make()
        try fill(replica)
        #expect(try leaks().count >= 2)
        try replica.close()
    }

    @Test func aHomeIsEncryptedAndDecryptedWithAllThatIsInIt() throws {
        let replica = try make()
        try fill(replica)
        let dump = try replica.dumpLines
        let pending = try replica.status().pending
        try replica.close()
        try encryption().encrypt(secret())
        #expect(try leaks() == [])
        #expect(try files.filter { !$0.hasSuffix("lock") } == ["key", "replica.db"])
        let sealed = try open()
        #expect(try sealed.dumpLines == dump && sealed.status().pending == pending)
        _ = try sealed.addCustomer(name: "later")
        try sealed.close()
        #expect(throws: ReplicaError.self) { try encryption().encrypt(secret()) }
        try encryption().decrypt()
        #expect(try encryption().lock() == nil && leaks() == ["replica.db"])
        let plain = try Replica(home: home.path, environment: TestWorld().environment)
        #expect(try plain.dumpLines.count == dump.count + 1 && plain.status().pending == pending + 1)
        try plain.close()
        #expect(throws: ReplicaError.self) { try encryption().decrypt() }
    }

    @Test func aWrongPassphraseChangesNothing() throws {
        try encryption().prepare(secret())
        try fill(try make())
        let before = try contents()
        #expect(throws: ReplicaError.wrongSecret(home: home.path)) { try open("wrong passphrase") }
        #expect(throws: ReplicaError.wrongSecret(home: home.path)) { try encryption("wrong passphrase").decrypt() }
        #expect(throws: ReplicaError.wrongSecret(home: home.path)) {
            try encryption("wrong passphrase").change(to: { secret("another one") })
        }
        #expect(throws: ReplicaError.wrongSecret(home: home.path)) {
            try HomeDoctor(home: home.path, environment: environment("wrong passphrase")).mendFile()
        }
        #expect(throws: ReplicaError.noSecret(home: home.path)) {
            try Replica(home: home.path, environment: TestWorld().environment)
        }
        #expect(try contents() == before)
    }

    private func contents() throws -> [String: Data] {
        var contents: [String: Data] = [:]
        for name in try files where !name.hasSuffix("lock") && !name.hasSuffix("-shm") {
            contents[name] = try Data(contentsOf: URL(fileURLWithPath: "\(home.path)/\(name)"))
        }
        return contents
    }

    @Test func anotherPassphraseNeedsTheKeyFileOnly() throws {
        try encryption().prepare(secret())
        let replica = try make()
        try fill(replica)
        try replica.close()
        let before = try contents()
        try encryption().change(to: { secret("another passphrase") })
        let after = try contents()
        #expect(before["replica.db"] == after["replica.db"] && before["key"] != after["key"])
        #expect(throws: ReplicaError.wrongSecret(home: home.path)) { try open() }
        try open("another passphrase").close()
        try encryption("another passphrase").change(to: { .keyring(item: "x", bytes: Array("right passphrase".utf8)) })
        #expect(try encryption().lock() == .keyring(item: "x"))
        try open().close()
    }

    @Test func aKeyFileThatIsDamagedOrGreedyIsRefused() throws {
        try encryption().prepare(secret())
        try make().close()
        let path = URL(fileURLWithPath: home.path + "/key")
        let good = try String(contentsOf: path, encoding: .utf8)
        let greedy = good.replacingOccurrences(of: "\"rounds\" : 16", with: "\"rounds\" : 1073741824")
        #expect(greedy != good)
        for bad in [
            "", "{}", "junk", greedy, good.replacingOccurrences(of: "\"version\" : 1", with: "\"version\" : 2"),
        ] {
            try bad.write(to: path, atomically: true, encoding: .utf8)
            let error = #expect(throws: ReplicaError.self) { try open() }
            #expect(error?.description.contains("key file is damaged") == true, "\(bad)")
        }
        try good.write(to: path, atomically: true, encoding: .utf8)
        try open().close()
    }

    @Test func aHomeThatIsOpenIsNotConverted() throws {
        let replica = try make()
        try fill(replica)
        // SQLite's locks are this process's: only another one's keep the doctor away.
        let lock = try FileLock(home: home.path, name: HomeDirectory.syncLock)
        #expect(lock.tryAcquire())
        #expect(throws: ReplicaError.self) { try encryption().encrypt(secret()) }
        lock.release()
        #expect(try encryption().lock() == nil)
        try replica.close()
    }

    /// The process ends after each step of a conversion: the home opens with all that it had.
    @Test(arguments: [true, false]) func aConversionThatWasInterruptedIsFinishedOrHasNotBegun(encrypts: Bool) throws {
        if !encrypts { try encryption().prepare(secret()) }
        let replica = try make()
        try fill(replica)
        let dump = try replica.dumpLines
        try replica.close()
        let (before, other) = (home.path + ".before", home.path + ".other")
        defer { for path in [before, other] { try? FileManager.default.removeItem(atPath: path) } }
        try FileManager.default.copyItem(atPath: home.path, toPath: before)
        if encrypts { try encryption().encrypt(secret()) } else { try encryption().decrypt() }
        try FileManager.default.copyItem(atPath: home.path, toPath: other)

        let whole = encrypts ? "replica.db.encrypted" : "replica.db.decrypted"
        /// Files of the state: which are there, and from which of the two homes.
        let states: [[(name: String, from: String, file: String)]] =
            encrypts
            ? [
                [("replica.db", before, "replica.db"), ("key.next", other, "key")],
                [
                    ("replica.db", before, "replica.db"), ("key.next", other, "key"),
                    ("replica.db.part", other, "replica.db"),
                ],
                [("replica.db", before, "replica.db"), ("key.next", other, "key"), (whole, other, "replica.db")],
                [("replica.db", before, "replica.db"), ("key", other, "key"), (whole, other, "replica.db")],
                [("replica.db", other, "replica.db"), ("key", other, "key")],
            ]
            : [
                [
                    ("replica.db", before, "replica.db"), ("key", before, "key"),
                    ("replica.db.part", other, "replica.db"),
                ],
                [("replica.db", before, "replica.db"), ("key", before, "key"), (whole, other, "replica.db")],
                [("replica.db", before, "replica.db"), (whole, other, "replica.db")],
                [("replica.db", other, "replica.db")],
            ]
        for (number, state) in states.enumerated() {
            try FileManager.default.removeItem(atPath: home.path)
            try FileManager.default.createDirectory(atPath: home.path, withIntermediateDirectories: true)
            for file in state {
                try FileManager.default.copyItem(
                    atPath: "\(file.from)/\(file.file)", toPath: "\(home.path)/\(file.name)")
            }
            let replica = try open()
            #expect(try replica.dumpLines == dump, "state \(number)")
            _ = try replica.addCustomer(name: "later")
            try replica.close()
            let isDone = number >= states.count - (encrypts ? 3 : 3)
            #expect(try (encryption().lock() != nil) == (encrypts == isDone), "state \(number)")
            #expect(
                try files.allSatisfy {
                    !$0.hasPrefix("replica.db.") || $0.hasSuffix(".part") || $0.hasSuffix(".spare")
                }, "state \(number)")
            #expect(try open().dumpLines.count == dump.count + 1, "state \(number)")
        }
    }

    @Test func theDoctorMendsAnEncryptedHome() throws {
        try encryption().prepare(secret())
        let replica = try make()
        try replica.sync(server)
        for step in 0..<60 { _ = try replica.addCustomer(name: "\(step) " + String(repeating: "长", count: 300)) }
        let dump = try replica.dumpLines
        try replica.close()
        let path = HomeDirectory.databasePath(home.path)
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        // A page in the middle: what lies on it is lost, everything else is not.
        let page = bytes.count / 4_096 / 2
        bytes[page * 4_096 + 9] ^= 0xFF
        try bytes.write(to: URL(fileURLWithPath: path))
        let findings = try HomeDoctor(home: home.path, environment: environment()).mendFile()
        #expect(findings.contains { $0.kind == .file })
        let mended = try open()
        _ = try mended.examine(rebuilds: true)
        try mended.sync(server)
        #expect(try mended.dumpLines.count > dump.count / 2)
        try mended.close()
        #expect(try files.contains("replica.db.damaged-1"))
        for name in try files {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(home.path)/\(name)"))
            #expect(
                bytes.range(of: Data("长长长".utf8)) == nil && bytes.range(of: Data("SQLite format".utf8)) == nil,
                "\(name)")
        }
    }
}
