import ShoalCRDT
import ShoalProtocol

/// What a sync did.
public struct SyncReport: Sendable, Equatable {
    /// Changes of ours that became effective on the server.
    public var pushed = 0
    /// Changes of others that became effective here.
    public var pulled = 0
    /// Newly set aside.
    public var refused: [(record: RecordID, reason: String)] = []
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
    public init(attempts: Int = 4, first: Duration = .milliseconds(250), longest: Duration = .seconds(30)) {
        self.attempts = attempts
        self.first = first
        self.longest = longest
    }
}

/// Runs the sync session of a replica against its server.
public struct SyncDriver: Sendable {
    public var replica: Replica
    public var transport: any Transport
    public var retry: RetryPolicy

    public init(replica: Replica, transport: any Transport, retry: RetryPolicy = RetryPolicy()) {
        self.replica = replica
        self.transport = transport
        self.retry = retry
    }

    /// Pushes the tail and pulls until nothing is left. Only one driver at a time runs on a home.
    ///
    /// - Throws: `SyncError`, `ReplicaError.syncing`, `StoreError`, `CancellationError`.
    public func sync(progress: @Sendable (SyncProgress) -> Void = { _ in }) async throws -> SyncReport {
        throw SyncError.wrongToken
    }

    /// Syncs again and again until the task is cancelled: after every local change and at least every `interval`. What
    /// helps to retry is retried for ever; anything else is thrown.
    public func watch(
        interval: Duration = .seconds(5), each: @Sendable (Result<SyncReport, any Error>) -> Void
    ) async throws {
        throw SyncError.wrongToken
    }
}
