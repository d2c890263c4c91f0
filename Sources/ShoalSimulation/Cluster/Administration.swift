import ShoalCRDT
import ShoalProtocol
import ShoalServer

import struct ShoalCRDT.Record

// What a person does at the server, and what becomes of it for those who are asked.
extension Cluster {
    private var book: Accounts {
        get throws { Accounts(store: try server.opened(), environment: server.environment) }
    }

    /// - Parameter account: its number.
    public func setRole(_ role: Role, of account: Int) throws {
        // Whether it gets through or not: what its account saw until now it may see no more.
        oracle.noteDeparture(of: accounts[account].id, from: nil)
        try book.setRole(role, name: accounts[account].name)
    }

    /// Gives all customers of one account to another, by their numbers.
    public func handOver(from: Int, to: Int) throws {
        try expectHandover(from: accounts[from].id, to: accounts[to].id)
        _ = try book.handover(from: accounts[from].name, to: accounts[to].name, isDryRun: false)
        try noteServersWrites()
    }

    /// What the server will write if it gives all customers of an account to another.
    func expectHandover(from giver: RecordID, to taker: RecordID) throws {
        try noteServersWrites()
        let unproven = try server.opened().unprovenFollows()
        var moving: [Record] = []
        try server.opened().forEachRecord { record in
            if record.follows(giver, without: unproven[record.id] ?? []) { moving.append(record) }
        }
        if settings.faults.lineage { try learnPlaces(in: moving) }
        handedOver = moving.map { record in
            oracle.noteDeparture(of: giver, from: record.id)
            return oracle.event(ofHandingOver: record, from: giver, to: taker)
        }
    }

    /// Once logs were copied or restored a place may mean another operation elsewhere: a hand-over replaces what the server has there.
    private func learnPlaces(in records: [Record]) throws {
        let hashes = try server.opened().takenHashes()
        for record in records {
            for entry in record.entries where !entry.kind.isMarker {
                guard let hash = hashes[entry.dot] else { continue }
                oracle.learn(entry.dot, in: CellName(record.id, entry.key, record.text), hash, for: -1)
            }
        }
    }

    /// Takes note of what the server has written in its own logs since this was called last: of a hand-over, as far as its
    /// records have it.
    func noteServersWrites() throws {
        let store = try server.opened()
        let taken = try store.takenHashes()
        let new = Set(taken.keys.filter { $0.replica.rawValue & 0xFFFF == 0 }).subtracting(serversDots)
        serversDots.formUnion(new)
        let events = Dictionary(handedOver.map { ($0.record, $0) }, uniquingKeysWith: { first, _ in first })
        handedOver = []
        if events.isEmpty { return }
        try store.forEachRecord { record in
            guard let event = events[record.id] else { return }
            let dots = Set(record.entries[record.range(of: Field.follow)].map(\.dot)).intersection(new)
            for dot in dots.sorted() { if let hash = taken[dot] { oracle.note(event, hash: hash, at: dot) } }
        }
    }

    /// Whether the server knows accounts, by their numbers, under the identifiers that their homes know: after it was wiped
    /// they have others until the first home enrols again.
    func areKnown(_ numbers: [Int]) throws -> Bool {
        try numbers.allSatisfy { try server.opened().account(named: accounts[$0].name) == accounts[$0].id }
    }

    /// Who is a supervisor now.
    func supervisors() throws -> Set<RecordID> {
        let listed = try book.list().filter { $0.role == Role.supervisor.rawValue }
        let names = Set(listed.map(\.name))
        return Set(accounts.filter { names.contains($0.name) }.map(\.id))
    }
}

extension Record {
    /// - Parameter unproven: additions that do not count.
    fileprivate func follows(_ account: RecordID, without unproven: Set<Dot>) -> Bool {
        guard envelope.kind == .customer else { return false }
        return entries[range(of: CellKey(.follow, id: account))].contains {
            $0.kind == .present && !unproven.contains($0.dot)
        }
    }
}
