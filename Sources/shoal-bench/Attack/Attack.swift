import Foundation
import ShoalClient
import ShoalProtocol
import Synchronization

/// Accounts that work, and peers that attack, for a while.
struct Attack {
    struct Figures {
        var accounts = 0
        var latencies: [Double] = []
        var errors: [String] = []
        var hostile = 0
        var failures = 0
        var sockets = 0
        var growth = 0.0

        private func percentile(_ share: Double) -> Double {
            let sorted = latencies.sorted()
            guard !sorted.isEmpty else { return .infinity }
            return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))] * 1_000
        }

        var line: String {
            String(
                format:
                    "accounts=%d good=%d p50=%.0fms p99=%.0fms errors=%d hostile=%d 5xx=%d sockets=%d memory=%+.0fMiB",
                accounts,
                latencies.count, percentile(0.5), percentile(0.99), errors.count, hostile, failures, sockets, growth)
                + (errors.first.map { " first error: \($0)" } ?? "")
        }

        var isGood: Bool { errors.isEmpty && failures == 0 && growth <= 128 && percentile(0.99) < 500 && hostile > 0 }
    }

    private let server: ServerProcess
    private let workers: [Worker]
    private let insiderKey: String

    init(_ server: ServerProcess, _ directory: DemoDirectory, accounts: Int) async throws {
        self.server = server
        var workers: [Worker] = []
        for account in 0..<accounts {
            let code = try await server.addAccount(Generator.name(of: account), role: "sales")
            workers.append(try await Worker(home: directory.home(account), url: server.url, code: code))
        }
        self.workers = workers
        let code = try await server.addAccount("insider", role: "sales")
        insiderKey = Data((0..<32).map { UInt8($0) }).base64EncodedString().replacing("=", with: "")
            .replacing("+", with: "-").replacing("/", with: "_")
        let transport = try HTTPTransport()
        let answer = try await transport.send(
            TransportRequest(
                url: server.url + "/v1/enroll", headers: [("Content-Type", "application/json")],
                body: EnrollRequest(code: code, key: insiderKey).encoded()))
        try await transport.close()
        if answer.status != 200 { throw BenchError("the insider cannot enroll: \(answer.status)") }
    }

    func run(seconds: Double, sockets: Int) async throws -> Figures {
        let payloads = try HostilePayloads(key: insiderKey)
        guard let port = UInt16(server.port) else { throw BenchError("the server's port cannot be read") }
        // The pages and statements that work needs are there before what it needs is measured.
        for _ in 0..<2 { try await work(until: Measure.now()) }
        for worker in workers { worker.forget() }
        server.resetPeak()
        let before = server.memory("VmRSS")
        let slow = try SlowSockets(port: port, count: sockets)
        let end = Measure.now() + seconds
        let counts = HostileCounts()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await work(until: end) }
            for body in payloads.bodies {
                group.addTask { await Self.press(body, server.url, insiderKey, until: end, counts) }
            }
            let headers = payloads.headers
            Self.onThread(&group) { while Measure.now() < end { counts.note(HostileSocket.exchange(port, headers)) } }
            Self.onThread(&group) { slow.hold(until: end) }
            try await group.waitForAll()
        }
        var figures = Figures()
        figures.accounts = workers.count
        figures.growth = server.memory("VmHWM") - before
        figures.sockets = slow.opened
        (figures.hostile, figures.failures) = counts.values
        for worker in workers {
            let (latencies, errors) = worker.outcome
            figures.latencies += latencies
            figures.errors += errors
        }
        for worker in workers { try await worker.close() }
        return figures
    }

    /// All accounts write and sync, at least once.
    private func work(until end: Double) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in workers { group.addTask { try await worker.work(until: end) } }
            try await group.waitForAll()
        }
    }

    /// Sends a body again and again.
    private static func press(
        _ body: [UInt8], _ url: String, _ key: String, until end: Double, _ counts: HostileCounts
    ) async {
        let headers = [
            (name: "Content-Type", value: "application/vnd.shoal.v1+json"), ("Content-Encoding", "deflate"),
            ("Authorization", "Bearer \(key)"),
        ]
        guard let transport = try? HTTPTransport() else { return }
        while Measure.now() < end {
            let request = TransportRequest(url: url + "/v1/sync", headers: headers, body: body)
            counts.note(try? await transport.send(request).status)
        }
        try? await transport.close()
    }

    private static func onThread(
        _ group: inout ThrowingTaskGroup<Void, any Error>, _ body: @escaping @Sendable () -> Void
    ) {
        group.addTask {
            await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    body()
                    continuation.resume()
                }
            }
        }
    }
}

/// How hostile requests were answered.
final class HostileCounts: Sendable {
    private let counts = Mutex((all: 0, failures: 0))
    var values: (Int, Int) { counts.withLock { ($0.all, $0.failures) } }

    /// - Parameter status: nil when the connection was closed.
    func note(_ status: Int?) {
        counts.withLock { counts in
            counts.all += 1
            // What is hostile and done nevertheless is a failure like what breaks the server.
            if let status, status >= 500 || status < 400 { counts.failures += 1 }
        }
    }
}
