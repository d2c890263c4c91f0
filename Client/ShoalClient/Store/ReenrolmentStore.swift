import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// Enrolling a home again whose server does not know it any more: it keeps its logs, its rows and everything unsent.
enum ReenrolmentStore {
    /// Remembers an enrolment before it is sent; one with the same server and code keeps its key.
    ///
    /// - Returns: the key, and the account that this home had.
    static func begin(
        server: String, code: String, key: String, _ database: Database, home: String
    ) throws -> (key: String, former: (account: RecordID, name: String)) {
        let former = try former(database, home: home)
        let code = StandingStore.meant(code)
        let kept = try String.fetchOne(
            database, sql: "SELECT key FROM reenrolment WHERE server = ? AND code = ?", arguments: [server, code])
        if let kept { return (kept, former) }
        try database.execute(
            sql: "REPLACE INTO reenrolment (id, server, code, key) VALUES (1, ?, ?, ?)",
            arguments: [server, code, key])
        return (key, former)
    }

    private static func former(_ database: Database, home: String) throws -> (account: RecordID, name: String) {
        guard
            let row = try Row.fetchOne(database, sql: "SELECT account, name FROM identity WHERE account IS NOT NULL")
        else { throw ReplicaError.notEnrolled(home: home) }
        return (RecordID(rawValue: try row.checked("account")), try row.checked("name"))
    }

    /// Takes the answer: from now on the home speaks to that server with that key.
    ///
    /// The epoch stays: the first sync tells the server, which then says from where it has each log. Tokens of another
    /// server would only be refused; those of the same epoch prove what it has lost. Without them the rows become stock at
    /// once: before that sync the home may be enrolled with an earlier state of the server that it came from, which has the same
    /// epoch and nothing to tell.
    static func finish(
        _ answer: EnrollResponse, server: String, key: String, _ store: ReplicaStore, home: String
    ) throws {
        let database = store.database
        // What is kept in memory may never have been read: this process may have begun with the enrolment.
        let standing = try StandingStore.read(database, home: home)
        // A server that does not look at the name may have taken the home for somebody else's.
        let former = try former(database, home: home)
        guard answer.account == former.account || answer.name == former.name else {
            throw ReplicaError.otherAccount(answer.name, home: former.name)
        }
        try database.execute(sql: "DELETE FROM reenrolment WHERE key = ?", arguments: [key])
        guard database.changesCount > 0 else {
            throw ReplicaError.home(home, reason: "another enrolment of it has begun meanwhile")
        }
        try database.execute(
            sql: "UPDATE identity SET server = ?, code = '', key = ?, account = ?, name = ?, role = ?",
            arguments: [server, key, answer.account.rawValue, answer.name, answer.role.rawValue])
        // Tokens are an account's.
        if standing.epoch != answer.epoch || answer.account != former.account {
            try StockStore(store).take(fill: standing.fill)
            try database.execute(sql: "UPDATE standing SET cursor = '', acknowledgement = ''")
        }
        try database.execute(
            sql: "UPDATE standing SET lease = coalesce(?1, lease), contact = ?2, seen = ?2",
            arguments: [answer.lease, answer.time])
    }
}
