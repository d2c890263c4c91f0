import ShoalProtocol

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
    private var session = ClientSession()
    private var state = State.beginning

    /// Locks the home if it is not.
    ///
    /// - Parameter reason: what the server said just now; nil to go on with a home that is locked.
    /// - Throws: `ReplicaError.locked` if another process has got further meanwhile.
    public init(_ replica: Replica, _ reason: Lockout.Reason? = nil) throws {
        self.replica = replica
        if let reason { try replica.lockOut(reason) }
        try replica.refuseLocked(allowing: .handingOver)
    }

    public mutating func next() throws -> Step {
        while true {
            switch state {
            case .beginning: state = .acting(session.start(try request()))
            case .waiting(let body): return .send(body)
            case .finished: return .finished
            case .acting(.send(let request)):
                try replica.noteSent(request)
                state = .waiting(try SyncRun.encoded(request))
            case .acting(.heal(let healing)):
                try replica.heal(healing)
                if case .askAboutTail(let count) = healing {
                    state = .acting(session.healed(next: try replica.tailRequest(skipping: count)))
                } else {
                    state = .acting(session.healed(next: try request()))
                }
            case .acting(.commit(let commit)):
                try replica.commit(commit)
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
        try replica.wipe()
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
    /// - Throws: `ReplicaError.locked` in the end, whatever came of it.
    func handOver(_ reason: Lockout.Reason? = nil) async throws {
        var run = try HandoverRun(replica, reason)
        let credential = try replica.credential()
        let endpoint = Endpoint(server: credential.server, key: credential.key, transport: transport)
        do {
            while case .send(let body) = try run.next() {
                try Task.checkCancellation()
                try run.received(try await exchange("/v1/handover", body, endpoint))
            }
        } catch SyncError.handoverClosed {
            // Whoever revoked the device wants nothing of it, or has had all that it named.
        } catch SyncError.notRevoked {
            return try replica.unlock()
        } catch let error as SyncError {
            guard let lockout = try replica.lockout(), error.helpsToRetry else { throw error }
            throw ReplicaError.locked(home: replica.home, lockout)
        }
        try run.finish()
    }
}
