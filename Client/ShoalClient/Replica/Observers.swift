import ShoalCRDT
import Synchronization

/// Who wants to know of commits.
final class Observers: Sendable {
    private struct State {
        var next = 0
        var continuations: [Int: AsyncStream<ReplicaChange>.Continuation] = [:]
    }
    private let state = Mutex(State())

    func stream() -> AsyncStream<ReplicaChange> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: ReplicaChange.self, bufferingPolicy: .bufferingNewest(64))
        let key = state.withLock { state in
            state.next += 1
            state.continuations[state.next] = continuation
            return state.next
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.continuations.removeValue(forKey: key) }
        }
        return stream
    }

    func send(_ touched: [RecordID], isRemote: Bool) {
        if touched.isEmpty { return }
        let all = state.withLock { Array($0.continuations.values) }
        if all.isEmpty { return }
        let records = Array(Set(touched.prefix(ReplicaChange.limit))).sorted()
        let change = ReplicaChange(records: records, isMany: touched.count > ReplicaChange.limit, isRemote: isRemote)
        for continuation in all { continuation.yield(change) }
    }

    func finish() {
        let all = state.withLock { state in
            defer { state.continuations = [:] }
            return Array(state.continuations.values)
        }
        for continuation in all { continuation.finish() }
    }
}
