import ArgumentParser
import Foundation

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Many accounts work offline and converge: real server, real replicas, real HTTP.",
        discussion: """
            Starts shoald, which must lie beside this program, enrolls a replica for each account, loads a generated
            workspace, lets all accounts work at once without a network, syncs them in random order while some requests
            are cut, and compares each replica's dump with the server's. The directory stays, to go on playing with.
            Exit status 1 if anything is not equal.

              shoal-bench demo
              shoal-bench demo ./mine --customers 2000 --accounts 5 --operations 100 --seed 3
            """)

    @Argument(help: "A directory that is empty or not there yet.") var directory = "./shoal-demo"
    @Option(help: "How many customers.") var customers = 20_000
    @Option(help: "How many accounts, at most 100.") var accounts = 43
    @Option(help: "How many operations each account does offline.") var operations = 500
    @Option(help: "The same seed gives the same workload, order and cuts.") var seed: UInt64 = 7

    func validate() throws {
        guard 1...1_000_000 ~= customers, 1...100 ~= accounts, 1...100_000 ~= operations else {
            throw ValidationError("1 to 1,000,000 customers, 1 to 100 accounts, 1 to 100,000 operations")
        }
    }

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        let children = Children()
        let signals = children.endAllOnSignals()
        defer { withExtendedLifetime(signals) {} }
        let generator = Generator(customers: customers, accounts: accounts, operations: operations, seed: seed)
        let place = try DemoDirectory(path: directory)
        do {
            let demo = try Demo(directory: place, generator: generator, children: children)
            let isEqual = try await demo.run()
            children.endAll()
            if !isEqual { throw ExitCode.failure }
        } catch let error as ExitCode {
            throw error
        } catch {
            children.endAll()
            // A line that shows how far it is may be unfinished.
            FileHandle.standardError.write(Data("\n".utf8))
            throw error
        }
    }
}
