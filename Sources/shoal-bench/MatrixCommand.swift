import ArgumentParser
import Foundation
import ShoalCRDT
import ShoalProtocol
import ShoalServer

struct MatrixCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "matrix", abstract: "Replays a workload and prints one metric a line.")

    @Argument(help: "The directory of the workload.") var workload: String
    @Argument(help: "A directory for databases; decides the disk that is measured.") var scratch: String

    func run() async throws {
        let workload = try Workload(directory: workload)
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        let path = scratch + "/server.db"
        let server = try ServerBench(path: path, accounts: workload.days.map(\.account))
        let base = try BaseOperations(
            workload, accounts: server.members.map { ($0.name, $0.id, $0.replica) })
        let pushes = server.pushes(base)
        let memory = Measure.memory("VmRSS")
        Measure.resetPeak()
        let cpu = Measure.processor()
        let (_, seconds) = try Measure.seconds { try server.store.commit(group: pushes) }
        Measure.metric("a_load_rows_s", Double(workload.base.count) / seconds)
        Measure.metric("a_load_s", seconds)
        Measure.metric("a_load_cpu_s", Measure.processor() - cpu)
        Measure.metric("base_rows", Double(workload.base.count))
        Measure.metric("a_memory_MiB", Measure.memory("VmHWM") - memory)
        try server.close()
        Measure.metric("g_db_bytes", Measure.fileSize(path))
    }
}
