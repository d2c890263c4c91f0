import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle

/// A way of speaking HTTP whose connections are counted and bounded, whatever comes before the first request.
struct GuardedChannel<Base: ServerChildChannel>: ServerChildChannel {
    private let base: Base
    private let connections: Connections

    init(_ base: Base, _ connections: Connections) {
        self.base = base
        self.connections = connections
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Base.Value> {
        connections.admit(channel)
        return base.setup(channel: channel, logger: logger)
    }

    func handle(value: Base.Value, logger: Logger) async {
        connections.handled(value.channel)
        await base.handle(value: value, logger: logger)
    }
}

/// Closes the connections that keep silent too long, until the server stops.
struct ConnectionSweeper: Service {
    let connections: Connections
    let seconds: Int64
    let environment: ServerEnvironment

    func run() async throws {
        let limit = TimeAmount.seconds(seconds)
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do { try await environment.sleep(min(1_000, seconds * 250)) } catch { return }
                connections.sweep(limit: limit, now: .now())
            }
        }
    }
}
