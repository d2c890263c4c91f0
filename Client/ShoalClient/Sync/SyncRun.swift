import ShoalProtocol

/// One sync of a replica, without waiting: a step machine over the replica and its `ClientSession`.
///
/// Whoever drives it sends each body to the server and hands back the answer; what becomes of both is decided here. The
/// driver does so over a transport, the simulator over a simulated network.
public struct SyncRun {
    public enum Step: Sendable {
        /// Send this to `/v1/sync`, then call `received`. Asked again before that, it is the same body: every request
        /// may be sent again.
        case send([UInt8])
        /// The same with `/v1/relay`; if it is refused there, call `relayRefused`.
        case relay([UInt8])
        case finished(SyncReport)
    }

    private let replica: Replica
    private let start: UInt64
    private var session = ClientSession()
    private var state = State.beginning
    private var report = SyncReport()
    private var clock = ClockOffset()
    /// What the server had acknowledged when this began, and has by now.
    private var acknowledged: (first: UInt32, now: UInt32) = (0, 0)

    /// Whether the server wants what this replica held before the server lost something.
    private var isRelayWanted = false
    private var hasRelayed = false

    private enum State {
        case beginning, acting(ClientSession.Action), waiting([UInt8]), finishing, finished
        case relayingNext, relaying([UInt8], RelayBatch)
    }

    public init(_ replica: Replica) {
        self.replica = replica
        start = replica.environment.ticks()
    }

    public var progress: SyncProgress {
        SyncProgress(
            pushed: Int(max(acknowledged.now, acknowledged.first) - acknowledged.first), pulled: report.pulled,
            bytesUp: report.bytesUp, bytesDown: report.bytesDown)
    }

    /// Does what can be done without the server.
    ///
    /// - Parameter committed: called after each answer that was stored.
    /// - Throws: `SyncError`, `ReplicaError`, `StoreError`; the run is over then.
    public mutating func next(committed: (SyncProgress) -> Void = { _ in }) throws -> Step {
        while true {
            switch state {
            case .beginning:
                let first = try replica.nextRequest()
                acknowledged.first = first.logs.last?.position ?? 0
                acknowledged.now = acknowledged.first
                state = .acting(session.start(first))
            case .waiting(let body): return .send(body)
            case .finished: return .finished(report)
            case .acting(.send(let request)):
                try replica.noteSent(request)
                state = .waiting(try Self.encoded(request))
            case .acting(.heal(let healing)):
                try replica.heal(healing)
                if case .askAboutTail(let count) = healing {
                    state = .acting(session.healed(next: try replica.tailRequest(skipping: count)))
                } else {
                    state = .acting(session.healed(next: try replica.nextRequest()))
                }
            case .acting(.commit(let commit)):
                let outcome = try replica.commit(commit, clockOffset: clock.milliseconds)
                report.pulled += outcome.pulled
                report.refused += outcome.refused
                acknowledged.now = commit.takenUpTo
                state = .acting(session.committed(next: try replica.nextRequest(), pulled: outcome.pulled))
                committed(progress)
            case .acting(.finish(let result)):
                report.pushed += result.pushed
                state = isRelayWanted && !hasRelayed ? .relayingNext : .finishing
            case .relaying(let body, _): return .relay(body)
            case .relayingNext:
                if let next = try replica.nextRelay(isFirst: !hasRelayed) {
                    state = .relaying(next.body, next.batch)
                } else if hasRelayed {
                    try syncAgain()
                } else {
                    state = .finishing
                }
            case .finishing:
                report.milliseconds = Int(clamping: (replica.environment.ticks() &- start) / 1_000_000)
                state = .finished
            case .acting(.stop(let problem)): throw SyncError.session(problem)
            }
        }
    }

    /// Counts a request on its way, each time that it is sent.
    public mutating func sending(_ body: [UInt8]) {
        report.requests += 1
        report.bytesUp += body.count
        clock.sending(ticks: replica.environment.ticks())
    }

    /// What was relayed comes back like everything else.
    private mutating func syncAgain() throws {
        try replica.noteRelayed(report.relayed)
        session = ClientSession()
        state = .acting(session.start(try replica.nextRequest()))
    }

    /// The server does not take relays now: they stay here until it asks again.
    public mutating func relayRefused() throws {
        guard case .relaying = state else { return }
        if hasRelayed { try syncAgain() } else { state = .finishing }
    }

    private mutating func receivedRelay(_ body: [UInt8], of batch: RelayBatch) throws {
        let response: RelayResponse
        do throws(FrameError) { response = try RelayResponse(decoding: body) } catch {
            throw Endpoint.unreadable(error)
        }
        report.bytesDown += body.count
        report.relayed += response.taken
        try replica.dropRelayed(batch)
        hasRelayed = true
        state = .relayingNext
        if !response.more { try syncAgain() }
    }

    /// Takes the body of the server's answer to what was sent last.
    ///
    /// - Throws: `SyncError.badAnswer`, `SyncError.otherProtocol`. The same request may then be sent again.
    public mutating func received(_ body: [UInt8]) throws {
        if case .relaying(_, let batch) = state { return try receivedRelay(body, of: batch) }
        let response: SyncResponse
        do throws(FrameError) { response = try SyncResponse(decoding: body) } catch {
            throw Endpoint.unreadable(error)
        }
        report.bytesDown += body.count
        isRelayWanted = response.recovery
        clock.received(
            server: response.time, now: replica.environment.now(), ticks: replica.environment.ticks())
        state = .acting(session.receive(response))
    }

    static func encoded(_ request: SyncRequest) throws -> [UInt8] {
        do throws(FrameError) { return try request.encoded() } catch { throw SyncError.badAnswer(error.description) }
    }
}
