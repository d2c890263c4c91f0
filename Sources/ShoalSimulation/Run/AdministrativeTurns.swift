import ShoalProtocol
import ShoalServer

// What a person does at the server while others work.
extension Simulation {
    /// Somebody gets another role, or all customers of another account, or is locked out. The server may stop in the middle of it.
    func administer() throws {
        guard cluster.server.isUp else { return }
        let account = cluster.random.below(cluster.settings.accounts)
        do {
            if faults.revokes, !faults.lineage, chance(40) {
                try lockOut(account)
            } else if chance(60) {
                let role = Role.allCases[cluster.random.below(Role.allCases.count)]
                cluster.trace.note("role", Int64(account), words: role.rawValue)
                try cluster.setRole(role, of: account)
            } else {
                let other = cluster.random.below(cluster.settings.accounts)
                if other == account { return }
                guard try cluster.areKnown([account, other]) else { return }
                if cluster.hasRevoked, try cluster.isDisabled(account: other) { return }
                cluster.trace.note("hand over", Int64(account), Int64(other))
                try cluster.handOver(from: account, to: other)
            }
        } catch {
            if !cluster.server.disk.isHalted { throw error }
        }
        if cluster.server.disk.isHalted { serverGoesDown() }
    }

    /// A device is revoked or replaced, an account is disabled or enabled. Two machines at least go on.
    private func lockOut(_ account: Int) throws {
        let working = try cluster.working()
        if try cluster.isDisabled(account: account) {
            cluster.trace.note("enable", Int64(account))
            try cluster.setDisabled(false, account: account)
        } else if chance(40), working.count < cluster.settings.replicas {
            cluster.trace.note("equip", Int64(account))
            try cluster.equip(account: account)
        } else if chance(60), working.count > 2 {
            let machine = working[cluster.random.below(working.count)]
            cluster.trace.note("revoke", Int64(machine.number))
            try cluster.revoke(machine)
        } else if working.count(where: { $0.account.id != cluster.accounts[account].id }) >= 2 {
            cluster.trace.note("disable", Int64(account))
            try cluster.setDisabled(true, account: account)
        }
    }
}
