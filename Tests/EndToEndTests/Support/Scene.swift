import Foundation
import Glibc
import Testing

/// A real server and some real homes in a directory of their own.
final class Scene {
    let directory: String
    private(set) var url = ""
    private var server: Child?
    private var started: [Child] = []

    private init() throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("shoal-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    /// Runs `body` with a server that listens, and ends whatever was started.
    static func run(server: Bool = true, _ body: (Scene) async throws -> Void) async throws {
        let scene = try Scene()
        do {
            if server { try await scene.startServer() }
            try await body(scene)
        } catch {
            await scene.end()
            throw error
        }
        await scene.end()
    }

    private func end() async {
        for child in started {
            child.signal(SIGKILL)
            _ = try? await child.end()
        }
        try? FileManager.default.removeItem(atPath: directory)
    }

    // MARK: Server

    /// - Parameters:
    ///   - data: another directory is another server with nothing in it.
    ///   - wrapper: a command that starts the server, which then ends with it.
    func startServer(data: String = "server", under wrapper: [String] = []) async throws {
        let listen = url.isEmpty ? "127.0.0.1:0" : String(url.dropFirst("http://".count))
        let child = try start(
            wrapper + [Programs.shoald, "serve", "--listen", listen, "--data", "\(directory)/\(data)"])
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            if let line = child.outputSoFar().split(separator: "\n").first, let at = line.range(of: "http://") {
                url = String(line[at.lowerBound...])
                server = child
                return
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Child.Trouble.tooSlow(["shoald", "serve"], output: child.errorsSoFar())
    }

    /// What the running server has logged.
    var serverLog: String { server?.errorsSoFar() ?? "" }

    var serverProcess: pid_t? { server?.pid }

    /// - Returns: the exit status.
    @discardableResult
    func stopServer(with number: Int32 = SIGTERM) async throws -> Int32 {
        let child = try #require(server)
        server = nil
        child.signal(number)
        let outcome = try await child.end()
        started.removeAll { $0 === child }
        return outcome.status
    }

    func shoald(_ words: String...) async throws -> Child.Outcome {
        try await start([Programs.shoald] + words + ["--data", "\(directory)/server"], keep: false).end()
    }

    /// Starts an administrative command and does not wait.
    ///
    /// - Parameter data: a name in this directory; empty for an empty option.
    func beginShoald(_ words: [String], data: String = "server") throws -> Child {
        try start([Programs.shoald] + words + ["--data", data.isEmpty ? "" : "\(directory)/\(data)"])
    }

    func code(_ account: String, role: String = "supervisor") async throws -> String {
        let outcome = try await shoald("account", "add", account, "--role", role)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return outcome.text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    // MARK: Homes

    func home(_ name: String) -> String { "\(directory)/\(name)" }

    func enroll(_ home: String, as account: String, role: String = "supervisor") async throws {
        try await ok(home, "enroll", url, code(account, role: role))
    }

    func shoal(
        _ home: String, _ words: [String], input: Data = Data(), variables: [String: String] = [:]
    ) async throws -> Child.Outcome { try await begin(home, words, input: input, variables: variables).end() }

    func shoal(_ home: String, _ words: String...) async throws -> Child.Outcome { try await shoal(home, words) }

    /// Starts `shoal` and does not wait.
    func begin(
        _ home: String, _ words: [String], input: Data = Data(), variables: [String: String] = [:],
        under wrapper: [String] = []
    ) throws -> Child {
        let all = variables.merging(["SHOAL_HOME": self.home(home)]) { own, _ in own }
        return try start(
            wrapper + [Programs.shoal] + words, input: input, variables: all, keep: words.contains("--watch"))
    }

    /// Runs a command that must succeed and returns what it printed, less the final newline.
    @discardableResult
    func ok(_ home: String, _ words: String..., location: SourceLocation = #_sourceLocation) async throws -> String {
        let outcome = try await shoal(home, words)
        try #require(outcome.status == 0, "\(words): \(outcome.errors)", sourceLocation: location)
        return outcome.text.last == "\n" ? String(outcome.text.dropLast()) : outcome.text
    }

    func json(_ home: String, _ words: String..., location: SourceLocation = #_sourceLocation) async throws -> JSON {
        let outcome = try await shoal(home, words + ["--json"])
        try #require(outcome.status == 0, "\(words): \(outcome.errors)", sourceLocation: location)
        return try JSON(outcome.output)
    }

    /// Expects a command to fail as every failing command does: nothing on standard output and one sentence.
    @discardableResult
    func fails(
        _ home: String, _ words: String..., status: Int32 = 1, location: SourceLocation = #_sourceLocation
    ) async throws -> String {
        let outcome = try await shoal(home, words)
        #expect(outcome.status == status, "\(words): \(outcome.errors)", sourceLocation: location)
        #expect(outcome.output.isEmpty, "\(words): \(outcome.text)", sourceLocation: location)
        #expect(outcome.sentences.count == 1, "\(words): \(outcome.errors)", sourceLocation: location)
        return outcome.errors
    }

    /// Starts a program on a pseudo-terminal.
    func terminal(_ command: [String], home: String, variables: [String: String] = [:]) throws -> Terminal {
        let standard = [
            "PATH": "/usr/bin:/bin", "HOME": directory, "LANG": "C.UTF-8", "TERM": "xterm",
            "SHOAL_HOME": self.home(home),
        ]
        return try Terminal(command, environment: variables.merging(standard) { own, _ in own })
    }

    private func start(
        _ command: [String], input: Data = Data(), variables: [String: String] = [:], keep: Bool = true
    ) throws -> Child {
        let standard = ["PATH": "/usr/bin:/bin", "HOME": directory, "LANG": "C.UTF-8"]
        let environment = variables.merging(standard) { own, _ in own }
        let child = try Child(command, input: input, environment: environment, scratch: directory)
        if keep { started.append(child) }
        return child
    }
}
