import ShoalCRDT

/// The client's half of a sync, without I/O: events in, one action out.
///
/// The driver carries out each action and reports back: it sends a request, commits a `Commit` to the replica in one
/// transaction, or stops. Nothing is applied that does not begin at the cursor that the request named.
public struct ClientSession: Sendable {
    /// What a driver does next.
    public enum Action: Sendable {
        case send(SyncRequest)
        /// Store all of this in one transaction, then call `committed(next:)`.
        case commit(Commit)
        case finish(Report)
        case stop(Problem)
    }

    /// What one answer changes on the replica.
    public struct Commit: Sendable {
        /// The log that was pushed to.
        public var replica: ReplicaID
        /// Everything up to this number is acknowledged.
        public var takenUpTo: UInt32
        public var acknowledgement: String
        /// Refused operations: set aside where the operator sees them.
        public var verdicts: [Verdict]
        public var page: RecordPage
        public var cursor: String
        public var isFill: Bool
        /// The first page of a fill.
        public var beginsFill = false
        /// Nothing more to pull: only now the state is promised whole.
        public var isLast: Bool
        public var positions: [Dot]
        /// Milliseconds since 1970 by the server's clock.
        public var serverTime: Int64
    }

    public struct Report: Sendable, Equatable {
        public var pushed = 0
        public var pulled = 0
        public var refused: [Verdict] = []
        public init() {}
    }

    /// Why a sync cannot go on.
    public enum Problem: Error, Sendable, Equatable {
        /// The log does not continue what the server has: a copy, or restored from a backup.
        case fork(replica: ReplicaID?, known: [KnownOperation])
        /// The server lost what it once acknowledged.
        case rollback(epoch: UInt64, replica: ReplicaID?)
        /// A record's identifier is taken; the operation `number` must make it under another one.
        case identifierTaken(number: UInt32)
        /// The answer does not fit the request.
        case protocolError(String)
    }

    private enum State { case idle, waiting(SyncRequest), committing(SyncRequest, isLast: Bool, Problem?), ended }
    private var state = State.idle
    private var report = Report()

    public init() {}

    /// Begins with the replica's standing: its cursor, its logs and the first frame of its tail.
    public mutating func start(_ request: SyncRequest) -> Action {
        state = .waiting(request)
        return .send(request)
    }

    /// The server's answer to the request sent last.
    public mutating func receive(_ response: SyncResponse) -> Action {
        guard case .waiting(let request) = state, let log = request.logs.last else {
            return stop(.protocolError("an answer came that nobody waited for"))
        }
        let last = log.position + UInt32(truncatingIfNeeded: request.operations.count)
        var problem: Problem?
        let taken: (upTo: UInt32, acknowledgement: String, verdicts: [Verdict])
        switch response.push {
        case .taken(let upTo, let acknowledgement, let verdicts):
            guard upTo == last else { return stop(.protocolError("the server took \(upTo) of \(last)")) }
            taken = (upTo, acknowledgement, verdicts)
        case .identifierTaken(let number, let upTo, let acknowledgement, let verdicts):
            guard upTo >= log.position, upTo < number, number <= last else {
                return stop(.protocolError("the server took \(upTo) and stopped at \(number)"))
            }
            taken = (upTo, acknowledgement, verdicts)
            problem = .identifierTaken(number: number)
        case .fork(let replica, let known): return stop(.fork(replica: replica, known: known))
        case .rollback(let epoch, let replica): return stop(.rollback(epoch: epoch, replica: replica))
        }
        guard response.from == request.cursor else {
            return stop(.protocolError("the page does not begin at the cursor that was asked for"))
        }
        if response.more, request.wantsPage, response.cursor == request.cursor {
            return stop(.protocolError("the server has more and the cursor does not move"))
        }
        // Verdicts are repeated; those up to the position were reported when they came first.
        let refused = taken.verdicts.filter { $0.number > log.position }
        guard Set(refused.map(\.number)).count == refused.count, refused.allSatisfy({ $0.number <= taken.upTo }) else {
            return stop(.protocolError("a verdict on an operation that was not taken"))
        }
        report.pushed += Int(taken.upTo - log.position) - refused.count
        report.refused += refused
        state = .committing(request, isLast: !response.more, problem)
        return .commit(
            Commit(
                replica: log.replica, takenUpTo: taken.upTo, acknowledgement: taken.acknowledgement,
                verdicts: taken.verdicts, page: response.page, cursor: response.cursor, isFill: response.isFill,
                beginsFill: response.beginsFill, isLast: !response.more, positions: response.positions,
                serverTime: response.time))
    }

    /// The commit is durable.
    ///
    /// - Parameters:
    ///   - next: the replica's standing now, with the next frame of its tail.
    ///   - pulled: how many changes of others the page brought.
    public mutating func committed(next: SyncRequest, pulled: Int) -> Action {
        guard case .committing(_, let isLast, let problem) = state else {
            return stop(.protocolError("a commit was reported that nobody asked for"))
        }
        report.pulled += pulled
        if let problem { return stop(problem) }
        if isLast, next.operations.isEmpty {
            state = .ended
            return .finish(report)
        }
        state = .waiting(next)
        return .send(next)
    }

    private mutating func stop(_ problem: Problem) -> Action {
        state = .ended
        return .stop(problem)
    }
}
