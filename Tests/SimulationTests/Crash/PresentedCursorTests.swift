import ShoalClient
import ShoalSimulation
import Testing

/// A cursor that was presented stands: the server forgets what is below it, and whoever writes again without having seen that
/// would write to what is no more.
@Suite struct PresentedCursorTests {
    @Test(arguments: [false, true]) func aLossOfPowerTakesBackNoCursorThatWasPresented(byAnother: Bool) async throws {
        let start = try FaultScene.Start()
        for seed in UInt64(0)..<20 {
            await Task.yield()
            let scene = FaultScene(start, seed: seed)
            try scene.act(.openServer)
            try scene.act(.openClient)
            let another = try Replica(
                home: Replica.home(scene.clientDisk), environment: scene.world.client(scene.clientDisk))
            let before = try another.nextRequest().cursor
            for act in [FaultScene.Act.account, .sync] { try scene.act(act) }
            let server = try #require(scene.server)
            let presenter = byAnother ? another : try #require(scene.replica)
            let presented = try presenter.nextRequest().cursor
            #expect(presented != before)
            try presenter.sync(server)
            let after = try presenter.nextRequest().cursor
            scene.crash(server: .processes, client: .power(seed: seed))
            try scene.act(.openClient)
            let cursor = try #require(scene.replica).nextRequest().cursor
            #expect([presented, after].contains(cursor), "seed \(seed)")
        }
    }
}
