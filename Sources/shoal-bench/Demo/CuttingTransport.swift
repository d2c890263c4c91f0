import ShoalClient
import Synchronization

/// A network that gives out: it loses requests before they are sent, and answers after the server has committed.
final class CuttingTransport: Transport {
    private struct State {
        var random: SplitMix64
        /// Nil while there is no network at all.
        var cuts: Cuts?
        var traffic = Traffic()
    }
    private let inner: any Transport
    private let state: Mutex<State>

    init(_ inner: any Transport, seed: UInt64) {
        self.inner = inner
        state = Mutex(State(random: SplitMix64(state: seed)))
    }

    /// - Parameter cuts: nil for no network.
    func connect(_ cuts: Cuts?) { state.withLock { $0.cuts = cuts } }

    /// What crossed since this was called last.
    func takeTraffic() -> Traffic {
        state.withLock { state in
            defer { state.traffic = Traffic() }
            return state.traffic
        }
    }

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        let isAnswerLost = try state.withLock { state in
            guard let cuts = state.cuts else { throw TransportError.unreachable("there is no network") }
            state.traffic.requests += 1
            if state.random.below(1_000) < cuts.requests {
                state.traffic.requestsCut += 1
                throw TransportError.unreachable("the request was cut")
            }
            state.traffic.bytesUp += request.body.count
            return state.random.below(1_000) < cuts.answers
        }
        let answer = try await inner.send(request)
        try state.withLock { state in
            state.traffic.bytesDown += answer.body.count
            guard isAnswerLost else { return }
            state.traffic.answersCut += 1
            throw TransportError.unreachable("the answer was cut")
        }
        return answer
    }
}
