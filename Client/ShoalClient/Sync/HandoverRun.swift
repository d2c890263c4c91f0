import ShoalProtocol
import ShoalStore

/// Handing over what a locked home had not sent, without waiting: a step machine over the replica and its `ClientSession`.
///
/// It is the pushing half of a sync. The first request is sent even when nothing is left: by it the server learns that
/// nothing will come.
public struct HandoverRun {
    public enum Step {
        /// Send this to `/v1/handover`, then call `received`. It may be sent again.
        case send([UInt8])
        /// Everything is at the server.
        case finished
    }

    private enum State { case beginning, acting(ClientSession.Action), waiting([UInt8]), finished }

    private let replica: Replica
    /// Why the home is locked, if it had no room to note that.
    let unwritten: Lockout?
    /// Whether the server has everything, which the home had no room to note.
    private var isDeliveredUnnoted = false
    /// The number of the last operation, if the request under way carries all that is left.
    private var last: UInt32?
    private var session = ClientSession()
    private var state = State.beginning

    /// Locks the home if it is not.
    ///
    /// - Parameter reason: what the server said just now; nil to go on with a home that is locked.
    /// - Throws: `ReplicaError.locked` if another process has got further meanwhile.
    public init(_ replica: Replica, _ reason: Lockout.Reason? = nil) throws {
        self.replica = replica
        unwritten = try reason.flatMap { try replica.lockOutMakingRoom($0) }
        try replica.refuseLocked(allowing: .handingOver)
    }

    public mutating func next() throws -> Step {
        while true {
            switch state {
            case .beginning: state = .acting(session.start(try request()))
            case .waiting(let body): return .send(body)
            case .finished: return .finished
            case .acting(.send(let request)):
                let count = request.operations.count
                last = try count == replica.pending() ? request.logs.last.map { $0.position &+ UInt32(count) } : nil
                // Of a home that is about to be emptied, so that one without room needs no note.
                do { try replica.noteSent(request) } catch StoreError.full {}
                state = .waiting(try SyncRun.encoded(request))
            case .acting(.heal(let healing)):
                try replica.heal(healing)
                if case .askAboutTail(let count) = healing {
                    state = .acting(session.healed(next: try replica.tailRequest(skipping: count)))
                } else {
                    state = .acting(session.healed(next: try request()))
                }
            case .acting(.commit(let commit)):
                do { try replica.commit(commit) } catch StoreError.full {
                    guard let last, commit.takenUpTo >= last else { throw StoreError.full(path: replica.home) }
                    isDeliveredUnnoted = true
                    state = .finished
                    continue
                }
                let isEmpty = try replica.pending() == 0
                state = isEmpty ? .finished : .acting(session.committed(next: try request(), pulled: 0))
            case .acting(.finish): state = .finished
            case .acting(.stop(let problem)): throw SyncError.session(problem)
            }
        }
    }

    /// Empties the home, to which nothing is left to do.
    ///
    /// - Throws: `ReplicaError.locked` in the end.
    public func finish() throws {
        try replica.wipe(unwritten, isDelivered: isDeliveredUnnoted)
        try replica.refuseLocked()
    }

    public mutating func received(_ body: [UInt8]) throws {
        let response: SyncResponse
        do throws(FrameError) { response = try SyncResponse(decoding: body) } catch {
            throw Endpoint.unreadable(error)
        }
        state = .acting(session.receive(response))
    }

    /// The next part of the tail; nothing is asked for.
    private func request() throws -> SyncRequest {
        var request = try replica.nextRequest()
        request.wantsPage = false
        return request
    }
}

extension SyncDriver {
    /// Locks the home if it is not, hands over what was not sent, and empties it.
    ///
    /// - Parameter reason: what the server said just now; nil to go on with a home that is locked.
    /// - Throws: `ReplicaError.locked` in the end, whatever came of it; `StoreError.full` when there is more to hand over than
    ///   a home without room can keep account of.
    func handOver(_ patience: Patience, _ reason: Lockout.Reason? = nil) async throws {
        var run = try HandoverRun(replica, reason)
        let credential = try replica.credential()
        let endpoint = Endpoint(server: credential.server, key: credential.key, transport: transport)
        do {
            while case .send(let body) = try run.next() {
                try Task.checkCancellation()
                try run.received(try await exchange("/v1/handover", body, endpoint, patience))
            }
        } catch SyncError.handoverClosed {
            // Whoever revoked the device wants nothing of it, or has had all that it named.
        } catch SyncError.notRevoked {
            return try replica.unlock()
        } catch let error as SyncError {
            guard let lockout = try replica.lockout() ?? run.unwritten, error.helpsToRetry else { throw error }
            throw ReplicaError.locked(home: replica.home, lockout)
        }
        try run.finish()
    }
}
