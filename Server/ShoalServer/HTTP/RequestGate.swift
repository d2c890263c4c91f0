import ShoalCRDT
import Synchronization

/// Bounds how many requests of one account are under way.
final class RequestGate: Sendable {
    /// A place among them, until it is let go of.
    final class Place: Sendable {
        private let gate: RequestGate
        private let account: RecordID

        fileprivate init(_ gate: RequestGate, _ account: RecordID) {
            self.gate = gate
            self.account = account
        }

        deinit { gate.leave(account) }
    }

    private let limit: Int
    private let active = Mutex<[RecordID: Int]>([:])

    init(limit: Int) { self.limit = limit }

    func enter(_ account: RecordID) throws(Problem) -> Place {
        let isOpen = active.withLock { active in
            guard active[account, default: 0] < limit else { return false }
            active[account, default: 0] += 1
            return true
        }
        guard isOpen else { throw .busy }
        return Place(self, account)
    }

    private func leave(_ account: RecordID) {
        active.withLock { active in
            active[account, default: 1] -= 1
            if active[account] == 0 { active[account] = nil }
        }
    }
}
