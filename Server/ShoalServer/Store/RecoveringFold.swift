import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// Folding in an epoch begun by a rollback (SPEC.md §3.5, §3.6).
extension GroupFold {
    /// Whether a relay has brought an operation under a place that it once had. Rather is one applied again that was
    /// replaced than one passed over that nobody brought.
    private func cameByRelay(
        _ former: (place: Dot, isProven: Bool), _ index: Int, of push: PreparedPush, _ relayed: RelayedVector?,
        _ record: Record?
    ) -> Bool {
        let (isRelayed, isFree) = (
            relayed?.contains(former: former.place, except: others) == true, !writer.isTaken(former.place)
        )
        if isRelayed, isFree, former.isProven { return true }
        // Where something else has the place now, or may have had it then, only what is there can have come.
        return (isRelayed || isFree) && record?.holds(index, of: push.operations, at: former.place) == true
    }

    /// Where an operation of the pushing log is in the record after all, when it was passed over because a relay had
    /// brought it: under a place that it once had and that nothing else has taken. What replaces it must find it there.
    private func passedOver(_ dot: Dot, _ record: Record?) -> [Dot] {
        guard let record, !record.entries.contains(where: { $0.dot == dot }) else { return [] }
        return writer.state.earlier.was(of: dot, writer.state.logs).map(\.place).filter { place in
            !writer.isTaken(place) && record.entries.contains { $0.dot == place && !$0.kind.isMarker }
        }
    }

    /// Applies an operation in an epoch begun by a rollback: what it names may not have come yet, and what it or those
    /// that came before it name may have stood elsewhere in an earlier epoch. Of one that a relay has brought only what it
    /// replaces and covers goes: whoever relayed it may not have said that they knew of that.
    func applyRecovering(
        _ index: Int, of push: PreparedPush, _ dot: Dot, _ time: Int64, _ sequence: Int64, _ relayed: RelayedVector?,
        to record: inout Record?
    ) -> Bool {
        let (earlier, logs) = (writer.state.earlier, writer.state.logs)
        let isEarlier = index < push.earlier
        // What the pushing replica itself had at a place in the earlier epoch, whatever copies of it had there.
        func own(_ dot: Dot) -> [Dot] { isEarlier ? push.former.compactMap { $0.now(of: dot) } : [] }
        func named(_ dot: Dot) -> [Dot] {
            if push.isOwn(dot) { return passedOver(dot, record) }
            if !isEarlier { return [] }
            let own = own(dot)
            return own.isEmpty
                ? earlier.now(of: dot, logs)
                : own.filter { $0 != dot && logs[$0.replica]?.account == push.account }
        }
        let formerly = earlier.was(of: dot, logs)
        let isPassedOver =
            relayed?.contains(dot) == true
            || formerly.contains { cameByRelay($0, index, of: push, relayed, record) }
        func apply(_ index: Int, of batch: borrowing Operations) -> Bool {
            record?.apply(
                index, of: batch, dot: dot, time: time, sequence: sequence, clock: push.time, dropsText: false,
                isPassedOver: isPassedOver,
                isKnown: {
                    (isEarlier && !push.isOwn($0) && !own($0).contains($0) ? writer.isMeant($0) : writer.isTaken($0))
                        || relayed?.contains($0) == true || writer.isOfThisEpoch($0.replica)
                }) == true
        }
        var changed =
            !earlier.isEmpty
            ? apply(0, of: push.operations.naming(at: index, places: named))
            : apply(index, of: push.operations)
        if isPassedOver { return changed }
        for (place, _) in formerly {
            changed = record?.takeAhead(of: place, for: dot, sequence: sequence) == true || changed
        }
        return changed
    }
}
