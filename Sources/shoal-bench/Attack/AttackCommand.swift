import ArgumentParser
import Foundation

struct AttackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attack",
        abstract: "Attacks a real server on loopback while accounts work, and says whether they notice.",
        discussion: """
            Starts shoald, which must lie beside this program, and enrolls a replica for each account. While they write and
            sync, an insider sends bombs of 1 GiB, JSON 100,000 levels deep and frames with junk behind them, and strangers send
            requests of 100,000 header fields and hold as many connections as they can, on which they say a byte now and then.
            Prints one line. Exit status 1 if a good request failed or the server's memory grew by more than 128 MiB, or if
            the 99th percentile of good requests is not below 500 ms.

              shoal-bench attack
              shoal-bench attack --seconds 60 --sockets 2000
            """)

    @Option(help: "How long.") var seconds = 20.0
    @Option(help: "How many accounts work.") var accounts = 43
    @Option(help: "How many slow connections strangers hold.") var sockets = 2_000

    func validate() throws {
        guard 1...3_600 ~= seconds, 1...100 ~= accounts, 0...10_000 ~= sockets else {
            throw ValidationError("1 to 3,600 seconds, 1 to 100 accounts, 0 to 10,000 connections")
        }
    }

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        let children = Children()
        let signals = children.endAllOnSignals()
        defer { withExtendedLifetime(signals) {} }
        let path = NSTemporaryDirectory() + "shoal-attack-\(UUID().uuidString)"
        let directory = try DemoDirectory(path: path)
        defer {
            children.endAll()
            do { try FileManager.default.removeItem(atPath: path) } catch { ShoalBench.say("\(path) stays: \(error)") }
        }
        let server = try await ServerProcess(
            program: try Demo.programs() + "/shoald", directory: directory, children: children)
        let attack = try await Attack(server, directory, accounts: accounts)
        let figures = try await attack.run(seconds: seconds, sockets: sockets)
        try await server.stop()
        print(figures.line)
        if !figures.isGood { throw ExitCode.failure }
    }
}
