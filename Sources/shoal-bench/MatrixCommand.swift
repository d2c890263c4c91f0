import ArgumentParser

struct MatrixCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "matrix", abstract: "Replays a workload and prints one metric a line.")

    @Argument(help: "The directory of the workload.") var workload: String
    @Argument(help: "An empty directory for databases; decides the disk that is measured.") var scratch: String

    func run() async throws {
        try await Matrix(workload: Workload(directory: workload), scratch: scratch).run()
    }
}
