import Foundation
import Glibc

/// A process that a test started. Its output goes to files, so that neither side ever waits for a full pipe.
final class Child: Sendable {
    struct Outcome {
        var status: Int32
        var output: Data
        var errors: String

        var text: String { String(decoding: output, as: UTF8.self) }
        /// The lines of standard error.
        var sentences: [Substring] { errors.split(separator: "\n") }
    }

    enum Trouble: Error, CustomStringConvertible {
        case cannotStart(String, Int32)
        case tooSlow([String], output: String)

        var description: String {
            switch self {
            case .cannotStart(let path, let code): "\(path) cannot be started (\(code)); build the programs first"
            case .tooSlow(let command, let output):
                "\(command.joined(separator: " ")) did not end in time; it said: \(output)"
            }
        }
    }

    let pid: pid_t
    private let command: [String]
    private let outputFile: String
    private let errorFile: String

    /// - Parameters:
    ///   - scratch: a directory for the files.
    init(_ command: [String], input: Data = Data(), environment: [String: String], scratch: String) throws {
        let name = "\(scratch)/\(UUID().uuidString)"
        self.command = command
        outputFile = name + ".out"
        errorFile = name + ".err"
        try input.write(to: URL(fileURLWithPath: name + ".in"))

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, name + ".in", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputFile, O_WRONLY | O_CREAT, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errorFile, O_WRONLY | O_CREAT, 0o600)
        var arguments = command.map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var pid = pid_t()
        let code = posix_spawn(&pid, command[0], &actions, nil, &arguments, &variables)
        guard code == 0 else { throw Trouble.cannotStart(command[0], code) }
        self.pid = pid
    }

    /// Waits for the end; a process that takes longer than `limit` is killed.
    func end(within limit: Duration = .seconds(30)) async throws -> Outcome {
        let deadline = ContinuousClock.now + limit
        var status: Int32 = 0
        while waitpid(pid, &status, WNOHANG) == 0 {
            if ContinuousClock.now > deadline {
                kill(pid, SIGKILL)
                waitpid(pid, &status, 0)
                throw Trouble.tooSlow(command, output: outputSoFar() + errorsSoFar())
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        let code = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
        return Outcome(
            status: code, output: try Data(contentsOf: URL(fileURLWithPath: outputFile)), errors: errorsSoFar())
    }

    func outputSoFar() -> String { Self.text(of: outputFile) }
    func errorsSoFar() -> String { Self.text(of: errorFile) }

    func signal(_ number: Int32) { kill(pid, number) }

    /// Sends a signal once the program takes it for an event, not its end.
    func interrupt(_ number: Int32 = SIGINT) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            let mask = status.split(separator: "\n").first { $0.hasPrefix("SigIgn:") }?.split(separator: "\t").last
            if let mask, let ignored = UInt64(mask, radix: 16), ignored & 1 << UInt64(number - 1) != 0 { break }
            try await Task.sleep(for: .milliseconds(5))
        }
        kill(pid, number)
    }

    private static func text(of file: String) -> String {
        do { return String(decoding: try Data(contentsOf: URL(fileURLWithPath: file)), as: UTF8.self) } catch {
            return ""
        }
    }
}

/// Where the programs are: `$SHOAL_BIN_DIR`, else beside the test bundle, else in the release build of the package.
enum Programs {
    static let directory: String = {
        if let directory = ProcessInfo.processInfo.environment["SHOAL_BIN_DIR"] { return directory }
        if let bundle = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            let directory = URL(fileURLWithPath: bundle).deletingLastPathComponent().path
            if FileManager.default.isExecutableFile(atPath: directory + "/shoald") { return directory }
        }
        let package = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../..").standardized
        return package.appendingPathComponent(".build/release").path
    }()

    static var shoal: String { directory + "/shoal" }
    static var shoald: String { directory + "/shoald" }
    static var bench: String { directory + "/shoal-bench" }
}
