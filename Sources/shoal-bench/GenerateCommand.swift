import ArgumentParser

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Makes a synthetic workload for `matrix` and for the demo.")

    @Argument(help: "The directory to write; made if need be.") var workload: String
    @Option(help: "How many customers.") var customers = 20_000
    @Option(help: "How many accounts, at most 100.") var accounts = 43
    @Option(help: "How many operations each account does offline.") var operations = 500
    @Option(help: "The same seed gives the same workload.") var seed: UInt64 = 7

    func validate() throws {
        guard 1...100 ~= accounts, 1...5_000_000 ~= customers, 0...1_000_000 ~= operations else {
            throw ValidationError("1 to 5,000,000 customers, 1 to 100 accounts, up to 1,000,000 operations")
        }
    }

    func run() throws {
        try Generator(customers: customers, accounts: accounts, operations: operations, seed: seed).write(to: workload)
    }
}
