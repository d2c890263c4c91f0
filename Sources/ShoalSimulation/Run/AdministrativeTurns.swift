import ShoalProtocol
import ShoalServer

// What a person does at the server while others work.
extension Simulation {
    /// Somebody gets another role, or all customers of another account. The server may stop in the middle of it.
    func administer() throws {
        guard cluster.server.isUp else { return }
        let account = cluster.random.below(cluster.settings.accounts)
        do {
            if chance(60) {
                let role = Role.allCases[cluster.random.below(Role.allCases.count)]
                cluster.trace.note("role", Int64(account), words: role.rawValue)
                try cluster.setRole(role, of: account)
            } else {
                let other = cluster.random.below(cluster.settings.accounts)
                if other == account { return }
                guard try cluster.areKnown([account, other]) else { return }
                cluster.trace.note("hand over", Int64(account), Int64(other))
                try cluster.handOver(from: account, to: other)
            }
        } catch {
            if !cluster.server.disk.isHalted { throw error }
        }
        if cluster.server.disk.isHalted { serverGoesDown() }
    }
}
