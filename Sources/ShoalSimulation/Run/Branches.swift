// What people do to homes and servers: copy them, set them back, lose them, and ask for what others hold.
extension Simulation {
    private static let server = -1

    /// Before a turn: perhaps somebody makes a backup, copies a home, or restores one or the server from a backup.
    func branch(_ machine: ClientMachine) throws {
        guard faults.lineage, chance(5), cluster.server.isUp, cluster.machines.allSatisfy(\.isUp) else { return }
        if faults.recovers { return try lose(machine) }
        switch cluster.random.below(10) {
        case 0, 1, 2: backups.append((machine.number, machine.disk.snapshot()))
        case 3: backups.append((Self.server, cluster.server.disk.snapshot()))
        case 4, 5, 6:
            guard cluster.machines.count < cluster.settings.replicas + 5 else { return }
            let copy = try cluster.copy(of: machine)
            cluster.trace.note("copy", Int64(machine.number), Int64(copy.number))
        default: try restore()
        }
    }

    /// The same where the server recovers what only others hold.
    private func lose(_ machine: ClientMachine) throws {
        switch cluster.random.below(10) {
        case 0, 1: return
        case 2, 3, 4: backups.append((Self.server, cluster.server.disk.snapshot()))
        case 5:
            cluster.trace.note("wipe")
            try cluster.wipeServer()
        case 6:
            guard cluster.machines.count > 2 else { return }
            cluster.trace.note("discard", Int64(machine.number))
            machine.runs += 1
            try cluster.discard(machine)
        case 7:
            cluster.trace.note("recover")
            do { try cluster.beginRecovery() } catch {
                if !cluster.server.disk.isHalted { throw error }
                serverGoesDown()
            }
        default: try restore()
        }
    }

    private func restore() throws {
        if backups.isEmpty { return }
        let backup = backups[cluster.random.below(backups.count)]
        cluster.trace.note("restore", Int64(backup.machine))
        if backup.machine == Self.server {
            try cluster.restoreServer(to: backup.image)
            // Between a wiped server and its predecessor nothing but a person's word lets homes in.
            if cluster.hasWiped { try cluster.beginRecovery() }
            return
        }
        guard let machine = cluster.machine(backup.machine) else { return }
        machine.runs += 1
        try cluster.restore(machine, to: backup.image)
    }

    /// After a loss: the others are asked for what they hold until nothing is left, and perhaps that ends.
    func recover() throws {
        guard faults.lineage, faults.recovers, cluster.oracle.isServerSetBack else { return }
        try cluster.forgetWhatIsNowhere()
        try cluster.beginRecovery()
        try cluster.settle()
        guard chance(50) else { return }
        try cluster.finishRecovery()
        cluster.trace.note("recovered")
    }
}
