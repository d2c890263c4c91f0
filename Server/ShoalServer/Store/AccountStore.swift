import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// Accounts, enrolment codes and keys. Codes and keys come and stay as SHA-256.
extension ServerStore {
    /// Makes an account's record through the server's own log, and a first code for it.
    func addAccount(
        name: String, role: Role, salt: UInt32, code: [UInt8], expires: Int64, time: Int64
    ) throws -> RecordID {
        try withWriter { writer, database in
            try writer.transaction {
                guard try Self.account(database, named: name) == nil else { throw AccountProblem.nameTaken(name) }
                let id = try newIdentifier(database, time: time)
                try writeAccount(writer, id, name: name, role: role, salt: salt, time: time)
                try database.execute(
                    sql: "INSERT INTO account (id, name, role) VALUES (?, ?, ?)",
                    arguments: [id.rawValue, name, role.rawValue])
                try Self.insertCode(database, code, account: id, expires: expires)
                return id
            }
        }
    }

    private func newIdentifier(_ database: Database, time: Int64) throws -> RecordID {
        var allocator = RecordIDAllocator(
            state: try Int64.fetchOne(database, sql: "SELECT allocator FROM server") ?? -1)
        guard let id = allocator.next(time: time, replica: identity.replica) else { throw AccountProblem.noIdentifiers }
        try database.execute(sql: "UPDATE server SET allocator = ?", arguments: [allocator.state])
        return id
    }

    private func writeAccount(
        _ writer: StoreWriter, _ id: RecordID, name: String, role: Role, salt: UInt32, time: Int64
    ) throws {
        try writeOwn(writer, time: time) { operations in
            operations.begin(
                record: id, time: time, creates: Envelope(kind: .account, scope: .workspace), salt: salt)
            operations.edit(CellKey(.accountName), text: name)
            operations.edit(CellKey(.accountRole), text: role.rawValue)
        }
    }

    /// Names a replica in its account's record, so that everybody can tell who wrote what.
    private func writeReplica(
        _ writer: StoreWriter, _ replica: ReplicaID, of account: RecordID, salt: UInt32, time: Int64
    ) throws {
        try writeOwn(writer, time: time) { operations in
            operations.begin(record: account, time: time, salt: salt)
            operations.edit(CellKey(.accountReplica, id: RecordID(rawValue: Int64(replica.rawValue))), .present)
        }
    }

    /// Writes one operation through the server's own log, in the transaction under way.
    private func writeOwn(_ writer: StoreWriter, time: Int64, _ body: (inout Operations) -> Void) throws {
        guard let state = writer.state.logs[identity.replica] else {
            throw StoreError.damaged(path: path, reason: "the server's own log is missing")
        }
        var operations = Operations()
        body(&operations)
        let log = LogPosition(
            replica: identity.replica, position: state.position, hash: state.hash, end: state.position + 1)
        let request = SyncRequest(
            epoch: identity.epoch, cursor: "", acknowledgement: "", logs: [log], operations: operations)
        guard case .commit(let push) = ServerSession(request, account: Self.serverAccount, time: time).start() else {
            return
        }
        var fold = GroupFold(
            writer, [try PreparedPush(push, seal: identity.seal, epoch: identity.epoch, isServer: true)])
        try fold.run()
    }

    /// Adds a code for the account of that name.
    func addCode(_ code: [UInt8], account name: String, expires: Int64) throws -> RecordID {
        try withWriter { writer, database in
            try writer.transaction {
                guard let account = try Self.account(database, named: name) else {
                    throw AccountProblem.unknownAccount(name)
                }
                try Self.insertCode(database, code, account: account, expires: expires)
                return account
            }
        }
    }

    private static func insertCode(_ database: Database, _ code: [UInt8], account: RecordID, expires: Int64) throws {
        try database.execute(
            sql: "INSERT INTO enrolment (code, account, expires) VALUES (?, ?, ?)",
            arguments: [Data(code), account.rawValue, expires])
    }

    private static func account(_ database: Database, named name: String) throws -> RecordID? {
        try Int64.fetchOne(database, sql: "SELECT id FROM account WHERE name = ?", arguments: [name])
            .map { RecordID(rawValue: $0) }
    }

    /// The account of that name; nil if there is none.
    public func account(named name: String) throws -> RecordID? {
        try StoreError.mapping(path: path) { try pool.read { try Self.account($0, named: name) } }
    }

    func accounts() throws -> [Account] {
        try StoreError.mapping(path: path) {
            try pool.read { database in
                let rows = try Row.fetchAll(
                    database,
                    sql: """
                        SELECT id, name, role,
                            (SELECT count(*) FROM credential WHERE credential.account = account.id) AS replicas
                        FROM account ORDER BY name
                        """)
                return rows.map { row in
                    Account(
                        id: RecordID(rawValue: row["id"]).description, name: row["name"], role: row["role"],
                        replicas: row["replicas"])
                }
            }
        }
    }

    // MARK: Enrolment

    func enroll(code: [UInt8], key: [UInt8], salt: UInt32, time: Int64) throws -> EnrollResponse {
        try withWriter { writer, database in
            try writer.transaction {
                guard
                    let row = try Row.fetchOne(
                        database,
                        sql: """
                            SELECT enrolment.account, expires, key, replica, name, role
                            FROM enrolment JOIN account ON account.id = enrolment.account WHERE code = ?
                            """, arguments: [Data(code)])
                else { throw AccountProblem.wrongCode }
                guard time < row["expires"] as Int64 else { throw AccountProblem.expiredCode }
                let account = RecordID(rawValue: row["account"])
                guard let role = Role(rawValue: row["role"]) else {
                    throw StoreError.damaged(path: path, reason: "an account's role is not one of this version")
                }
                var replica = ReplicaID(rawValue: UInt32(truncatingIfNeeded: row["replica"] as Int64? ?? 0))
                if let used = row["key"] as Data? {
                    guard isEqualInConstantTime(Array(used), key) else { throw AccountProblem.usedCode }
                } else {
                    replica = try newReplica(writer, database, account: account)
                    try Self.use(database, code: code, key: key, account: account, replica: replica, time: time)
                    try writeReplica(writer, replica, of: account, salt: salt, time: time)
                }
                return EnrollResponse(
                    replica: replica, account: account, name: row["name"], role: role, epoch: identity.epoch, time: time
                )
            }
        }
    }

    private func newReplica(_ writer: StoreWriter, _ database: Database, account: RecordID) throws -> ReplicaID {
        let last = try Int64.fetchOne(database, sql: "SELECT replicas FROM server") ?? 0
        guard let count = UInt16(exactly: last + 1) else { throw AccountProblem.tooManyReplicas }
        try database.execute(sql: "UPDATE server SET replicas = ?", arguments: [last + 1])
        let replica = ReplicaID(epoch: identity.replicaEpoch, count: count)
        try writer.queries.insertLog(replica, account: account)
        writer.state.logs[replica] = LogState(account: account, position: 0, hash: .start, refusals: 0)
        return replica
    }

    private static func use(
        _ database: Database, code: [UInt8], key: [UInt8], account: RecordID, replica: ReplicaID, time: Int64
    ) throws {
        guard try Row.fetchOne(database, sql: "SELECT 1 FROM credential WHERE key = ?", arguments: [Data(key)]) == nil
        else { throw AccountProblem.keyTaken }
        try database.execute(
            sql: "UPDATE enrolment SET key = ?, replica = ? WHERE code = ?",
            arguments: [Data(key), Int64(replica.rawValue), Data(code)])
        try database.execute(
            sql: "INSERT INTO credential (key, account, replica, created) VALUES (?, ?, ?, ?)",
            arguments: [Data(key), account.rawValue, Int64(replica.rawValue), time])
    }

    /// The holder of the key with this hash; nil if nobody is.
    func credential(key: [UInt8]) throws -> Credential? {
        try StoreError.mapping(path: path) {
            try pool.read { database in
                let statement = try database.cachedStatement(
                    sql: "SELECT key, account, replica FROM credential WHERE key = ?")
                guard let row = try Row.fetchOne(statement, arguments: [Data(key)]),
                    isEqualInConstantTime(Array(row["key"] as Data), key)
                else { return nil }
                return Credential(
                    account: RecordID(rawValue: row["account"]),
                    replica: ReplicaID(rawValue: UInt32(truncatingIfNeeded: row["replica"] as Int64)))
            }
        }
    }
}
