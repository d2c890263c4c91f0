import Foundation
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Synchronization
import Testing

@testable import ShoalServer

/// A row that cannot be read is set aside, and nobody else notices.
struct QuarantineTests {
    private struct Scene {
        let server: TestServer
        let writer: TestReplica
        let good: RecordID
        let bad: RecordID

        init() throws {
            server = try TestServer()
            writer = try server.replica("anna")
            let ids = [writer.newID(), writer.newID()]
            try writer.push(
                Operations { batch in
                    batch.makeCustomer(ids[0], name: "Good")
                    batch.makeCustomer(ids[1], name: "Bad")
                })
            (good, bad) = (ids[0], ids[1])
        }

        func rename(_ id: RecordID, _ name: String) throws -> PushAnswer {
            try writer.push(Operations { $0.rename(id, name) })
        }
    }

    @Test func aPullPassesOverItAndSetsItAside() throws {
        let scene = try Scene()
        try scene.server.store.flipBit(of: scene.bad)
        let reader = try scene.server.replica("berta")
        try reader.pullAll()
        #expect(reader.rows[scene.good] != nil)
        #expect(reader.rows[scene.bad] == nil)
        #expect(scene.server.store.quarantine.records == [scene.bad])
        try reader.pullAll()
        #expect(try scene.server.dump().contains("Good"))
        let report = try scene.server.store.check()
        #expect(report.problems == [])
        #expect(report.quarantined.map(\.record) == [scene.bad.description])
    }

    @Test func aChangeOfItIsPassedOverToo() throws {
        let scene = try Scene()
        let reader = try scene.server.replica("berta")
        try reader.pullAll()
        _ = try scene.rename(scene.bad, "Worse")
        _ = try scene.rename(scene.good, "Better")
        try scene.server.store.flipBit(of: scene.bad)
        try reader.pullAll()
        #expect(reader.dump().contains("Better") && !reader.dump().contains("Worse"))
        #expect(scene.server.store.quarantine.records == [scene.bad])
    }

    @Test func aDumpPassesOverIt() throws {
        let scene = try Scene()
        try scene.server.store.flipBit(of: scene.bad)
        #expect(try scene.server.dump().contains("Good"))
        #expect(scene.server.store.quarantine.records == [scene.bad])
    }

    @Test func onlyThePushThatWritesIntoItIsRefusedAndItsGroupGoesOn() throws {
        let scene = try Scene()
        let other = try scene.server.replica("berta")
        try scene.server.store.flipBit(of: scene.bad)
        let touching = try scene.server.store.prepare(
            scene.writer.push(of: scene.writer.request(Operations { $0.rename(scene.bad, "Worse") })))
        let harmless = try scene.server.store.prepare(
            other.push(of: other.request(Operations { $0.rename(scene.good, "Better") })))
        for _ in 0..<2 {
            let results = try scene.server.store.commit([touching, harmless])
            #expect(throws: SyncProblem.damagedRecord(scene.bad)) { try results[0].get() }
            #expect(try results[1].get().answer.upTo == 1)
        }
        #expect(try scene.server.dump().contains("Better"))
        #expect(scene.server.store.quarantine.records == [scene.bad])
    }

    @Test func whatIsSetAsideStaysSoWhenTheServerStartsAnew() throws {
        let scene = try Scene()
        try scene.server.store.flipBit(of: scene.bad)
        try scene.writer.pullAll()
        try scene.server.store.close()
        let again = try ServerStore(path: scene.server.store.path, environment: scene.server.environment)
        defer { try? again.close() }
        #expect(again.quarantine.records == [scene.bad])
        let push = scene.writer.push(of: scene.writer.request(Operations { $0.rename(scene.bad, "Worse") }))
        #expect(throws: SyncProblem.damagedRecord(scene.bad)) { try again.commit(group: [push]) }
    }

    @Test func aBackupThatHasItAsItWasMendsItForEverybody() throws {
        let scene = try Scene()
        let backup = scene.server.directory + "/backup.db"
        try scene.server.store.backup(to: backup)
        let reader = try scene.server.replica("berta")
        try scene.server.store.flipBit(of: scene.bad)
        try reader.pullAll()
        #expect(reader.rows[scene.bad] == nil)
        #expect(try scene.server.store.mend(from: backup) == [scene.bad])
        try reader.pullAll()
        #expect(reader.dump() == (try scene.server.dump()))
        #expect(reader.dump().contains("Bad"))
        #expect(try scene.server.store.check().isSound)
        _ = try scene.rename(scene.bad, "Better now")
        #expect(try scene.server.dump().contains("Better now"))
    }

    @Test func aBackupThatHasAnOlderStateOfItIsNotTaken() throws {
        let scene = try Scene()
        let backup = scene.server.directory + "/backup.db"
        try scene.server.store.backup(to: backup)
        _ = try scene.rename(scene.bad, "Changed since")
        try scene.server.store.flipBit(of: scene.bad)
        try scene.writer.pullAll()
        #expect(try scene.server.store.mend(from: backup) == [])
        #expect(scene.server.store.quarantine.records == [scene.bad])
    }

    /// A page that is gone: reading it fails, and whoever does not need it goes on. Nothing is written any more.
    @Test func damageInTheFileEndsWritingButNotTheServer() async throws {
        let scene = try Scene()
        let path = scene.server.store.path
        var many: [RecordID] = []
        let big = String(repeating: "x", count: 1_000)
        for number in 0..<60 {
            let id = scene.writer.newID()
            many.append(id)
            try scene.writer.push(Operations { $0.makeCustomer(id, name: "Name-\(number)-\(big)") })
        }
        try scene.writer.pullAll()
        try scene.server.store.close()
        #expect(throws: Never.self) { try DatabaseCheck.run(path: path) }
        #expect(try Damage.zeroed.strike(path, at: "Name-31-"))
        let store = try ServerStore(path: path, environment: scene.server.environment)
        defer { try? store.close() }
        let failed = Mutex<[String]>([])
        let metrics = Metrics()
        let committer = Committer(
            store: store, metrics: metrics, onDamage: { _ in failed.withLock { $0.append("damage") } },
            onFailure: { _ in failed.withLock { $0.append("failure") } })
        func push(_ id: RecordID) async throws -> PushAnswer {
            let request = scene.writer.request(Operations { $0.rename(id, "new") })
            return try await committer.commit(try store.prepare(scene.writer.push(of: request))).answer
        }
        await #expect(throws: StoreError.self) { _ = try await push(many[31]) }
        #expect(failed.withLock { $0 } == ["damage"])
        #expect(!committer.isReady)
        await #expect(throws: StoreError.self) { _ = try await push(scene.good) }
        // A replica that has nothing to push pulls what can be read.
        #expect(throws: Never.self) { try store.withWriter { _, _ in } }
        let empty = try store.prepare(scene.writer.push(of: scene.writer.request(Operations())))
        await #expect(throws: Never.self) { try await committer.commit(empty) }
        let own = ServerSession.Holdings(replica: scene.writer.replica, numbers: nil)
        #expect(throws: Never.self, "cursor \(String(describing: seal(scene.writer, store)))") {
            try store.page(cursor: scene.writer.cursor, own: own, account: scene.writer.account)
        }
        #expect(try !store.check().isSound)
    }

    private func seal(_ replica: TestReplica, _ store: ServerStore) -> Cursor? {
        store.seal.of(epoch: store.epoch).cursor(replica.cursor, for: replica.account)
    }
}
