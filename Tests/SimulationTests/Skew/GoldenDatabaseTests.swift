import ShoalClient
import ShoalServer
import ShoalSimulation
import Testing

/// Databases of version 1 as they are kept in `Tests/SimulationTests/Fixtures/v1` open, say what they said, and go on. A
/// change that makes one of these fail makes some operator's home or server unreadable.
@Suite(.serialized) struct GoldenDatabaseSkewTests {
    init() throws { if GoldenDatabases.isRecording { try Self.recorded.get() } }

    private static let recorded = Result { try GoldenDatabases.record() }

    @Test func aHomeOpensAndSaysWhatItSaid() throws {
        let scene = try FrozenScene()
        #expect(try scene.replica.dumpLines == GoldenDatabases.lines("home.txt"))
        #expect(try GoldenDatabases.facts(scene.replica) == GoldenDatabases.lines("home-facts.txt"))
        #expect(try scene.replica.status().pending > 0)
        // It holds a row of everything that a home may hold.
        for table in [
            "tail", "aside", "healing", "stock", "stock_vector", "quarantine", "conflict", "vector", "author",
        ] {
            #expect(try scene.count(table) > 0, "\(table)")
        }
        #expect(try scene.replica.examine() == [])
        #expect(try scene.replica.examine(rebuilds: true) == [])
        #expect(try scene.replica.dumpLines == GoldenDatabases.lines("home.txt"))
        #expect(try GoldenDatabases.facts(scene.replica) == GoldenDatabases.lines("home-facts.txt"))
    }

    @Test func aServerOpensAndSaysWhatItSaid() throws {
        let scene = try FrozenScene()
        #expect(try scene.server.dump == GoldenDatabases.lines("server.txt"))
        let report = try scene.server.store.check()
        #expect(report.isSound, "\(report.problems)")
        #expect(report.accounts == 3 && report.logs >= 5 && report.operations > 40)
    }

    @Test func bothGoOnWhereTheyStood() throws {
        let scene = try FrozenScene()
        let pending = try scene.replica.status().pending
        #expect(try scene.sync().pushed == pending)
        #expect(try scene.server.dump == GoldenDatabases.lines("synced.txt"))
        #expect(try scene.replica.dumpLines == GoldenDatabases.lines("synced.txt"))
        #expect(try scene.replica.status().pending == 0)
        let again = try scene.sync()
        #expect(again.pushed == 0 && again.pulled == 0)
        #expect(try scene.replica.examine() == [] && scene.server.store.check().isSound)
    }

    @Test func whatAHomeKeepsForAServerThatLostItComesBack() throws {
        let scene = try FrozenScene()
        try scene.sync()
        try scene.recover()
        #expect(try GoldenDatabases.lines("recovered.txt").contains { $0.contains("gone's customer") })
        #expect(try scene.server.dump == GoldenDatabases.lines("recovered.txt"))
        #expect(try scene.replica.dumpLines == GoldenDatabases.lines("recovered.txt"))
    }
}
