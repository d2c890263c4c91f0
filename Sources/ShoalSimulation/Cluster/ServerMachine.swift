import Logging
import ShoalCRDT
import ShoalProtocol
import ShoalServer

/// The server's machine: its disk and clock, and the program while it runs. Used on one thread.
public final class ServerMachine {
    /// Why there is no answer that the client could read.
    enum Silence: Error {
        /// The server is down, or went down while it worked.
        case down
        /// 4xx: the request was refused as a whole.
        case refused(String)
    }

    public private(set) var disk: SimulatedDisk
    public let clock: MachineClock
    let random: SeededSource
    private let page: Int
    /// Whether its program is one version ahead.
    private let isAhead: Bool
    private(set) var store: ServerStore?
    private var handler: SyncHandler?
    let metrics = Metrics()

    init(world: WorldClock, seed: UInt64, page: Int, isAhead: Bool = false) throws {
        disk = SimulatedDisk()
        clock = MachineClock(world)
        random = SeededSource(seed: seed)
        self.page = page
        self.isAhead = isAhead
        try start()
    }

    var environment: ServerEnvironment {
        ServerEnvironment(now: { [clock] in clock.now }, random: { [random] in random.bytes($0) }, sleep: { _ in })
    }

    var isUp: Bool { store != nil }

    /// Opens the store, anew or after a crash.
    func start() throws {
        let store = try ServerStore(path: "\(disk.directory)/shoald.db", environment: environment)
        let committer = Committer(store: store, metrics: metrics, onFailure: { _ in })
        self.store = store
        handler = SyncHandler(
            store: store, committer: committer, metrics: metrics, environment: environment, logger: Self.silent,
            pageBudget: page)
    }

    private static let silent = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }

    /// Ends the program, if it still runs; what is on the disk is as the crash says.
    func crash(_ crash: SimulatedDisk.Crash) {
        disk.halt()
        store = nil
        handler = nil
        disk.setHook(nil)
        disk.crash(crash)
    }

    /// Replaces the disk's content, as when a backup is restored. The program is down then.
    func restore(_ image: DiskImage) {
        disk.halt()
        store = nil
        handler = nil
        disk.setHook(nil)
        disk.restore(image)
    }

    /// Answers a sync request.
    func handle(_ body: [UInt8], account: RecordID) throws(Silence) -> [UInt8] {
        try answer { try $0.handleAlone(body, account: account) }
    }

    /// Answers what a revoked device brings.
    func handOver(_ body: [UInt8], by credential: Credential) throws(Silence) -> [UInt8] {
        try answer { try $0.handOverAlone(body, by: credential) }
    }

    func relay(_ body: [UInt8], account: RecordID) throws(Silence) -> [UInt8] {
        try answer { try $0.relay(body, account: account).encoded() }
    }

    private func answer(_ body: (SyncHandler) throws -> [UInt8]) throws(Silence) -> [UInt8] {
        guard let handler else { throw .down }
        do {
            return try spoken(try body(handler))
        } catch let error as FrameError { throw .refused(error.description) } catch let error as SyncProblem {
            throw .refused(error.description)
        } catch { throw disk.isHalted ? .down : .refused("\(error)") }
    }

    private func spoken(_ answer: [UInt8]) throws -> [UInt8] {
        isAhead ? try LaterVersion.spoken(answer) : answer
    }

    /// The same for scenarios, which carry the bytes themselves.
    public func answer(_ body: [UInt8], to machine: ClientMachine) throws -> [UInt8] {
        try handle(body, account: machine.account.id)
    }

    /// The server as its own programs see it; it must be up.
    func opened() throws -> ServerStore {
        guard let store else { throw SimulationError("the server is down") }
        return store
    }
}

/// The simulation itself was used wrongly, or cannot go on.
public struct SimulationError: Error, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}
