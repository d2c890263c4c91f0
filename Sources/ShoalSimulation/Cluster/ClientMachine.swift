import ShoalClient
import ShoalCRDT
import ShoalProtocol

/// One operator's machine: its disk and clock, and the replica while a program has it open. Used on one thread.
public final class ClientMachine {
    public let number: Int
    public let account: (id: RecordID, name: String)
    public private(set) var disk: SimulatedDisk
    public let clock: MachineClock
    let random: SeededSource
    private let options: Replica.Options
    /// Whether its program is one version ahead.
    let isAhead: Bool
    public private(set) var replica: Replica?
    /// What a locked home does to hand over what it had not sent.
    var handover: HandoverRun?
    /// Whether its home takes no commands any more.
    private(set) var isLocked = false
    /// The sync under way, and how many there were: answers to an earlier one are stale.
    var run: SyncRun?
    var runs = 0
    /// Of its requests: answers to an earlier one come too late.
    var attempts = 0
    /// The key that its home was last seen to have.
    var key = ""
    /// How often its home was enrolled again: what was sent before is somebody unknown's.
    var enrolments = 0
    /// The last position of the log that the oracle has seen.
    var witnessed: Int64 = 0
    /// What the operator saw of the records that the command under way may touch.
    var views: [RecordID: RecordView] = [:]

    /// The customers that its operator last saw listed; nil after a sync.
    var known: [RecordID]?
    /// Whether a command that surely wrote has returned and the oracle has not seen yet what it wrote.
    var isPromised = false

    init(
        number: Int, account: (id: RecordID, name: String), world: WorldClock, seed: UInt64, options: Replica.Options,
        image: DiskImage, isAhead: Bool = false
    ) {
        self.number = number
        self.account = account
        disk = SimulatedDisk(image)
        clock = MachineClock(world)
        random = SeededSource(seed: seed)
        self.options = options
        self.isAhead = isAhead
    }

    static func environment(_ clock: MachineClock, _ random: SeededSource, _ homes: SimulatedHomes) -> Environment {
        Environment(
            now: { clock.now }, ticks: { clock.ticks }, random: { random.next() }, sleep: { _ in }, homes: homes)
    }

    private static func home(_ disk: SimulatedDisk) -> String { "\(disk.directory)/home" }

    var isUp: Bool { replica != nil }

    func start() throws {
        let replica = try Replica(
            home: Self.home(disk), environment: Self.environment(clock, random, SimulatedHomes(disk)), options: options,
            mayHandOver: true)
        isLocked = try replica.lockout() != nil
        self.replica = replica
    }

    /// A request as its program says it.
    func spoken(_ body: [UInt8]) throws -> [UInt8] { isAhead ? try LaterVersion.spoken(body) : body }

    /// Ends the program, if it still runs; what is on the disk is as the crash says.
    func crash(_ crash: SimulatedDisk.Crash) {
        disk.halt()
        stop()
        disk.crash(crash)
    }

    /// Replaces the disk's content, as when a backup is restored. The program is down then.
    func restore(_ image: DiskImage) {
        disk.halt()
        stop()
        disk.restore(image)
    }

    private func stop() {
        replica = nil
        run = nil
        handover = nil
        disk.setHook(nil)
    }

    /// Begins to hand over, and locks the home if it is not.
    func beginHandover(_ reason: Lockout.Reason) throws {
        handover = try HandoverRun(try opened(), isLocked ? nil : reason)
        isLocked = true
    }

    func opened() throws -> Replica {
        guard let replica else { throw SimulationError("machine \(number) is down") }
        return replica
    }

    /// An empty home that was enrolled nowhere that matters: making one anew costs more than a whole simulated day.
    static let blank: Result<DiskImage, any Error> = Result {
        let world = WorldClock(start: 0)
        let disk = SimulatedDisk()
        let replica = try Replica.create(
            home: home(disk), server: "http://server", key: "",
            enrolment: EnrollResponse(
                replica: ReplicaID(rawValue: 1), account: RecordID(rawValue: 1), name: "", role: .sales, epoch: 0,
                time: 0), environment: environment(MachineClock(world), SeededSource(seed: 0), SimulatedHomes(disk)))
        try replica.close()
        return disk.snapshot()
    }
}
