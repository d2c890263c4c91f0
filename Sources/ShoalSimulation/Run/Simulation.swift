import ShoalClient
import ShoalCRDT
import ShoalProtocol

/// One run: operators work and sync while everything goes wrong that the settings allow; then all is mended, everybody
/// syncs until nothing moves, and the outcome is compared with what the operators did.
public final class Simulation {
    enum Happening {
        /// Some operator does something.
        case turn
        case request(Message)
        case answer(Message)
        /// No answer came to an attempt.
        case timeout(machine: Int, run: Int, attempt: Int)
        case restart(machine: Int)
        case restartServer
        case connect(machine: Int)
    }

    /// A request or an answer on its way.
    struct Message {
        var machine: Int
        var run: Int
        var attempt: Int
        /// With which of the keys that its machine had.
        var enrolment: Int
        var body: [UInt8]
        /// The server never said anything: the connection broke.
        var isBroken = false
        /// It may come to a later request than the one that it answers.
        var isStale = false
        /// It is, or answers, a request to hand over.
        var isHandover = false
        /// The server takes nothing from the device but what it hands over.
        var lockedOut: Lockout.Reason?
    }

    public let cluster: Cluster
    let faults: Faults
    var queue = EventQueue<Happening>()
    private var stepsLeft: Int
    /// Machines that cannot reach the server.
    var partitioned: Set<Int> = []
    /// Earlier states of disks, by machine; the server's under -1.
    var backups: [(machine: Int, image: DiskImage)] = []

    static let patience: Int64 = 5_000

    public init(_ settings: Settings, trace: Trace = Trace()) throws {
        cluster = try Cluster(settings, trace: trace)
        faults = settings.faults
        stepsLeft = settings.steps
    }

    /// Runs it all. Whatever cannot go on is a finding.
    public static func findings(_ settings: Settings, trace: Trace = Trace()) -> (findings: Findings, trace: UInt64) {
        do {
            let simulation = try Simulation(settings, trace: trace)
            var findings = Findings()
            do { findings = try simulation.run() } catch {
                findings.add(\.diverged, "the run stopped: \(error)")
                for failure in simulation.cluster.oracle.failures { findings.add(\.diverged, failure) }
            }
            return (findings, simulation.cluster.trace.hash)
        } catch {
            var findings = Findings()
            findings.add(\.diverged, "the run could not begin: \(error)")
            return (findings, 0)
        }
    }

    private func run() throws -> Findings {
        if faults.hasWrongClocks { breakClocks() }
        plan(.turn, in: 0)
        while let (time, happening) = queue.next() {
            cluster.world.advance(to: time)
            try happen(happening)
        }
        try mend()
        cluster.trace.note("mended", cluster.world.now)
        try recover()
        try cluster.settle()
        if faults.collects, !faults.lineage { try collectAll() }
        let findings = try cluster.verify()
        cluster.trace.note("verified", Int64(findings.operations))
        let dump = try cluster.serverDump()
        cluster.trace.note("dump", bytes: dump, words: String(decoding: dump, as: UTF8.self))
        return findings
    }

    private func happen(_ happening: Happening) throws {
        switch happening {
        case .turn: try turn()
        case .request(let message): try serve(message)
        case .answer(let message): try take(message)
        case .timeout(let machine, let run, let attempt):
            guard let machine = cluster.machine(machine), machine.runs == run, machine.attempts == attempt else {
                return
            }
            try retry(machine)
        case .restart(let number): if let machine = cluster.machine(number) { try restart(machine) }
        case .restartServer: try restartServer()
        case .connect(let number):
            partitioned.remove(number)
            cluster.trace.note("connect", Int64(number))
        }
    }

    func plan(_ happening: Happening, in milliseconds: Int64) {
        queue.add(happening, at: cluster.world.now + milliseconds)
    }

    func chance(_ percent: Int) -> Bool { percent > 0 && cluster.random.below(100) < percent }

    // MARK: Operators

    private func turn() throws {
        if stepsLeft == 0 { return }
        stepsLeft -= 1
        let pause: Int64 = chance(5) ? 3_600_000 : 20_000
        plan(.turn, in: Int64(cluster.random.below(Int(pause))))
        let machine = cluster.machines[cluster.random.below(cluster.machines.count)]
        disturb(machine)
        if cluster.settings.visibility, chance(3) { try administer() }
        try branch(machine)
        guard machine.isUp else { return }
        if chance(cluster.settings.syncs) {
            guard machine.run == nil, machine.handover == nil, try admit(machine) else { return }
            try begin(machine)
        } else if !machine.isLocked {
            try guarded(machine) {
                let isDone = try Operator(cluster: cluster, machine: machine).act()
                cluster.trace.note(
                    "act", cluster.world.now, Int64(machine.number), isDone ? 1 : 0,
                    Int64(bitPattern: cluster.oracle.order.last?.rawValue ?? 0),
                    words: machine.views.keys.sorted().map(\.description).joined(separator: " ")
                        + " end \(machine.witnessed)")
                machine.views = [:]
            }
        }
    }

    /// Runs `body` on a machine that may stop in it.
    func guarded(_ machine: ClientMachine, _ body: () throws -> Void) throws {
        do { try body() } catch {
            if !machine.disk.isHalted { throw error }
        }
        if machine.disk.isHalted { goDown(machine) }
    }

    // MARK: Syncing

    /// Lets an operator enrol again whom the server does not know any more; false if either stopped in it.
    private func admit(_ machine: ClientMachine) throws -> Bool {
        guard faults.recovers, cluster.server.isUp else { return true }
        do { try cluster.admit(machine) } catch {
            if !machine.disk.isHalted, !cluster.server.disk.isHalted { throw error }
        }
        if cluster.server.disk.isHalted { serverGoesDown() }
        if machine.disk.isHalted { goDown(machine) }
        return machine.isUp && cluster.server.isUp
    }

    private func begin(_ machine: ClientMachine) throws {
        machine.runs += 1
        machine.attempts = 0
        if machine.isLocked { return try handOver(machine, .revoked) }
        machine.run = SyncRun(try machine.opened())
        cluster.trace.note("sync", Int64(machine.number))
        try advance(machine)
    }

    /// Does what the sync can do without the server, and sends what comes out.
    private func advance(_ machine: ClientMachine) throws {
        try guarded(machine) {
            do {
                guard var run = machine.run else { return }
                let step = try run.next()
                machine.run = run
                if faults.lineage { try cluster.oracle.relearn(machine) }
                var relayed: [UInt8] = []
                switch step {
                case .send(let body): send(try machine.spoken(body), machine)
                case .relay(let body):
                    // A person asked for it, and waits for it at a good network.
                    let body = try machine.spoken(body)
                    cluster.trace.note("relay", bytes: body, words: FrameWords.of(relay: body, machine))
                    do throws(ServerMachine.Silence) {
                        let answer = try cluster.server.relay(body, account: machine.account.id)
                        relayed = answer
                    } catch {
                        cluster.trace.note("relay lost", words: "\(error)")
                        if cluster.server.disk.isHalted, cluster.server.isUp { serverGoesDown() }
                        return end(machine)
                    }
                    try machine.run?.received(relayed)
                    try advance(machine)
                case .finished(let report):
                    cluster.trace.note(
                        "finished", Int64(machine.number), Int64(report.pushed), Int64(report.pulled),
                        Int64(report.refused.count))
                    end(machine)
                }
            } catch let error as SyncError {
                cluster.trace.note("stopped", Int64(machine.number), words: error.description)
                try judge(error, machine)
                end(machine)
            }
        }
    }

    /// A sync may only stop for an answer that was cut, or that answers another request.
    func judge(_ error: SyncError, _ machine: ClientMachine) throws {
        switch error {
        case .session(.protocolError) where faults.duplicate > 0: break
        case .badAnswer where faults.truncate > 0 || faults.duplicate > 0: break
        default: throw error
        }
    }

    private func end(_ machine: ClientMachine) {
        guard let run = machine.run else { return }
        let progress = run.progress
        cluster.folded += progress.pushed + progress.pulled
        machine.run = nil
        machine.known = nil
        machine.runs += 1
    }

    func send(_ body: [UInt8], _ machine: ClientMachine) {
        machine.run?.sending(body)
        machine.attempts += 1
        let message = Message(
            machine: machine.number, run: machine.runs, attempt: machine.attempts, enrolment: machine.enrolments,
            body: body, isHandover: machine.handover != nil)
        cluster.trace.note("send", bytes: body, words: "machine \(machine.number)")
        transmit(message, as: Happening.request)
        plan(.timeout(machine: message.machine, run: message.run, attempt: message.attempt), in: Self.patience)
    }

    /// Puts a message on its way, as often and as whole as the network lets it.
    private func transmit(_ message: Message, as happening: (Message) -> Happening) {
        var message = message
        if partitioned.contains(message.machine) || chance(faults.drop) { return }
        if chance(faults.duplicate) {
            var again = message
            again.isStale = true
            plan(happening(again), in: delay() * Int64(1 + cluster.random.below(50)))
        }
        if chance(faults.truncate), !message.body.isEmpty {
            message.body.removeLast(1 + cluster.random.below(message.body.count))
        }
        plan(happening(message), in: delay())
    }

    private func delay() -> Int64 { Int64(1 + cluster.random.below(faults.delay + 1)) }

    private func serve(_ message: Message) throws {
        guard let machine = cluster.machine(message.machine) else { return }
        var answer = message
        if faults.recovers, cluster.server.isUp {
            // Whoever has not enrolled again is unknown.
            let isCurrent = message.enrolment == machine.enrolments
            if try !isCurrent || !cluster.isKnown(machine) {
                answer.isBroken = true
                answer.body = []
                return transmit(answer, as: Happening.answer)
            }
        }
        let lockedOut = try cluster.lockedOut(machine)
        if let lockedOut, !message.isHandover {
            answer.lockedOut = lockedOut.reason
            answer.body = []
            return transmit(answer, as: Happening.answer)
        }
        do throws(ServerMachine.Silence) {
            answer.body =
                if let lockedOut {
                    try cluster.server.handOver(message.body, by: lockedOut)
                } else {
                    try cluster.server.handle(message.body, account: machine.account.id)
                }
            cluster.trace.note(
                "serve", bytes: answer.body, words: FrameWords.of(message.body, answer.body, machine))
            do { try cluster.learn(answer.body, for: machine) } catch {
                cluster.oracle.fail("the server's answer cannot be read: \(error)")
            }
            if chance(faults.halfClose) { answer.isBroken = true }
        } catch {
            answer.isBroken = true
            answer.body = []
            switch error {
            case .down: cluster.trace.note("silence")
            case .refused(let reason):
                cluster.trace.note("refused", words: reason)
                if faults.truncate == 0 { throw SimulationError("the server refused a request: \(reason)") }
            }
        }
        try collect()
        if cluster.server.disk.isHalted, cluster.server.isUp { serverGoesDown() }
        transmit(answer, as: Happening.answer)
    }

    private func take(_ message: Message) throws {
        guard let machine = cluster.machine(message.machine) else { return }
        let isAwaited = machine.runs == message.run && machine.attempts == message.attempt
        // What another server said to a key that the home had there: it does not come over a connection to this one.
        guard message.enrolment == machine.enrolments else { return }
        guard machine.isUp, machine.run != nil || machine.handover != nil,
            isAwaited || (message.isStale && chance(20))
        else { return }
        if message.isBroken { return isAwaited ? try retry(machine) : () }
        if let reason = message.lockedOut {
            guard isAwaited, machine.handover == nil else { return }
            end(machine)
            machine.attempts = 0
            return try handOver(machine, reason)
        }
        guard message.isHandover == (machine.handover != nil) else { return }
        cluster.trace.note("take", bytes: message.body, words: "machine \(machine.number)")
        // Whatever comes for this attempt now comes too late.
        machine.attempts += 1
        do {
            try machine.run?.received(message.body)
            try machine.handover?.received(message.body)
        } catch let error as SyncError {
            try judge(error, machine)
            return try retry(machine)
        }
        try machine.handover == nil ? advance(machine) : advanceHandover(machine)
    }

    /// Sends the same again, or gives up after some attempts.
    private func retry(_ machine: ClientMachine) throws {
        if machine.handover != nil { return try retryHandover(machine) }
        guard machine.run != nil else { return }
        machine.attempts += 1
        if machine.attempts > 6 || chance(30) { return end(machine) }
        try advance(machine)
    }
}
