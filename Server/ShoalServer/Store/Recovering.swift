import ShoalProtocol
import ShoalStore

// How long an epoch begun by a rollback recovers; SPEC.md §3.5.
extension StoreWriter {
    /// Whether an operation of an earlier epoch is believed to be of somebody who could see what it is about, since what lets
    /// them see it may come yet.
    var believes: Bool { state.recovers && !state.hasRecovered }

    /// Ends it when everybody who is waited for has brought what they had, at the latest a lease after the first one came.
    ///
    /// Nothing depends on this being neither too early nor too late but what those who come afterwards are believed.
    func endRecovering() throws {
        guard state.recovers, !state.recovery else { return }
        leases.enter(epoch: state.epoch)
        for replica in try collection.enrolled() { leases.begin(replica) }
        let first = leases.standings.lazy.filter { self.isOfThisEpoch($0.key) && $0.value.reached > 0 }
            .map(\.value.began).min()
        guard let first, leases.clock - first > leases.length || leases.live.allSatisfy({ $0.sequence > 0 })
        else { return }
        state.recovers = false
        state.hasRecovered = true
        try queries.updateServer(state)
    }

    /// Takes in who comes after it has ended with what was written before.
    func recoverAgain(for push: PreparedPush) throws(StoreError) {
        guard !state.recovers, state.hasRecovered else { return }
        let isLate =
            push.epoch != state.epoch || push.earlier > 0 || !push.former.isEmpty || !push.proven.isEmpty
            || push.logs.contains { state.logs[$0.replica] == nil }
        guard isLate else { return }
        state.recovers = true
        try queries.updateServer(state)
    }
}
