import Foundation

/// The real server, in a process of its own, and what `shoald` says to its administrator.
final class ServerProcess: Sendable {
    private let process: ChildProcess
    private let program: String
    private let directory: DemoDirectory
    private let children: Children
    let url: String

    /// Starts it on a free port and waits until it accepts requests.
    init(program: String, directory: DemoDirectory, children: Children) async throws {
        self.program = program
        self.directory = directory
        self.children = children
        process = try ChildProcess(
            "shoald", program, ["serve", "--data", directory.brand, "--listen", "127.0.0.1:0"],
            errors: directory.serverLog, children: children)
        let lines = process.lines()
        let prefix = "shoald listening on "
        let found = try await withThrowingTaskGroup(of: String?.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                for await line in lines {
                    let text = String(decoding: line, as: UTF8.self)
                    if text.hasPrefix(prefix) { return String(text.dropFirst(prefix.count)) }
                }
                return nil
            }
            group.addTask {
                try await Task.sleep(for: .seconds(20))
                return nil
            }
            return try await group.next() ?? nil
        }
        guard let found else { throw BenchError("shoald does not listen; see \(directory.serverLog)") }
        url = found
    }

    var port: Substring { url.split(separator: ":").last ?? "" }

    /// MiB of a line of its `/proc/PID/status`.
    func memory(_ name: String) -> Double { Measure.memory(name, of: "\(process.pid)") }

    /// Makes its `VmHWM` count from now on.
    func resetPeak() { Measure.resetPeak(of: "\(process.pid)") }

    /// - Returns: the enrolment code.
    func addAccount(_ name: String, role: String) async throws -> String {
        let run = try ChildProcess(
            "shoald account add", program, ["account", "add", name, "--role", role, "--data", directory.brand],
            errors: directory.serverLog, children: children)
        var code = ""
        for await line in run.lines() { code = String(decoding: line, as: UTF8.self) }
        let status = try await run.wait(seconds: 20)
        guard status == 0, !code.isEmpty else {
            throw BenchError("shoald account add \(name) ended with status \(status); see \(directory.serverLog)")
        }
        return code
    }

    func stop() async throws {
        process.signal(SIGTERM)
        let status = try await process.wait(seconds: 25)
        if status != 0 { throw BenchError("shoald ended with status \(status); see \(directory.serverLog)") }
    }
}
