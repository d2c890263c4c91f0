import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer
import ShoalSimulation
import ShoalStore
import Synchronization

/// A server and two clients at work, watched effect by effect: a `Moment` is what the three disks were when one of them was
/// about to change, and what had been promised by then.
///
/// `@unchecked Sendable`: the hooks run while the one thread that uses the world waits for a disk.
final class CrashWorld: @unchecked Sendable {
    /// Machine 0 is the server.
    struct Moment: Sendable {
        var victim: Int
        var effect: DiskEffect
        var images: [DiskImage]
        /// The states of the victim that a loss of power may leave: of `history[victim]`, the last one not reached yet.
        var states: ClosedRange<Int>
        /// How many of `kept` had been acknowledged.
        var kept: Int
    }

    let seed: UInt64
    let world: SeededWorld
    private var random: SplitMix64
    private let disks: [SimulatedDisk]
    private var server: ServerMachine
    private var replicas: [Replica] = []
    /// The dump after each commit, by machine.
    private(set) var history: [[UInt64]] = []
    /// The earliest state that a loss of power may leave, by machine.
    private var durable: [Int] = []
    /// Texts that commands which returned have written for good.
    private(set) var kept: [String] = []
    private var customers: [[RecordID]] = [[], []]
    private var doomed: [[RecordID]] = [[], []]
    private var step = 0

    private let collected = Mutex<[Moment]>([])
    private let chances = Mutex<(random: SplitMix64, oneIn: Int)>((SplitMix64(seed: 0), 0))

    /// Whether the clients' homes are encrypted.
    private let isEncrypted: Bool

    init(seed: UInt64, isEncrypted: Bool = false) throws {
        self.seed = seed
        self.isEncrypted = isEncrypted
        world = SeededWorld(seed: seed)
        random = SplitMix64(seed: seed)
        let sector = seed % 2 == 0 ? 512 : 4_096
        disks = (0..<3).map { _ in SimulatedDisk(DiskImage(sector: sector)) }
        server = try ServerMachine(disks[0], world)
        for index in 0..<2 {
            let (enrolment, key) = try server.enrolment("account \(index)")
            replicas.append(
                try Replica.create(
                    home: Replica.home(disks[index + 1]), server: "http://test", key: key, enrolment: enrolment,
                    environment: world.client(disks[index + 1], isEncrypted: isEncrypted)))
        }
        for machine in 0..<3 { history.append([try digest(machine)]) }
        durable = [0, 0, 0]
    }

    private func digest(_ machine: Int) throws -> UInt64 {
        Self.digest(machine == 0 ? try server.dump : try replicas[machine - 1].dumpLines)
    }

    static func digest(_ lines: [String]) -> UInt64 {
        Array(lines.joined(separator: "\n").utf8).withUnsafeBytes { SipHash.hash($0, key: (1, 2)) }
    }

    private func note(_ machine: Int, isDurable: Bool) throws {
        let state = try digest(machine)
        if state != history[machine].last { history[machine].append(state) }
        if isDurable { durable[machine] = history[machine].count - 1 }
    }

    // MARK: Work

    /// Works and remembers moments.
    ///
    /// - Parameter oneIn: how many effects there are to a moment.
    func run(steps: Int, oneIn: Int) throws -> [Moment] {
        chances.withLock { $0 = (SplitMix64(seed: seed ^ 0xABCD), oneIn) }
        for (index, disk) in disks.enumerated() {
            disk.setHook { [unowned self] effect in
                let isMoment = effect.kind.changes && chances.withLock { $0.random.below($0.oneIn) == 0 }
                if isMoment { remember(index, effect) }
                return .proceed
            }
        }
        for _ in 0..<steps { try work() }
        for disk in disks { disk.setHook(nil) }
        return collected.withLock { $0 }
    }

    private func remember(_ victim: Int, _ effect: DiskEffect) {
        let moment = Moment(
            victim: victim, effect: effect, images: disks.map { $0.snapshot() },
            states: durable[victim]...history[victim].count, kept: kept.count)
        collected.withLock { $0.append(moment) }
    }

    private func work() throws {
        step += 1
        let client = random.below(2)
        let replica = replicas[client]
        switch random.below(14) {
        case 0, 1, 2:
            let name = "name \(step)"
            let id = try replica.addCustomer(name: name)
            customers[client].append(id)
            kept.append(name)
            try note(client + 1, isDurable: true)
        case 3, 4, 5: try change(client)
        case 6:
            doomed[client].append(try replica.addCustomer(name: "doomed \(step)"))
            try note(client + 1, isDurable: true)
        case 7:
            guard let id = doomed[client].popLast() else { return }
            try replica.deleteCustomer(id)
            try note(client + 1, isDurable: true)
        case 8, 9, 10: try sync(client)
        case 11: try replica.drainTextIndex(limit: 3)
        case 12:
            try replica.close()
            replicas[client] = try Replica(home: replica.home, environment: replica.environment)
            try note(client + 1, isDurable: true)
        default:
            if random.below(2) == 0 {
                try server.store.truncateLog()
            } else {
                _ = try server.accounts.add(name: "more \(step)", role: .sales)
                try note(0, isDurable: true)
            }
        }
    }

    private func change(_ client: Int) throws {
        let replica = replicas[client]
        guard let id = customers[client].last else { return }
        let end = try replica.logged().places.last?.position
        switch random.below(4) {
        case 0:
            let body = "note \(step) " + String(repeating: "长", count: random.below(3_000))
            _ = try replica.addNote(to: id, body)
            kept.append(body)
        case 1: try replica.setFields(of: id, [FieldValue("stage", "\(step % 5)"), FieldValue("x-a", "\(step)")])
        case 2: try replica.editTags(of: [id], [.add("G/t\(step % 7)")])
        default:
            _ = try replica.write { commands in
                for part in 0..<5 { _ = try commands.addCustomer(name: "together \(step) \(part)") }
            }
            for part in 0..<5 { kept.append("together \(step) \(part)") }
        }
        // A tag that is there already is no change, which waits for no disk.
        try note(client + 1, isDurable: try replica.logged().places.last?.position != end)
    }

    private func sync(_ client: Int) throws {
        try replicas[client].sync(server) { [self] in
            try note(0, isDurable: true)
            // What the server would send again waits for no disk.
            try note(client + 1, isDurable: false)
        }
        customers[client] = try replicas[client].customers("name").map(\.id)
    }

    // MARK: Recovery

    /// Starts the machines again from what was left, and finds out what is wrong.
    ///
    /// - Parameter loss: how the victim's power was lost; the other machines' processes were only ended.
    func complaints(_ moment: Moment, loss: UInt64) throws -> [String] {
        let disks = moment.images.enumerated().map { index, image in
            SimulatedDisk(index == moment.victim ? image.afterPowerLoss(seed: loss) : image)
        }
        let victim = moment.victim
        var complaints: [String] = []
        let server = try ServerMachine(disks[0], world)
        let replicas = try disks.dropFirst().map { disk in
            try Replica(home: Replica.home(disk), environment: world.client(disk, isEncrypted: isEncrypted))
        }
        let found = Self.digest(victim == 0 ? try server.dump : try replicas[victim - 1].dumpLines)
        let allowed = history[victim][moment.states.clamped(to: 0...history[victim].count - 1)]
        if !allowed.contains(found) { complaints.append("lost: it is in none of \(allowed.count) states") }
        if victim > 0 {
            try replicas[victim - 1].close()
            complaints += try Audit.replica(disks[victim], isEncrypted: isEncrypted).complaints
        } else {
            // The chain of the audit, what is seen, and all else that the server keeps.
            complaints += try server.store.check().problems
            try server.store.close()
            complaints += try Audit.server(disks[0]).complaints
        }
        let againServer = victim == 0 ? try ServerMachine(disks[0], world) : server
        var again = replicas
        if victim > 0 {
            let before = try Audit.derivedRows(disks[victim], isEncrypted: isEncrypted)
            again[victim - 1] = try Replica(
                home: Replica.home(disks[victim]), environment: world.client(disks[victim], isEncrypted: isEncrypted))
            try again[victim - 1].rebuildProjections()
            if try Audit.derivedRows(disks[victim], isEncrypted: isEncrypted) != before {
                complaints.append("a rebuild gives other tables")
            }
        }
        for _ in 0..<2 { for replica in again { try replica.sync(againServer) } }
        let dump = try againServer.dump
        for (index, replica) in again.enumerated() where try replica.dumpLines != dump {
            complaints.append("client \(index) differs from the server after syncing")
        }
        let text = dump.joined(separator: "\n")
        for lost in kept.prefix(moment.kept) where !text.contains("\"\(lost)\"") {
            complaints.append("lost: \(lost.prefix(30))")
        }
        let last = try again[0].sync(againServer)
        if last.pushed + last.pulled != 0 { complaints.append("an immediate second sync still moves something") }
        complaints += try againServer.store.check().problems
        return complaints
    }
}
