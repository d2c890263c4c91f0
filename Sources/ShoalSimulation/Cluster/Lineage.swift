import ShoalClient
import ShoalCRDT
import ShoalProtocol
import ShoalServer

// Scenarios: what people do to machines, in a line each.
extension Settings {
    /// No faults, and nobody who does anything by chance.
    ///
    /// - Parameter lineage: whether homes will be copied or restored, or the server set back.
    public static func quiet(replicas: Int, accounts: Int = 1, lineage: Bool = false, seed: UInt64 = 1) -> Settings {
        var settings = Settings(seed: seed)
        settings.replicas = replicas
        settings.accounts = accounts
        settings.steps = 0
        settings.frame = 5_000
        settings.page = 2 << 20
        settings.faults = .none
        settings.faults.lineage = lineage
        return settings
    }
}

extension Cluster {
    /// Runs a command on a machine and takes note of what it did.
    ///
    /// - Parameter ids: the records that it changes; new ones need not be named.
    @discardableResult
    public func perform<T>(_ machine: ClientMachine, on ids: RecordID..., body: (Replica) throws -> T) throws -> T {
        machine.views = [:]
        for id in ids { machine.views[id] = try oracle.view(of: id, on: machine) }
        let result = try body(try machine.opened())
        try oracle.witness(machine)
        machine.views = [:]
        return result
    }

    /// Stops a machine or starts it again, as a loss of power or a kill would.
    public func restart(_ machine: ClientMachine, after crash: SimulatedDisk.Crash) throws {
        machine.crash(crash)
        try machine.start()
        try recall(machine)
    }

    public func restartServer(after crash: SimulatedDisk.Crash) throws {
        server.crash(crash)
        try server.start()
    }

    /// Another machine with a copy of this one's home, as it is.
    @discardableResult
    public func copy(of machine: ClientMachine) throws -> ClientMachine {
        let seed = random.next()
        let copy = ClientMachine(
            number: machines.count, account: machine.account, world: world, seed: seed, options: options(seed),
            image: machine.disk.snapshot(), isAhead: machine.isAhead)
        copy.witnessed = machine.witnessed
        copy.key = machine.key
        copy.clock.set(machine.clock.fault)
        oracle.copyPlaces(from: machine.number, to: copy.number)
        try copy.start()
        machines.append(copy)
        return copy
    }

    /// Sets a home back to an earlier state of its disk: what only it had is gone.
    public func restore(_ machine: ClientMachine, to image: DiskImage) throws {
        machine.restore(image)
        try machine.start()
        machine.witnessed = try machine.opened().logged().places.last?.position ?? 0
        machine.known = nil
        try oracle.relearn(machine)
        try forgetWhatIsNowhere()
    }

    /// Sets the server back to an earlier state of its disk. Logs have what it lost.
    public func restoreServer(to image: DiskImage) throws {
        server.restore(image)
        try server.start()
        oracle.noteServerSetBack()
        try forgetWhatIsNowhere()
    }

    /// The server's disk is lost with all keys and accounts. Its operator adds the accounts and asks for what homes hold;
    /// they enrol again when they sync next.
    public func wipeServer() throws {
        try restoreServer(to: DiskImage())
        hasWiped = true
        let book = Accounts(store: try server.opened(), environment: server.environment)
        for account in accounts { _ = try book.add(name: account.name, role: role(of: account.name)) }
        try beginRecovery()
    }

    public func beginRecovery() throws { _ = try server.opened().beginRecovery() }
    public func finishRecovery() throws { _ = try server.opened().finishRecovery() }

    /// Whether the server knows the machine's key.
    func isKnown(_ machine: ClientMachine) throws -> Bool {
        guard settings.faults.recovers, oracle.isServerSetBack else { return true }
        let book = Accounts(store: try server.opened(), environment: server.environment)
        // What it has sent may come when it is down.
        if machine.isUp { machine.key = try machine.opened().credential().key }
        return try book.credential(key: machine.key) != nil
    }

    /// Enrols a machine's home again whose key the server has lost, as its operator does with a new code.
    public func admit(_ machine: ClientMachine) throws {
        if try isKnown(machine) { return }
        let book = Accounts(store: try server.opened(), environment: server.environment)
        let code = try book.newCode(name: machine.account.name).code
        machine.enrolments += 1
        // What the account was given under another identifier it keeps under its own.
        let known = try server.opened().account(named: machine.account.name)
        if let known, known != machine.account.id { try expectHandover(from: known, to: machine.account.id) }
        try machine.opened().enrollAgain(server: "http://server", code: code, key: Self.key(machine.random)) {
            let answer = try book.enroll($0)
            if answer.account != machine.account.id {
                oracle.fail("machine \(machine.number) was enrolled for another account than its own")
            }
            return answer
        }
        try noteServersWrites()
    }

    /// A person gives up a machine with all that is on it.
    public func discard(_ machine: ClientMachine) throws {
        machine.crash(.processes)
        machines.removeAll { $0 === machine }
        try forgetWhatIsNowhere()
    }

    /// What neither the server nor anybody's log has any more cannot come back.
    func forgetWhatIsNowhere() throws {
        let taken = Set(try server.opened().takenHashes().values)
        var logged = taken
        var held = Holdings()
        for machine in machines where machine.isUp {
            logged.formUnion(try machine.opened().logged().places.map(\.hash))
            if settings.faults.recovers { try oracle.hold(machine, in: &held) }
        }
        if settings.faults.recovers {
            try server.opened().forEachRecord { oracle.add($0, -1, taken, to: &held) }
        }
        // Whether somebody who holds it may bring it back hangs on who else has come before (SPEC.md §4.3).
        if settings.visibility { held = Holdings() }
        oracle.keep(logged: logged, held: held)
    }
}
