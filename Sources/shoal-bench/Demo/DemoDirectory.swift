import Foundation

/// Where the demo keeps what: the server's data, the replicas' homes, the workload.
struct DemoDirectory {
    let path: String
    var brand: String { path + "/brand" }
    var workload: String { path + "/workload" }
    var serverLog: String { path + "/shoald.log" }
    var operatorLog: String { path + "/operators.log" }

    func home(_ account: Int) -> String { path + "/homes/" + Generator.name(of: account) }
    func part(_ account: Int) -> String { workload + "/part-\(Generator.name(of: account)).jsonl" }
    func day(_ account: Int) -> String { workload + "/day-\(Generator.name(of: account)).jsonl" }

    /// Makes the directory.
    ///
    /// - Throws: `BenchError` if it holds something already.
    init(path: String) throws {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
        let files = FileManager.default
        if files.fileExists(atPath: path) {
            guard let held = try? files.contentsOfDirectory(atPath: path) else {
                throw BenchError("\(path) is not a directory that can be read; name another one")
            }
            guard held.isEmpty else {
                throw BenchError("\(path) is not empty; name another directory or remove it first: rm -r \(path)")
            }
        }
        do {
            try files.createDirectory(atPath: path + "/homes", withIntermediateDirectories: true)
        } catch { throw BenchError("\(path) cannot be made: \(error.localizedDescription)") }
    }
}
