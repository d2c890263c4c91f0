// What people do to homes and servers: copy them, and set them back.
extension Simulation {
    private static let server = -1

    /// Before a turn: perhaps somebody makes a backup, copies a home, or restores one or the server from a backup.
    func branch(_ machine: ClientMachine) throws {
        guard faults.lineage, chance(5), cluster.server.isUp, cluster.machines.allSatisfy(\.isUp) else { return }
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

    private func restore() throws {
        if backups.isEmpty { return }
        let backup = backups[cluster.random.below(backups.count)]
        cluster.trace.note("restore", Int64(backup.machine))
        if backup.machine == Self.server { return try cluster.restoreServer(to: backup.image) }
        let machine = cluster.machines[backup.machine]
        machine.runs += 1
        try cluster.restore(machine, to: backup.image)
    }
}
