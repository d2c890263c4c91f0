import GRDB
import ShoalStore

/// What a home trusts the servers by that it has spoken to.
enum TrustStore {
    static func remember(_ trust: ServerTrust, of server: String, _ database: Database) throws {
        try database.execute(
            sql: "REPLACE INTO trust (server, plaintext, authorities) VALUES (?, ?, ?)",
            arguments: [server, trust.allowsPlaintext, trust.authorities])
    }

    /// Of the server that the home is enrolled with.
    static func read(_ database: Database) throws -> ServerTrust {
        let row = try Row.fetchOne(
            database,
            sql: "SELECT plaintext, authorities FROM trust JOIN identity USING (server) WHERE account IS NOT NULL")
        guard let row else { return ServerTrust() }
        return ServerTrust(allowsPlaintext: try row.checked("plaintext"), authorities: try row.checked("authorities"))
    }
}
