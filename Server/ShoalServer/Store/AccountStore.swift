import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// Accounts, enrolment codes and keys; devices are in DeviceStore. Codes and keys come and stay as SHA-256.
extension ServerStore {
    /// Makes an account's record through the server's own log, and a first code for it. One that only a relay knows is
    /// taken as it is, with the role that it gets now.
    func addAccount(
        name: String, role: Role, code: [UInt8], expires: Int64, time: Int64
    ) throws -> RecordID {
        try withWriter { writer, database in
            try writer.transaction {
                try Self.refuseNamesake(of: name, database)
                let adopted = try writer.adopt(name, role: role, time: time, database)
                let id = try adopted ?? Self.newIdentifier(writer, database, time: time)
                if adopted == nil {
                    try writer.write(id, name, role, over: nil, time: time)
                    try database.cachedStatement(sql: "INSERT INTO account (id, name, role) VALUES (?, ?, ?)").execute(
                        arguments: [id.rawValue, name, role.rawValue])
                    writer.state.roles[id] = role
                }
                try Self.insertCode(database, code, account: id, expires: expires)
                try writer.note(
                    AuditEvent(
                        action: .accountAdd, subject: id,
                        values: [.init("name", to: name), .init("role", to: role.rawValue)], time: time))
                return id
            }
        }
    }

    /// Clients take names that are equal but for case, width and white space for one.
    private static func refuseNamesake(of name: String, _ database: Database) throws {
        let folded = Folding.fold(name)
        let names = try String.fetchAll(database.cachedStatement(sql: "SELECT name FROM account"))
        if let other = names.first(where: { $0 != name && Folding.fold($0) == folded }) {
            throw AccountProblem.nameTaken(other)
        }
    }

    static func newIdentifier(_ writer: StoreWriter, _ database: Database, time: Int64) throws -> RecordID {
        var allocator = RecordIDAllocator(
            state: try Int64.fetchOne(database.cachedStatement(sql: "SELECT allocator FROM server")) ?? -1)
        guard let id = allocator.next(time: time, replica: writer.ownReplica) else {
            throw AccountProblem.noIdentifiers
        }
        try database.cachedStatement(sql: "UPDATE server SET allocator = ?").execute(arguments: [allocator.state])
        return id
    }

    /// Adds a code for the account of that name.
    func addCode(_ code: [UInt8], account name: String, expires: Int64, time: Int64) throws -> RecordID {
        try withWriter { writer, database in
            try writer.transaction {
                let account = try Self.enabledAccount(database, named: name)
                if try RelayedAccountQueries(database: database).account(account)?.origin == .relay {
                    throw AccountProblem.noRole(name)
                }
                try Self.insertCode(database, code, account: account, expires: expires)
                try writer.note(
                    AuditEvent(
                        action: .code, subject: account, values: [.init("expires", to: PlainTime.text(expires))],
                        time: time))
                return account
            }
        }
    }

    private static func insertCode(_ database: Database, _ code: [UInt8], account: RecordID, expires: Int64) throws {
        try database.cachedStatement(sql: "INSERT INTO enrolment (code, account, expires) VALUES (?, ?, ?)").execute(
            arguments: [Data(code), account.rawValue, expires])
    }

    static func account(_ database: Database, named name: String) throws -> RecordID? {
        try Int64.fetchOne(database.cachedStatement(sql: "SELECT id FROM account WHERE name = ?"), arguments: [name])
            .map { RecordID(rawValue: $0) }
    }

    /// The account of that name; nil if there is none.
    public func account(named name: String) throws -> RecordID? {
        try StoreError.mapping(path: path) { try pool.read { try Self.account($0, named: name) } }
    }

    /// - Parameter time: now, which tells the codes that can still be used.
    func accounts(time: Int64) throws -> [Account] {
        try StoreError.mapping(path: path) {
            try pool.read { database in
                let rows = try Row.fetchAll(
                    database.cachedStatement(
                        sql: """
                            SELECT id, name, role, disabled, origin,
                                (SELECT count(*) FROM credential WHERE credential.account = account.id) AS replicas
                            FROM account ORDER BY name
                            """))
                return try rows.map { row in
                    let id = RecordID(rawValue: row["id"])
                    let origin = AccountOrigin(rawValue: row["origin"])
                    let isClaimed =
                        try origin == .home
                        && RelayedAccountQueries.confirmations(database, of: id, named: row["name"]) == 0
                    return Account(
                        id: id.description, name: row["name"], role: row["role"],
                        doubt: origin == .relay ? .relayed : isClaimed ? .claimed : nil,
                        replicas: row["replicas"], disabled: (row["disabled"] as Int64?).map(PlainTime.text),
                        leftAlone: try row["disabled"] as Int64? == nil ? nil : Self.leftAlone(database, by: id),
                        codes: try Self.openCodes(database, of: row["id"], at: time).map(PlainTime.text),
                        devices: try Self.devices(database, of: id))
                }
            }
        }
    }

    // MARK: Enrolment

    func enroll(
        code: [UInt8], key: [UInt8], former: RecordID? = nil, formerName: String? = nil, device: String = "",
        salt: UInt32, time: Int64
    ) throws -> EnrollResponse {
        try withWriter { writer, database in
            let answer = try writer.transaction {
                guard
                    let row = try Row.fetchOne(
                        database.cachedStatement(
                            sql: """
                                SELECT enrolment.account, expires, key, replica, name, role, disabled
                                FROM enrolment JOIN account ON account.id = enrolment.account WHERE code = ?
                                """), arguments: [Data(code)])
                else { throw AccountProblem.wrongCode }
                guard time < row["expires"] as Int64 else { throw AccountProblem.expiredCode }
                if row["disabled"] as Int64? != nil { throw AccountProblem.disabled }
                var account = RecordID(rawValue: row["account"])
                guard let role = Role(rawValue: row["role"]) else {
                    throw StoreError.damaged(path: path, reason: "an account's role is not one of this version")
                }
                var replica = ReplicaID(rawValue: UInt32(truncatingIfNeeded: row["replica"] as Int64? ?? 0))
                if let used = row["key"] as Data? {
                    guard isEqualInConstantTime(Array(used), key) else { throw AccountProblem.usedCode }
                    if try Self.isRevoked(database, replica) { throw AccountProblem.usedCode }
                } else {
                    if let former {
                        let name = row["name"] as String
                        if let formerName, formerName != name, former != account {
                            throw AccountProblem.otherName(name, home: formerName)
                        }
                        account = try writer.account(
                            account, named: name, role: role, formerly: former, isNamed: formerName != nil, time: time,
                            database)
                    }
                    replica = try writer.handOut(to: account)
                    try Self.use(
                        database, code: code, key: key, account: account, replica: replica, device: device, time: time)
                    try writer.queries.note(replica, of: replica)
                    try writer.nameHandedOut(time: time)
                    try writer.note(
                        AuditEvent(
                            action: .enroll, subject: account, account: account, replica: replica,
                            values: [.init("device", to: device)], time: time))
                }
                return EnrollResponse(
                    replica: replica, account: account, name: row["name"], role: role, epoch: writer.state.epoch,
                    time: time
                )
            }
            noteUsed(code, time: time)
            return answer
        }
    }

    private static func use(
        _ database: Database, code: [UInt8], key: [UInt8], account: RecordID, replica: ReplicaID, device: String,
        time: Int64
    ) throws {
        guard
            try Row.fetchOne(
                database.cachedStatement(sql: "SELECT 1 FROM credential WHERE key = ?"), arguments: [Data(key)]) == nil
        else { throw AccountProblem.keyTaken }
        try database.cachedStatement(sql: "UPDATE enrolment SET key = ?, replica = ? WHERE code = ?").execute(
            arguments: [Data(key), Int64(replica.rawValue), Data(code)])
        try database.cachedStatement(
            sql: "INSERT INTO credential (key, account, replica, created, name) VALUES (?, ?, ?, ?, ?)"
        ).execute(arguments: [Data(key), account.rawValue, Int64(replica.rawValue), time, device])
    }

    /// The holder of the key with this hash; nil if nobody is.
    func credential(key: [UInt8]) throws -> Credential? {
        try StoreError.mapping(path: path) {
            try pool.read { database in
                let statement = try database.cachedStatement(
                    sql: """
                        SELECT key, account, replica, revoked, discarded, handovers, disabled
                        FROM credential LEFT JOIN account ON account.id = credential.account WHERE key = ?
                        """)
                guard let row = try Row.fetchOne(statement, arguments: [Data(key)]),
                    isEqualInConstantTime(Array(row["key"] as Data), key)
                else { return nil }
                let isDisabled = row["disabled"] as Int64? != nil
                let isRevoked = row["revoked"] as Int64? != nil
                return Credential(
                    account: RecordID(rawValue: row["account"]),
                    replica: ReplicaID(rawValue: UInt32(truncatingIfNeeded: row["replica"] as Int64)),
                    standing: isDisabled ? .disabled : isRevoked ? .revoked : .active,
                    isDiscarded: row["discarded"], handovers: row["handovers"])
            }
        }
    }
}
