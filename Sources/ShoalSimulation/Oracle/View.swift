import ShoalCRDT
import ShoalProtocol

/// What an account may see at the end of a run, by what the operators did.
struct View {
    let account: RecordID
    let isEverything: Bool
    let followed: Set<RecordID>

    /// Whether a record with this envelope is seen; nil is an account's own record.
    func sees(_ envelope: Envelope?) -> Bool {
        guard let envelope, !isEverything else { return true }
        return switch envelope.scope {
        case .workspace: true
        case .account(let id): id == account
        case .customer(let id): followed.contains(id)
        case .pair(let a, let b): followed.contains(a) && followed.contains(b)
        }
    }
}

extension Verification {
    /// The views of all accounts.
    mutating func views() throws -> [RecordID: View] {
        let supervisors = try cluster.supervisors()
        let followers = try followers(supervisors)
        var views: [RecordID: View] = [:]
        for (account, _) in cluster.accounts {
            let followed = Set(followers.filter { $0.value.contains(account) }.keys)
            views[account] = View(account: account, isEverything: supervisors.contains(account), followed: followed)
        }
        return views
    }

    /// The followers of each customer that count. A server that was set back may have lost what let somebody add one, and that
    /// alone lets it pass over an addition (SPEC.md §4.3): as long as its author neither follows the customer nor is a supervisor.
    private mutating func followers(_ supervisors: Set<RecordID>) throws -> [RecordID: Set<RecordID>] {
        let unproven = try cluster.server.opened().unprovenFollows()
        var followers: [RecordID: Set<RecordID>] = [:]
        for (id, additions) in model.additions.sorted(by: { $0.key < $1.key }) {
            let open = Set((unproven[id] ?? []).compactMap { hashes[$0] })
            let counted = Set(additions.lazy.filter { !open.contains($0.event) }.map(\.account))
            followers[id] = counted
            for (event, account) in additions where open.contains(event) {
                let author = oracle.events[event].flatMap { oracle.accountOf[$0.machine] }
                let isKnown = author.map { counted.contains($0) || supervisors.contains($0) } ?? true
                if oracle.isServerSetBack, !isKnown { continue }
                note(\.lost, "\(cluster.name(of: account)) does not count as a follower of \(id)")
            }
        }
        return followers
    }

    /// A dump has the records that its account may see, and no others.
    mutating func checkView(_ view: View, _ dump: [UInt8], _ machine: ClientMachine) {
        let ids = Set(dump.split(separator: 10).compactMap { Self.identifier($0) })
        for (id, envelope) in model.envelopes.sorted(by: { $0.key < $1.key }) {
            let isThere = ids.contains(id)
            if isThere, !view.sees(envelope) {
                note(\.leaked, "account \(machine.account.name) has \(id), which it may not see")
            }
            if !isThere, present.contains(id), view.sees(envelope) {
                note(\.lost, "account \(machine.account.name) has not \(id), which it may see")
            }
        }
    }

    /// Whether an operation may rightly be refused: its account had lost sight of what it is about, it rests on another that
    /// was refused, or it is of the command of such a one.
    func mayBeRefused(_ event: Event) -> Bool {
        if isRightlyRefused(event) { return true }
        // Tags of several customers, and deletions with their notes, are one command.
        guard let place = oracle.order.firstIndex(of: event.hash) else { return false }
        let near = oracle.order[max(0, place - 40)..<min(oracle.order.count, place + 40)]
        return near.contains { hash in
            guard hash != event.hash, refused.contains(hash), let other = oracle.events[hash],
                other.machine == event.machine
            else { return false }
            return isRightlyRefused(other)
        }
    }

    private func isRightlyRefused(_ event: Event) -> Bool {
        if event.isForbidden { return true }
        // Whoever was given up since may have been refused too.
        guard let account = oracle.accountOf[event.machine] else { return false }
        let envelope = event.creates ?? envelope(of: event.record)
        if case .customer(let customer)? = envelope?.scope, oracle.mayHaveLost(account, customer) { return true }
        // Another account's follow relation.
        let isOthers = event.writes.contains { write in
            guard case .id(let owner) = write.cell.element else { return false }
            return Schema.field(write.cell.field)?.element == .account && owner != account
        }
        if isOthers { return true }
        let named = event.writes.reduce(into: event.covered) { $0.formUnion($1.superseded) }
        return !named.isDisjoint(with: refused) || isRefused(makerOf: event.record)
    }

    private func envelope(of id: RecordID) -> Envelope? {
        model.envelopes[id] ?? oracle.events.values.first { $0.record == id && $0.creates != nil }?.creates
    }

    private func isRefused(makerOf id: RecordID) -> Bool {
        oracle.events.values.contains { $0.record == id && $0.creates != nil && refused.contains($0.hash) }
    }

    /// The identifier at the beginning of a line of a dump: {"id":"…
    private static func identifier(_ line: ArraySlice<UInt8>) -> RecordID? {
        let text = line.dropFirst(7).prefix(13)
        return RecordID(text: String(decoding: text, as: UTF8.self))
    }
}
