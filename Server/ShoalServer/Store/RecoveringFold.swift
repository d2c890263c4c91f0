import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// Folding in an epoch begun by a rollback (SPEC.md §3.5, §3.6).
extension GroupFold {
    /// Whether a relay has brought an operation under a place that it once had. Rather is one applied again that was
    /// replaced than one passed over that nobody brought.
    private func cameByRelay(
        _ former: (place: Dot, isProven: Bool), _ index: Int, of push: PreparedPush, _ relayed: VersionVector,
        _ record: Record?
    ) -> Bool {
        guard relayed.contains(former.place) else { return false }
        // Where something else has the place now, or may have had it then, only what is there can have come.
        if former.isProven, !writer.isTaken(former.place) { return true }
        return record?.holds(index, of: push.operations, at: former.place) == true
    }

    /// Where an operation of the pushing log may be in the record after all, when it was passed over because a relay had
    /// brought it: under a place that it once had and that nothing else has taken. What replaces it must find it there.
    private func passedOver(_ dot: Dot, _ relayed: VersionVector?, _ record: Record?) -> [Dot] {
        guard let relayed, record?.entries.contains(where: { $0.dot == dot }) == false else { return [] }
        return writer.state.earlier.was(of: dot, writer.state.logs).map(\.place).filter {
            relayed.contains($0) && !writer.isTaken($0)
        }
    }

    /// Applies an operation in an epoch begun by a rollback: what it names may not have come yet, and what it or those
    /// that came before it name may have stood elsewhere in an earlier epoch.
    func applyRecovering(
        _ index: Int, of push: PreparedPush, _ dot: Dot, _ time: Int64, _ sequence: Int64, _ relayed: VersionVector?,
        to record: inout Record?
    ) -> Bool {
        let (earlier, logs) = (writer.state.earlier, writer.state.logs)
        let isEarlier = index < push.earlier
        func apply(_ index: Int, of batch: borrowing Operations) -> Bool {
            record?.apply(
                index, of: batch, dot: dot, time: time, sequence: sequence, clock: push.time, dropsText: false,
                isKnown: {
                    (isEarlier && !push.isOwn($0) ? writer.isMeant($0) : writer.isTaken($0))
                        || relayed?.contains($0) == true || writer.isOfThisEpoch($0.replica)
                }) == true
        }
        let formerly = earlier.was(of: dot, logs)
        if let relayed, formerly.contains(where: { cameByRelay($0, index, of: push, relayed, record) }) { return false }
        var changed =
            isEarlier && !earlier.isEmpty
            ? apply(
                0,
                of: push.operations.naming(at: index) {
                    push.isOwn($0) ? passedOver($0, relayed, record) : earlier.now(of: $0, logs)
                })
            : apply(index, of: push.operations)
        for (place, _) in formerly {
            changed = record?.takeAhead(of: place, for: dot, sequence: sequence) == true || changed
        }
        return changed
    }
}
