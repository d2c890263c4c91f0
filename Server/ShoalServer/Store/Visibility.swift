import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

// Who sees what follows from the records: a customer and all in its scope go to the accounts that follow it, and to
// supervisors (SPEC.md §4.3).

extension Scope {
    /// By what changes of a record with this scope are routed; 0 is the workspace. A pair is routed by its first one, and
    /// seen by whoever sees both.
    var routing: Int64 {
        switch self {
        case .workspace: 0
        case .account(let id), .customer(let id): id.rawValue
        case .pair(let a, _): a.rawValue
        }
    }
}

extension Record {
    /// The accounts that follow this customer, ascending; empty for any other record. A deletion changes nothing about them:
    /// whoever saw a record is told that it is deleted.
    ///
    /// - Parameter unproven: additions that do not count.
    func followers(without unproven: Set<Dot> = []) -> [RecordID] {
        guard envelope.scope == .customer(id) else { return [] }
        var followers: [RecordID] = []
        for entry in entries[range(of: Field.follow)]
        where entry.kind == .present && entry.key.elementKind == .id && !unproven.contains(entry.dot) {
            if followers.last != entry.key.elementID { followers.append(entry.key.elementID) }
        }
        return followers
    }

    /// Whether this is the record of a supervisor's account.
    fileprivate var isSupervisor: Bool {
        guard envelope.kind == .account, let role = shown(in: range(of: CellKey(.accountRole))), role.kind == .text
        else { return false }
        return text(role.slice) == Role.supervisor.rawValue
    }
}

/// What a record says of who sees what, before a change.
struct Viewers {
    var followers: [RecordID]
    var isSupervisor: Bool
}

extension StoreWriter {
    /// What the stored record says; to be asked before operations are applied to it.
    func viewers(of record: Record) -> Viewers {
        Viewers(
            followers: record.followers(without: state.unproven[record.id] ?? []), isSupervisor: record.isSupervisor)
    }

    /// Notes who enters and who leaves with a change of a record, in the transaction under way.
    ///
    /// - Parameters:
    ///   - before: nil if the record is new.
    ///   - supervisor: an account that becomes one with this change.
    func noteViewers(
        of record: Record, before: Viewers?, sequence: Int64, supervisor: RecordID? = nil
    ) throws(StoreError) {
        try prove(record, supervisor)
        let now = viewers(of: record)
        let old = before?.followers ?? []
        if now.followers != old {
            for account in now.followers where !old.contains(account) {
                try visibility.enter(account, record.id, sequence: sequence)
            }
            for account in old where !now.followers.contains(account) {
                try visibility.leave(account, record.id, sequence: sequence)
            }
        }
        if now.isSupervisor, before?.isSupervisor != true { try proveAdditions(of: record.id) }
        guard let before, record.envelope.kind == .account, before.isSupervisor != now.isSupervisor else { return }
        if now.isSupervisor {
            try visibility.enter(record.id, VisibilityQueries.everything, sequence: sequence)
        } else {
            try visibility.leave(record.id, VisibilityQueries.everything, sequence: sequence)
        }
    }

    /// What somebody added counts as soon as it is known that they are a supervisor.
    private func proveAdditions(of supervisor: RecordID) throws(StoreError) {
        for (id, dots) in state.unproven.sorted(by: { $0.key < $1.key }) {
            // What cannot be read is set aside when it is met; nobody is shown it.
            guard dots.contains(where: { state.logs[$0.replica]?.account == supervisor }),
                let record = try? stored(id)
            else { continue }
            let before = viewers(of: record)
            // One of its own for each: an account is told of one move under a sequence.
            state.sequence += 1
            try noteViewers(of: record, before: before, sequence: state.sequence, supervisor: supervisor)
        }
    }

    /// An addition that somebody made of whom it was not known that he follows counts as soon as it is.
    private func prove(_ record: Record, _ supervisor: RecordID?) throws(StoreError) {
        guard let unproven = state.unproven[record.id] else { return }
        var open = unproven
        var isMoving = true
        while isMoving {
            isMoving = false
            let followers = record.followers(without: open)
            for dot in open {
                guard let author = state.logs[dot.replica]?.account else { continue }
                var isProven = author == supervisor || followers.contains(author)
                if !isProven { isProven = try visibility.isSupervisor(author) }
                guard isProven else { continue }
                open.remove(dot)
                try visibility.removeUnproven(dot, of: record.id)
                isMoving = true
            }
        }
        state.unproven[record.id] = open.isEmpty ? nil : open
    }

    /// Notes an addition of a follower that nothing proves yet.
    func doubt(_ dot: Dot, of record: RecordID) throws(StoreError) {
        try visibility.addUnproven(dot, of: record)
        state.unproven[record, default: []].insert(dot)
    }
}
