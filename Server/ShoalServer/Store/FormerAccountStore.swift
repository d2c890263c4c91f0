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
    /// `shoald account add` made is deleted. In the transaction under way.
    ///
    /// - Throws: `AccountProblem.unknownFormer`, `.otherAccount`; `StoreError`.
    func account(
        _ account: RecordID, named name: String, role: Role, formerly former: RecordID, time: Int64,
        _ database: Database
    ) throws -> RecordID {
        if former == account { return account }
        if try Row.fetchOne(database, sql: "SELECT 1 FROM account WHERE id = ?", arguments: [former.rawValue]) != nil {
            throw AccountProblem.otherAccount(name)
        }
        guard state.recovery else { throw AccountProblem.unknownFormer }
        let isInUse = try Row.fetchOne(
            database, sql: "SELECT 1 FROM credential WHERE account = ?", arguments: [account.rawValue])
        if isInUse != nil { return account }
        let known = try stored(former)
        if let known, known.isMade {
            guard known.envelope == Envelope(kind: .account, scope: .workspace), known.text(of: .accountName) == name
            else { throw AccountProblem.otherAccount(name) }
        }
        try write(former, name, role, over: known, time: time)
        // What it was given under the identifier that it had until now.
        try handOverAll(from: account, to: former, time: time)
        try delete(account, time: time)
        try database.execute(
            sql: "UPDATE account SET id = ? WHERE id = ?", arguments: [former.rawValue, account.rawValue])
        try database.execute(
            sql: "UPDATE enrolment SET account = ? WHERE account = ?", arguments: [former.rawValue, account.rawValue])
        state.roles[former] = role
        state.roles[account] = nil
        return former
    }

    private func write(_ id: RecordID, _ name: String, _ role: Role, over known: Record?, time: Int64) throws {
        let isMade = known?.isMade == true
        let live = { (field: Field) in known.map { $0.liveDots(in: $0.range(of: CellKey(field))) } ?? [] }
        try writeOwn(time: time) { operations in
            operations.begin(
                record: id, time: time,
                creates: isMade ? nil : Envelope(kind: .account, scope: .workspace), salt: salt())
            operations.edit(CellKey(.accountName), text: name, supersedes: live(.accountName))
            operations.edit(CellKey(.accountRole), text: role.rawValue, supersedes: live(.accountRole))
        }
    }

    private func delete(_ id: RecordID, time: Int64) throws {
        guard let record = try stored(id) else { return }
        try writeOwn(time: time) { operations in
            operations.begin(record: id, time: time, salt: salt())
            operations.cover(record.uncoveredDots())
        }
    }

    private func salt() -> UInt32 { random(4).reduce(0) { $0 << 8 | UInt32($1) } }
}

extension Record {
    /// The text that a cell shows.
    fileprivate func text(of field: Field) -> String? {
        guard let shown = shown(in: range(of: CellKey(field))), shown.kind == .text else { return nil }
        return text(shown.slice)
    }
}
