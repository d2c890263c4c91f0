import ArgumentParser
import ShoalClient

/// A command on the replica of the home.
protocol ReplicaCommand: AsyncParsableCommand {
    var global: GlobalOptions { get }
    func run(on replica: Replica, _ screen: inout Screen) async throws
}

extension ReplicaCommand {
    func run() async throws {
        var screen = Screen(isJSON: global.json)
        let replica = try global.replica()
        try await run(on: replica, &screen)
        try screen.finish()
        try replica.close()
    }
}
