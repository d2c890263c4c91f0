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
        /// Change the log in one transaction so that it continues the server's, then call `healed(next:)`.
        case heal(Healing)
        case finish(Report)
        case stop(Problem)
    }

    /// What makes a log continue the server's again.
    public enum Healing: Sendable, Equatable {
        /// Nothing to change yet: the next request names hashes of the tail instead of operations, after those that are
        /// known to be known.
        case askAboutTail(skipping: Int)
        /// What is known leaves the tail, the rest goes on under another replica.
        case fork(PushAnswer.Fork)
        /// The logs, as the request named them, are pushed again from where the server has them, in its epoch.
        case rollback(PushAnswer.Rollback, of: [LogPosition])
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
        /// The operation after `takenUpTo` whose command makes a record under an identifier that is taken.
        public var identifierTaken: UInt32?
        public var page: RecordPage
        public var cursor: String
        public var isFill: Bool
        /// The first page of a fill.
        public var beginsFill = false
        /// Nothing more to pull: only now the state is promised whole.
        public var isLast: Bool
        public var positions: [Dot]
        /// What tells whose logs those are: one for each, or none.
        public var checks: [LogCheck] = []
        /// What left the account's view or came into it again; takes effect before the page.
        public var moves = ScopeMoves()
        /// What is to be removed for good; takes effect before everything else.
        public var erased: [Erasure] = []
        /// Milliseconds since 1970 by the server's clock.
        public var serverTime: Int64
        /// For how many days from now the replica may go on alone; nil when the server does not say.
        public var lease: Int?

        /// Another copy wrote the log further between the push and the page: its operations have the places of those that
        /// will be written here next. The next answer is a fork, and then the page may come.
        fileprivate mutating func passOverPage(cursor: String) {
            page = RecordPage()
            self.cursor = cursor
            isFill = false
            beginsFill = false
            isLast = false
            positions = []
            checks = []
            moves = ScopeMoves()
        }
    }

    public struct Report: Sendable, Equatable {
        public var pushed = 0
        public var pulled = 0
        public var refused: [Verdict] = []
        public init() {}
    }

    /// Why a sync cannot go on.
    public enum Problem: Error, Sendable, Equatable {
        /// The log was found to be a copy again and again.
        case healsInVain
        /// The answer does not fit the request.
        case protocolError(String)
    }

    private enum State { case idle, waiting(SyncRequest), committing(isLast: Bool), healing, ended }
    private var state = State.idle
    private var report = Report()
    /// How often the log may be healed in one sync: a long tail is asked about in parts, and each identifier that is taken
    /// costs one round.
    private var healsLeft = 10_000
    /// The log of which a page was passed over. It happens once: if the next answer is no fork after all, its page counts.
    private var passedOver: ReplicaID?
    /// What the server knows of the tail, as far as it was asked.
    private var known: [KnownOperation] = []

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
        if let pushed = response.log, pushed != log.replica {
            return stop(.protocolError("the answer is about another log"))
        }
        if let epoch = response.epoch, epoch != request.epoch {
            return stop(.protocolError("the answer is about another epoch"))
        }
        let last = log.position + UInt32(truncatingIfNeeded: request.operations.count)
        var identifierTaken: UInt32?
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
            identifierTaken = number
        case .fork(let fork): return heal(fork, request, log)
        case .rollback(let rollback):
            guard rollback.of == request.epoch, rollback.logs.map(\.replica) == request.logs.map(\.replica) else {
                return stop(.protocolError("the answer is about another epoch or other logs"))
            }
            return heal(.rollback(rollback, of: request.logs))
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
        if identifierTaken != nil, !takeHeal() { return stop(.healsInVain) }
        var commit = Commit(
            replica: log.replica, takenUpTo: taken.upTo, acknowledgement: taken.acknowledgement,
            verdicts: taken.verdicts, identifierTaken: identifierTaken, page: response.page,
            cursor: response.cursor, isFill: response.isFill, beginsFill: response.beginsFill,
            isLast: !response.more, positions: response.positions, moves: response.moves,
            erased: response.erased,
            serverTime: response.time, lease: response.lease)
        commit.checks = response.checks
        if passedOver != log.replica, response.page.shows(log.replica, beyond: taken.upTo) {
            passedOver = log.replica
            commit.passOverPage(cursor: request.cursor)
        }
        state = .committing(isLast: commit.isLast)
        return .commit(commit)
    }

    /// The commit is durable.
    ///
    /// - Parameters:
    ///   - next: the replica's standing now, with the next frame of its tail.
    ///   - pulled: how many changes of others the page brought.
    public mutating func committed(next: SyncRequest, pulled: Int) -> Action {
        guard case .committing(let isLast) = state else {
            return stop(.protocolError("a commit was reported that nobody asked for"))
        }
        report.pulled += pulled
        if isLast, next.operations.isEmpty {
            state = .ended
            return .finish(report)
        }
        state = .waiting(next)
        return .send(next)
    }

    /// A fork counts only for the log as it was named: an answer to another request says nothing.
    private mutating func heal(_ fork: PushAnswer.Fork, _ request: SyncRequest, _ log: LogPosition) -> Action {
        guard fork.of == log, fork.skipped == request.skipped, fork.known.count <= request.tail.count else {
            return stop(.protocolError("the answer is about another log"))
        }
        if request.skipped == 0 { known = [] }
        guard Int(request.skipped) == known.count else { return stop(.protocolError("a tail that nobody named")) }
        known += fork.known
        if let replica = fork.replica {
            return heal(
                .fork(.init(of: log, replica: replica, known: known, acknowledgement: fork.acknowledgement)))
        }
        guard fork.known.count == request.tail.count else { return stop(.protocolError("a fork without a replica")) }
        return heal(.askAboutTail(skipping: known.count))
    }

    private mutating func heal(_ healing: Healing) -> Action {
        guard takeHeal() else { return stop(.healsInVain) }
        state = .healing
        return .heal(healing)
    }

    private mutating func takeHeal() -> Bool {
        healsLeft -= 1
        return healsLeft >= 0
    }

    /// The log is healed, durably.
    ///
    /// - Parameter next: the replica's standing now; after `askAboutTail` with the hashes of the tail.
    public mutating func healed(next: SyncRequest) -> Action {
        guard case .healing = state else { return stop(.protocolError("a healing was reported that nobody asked for")) }
        state = .waiting(next)
        return .send(next)
    }

    private mutating func stop(_ problem: Problem) -> Action {
        state = .ended
        return .stop(problem)
    }
}

extension RecordPage {
    /// Whether it has operations of a log after a number.
    fileprivate func shows(_ replica: ReplicaID, beyond number: UInt32) -> Bool {
        entries.contains { $0.dot.replica == replica && $0.dot.number > number }
    }
}
