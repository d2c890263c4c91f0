import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// What an erasure removed, or would.
public struct ErasureReport: Codable, Sendable, Equatable {
    /// The records of the person: the customer, and all that belongs to it.
    public var records = 0
    /// Of those, the ones whose rows were here.
    public var stored = 0
    /// Accounts whose replicas are told.
    public var accounts = 0
    /// Whether it had been erased before: then it is made sure that nothing is left.
    public var isRepeated = false
    /// Whether nothing was changed.
    public var isDryRun = false
}

/// Why nothing is erased.
public enum ErasureProblem: Error, Equatable, Sendable, CustomStringConvertible {
    case unknown(RecordID)
    case noCustomer(RecordID)
    /// Whoever asks for it has a name that cannot be kept.
    case badName

    public var description: String {
        switch self {
        case .unknown(let id): "nothing here says that there ever was a customer \(id); nothing was erased"
        case .noCustomer(let id): "\(id) is not a customer: only a customer, with all that belongs to it, can be erased"
        case .badName: "whoever erases must have a name of 1 to 64 bytes without control characters"
        }
    }
}

// Erasing everything about a person, for good; SPEC.md §4.4.
extension ServerStore {
    /// Erases a customer and everything in its scope. When it returns nothing of it is in the files of the database, and what
    /// is pushed or relayed about it later is not taken. The same again makes sure of it.
    ///
    /// - Parameters:
    ///   - by: who asks for it: 1 to 64 bytes.
    ///   - time: milliseconds since 1970.
    /// - Throws: `ErasureProblem`; `StoreError`: `.busy` if a reader kept the last bytes from being removed, which the next
    ///   call or the next start does.
    @discardableResult
    public func erase(_ person: RecordID, by: String, time: Int64, isDryRun: Bool = false) throws -> ErasureReport {
        guard Accounts.isName(by) else { throw ErasureProblem.badName }
        var report = try withWriter { writer, _ in try writer.erasure(of: person) }
        report.isDryRun = isDryRun
        if isDryRun { return report }
        try erase([ErasureLedger.Entry(record: person, person: person, time: time, by: by)], tellsAll: false)
        try scrub()
        return report
    }

    /// Erases again what this server is proven to have erased before it was set back.
    func eraseAgain(_ persons: Set<RecordID>, time: Int64) throws {
        let forgotten = try withWriter { writer, _ in persons.subtracting(writer.state.erased) }
        if forgotten.isEmpty { return }
        try erase(
            forgotten.sorted().map { ErasureLedger.Entry(record: $0, person: $0, time: time, by: Self.replicaName) },
            tellsAll: true)
        do { try scrub() } catch StoreError.busy {}
    }

    /// Stands for who asked, when it is a replica that remembers.
    private static let replicaName = "replica"

    /// Brings database and ledger together, before anything is served: what the ledger has and a backup that was restored
    /// does not is erased again.
    func applyLedger() throws {
        if let ledger {
            let (stored, erased) = try withWriter { writer, _ in
                (try writer.erasures.entries(), writer.state.erased)
            }
            let kept = try ledger.entries()
            let known = Set(kept.map(\.record))
            try ledger.append(stored.filter { !known.contains($0.record) })
            try erase(kept.filter { !erased.contains($0.record) }, tellsAll: true, isLedger: true)
        }
        if try withWriter({ writer, _ in try writer.erasures.isUnscrubbed }) {
            do { try scrub() } catch StoreError.busy {}
        }
    }

    /// Writes the ledger first: whatever happens then, the database follows when it is opened again.
    ///
    /// - Parameters:
    ///   - tellsAll: whether every account is told, because it is not known any more who saw what.
    ///   - isLedger: whether the entries come from the ledger.
    private func erase(_ entries: [ErasureLedger.Entry], tellsAll: Bool, isLedger: Bool = false) throws {
        for (person, group) in Dictionary(grouping: entries, by: \.person).sorted(by: { $0.key < $1.key }) {
            guard let first = group.first else { continue }
            try withWriter { writer, _ in
                let records = Set(try writer.records(of: person).own).union(group.map(\.record)).sorted()
                let all = records.map { record in
                    group.first { $0.record == record }
                        ?? ErasureLedger.Entry(record: record, person: person, time: first.time, by: first.by)
                }
                let isKnown = isLedger ? Set(group.map(\.record)) : writer.state.erased
                try ledger?.append(all.filter { !isKnown.contains($0.record) })
                try writer.transaction { try writer.erase(person, all, tellsAll: tellsAll) }
                for record in records { quarantine.remove(record) }
            }
        }
    }

    /// Removes from the file what rows that were deleted have left in it.
    func scrub() throws {
        try withWriter { writer, _ in
            try writer.stopping { try writer.erasures.scrub() }
            try writer.transaction { try writer.erasures.setUnscrubbed(false) }
        }
    }
}

extension StoreWriter {
    /// What would be erased.
    func erasure(of person: RecordID) throws -> ErasureReport {
        var report = ErasureReport()
        report.isRepeated = state.erased.contains(person)
        let records = try records(of: person).own
        // A row that cannot be read says nothing against it.
        if let envelope = readableEnvelope(person), envelope.scope != .customer(person) {
            throw ErasureProblem.noCustomer(person)
        }
        var isThere = false
        for record in records where try isStored(record) {
            report.stored += 1
            isThere = true
        }
        guard try isThere || report.isRepeated || erasures.isKnown(person) else { throw ErasureProblem.unknown(person) }
        report.records = records.count
        report.accounts = try told(of: records, person).count
        return report
    }

    /// The person and what belongs to it, or did; and, of what does not any more and has since been made anew under the same
    /// identifier, what of its audit is the person's still.
    fileprivate func records(of person: RecordID) throws -> (own: [RecordID], former: [ErasureQueries.FormerMember]) {
        var own = [person] + (try erasures.members(of: person))
        var former: [ErasureQueries.FormerMember] = []
        for member in try erasures.formerMembers(of: person) {
            let isOther = readableEnvelope(member.record) != nil || quarantine.reason(member.record) != nil
            // Anybody may still come to make a derived identifier.
            if isOther || member.record.isDerived { former.append(member) } else { own.append(member.record) }
        }
        return (own, former)
    }

    /// Erases records of one person, in the transaction under way.
    func erase(_ person: RecordID, _ entries: [ErasureLedger.Entry], tellsAll: Bool) throws {
        let records = entries.map(\.record)
        let accounts = try tellsAll ? erasures.accounts() : told(of: records, person)
        let former = try self.records(of: person).former.filter { !records.contains($0.record) }
        for entry in entries {
            state.sequence += 1
            let envelope = readableEnvelope(entry.record)
            // Whoever compares its rows with these is not told that it is gone, but that it changed.
            try queries.appendFeed(
                entry.record, envelope ?? Envelope(kind: .customer, scope: .customer(person)),
                sequence: state.sequence)
            if let envelope { try collection.members.remove(entry.record, envelope) }
            try erasures.delete(entry.record)
            _ = try audit.erase(entry.record)
            try erasures.add(entry, sequence: state.sequence)
            state.erased.insert(entry.record)
            state.unproven[entry.record] = nil
        }
        try erasures.forgetScope(person)
        for member in former {
            _ = try audit.erase(member.record, upTo: member.upTo)
            // Who sees what is called so now is not told what else was.
            try erasures.remember(member.record, of: member.record, upTo: member.upTo)
        }
        for account in accounts { try erasures.notify(account, of: person, sequence: state.sequence) }
        try erasures.setUnscrubbed(true)
        if let entry = entries.first { try note(AuditEvent(action: .erase, subject: person, time: entry.time)) }
        try markCommit()
    }

    /// Stands for who asked, when a push speaks of a record that was not here.
    private static let pushName = "push"

    /// Whether an identifier is one that a replica of an account drew, as far as this server itself has given that out: nobody
    /// says of another's identifiers whose they are.
    func made(_ record: RecordID, _ account: RecordID) -> Bool {
        !record.isDerived
            && state.logs.contains { replica, log in
                log.account == account && replica.count == record.count
                    && (state.earlier.sure[replica] == nil || positionsAtStart[replica] != nil)
            }
    }

    /// Erases a record of a person who was erased, of which the server hears only now.
    func bury(_ record: RecordID, of person: RecordID, time: Int64) throws(StoreError) {
        try erasures.delete(record)
        try erasures.add(
            ErasureLedger.Entry(record: record, person: person, time: time, by: Self.pushName), sequence: state.sequence
        )
        state.erased.insert(record)
    }

    /// Whether a made record stands under an identifier.
    func isStoredElsewhere(_ record: RecordID) throws(StoreError) -> Bool {
        readableEnvelope(record).map { $0.kind != .none } ?? false
    }

    /// Whether a relayed record is, or belongs to, somebody who was erased.
    func isErased(_ record: Record) -> Bool {
        if state.erased.isEmpty { return false }
        return state.erased.contains(record.id)
            || record.envelope.scope.identifiers.contains(where: state.erased.contains)
    }

    /// The accounts whose replicas may hold something: who sees or saw it, and the authors of what is there.
    private func told(of records: [RecordID], _ person: RecordID) throws -> Set<RecordID> {
        var accounts = try erasures.viewers(of: person)
        for id in records {
            guard let record = try? stored(id) else { continue }
            for entry in record.entries {
                if let account = state.logs[entry.dot.replica]?.account, account != Self.serverAccount {
                    accounts.insert(account)
                }
            }
        }
        return accounts
    }

    private func isStored(_ record: RecordID) throws -> Bool {
        var packed: [UInt8] = []
        return try queries.readRecord(record, into: &packed) != nil || quarantine.reason(record) != nil
    }

    private func readableEnvelope(_ id: RecordID) -> Envelope? {
        guard let record = try? stored(id), record.isMade else { return nil }
        return record.envelope
    }
}
