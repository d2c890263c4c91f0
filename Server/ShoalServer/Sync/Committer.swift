import Dispatch
import ShoalProtocol
import ShoalStore
import Synchronization

/// Queues the pushes of concurrent callers and commits them in groups, each answered after its group is durable.
///
/// While one group is on its way to the disk the next gathers, so a lone push waits for nobody and a crowd shares its
/// fsyncs. After an error of the disk nothing is tried again: what was written and not synced may be gone while a second
/// fsync reports success.
public final class Committer: Sendable {
    private typealias Answer = Result<ServerSession.Receipt, any Error>
    private struct Waiting {
        var push: PreparedPush
        var answer: @Sendable (Answer) -> Void
    }
    private struct State {
        var waiting: [Waiting] = []
        var isRunning = false
        var failure: StoreError?
        /// The database is damaged where a commit wanted to write.
        var damage: StoreError?
    }

    /// After so many groups on end the write-ahead log is looked at although somebody waits.
    private static let groupsWithoutRest = 32
    /// A group has no more operations than this unless its first push has: what a group holds in memory follows them.
    private static let operationsAtMost = 8 * Limits.operations
    private let store: ServerStore
    private let limit: Int
    private let metrics: Metrics
    private let onFailure: @Sendable (StoreError) -> Void
    private let onDamage: @Sendable (StoreError) -> Void
    private let queue = DispatchQueue(label: "shoald.commit")
    private let state = Mutex(State())

    /// - Parameters:
    ///   - limit: how many pushes a group has at most.
    ///   - onFailure: called once when the disk has failed; the process must end.
    ///   - onDamage: called once when a commit met damage; from then on nothing is written, and what can be read is read.
    public init(
        store: ServerStore, limit: Int = 64, metrics: Metrics,
        onDamage: @escaping @Sendable (StoreError) -> Void = { _ in },
        onFailure: @escaping @Sendable (StoreError) -> Void
    ) {
        self.store = store
        self.limit = max(1, limit)
        self.metrics = metrics
        self.onFailure = onFailure
        self.onDamage = onDamage
    }

    /// Whether commits can be taken.
    public var isReady: Bool { state.withLock { $0.failure == nil && $0.damage == nil } }

    /// Why a push is not even tried: after a failure none is, after damage those that would write.
    private static func obstacle(_ push: PreparedPush, _ state: State) -> StoreError? {
        state.failure ?? (push.operations.isEmpty ? nil : state.damage)
    }

    /// Whether pushes are being committed.
    var isBusy: Bool { state.withLock { $0.isRunning } }

    /// Does one step of collection, between groups.
    ///
    /// - Throws: `StoreError`.
    func collect(time: Int64) throws -> CollectionStep {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        do { return try store.collect(time: time) } catch let error as StoreError {
            note(error)
            throw error
        }
    }

    /// Commits a push together with those of other callers; returns once it is durable.
    ///
    /// - Throws: `SyncProblem` if the push is refused as a whole, which does not concern the others of its group;
    ///   `StoreError` if the store fails.
    public func commit(_ push: PreparedPush) async throws -> ServerSession.Receipt {
        try await withCheckedThrowingContinuation { continuation in
            enqueue(Waiting(push: push) { continuation.resume(with: $0) })
        }
    }

    /// Commits a push in a group of its own, on the calling thread.
    public func commitAlone(_ push: PreparedPush) throws -> ServerSession.Receipt {
        if let failure = state.withLock({ Self.obstacle(push, $0) }) { throw failure }
        metrics.countGroup(1)
        do {
            guard let result = try store.commit([push]).first else { throw SyncProblem.malformed("there is no push") }
            return try result.get()
        } catch let error as StoreError {
            note(error)
            throw error
        }
    }

    private func enqueue(_ waiting: Waiting) {
        let (failure, starts): (StoreError?, Bool) = state.withLock { state in
            if let failure = Self.obstacle(waiting.push, state) { return (failure, false) }
            state.waiting.append(waiting)
            defer { state.isRunning = true }
            return (nil, !state.isRunning)
        }
        if let failure { waiting.answer(.failure(failure)) }
        if starts { queue.async { self.drain() } }
    }

    private func drain() {
        var sinceCheckpoint = 0
        while let group = nextGroup() {
            metrics.countGroup(group.count)
            do {
                let results = try store.commit(group.map(\.push))
                for (waiting, result) in zip(group, results) { waiting.answer(result.mapError { $0 }) }
            } catch {
                if let error = error as? StoreError { note(error) }
                for waiting in group { waiting.answer(.failure(error)) }
            }
            sinceCheckpoint += 1
            if sinceCheckpoint == Self.groupsWithoutRest {
                shortenLog()
                sinceCheckpoint = 0
            }
        }
    }

    private func shortenLog() {
        do { try store.checkpointIfLong() } catch {
            if let error = error as? StoreError { note(error) }
        }
    }

    private func nextGroup() -> [Waiting]? {
        let group = state.withLock { takeGroup(&$0) }
        if !group.isEmpty { return group }
        // Nobody waits: a good moment to shorten the write-ahead log.
        shortenLog()
        return state.withLock { state in
            if state.waiting.isEmpty {
                state.isRunning = false
                return nil
            }
            return takeGroup(&state)
        }
    }

    /// Takes those that have waited longest.
    private func takeGroup(_ state: inout State) -> [Waiting] {
        var count = 0
        var operations = 0
        while count < min(limit, state.waiting.count) {
            operations += state.waiting[count].push.operations.count
            if count > 0, operations > Self.operationsAtMost { break }
            count += 1
        }
        defer { state.waiting.removeFirst(count) }
        return Array(state.waiting.prefix(count))
    }

    /// Remembers an error after which no commit may be tried.
    private func note(_ error: StoreError) {
        switch error {
        case .inputOutput: break
        case .damaged:
            let isFirst = state.withLock { state in
                defer { state.damage = state.damage ?? error }
                return state.damage == nil
            }
            if isFirst { onDamage(error) }
            return
        default: return
        }
        let isFirst = state.withLock { state in
            defer { state.failure = state.failure ?? error }
            return state.failure == nil
        }
        if isFirst { onFailure(error) }
    }
}
