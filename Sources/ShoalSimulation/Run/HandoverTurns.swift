import ShoalClient
import ShoalProtocol

// A locked home hands over what it had not sent, over the same network, and is emptied.
extension Simulation {
    func handOver(_ machine: ClientMachine, _ reason: Lockout.Reason) throws {
        cluster.trace.note("locked", Int64(machine.number), words: reason.rawValue)
        try guarded(machine) { try machine.beginHandover(reason) }
        try advanceHandover(machine)
    }

    /// Does what can be done without the server, and sends what comes out.
    func advanceHandover(_ machine: ClientMachine) throws {
        try guarded(machine) {
            do {
                switch try machine.handover?.next() {
                case .send(let body)?: send(try machine.spoken(body), machine)
                case .finished?:
                    do { try machine.handover?.finish() } catch ReplicaError.locked {
                        cluster.trace.note("wiped", Int64(machine.number))
                        cluster.retire(machine)
                    }
                case nil: break
                }
            } catch let error as SyncError {
                cluster.trace.note("stopped", Int64(machine.number), words: error.description)
                try judge(error, machine)
                endHandover(machine)
            }
        }
    }

    func retryHandover(_ machine: ClientMachine) throws {
        machine.attempts += 1
        if machine.attempts > 6 || chance(30) { return endHandover(machine) }
        try advanceHandover(machine)
    }

    /// Until its operator tries again.
    private func endHandover(_ machine: ClientMachine) {
        machine.handover = nil
        machine.runs += 1
    }
}
