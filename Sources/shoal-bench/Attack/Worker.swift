import Foundation
import ShoalClient
import Synchronization

/// An account that writes and syncs like a busy person, over a connection of its own.
final class Worker: Sendable {
    private let replica: Replica
    private let http: HTTPTransport
    private let transport: TimedTransport

    init(home: String, url: String, code: String) async throws {
        http = try HTTPTransport()
        transport = TimedTransport(http)
        replica = try await Replica.enroll(
            home: home, url: url, code: code, transport: transport, environment: .machine)
    }

    func work(until end: Double) async throws {
        let driver = SyncDriver(replica: replica, transport: transport, retry: RetryPolicy(attempts: 1))
        repeat {
            _ = try replica.addCustomer(name: "王小明")
            // What fails is counted where it fails.
            do { _ = try await driver.sync() } catch is SyncError {}
            try await Task.sleep(for: .milliseconds(Int.random(in: 300...700)))
        } while Measure.now() < end
    }

    func forget() { transport.forget() }

    /// Seconds of each request, and what went wrong.
    var outcome: ([Double], [String]) { transport.outcome }

    func close() async throws {
        try replica.close()
        try await http.close()
    }
}

/// A transport that takes the time of each request.
private final class TimedTransport: Transport {
    private let base: HTTPTransport
    private let noted = Mutex((seconds: [Double](), errors: [String]()))

    init(_ base: HTTPTransport) { self.base = base }

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        let start = Measure.now()
        do {
            let response = try await base.send(request)
            note(start, response.status == 200 ? nil : "status \(response.status)")
            return response
        } catch {
            note(start, "\(error)")
            throw error
        }
    }

    private func note(_ start: Double, _ error: String?) {
        noted.withLock { noted in
            noted.seconds.append(Measure.now() - start)
            if let error { noted.errors.append(error) }
        }
    }

    func forget() { noted.withLock { $0 = ([], []) } }

    var outcome: ([Double], [String]) { noted.withLock { ($0.seconds, $0.errors) } }
}
