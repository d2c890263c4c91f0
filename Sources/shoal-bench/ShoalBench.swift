import ArgumentParser

/// The benchmarks. They run the store, codec and session that the programs run.
@main
struct ShoalBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shoal-bench",
        abstract: "Measures Shoal on a workload of many accounts.",
        discussion: """
            shoal-bench generate WORKLOAD --customers 20000
            shoal-bench matrix WORKLOAD SCRATCH
            shoal-bench demo DIRECTORY

            Each figure is a line {"peer":"shoal","m":METRIC,"v":NUMBER}.
            """,
        subcommands: [MatrixCommand.self, GenerateCommand.self, DemoCommand.self, OperatorCommand.self])
}
