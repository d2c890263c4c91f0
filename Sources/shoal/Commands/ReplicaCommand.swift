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
        replica.leave()
    }
}

extension Replica {
    /// Closes the replica at the end of a command. What the command did is durable already, so that a failure to tidy up,
    /// as on a full disk, is none of the command: the next one meets it too.
    func leave() {
        do { try close() } catch {}
    }
}
