import CSQLite
import Synchronization

/// A machine's disk in memory, on which SQLite works like on a real one.
///
/// Database files with a path below `directory` are on it; no file system is touched. Only what was synced survives a loss of
/// power for sure. Calls can be made to fail, counted, and watched one by one. Safe to use from any thread.
///
/// A disk lives as long as somebody holds it or a connection is open on it.
public final class SimulatedDisk: Sendable {
    struct State {
        var nodes: [Int: FileNode] = [:]
        var entries: [String: FileNode] = [:]
        var durableEntries: [String: Int] = [:]
        var lastID = 0
        /// Connections and locks of an earlier life of the machine have a lower one.
        var life = 0
        var isHalted = false
        var used = 0
        var capacity: Int?
        var plan: DiskFaultPlan?
        var planCalls = 0
        var hook: (@Sendable (DiskEffect) -> DiskDecision)?
        var counters = DiskCounters()
        /// Advisory locks, by name.
        var locks: Set<String> = []
    }

    /// How a machine goes down.
    public enum Crash: Sendable {
        /// Programs end at once; what they wrote stays, synced or not.
        case processes
        /// What was not synced is kept, dropped or torn as the seed says.
        case power(seed: UInt64)
    }

    /// The directory on it: "/simdisk/NAME".
    public let directory: String
    public let sector: Int
    let number: Int
    let state: Mutex<State>

    /// - Parameters:
    ///   - image: what is on it.
    ///   - capacity: bytes; nil for no limit.
    public init(_ image: DiskImage = DiskImage(), capacity: Int? = nil) {
        sector = image.sector
        number = DiskRegistry.nextNumber()
        directory = DiskRegistry.prefix + String(number)
        var state = State()
        state.load(image)
        state.capacity = capacity
        self.state = Mutex(state)
        DiskRegistry.add(self)
    }

    deinit { DiskRegistry.remove(number) }

    // MARK: Images

    /// What is on the disk now; the machine goes on.
    public func snapshot() -> DiskImage { state.withLock { $0.image(sector) } }

    /// Replaces what is on the disk by `image`, as when a backup is restored: whatever runs here is ended first.
    public func restore(_ image: DiskImage) {
        state.withLock { state in
            state.endLife()
            state.load(image)
            state.isHalted = false
        }
    }

    // MARK: Crashes

    /// Ends whatever runs on the machine: all calls on what was opened before fail, and nothing can be opened.
    public func halt() { state.withLock { $0.isHalted = true } }

    /// Whether the machine was stopped and not restarted.
    public var isHalted: Bool { state.withLock { $0.isHalted } }

    /// Ends whatever runs on the machine, if it still runs, and starts it again. Connections that were open before stay
    /// dead; open anew.
    public func crash(_ crash: Crash) {
        state.withLock { state in
            var image = state.image(sector)
            if case .power(let seed) = crash { image = image.afterPowerLoss(seed: seed) }
            state.endLife()
            state.load(image)
            state.isHalted = false
        }
    }

    // MARK: Faults

    /// Called before each call; nil for none. It may take a snapshot.
    public func setHook(_ hook: (@Sendable (DiskEffect) -> DiskDecision)?) { state.withLock { $0.hook = hook } }

    /// Calls that fail from now on; nil for none.
    public func setFaults(_ plan: DiskFaultPlan?) {
        state.withLock { state in
            state.plan = plan
            state.planCalls = 0
        }
    }

    /// Bytes that fit on it; nil for no limit. What is there stays.
    public var capacity: Int? {
        get { state.withLock { $0.capacity } }
        set { state.withLock { $0.capacity = newValue } }
    }

    /// Bytes that its files take.
    public var used: Int { state.withLock { $0.used } }

    public var counters: DiskCounters { state.withLock { $0.counters } }
}

extension SimulatedDisk.State {
    func image(_ sector: Int) -> DiskImage {
        var image = DiskImage(sector: sector)
        image.entries = entries.mapValues(\.id)
        image.durableEntries = durableEntries
        for (id, node) in nodes { image.files[id] = node.content }
        return image
    }

    mutating func load(_ image: DiskImage) {
        nodes = [:]
        entries = [:]
        for (name, id) in image.entries {
            guard let content = image.files[id] else { continue }
            let node = FileNode(id: id, name: name, content: content)
            nodes[id] = node
            entries[name] = node
        }
        durableEntries = image.durableEntries
        // Files that only the medium still has a name for.
        for (name, id) in image.durableEntries where nodes[id] == nil {
            guard let content = image.files[id] else { continue }
            nodes[id] = FileNode(id: id, name: name, content: content)
        }
        lastID = max(lastID, image.files.keys.max() ?? 0)
        used = entries.values.reduce(0) { $0 + $1.content.size }
    }

    mutating func endLife() {
        life += 1
        locks = []
    }

    /// All names are on the medium as they are now.
    mutating func syncDirectory() {
        durableEntries = entries.mapValues(\.id)
        if nodes.count > entries.count {
            let kept = Set(durableEntries.values)
            nodes = nodes.filter { kept.contains($0.key) }
        }
    }
}
