import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

// What relays say of accounts: that there were such, and who was who. It gives nobody a role (SPEC.md §3.6).
extension StoreWriter {
    /// An account comes back with its record, without a key and without a role.
    func deriveAccount(_ record: Record, _ database: Database) throws {
        guard let name = record.text(of: .accountName), Accounts.isName(name) else { return }
        try RelayedAccountQueries(database: database).add(record.id, name: name)
    }

    /// Takes an account that only a relay knows for the one that the operator adds, in the transaction under way.
    ///
    /// - Returns: its identifier; nil if there is none of that name, or if others say that it had another one.
    /// - Throws: `AccountProblem.nameTaken`; `StoreError`.
    func adopt(_ name: String, role: Role, time: Int64, _ database: Database) throws -> RecordID? {
        guard let id = try ServerStore.account(database, named: name) else { return nil }
        let accounts = RelayedAccountQueries(database: database)
        guard try accounts.account(id)?.origin == .relay else { throw AccountProblem.nameTaken(name) }
        if try accounts.rival(of: name, for: id) != nil {
            try accounts.remove(id)
            return nil
        }
        try write(id, name, role, over: try stored(id), time: time)
        try accounts.setRole(role, of: id)
        state.roles[id] = role
        return id
    }

    /// Hears what a relay says of who was who, and takes back what it shows to have been given to the wrong account.
    func hear(_ page: RecordPage, from account: RecordID, time: Int64, _ database: Database) throws {
        let accounts = RelayedAccountQueries(database: database)
        for head in page.heads where head.envelope == Envelope(kind: .account, scope: .workspace) {
            guard let witness = try accounts.account(account)?.name,
                let name = page.record(head, notAfter: time, without: { _ in false }).text(of: .accountName),
                Accounts.isName(name)
            else { continue }
            try accounts.addVoice(witness, on: head.id, name: name)
            guard let holder = try accounts.account(head.id), holder.origin == .home,
                let rightful = try accounts.rival(of: holder.name, for: head.id)
            else { continue }
            try takeBack(head.id, from: holder.name, holder.role, for: rightful, time: time, database)
        }
    }

    /// Gives an account an identifier of its own again, and the one that it had to whoever had it before. Its homes enroll
    /// again; what they have written goes with them, what others wrote of that identifier stays.
    private func takeBack(
        _ id: RecordID, from name: String, _ role: Role, for rightful: String, time: Int64, _ database: Database
    ) throws {
        let accounts = RelayedAccountQueries(database: database)
        let own = try ServerStore.newIdentifier(self, database, time: time)
        try note(
            AuditEvent(
                action: .accountTakeBack, subject: id,
                values: [
                    .init("name", from: name, to: rightful),
                    .init("account", from: id.description, to: own.description),
                ],
                time: time))
        try accounts.removeKeys(of: id)
        try accounts.rename(id, to: own, .ours)
        try write(own, name, role, over: nil, time: time)
        state.roles[id] = nil
        state.roles[own] = role
        try moveLogs(of: id, to: own, time: time, database)
        try write(id, rightful, nil, over: try stored(id), time: time)
        if let record = try stored(id) { try deriveAccount(record, database) }
    }

    /// The logs of an account are another's: their operations have that author.
    func moveLogs(of id: RecordID, to own: RecordID, time: Int64, _ database: Database) throws {
        let logs = state.logs.filter { $0.value.account == id }.keys.sorted()
        if logs.isEmpty { return }
        for replica in logs { state.logs[replica]?.account = own }
        try RelayedAccountQueries(database: database).moveLogs(of: id, to: own)
        state.earlier = try places.load()
        // A log that was handed out for the one is not for the other.
        state.answered = [:]
        let record = try stored(id)
        for (account, kind) in [(id, ValueKind.absent), (own, .present)] {
            try writeOwn(time: time) { operations in
                operations.begin(record: account, time: time, salt: salt())
                for replica in logs {
                    let key = CellKey(.accountReplica, id: RecordID(rawValue: Int64(replica.rawValue)))
                    let live = record.map { $0.liveDots(in: $0.range(of: key)) } ?? []
                    if kind == .present { operations.edit(key, .present) }
                    if kind == .absent, !live.isEmpty { operations.edit(key, .absent, supersedes: live) }
                }
            }
        }
    }

    /// Keeps for the audit what a row says of an account.
    func describe(_ head: RecordPage.Head, of page: RecordPage, to changes: inout AuditChanges) {
        guard head.envelope.kind == .account else { return }
        for entry in page.entries[head.entries]
        where entry.kind == .text && (entry.key.field == .accountName || entry.key.field == .accountRole) {
            changes.append(
                named: Schema.name(of: entry.key.field), from: nil,
                to: String(decoding: page.arena[entry.slice.range], as: UTF8.self))
        }
    }
}

extension Record {
    /// The text that a cell shows.
    func text(of field: Field) -> String? {
        guard let shown = shown(in: range(of: CellKey(field))), shown.kind == .text else { return nil }
        return text(shown.slice)
    }
}
