import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

// Giving an account back the identifier that it had with a server that was lost.
extension StoreWriter {
    /// The identifier under which the account of an enrolment goes on, for a home that knew it under `former`.
    ///
    /// Follow relations and authors name accounts by identifier. So while the server recovers and nobody is enrolled for
    /// the account yet, its record is written anew under the identifier that the home knows, and the one that
    /// `shoald account add` made is deleted. Which identifier that is, is the home's word: it counts unless others have said
    /// otherwise, or somebody else has it already, and is taken back when they do. A home whose word does not count goes on
    /// under the identifier that its account has here. In the transaction under way.
    ///
    /// - Parameter isNamed: whether the home has said that it is of an account of that name.
    /// - Throws: `AccountProblem.unknownFormer`, `.otherAccount`; `StoreError`.
    func account(
        _ account: RecordID, named name: String, role: Role, formerly former: RecordID, isNamed: Bool, time: Int64,
        _ database: Database
    ) throws -> RecordID {
        if former == account { return account }
        let accounts = RelayedAccountQueries(database: database)
        let holder = try accounts.account(former)
        if holder?.origin == .ours { throw AccountProblem.otherAccount(name) }
        guard state.recovery else { throw AccountProblem.unknownFormer }
        let isInUse = try Row.fetchOne(
            database, sql: "SELECT 1 FROM credential WHERE account = ?", arguments: [account.rawValue])
        if isInUse != nil { return account }
        let known = try stored(former)
        let isGiven = try holder?.origin != .home && isBelieved(name, for: former, known, accounts)
        try note(
            AuditEvent(
                action: .accountFormer, subject: account,
                values: [.init(isGiven ? "account" : "refused", from: account.description, to: former.description)],
                time: time))
        guard isGiven else {
            if isNamed { return account }
            throw AccountProblem.otherAccount(name)
        }
        try accounts.remove(former)
        try write(former, name, role, over: known, time: time)
        // What it was given under the identifier that it had until now.
        try handOverAll(from: account, to: former, time: time)
        // What its homes have brought until an identifier was taken back from it.
        try moveLogs(of: account, to: former, time: time, database)
        try delete(account, time: time)
        try accounts.rename(account, to: former, .home)
        state.roles[former] = role
        state.roles[account] = nil
        return former
    }

    /// Whether nobody denies that an account of that name had an identifier.
    private func isBelieved(
        _ name: String, for former: RecordID, _ known: Record?, _ accounts: RelayedAccountQueries
    ) throws -> Bool {
        if try accounts.rival(of: name, for: former) != nil { return false }
        guard let known, known.isMade else { return true }
        guard known.envelope == Envelope(kind: .account, scope: .workspace) else { return false }
        let isConfirmed = try RelayedAccountQueries.confirmations(accounts.database, of: former, named: name) > 0
        return isConfirmed || known.text(of: .accountName) == name
    }

    /// Writes what an account is called and may do.
    ///
    /// - Parameter role: nil takes away the one that it had.
    func write(_ id: RecordID, _ name: String, _ role: Role?, over known: Record?, time: Int64) throws {
        let isMade = known?.isMade == true
        let live = { (field: Field) in known.map { $0.liveDots(in: $0.range(of: CellKey(field))) } ?? [] }
        try writeOwn(time: time) { operations in
            operations.begin(
                record: id, time: time,
                creates: isMade ? nil : Envelope(kind: .account, scope: .workspace), salt: salt())
            operations.edit(CellKey(.accountName), text: name, supersedes: live(.accountName))
            if let role {
                operations.edit(CellKey(.accountRole), text: role.rawValue, supersedes: live(.accountRole))
            } else if !live(.accountRole).isEmpty {
                operations.edit(CellKey(.accountRole), .absent, supersedes: live(.accountRole))
            }
        }
    }

    private func delete(_ id: RecordID, time: Int64) throws {
        guard let record = try stored(id) else { return }
        try writeOwn(time: time) { operations in
            operations.begin(record: id, time: time, salt: salt())
            operations.cover(record.uncoveredDots())
        }
    }

    func salt() -> UInt32 { random(4).reduce(0) { $0 << 8 | UInt32($1) } }
}
