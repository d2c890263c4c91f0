import ArgumentParser
import ShoalCRDT

struct MatrixCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "matrix", abstract: "Replays a workload and prints one metric a line.")

    @Argument(help: "The directory of the workload.") var workload: String
    @Argument(help: "A directory for databases; decides the disk that is measured.") var scratch: String

    func run() async throws {
        let workload = try Workload(directory: workload)
        _ = try BaseOperations(
            workload,
            accounts: workload.days.enumerated().map {
                ($0.element.account, RecordID(milliseconds: 1_000_000, count: 0, sequence: UInt8($0.offset & 31)), ReplicaID(epoch: 7, count: UInt16($0.offset + 1)))
            })
    }
}
