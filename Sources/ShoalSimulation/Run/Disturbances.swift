import ShoalClient
import ShoalServer
import Synchronization

// What goes wrong besides the network.
extension Simulation {
    /// Before a turn: perhaps a clock steps, a machine or the server is about to stop, or the network parts.
    func disturb(_ machine: ClientMachine) {
        if faults.hasWrongClocks, chance(6) {
            let fault = chance(30) ? ClockFault() : ClockFault.drawn(&cluster.random)
            let isServer = chance(20)
            (isServer ? cluster.server.clock : machine.clock).set(fault)
            cluster.trace.note("clock", isServer ? -1 : Int64(machine.number), fault.offset)
        }
        if chance(faults.crash) {
            if chance(30) {
                arm(cluster.server.disk)
                cluster.trace.note("arm server")
            } else if machine.isUp {
                arm(machine.disk)
                cluster.trace.note("arm", Int64(machine.number))
            }
        }
        if faults.hasPartitions, chance(4) {
            for other in cluster.machines where chance(50) && partitioned.insert(other.number).inserted {
                cluster.trace.note("part", Int64(other.number))
                plan(.connect(machine: other.number), in: Int64(cluster.random.below(600_000)))
            }
        }
    }

    func breakClocks() {
        cluster.server.clock.set(chance(50) ? ClockFault() : ClockFault.drawn(&cluster.random))
        for machine in cluster.machines where chance(60) { machine.clock.set(ClockFault.drawn(&cluster.random)) }
    }

    /// The machine stops at one of the next effects on its disk.
    private func arm(_ disk: SimulatedDisk) {
        let left = Mutex(cluster.random.below(chance(60) ? 12 : 60))
        disk.setHook { effect in
            if !effect.kind.changes { return .proceed }
            return left.withLock { left in
                left -= 1
                return left < 0 ? .halt : .proceed
            }
        }
    }

    private func drawCrash() -> SimulatedDisk.Crash {
        faults.losesPower && chance(70) ? .power(seed: cluster.random.next()) : .processes
    }

    func goDown(_ machine: ClientMachine) {
        let crash = drawCrash()
        cluster.trace.note("down", Int64(machine.number), words: "\(crash)")
        machine.runs += 1
        machine.crash(crash)
        plan(.restart(machine: machine.number), in: Int64(1 + cluster.random.below(60_000)))
    }

    func serverGoesDown() {
        cluster.trace.note("server down")
        cluster.server.crash(drawCrash())
        plan(.restartServer, in: Int64(1 + cluster.random.below(30_000)))
    }

    /// Opens a machine's home again; it may stop in the middle of that too.
    func restart(_ machine: ClientMachine) throws {
        if machine.isUp { return }
        if chance(faults.crash * 4) { arm(machine.disk) }
        try guarded(machine) {
            do { try machine.start() } catch ReplicaError.locked {
                // It was emptied to the end now.
                return cluster.retire(machine)
            }
            try cluster.recall(machine)
            cluster.trace.note("up", Int64(machine.number))
            // What a page brought may be gone with the power, and a server that was set back does not bring it again.
            if faults.recovers, cluster.server.isUp, cluster.machines.allSatisfy(\.isUp) {
                try cluster.forgetWhatIsNowhere()
            }
        }
    }

    func restartServer() throws {
        if cluster.server.isUp { return }
        if chance(faults.crash * 4) { arm(cluster.server.disk) }
        do {
            try cluster.server.start()
            if cluster.settings.visibility { try cluster.noteServersWrites() }
            cluster.trace.note("server up")
        } catch {
            if !cluster.server.disk.isHalted { throw error }
        }
        if cluster.server.disk.isHalted { serverGoesDown() }
    }

    /// Perhaps the server does a step of collection; it may stop in the middle of it.
    func collect() throws {
        guard faults.collects, !faults.lineage, chance(30), cluster.server.isUp else { return }
        do {
            let step = try cluster.collect(limit: 2 + cluster.random.below(20))
            cluster.trace.note("collect", Int64(step.swept), Int64(step.records), Int64(step.cells))
        } catch {
            if !cluster.server.disk.isHalted { throw error }
        }
    }

    /// The server collects, and everybody hears of it, until nothing is left to collect.
    func collectAll() throws {
        for _ in 0..<3 {
            let step = try cluster.server.opened().collectAll(time: cluster.server.clock.now)
            cluster.trace.note("collected", Int64(step.swept), Int64(step.records), Int64(step.cells))
            try cluster.settle()
        }
    }

    /// Everything runs again, nothing is armed, nobody is cut off.
    func mend() throws {
        partitioned = []
        cluster.server.disk.setHook(nil)
        if !cluster.server.isUp { try cluster.server.start() }
        if cluster.settings.visibility { try cluster.noteServersWrites() }
        for machine in cluster.machines {
            machine.disk.setHook(nil)
            machine.run = nil
            machine.handover = nil
            if machine.isUp { continue }
            do { try machine.start() } catch ReplicaError.locked {
                cluster.retire(machine)
                continue
            }
            try cluster.recall(machine)
        }
    }
}

extension Cluster {
    /// A step of the server's collection.
    func collect(limit: Int) throws -> CollectionStep {
        do {
            let step = try server.opened().collect(time: server.clock.now, limit: limit)
            if step.cells > 0 { oracle.noteCollection() }
            return step
        } catch {
            // It may have stopped just after it was done.
            oracle.noteCollection()
            throw error
        }
    }

    /// After a restart: what the interrupted command left, and whether what had returned is still there.
    func recall(_ machine: ClientMachine) throws {
        // A locked home shows nothing; what it has not handed over must come to the server.
        if machine.isLocked { return }
        let end = try machine.opened().logged(after: 0).places.last?.position ?? 0
        if end < machine.witnessed {
            oracle.fail("machine \(machine.number) lost operations after \(end) of \(machine.witnessed) in a crash")
        }
        let found = try oracle.witness(machine)
        // It may have stopped just after its log was healed.
        if settings.faults.lineage { try oracle.relearn(machine) }
        if machine.isPromised, found.isEmpty {
            oracle.fail("machine \(machine.number) lost a command that had returned in a crash")
        }
        machine.isPromised = false
        machine.views = [:]
    }
}
