import ShoalCRDT
import ShoalStore
import Synchronization

/// What a sync did.
public struct SyncReport: Sendable, Equatable {
    /// Changes of ours that became effective on the server.
    public var pushed = 0
    /// Changes of others that became effective here.
    public var pulled = 0
    /// Newly set aside.
    public var refused: [(record: RecordID, reason: String)] = []
    /// Records given back to a server that had lost something.
    public var relayed = 0
    public var bytesUp = 0
    public var bytesDown = 0
    public var requests = 0
    public var milliseconds = 0
    public init() {}

    public static func == (a: Self, b: Self) -> Bool {
        a.pushed == b.pushed && a.pulled == b.pulled && a.bytesUp == b.bytesUp && a.bytesDown == b.bytesDown
            && a.refused.map(\.record) == b.refused.map(\.record) && a.refused.map(\.reason) == b.refused.map(\.reason)
            && a.requests == b.requests && a.milliseconds == b.milliseconds
    }
}

/// How far a sync is, for a progress bar.
public struct SyncProgress: Sendable {
    public var pushed: Int
    public var pulled: Int
    public var bytesUp: Int
    public var bytesDown: Int
}

/// How often and how long to wait when the server cannot be reached.
public struct RetryPolicy: Sendable {
    /// Attempts of one request; 1 never retries.
    public var attempts: Int
    /// The wait doubles from `first` to `longest`; the actual one is drawn from its upper half.
    public var first: Duration
    public var longest: Duration
    /// How long one sync or comparison waits in all before it gives up, whatever the server asks for; nil for ever.
    public var patience: Duration?
    public init(
        attempts: Int = 4, first: Duration = .milliseconds(250), longest: Duration = .seconds(30),
        patience: Duration? = .seconds(60)
    ) {
        self.attempts = attempts
        self.first = first
        self.longest = longest
        self.patience = patience
    }
}

/// Runs the sync session of a replica against its server.
public struct SyncDriver: Sendable {
    public var replica: Replica
    public var transport: any Transport
    public var retry: RetryPolicy
    /// Called before each wait: how long it is, and for what.
    public var waiting: @Sendable (Duration, SyncError) -> Void

    public init(
        replica: Replica, transport: any Transport, retry: RetryPolicy = RetryPolicy(),
        waiting: @escaping @Sendable (Duration, SyncError) -> Void = { _, _ in }
    ) {
        self.replica = replica
        self.transport = transport
        self.retry = retry
        self.waiting = waiting
    }

    /// Pushes the tail and pulls until nothing is left. Only one driver at a time runs on a home.
    ///
    /// - Throws: `SyncError`, `ReplicaError.syncing`, `StoreError`, `CancellationError`.
    public func sync(progress: @Sendable (SyncProgress) -> Void = { _ in }) async throws -> SyncReport {
        try await sync(Patience(retry.patience), progress)
    }

    func sync(_ patience: Patience, _ progress: @Sendable (SyncProgress) -> Void) async throws -> SyncReport {
        try await replica.exclusively {
            if try replica.lockout() != nil { try await handOver(patience) }
            do { return try await run(patience, progress) } catch let error {
                guard let reason = await lockout(after: error) else { throw error }
                try await handOver(patience, reason)
                throw SyncError.lockedOut(reason)
            }
        }
    }

    /// Why the server has locked the home, if that is what ended a sync. One that ended for want of room may have asked
    /// nothing: what cannot be noted is not sent.
    private func lockout(after error: any Error) async -> Lockout.Reason? {
        switch error {
        case SyncError.lockedOut(let reason): return reason
        case StoreError.full:
            guard let credential = try? replica.credential() else { return nil }
            return await Endpoint(server: credential.server, key: credential.key, transport: transport).lockout()
        default: return nil
        }
    }

    private func run(_ patience: Patience, _ progress: @Sendable (SyncProgress) -> Void) async throws -> SyncReport {
        let credential = try replica.credential()
        let endpoint = Endpoint(server: credential.server, key: credential.key, transport: transport)
        var run = SyncRun(replica)
        while true {
            try Task.checkCancellation()
            switch try run.next(committed: progress) {
            case .send(let body):
                try run.received(try await exchange("/v1/sync", body, endpoint, patience) { run.sending(body) })
            case .relay(let body):
                do {
                    try run.received(try await exchange("/v1/relay", body, endpoint, patience) { run.sending(body) })
                } catch SyncError.refused(409, _) { try run.relayRefused() }
            case .finished(let report): return report
            }
        }
    }

    /// One request and its answer, repeated as the policy says: every request may be sent again.
    ///
    /// - Parameter sending: called each time that it is sent.
    func exchange(
        _ path: String, _ body: [UInt8], _ endpoint: Endpoint, _ patience: Patience, sending: () -> Void = {}
    ) async throws -> [UInt8] {
        var backoff = Backoff(policy: retry, random: replica.environment.random)
        while true {
            sending()
            do {
                return try await endpoint.exchange(path, body)
            } catch let error as SyncError where error.helpsToRetry {
                try await wait(after: error, &backoff, patience)
            }
        }
    }

    /// Waits before a request is sent again.
    ///
    /// - Throws: the error that there is to wait for, if there is no attempt left, or no patience.
    func wait(after error: SyncError, _ backoff: inout Backoff, _ patience: Patience) async throws {
        guard let wait = backoff.next(retryAfter: error.retryAfter), patience.take(wait) else { throw error }
        waiting(wait, error)
        try await replica.environment.sleep(wait)
    }

    /// Syncs again and again until the task is cancelled: after every local change and at least every `interval`. What
    /// helps to retry is retried for ever; anything else is thrown.
    public func watch(
        interval: Duration = .seconds(5), each: @Sendable (Result<SyncReport, any Error>) -> Void
    ) async throws {
        var backoff = Backoff(
            policy: RetryPolicy(attempts: .max, longest: retry.longest, patience: nil),
            random: replica.environment.random)
        while true {
            // Cancelled while it waits, either the sleep ends by throwing or the stream of changes just ends.
            try Task.checkCancellation()
            var wait = interval
            do {
                each(.success(try await sync(Patience(nil)) { _ in }))
                backoff.reset()
            } catch let error as SyncError where error.helpsToRetry {
                each(.failure(error))
                wait = max(interval, backoff.next(retryAfter: error.retryAfter) ?? interval)
            } catch let error as ReplicaError {
                // Another process is syncing this home, as good as done, or holds it for a while.
                switch error {
                case .syncing, .busy: break
                default: throw error
                }
            } catch let error as StoreError where error.helpsToRetry {
                each(.failure(error))
            }
            try await pause(wait)
        }
    }

    /// Waits, but not longer than until the next local change.
    private func pause(_ wait: Duration) async throws {
        let changes = replica.changes()
        let sleep = replica.environment.sleep
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await sleep(wait) }
            group.addTask {
                for await change in changes where !change.isRemote { return }
            }
            try await group.next()
            group.cancelAll()
        }
    }
}

/// How long one sync still waits for a server.
final class Patience: Sendable {
    private let left: Mutex<Duration?>

    /// - Parameter whole: nil for patience without end.
    init(_ whole: Duration?) { left = Mutex(whole) }

    /// - Returns: false if a wait is longer than what is left.
    func take(_ wait: Duration) -> Bool {
        left.withLock { left in
            guard let some = left else { return true }
            if wait > some { return false }
            left = some - wait
            return true
        }
    }
}

/// How long to wait before the next attempt: exponential, with jitter, never less than the server asked for.
struct Backoff {
    private let policy: RetryPolicy
    private let random: @Sendable () -> UInt64
    private var attempt = 1

    init(policy: RetryPolicy, random: @escaping @Sendable () -> UInt64) {
        self.policy = policy
        self.random = random
    }

    /// - Returns: nil when there is no attempt left.
    mutating func next(retryAfter seconds: Int?) -> Duration? {
        guard attempt < policy.attempts else { return nil }
        let doublings = min(attempt - 1, 20)
        attempt += 1
        let full = min(policy.longest, policy.first * (1 << doublings))
        // From the upper half, so that many replicas that lost one server do not come back at once.
        let share = Double(random() >> 11) / Double(1 << 53)
        let wait = full * (0.5 + share / 2)
        // A server that asks for an hour is not obeyed for longer than ten of the longest waits.
        guard let seconds, seconds > 0 else { return wait }
        return max(wait, min(.seconds(seconds), policy.longest * 10))
    }

    mutating func reset() { attempt = 1 }
}

extension SyncError {
    var retryAfter: Int? {
        if case .unavailable(_, let seconds, _) = self { return seconds }
        return nil
    }
}
