import Logging
import Testing

@testable import ShoalServer

/// A store served on a free port of loopback while a test runs.
struct ServedStore {
    let port: Int

    static func run(
        _ server: TestServer, options: Server.Options = Server.Options(host: "127.0.0.1", port: 0),
        logger: Logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
        _ body: (ServedStore) async throws -> Void
    ) async throws {
        let ports = AsyncStream<Int>.makeStream()
        let http = Server(store: server.store, options: options, environment: server.environment, logger: logger) { _ in
        }
        let running = Task {
            defer { ports.continuation.finish() }
            try await http.run(signals: false) { ports.continuation.yield($0) }
        }
        var iterator = ports.stream.makeAsyncIterator()
        guard let port = await iterator.next() else { return try await running.value }
        let served = ServedStore(port: port)
        do { try await body(served) } catch {
            await served.settle()
            running.cancel()
            throw error
        }
        await served.settle()
        running.cancel()
        _ = try? await running.value
    }

    /// Waits until all connections are handled: a server that is cancelled while some are not ends the process.
    private func settle() async {
        _ = try? await isServing()
        try? await Task.sleep(for: .milliseconds(100))
    }

    /// Sends bytes, says that nothing more comes, and reads what is answered until the end.
    func answer(_ text: String, milliseconds: Int32 = 10_000) async throws -> String {
        try await waiting {
            let connection = try RawConnection(port: port)
            try connection.send(text.utf8)
            connection.finish()
            return String(decoding: connection.rest(milliseconds: milliseconds).bytes, as: UTF8.self)
        }
    }

    /// Whether a request is answered with 200.
    func isServing() async throws -> Bool {
        try await answer("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").hasPrefix("HTTP/1.1 200")
    }
}
