/// What may go wrong in a simulation, each by chances out of 100.
public struct Faults: Sendable, Equatable {
    /// Requests and answers that never arrive.
    public var drop = 0
    /// Requests that arrive again, some of them long after, and answers that come to a later request.
    public var duplicate = 0
    /// Bodies cut at any byte.
    public var truncate = 0
    /// Connections that break after the request: it is carried out, the answer is lost.
    public var halfClose = 0
    /// Milliseconds that a message takes at most; what is sent later may arrive earlier.
    public var delay = 20
    /// Whether groups of machines lose the server for a while.
    public var hasPartitions = false
    /// Whether clocks are wrong, step, stop or drift.
    public var hasWrongClocks = false
    /// Machines that stop at any effect on their disk: of the events.
    public var crash = 0
    /// Whether a crash may take what was not synced, or else only ends the programs.
    public var losesPower = false
    /// Whether homes are copied, homes and servers restored from earlier states.
    public var lineage = false
    /// Whether, with `lineage`, the server is wiped too and people leave with their machines; then a person asks the others
    /// for what they hold. Not with copies: a recovery may show what two copies wrote twice.
    public var recovers = false
    /// Whether the server collects between requests, and at the end. Not with `lineage`: a copy that nobody waits for may
    /// be told that what it edits was collected.
    public var collects = false

    /// Whether devices are revoked and accounts disabled, where accounts see only what they follow. Not with `lineage`: a
    /// server that was set back has revoked nobody.
    public var revokes = false

    public init() {}

    /// None at all.
    public static let none = Faults()

    /// The kinds of fault by name, each with how to take it away: what a failing run is shrunk by.
    static var kinds: [(name: String, remove: @Sendable (inout Faults) -> Void)] {
        [
            ("drop", { $0.drop = 0 }), ("duplicate", { $0.duplicate = 0 }), ("truncate", { $0.truncate = 0 }),
            ("half-close", { $0.halfClose = 0 }), ("delay", { $0.delay = 0 }),
            ("partitions", { $0.hasPartitions = false }),
            ("clocks", { $0.hasWrongClocks = false }), ("crash", { $0.crash = 0 }),
            ("power", { $0.losesPower = false }),
            ("lineage", { $0.lineage = false }), ("recovery", { $0.recovers = false }),
            ("collection", { $0.collects = false }), ("revocation", { $0.revokes = false }),
        ]
    }

    static func drawn(_ random: inout SplitMix64) -> Faults {
        var faults = Faults()
        func chance(_ most: Int) -> Int { random.below(3) == 0 ? 0 : random.below(most + 1) }
        faults.drop = chance(30)
        faults.duplicate = chance(50)
        faults.truncate = chance(10)
        faults.halfClose = chance(15)
        faults.delay = [0, 20, 2_000, 60_000][random.below(4)]
        faults.hasPartitions = random.below(3) == 0
        faults.hasWrongClocks = random.below(2) == 0
        faults.crash = random.below(2) == 0 ? 0 : 1 + random.below(15)
        faults.losesPower = random.below(2) == 0
        faults.collects = random.below(2) == 0
        faults.lineage = random.below(4) == 0
        return faults
    }
}

/// A run of the simulator: everything follows from it.
public struct Settings: Sendable, Equatable {
    public var seed: UInt64
    public var replicas: Int
    public var accounts: Int
    /// How many events the operators make: actions and syncs.
    public var steps: Int
    /// The most operations in a frame, and the weight at which a page is closed.
    public var frame: Int
    public var page: Int
    /// Of 100 events of an operator, how many are syncs.
    public var syncs: Int
    /// How many of the machines, from the first on, run a program one version ahead, and whether the server does.
    public var ahead = 0
    public var isServerAhead = false
    /// Whether accounts see only the customers that they follow; otherwise all are supervisors.
    public var visibility = false
    public var faults: Faults

    /// What the seed says; most runs are small, some have 50 replicas.
    public init(seed: UInt64) {
        var random = SplitMix64(seed: seed ^ 0x5EED)
        self.seed = seed
        replicas = random.below(40) == 0 ? 20 + random.below(31) : 3 + random.below(4)
        accounts = 1 + random.below(3)
        steps = 100 + random.below(250)
        frame = random.below(3) == 0 ? 5_000 : 1 + random.below(12)
        page = random.below(3) == 0 ? 2 << 20 : 100 + random.below(2_000)
        syncs = 5 + random.below(25)
        faults = .drawn(&random)
    }

    /// The same run in a workspace where accounts see what they follow.
    public func withVisibility() -> Settings {
        var settings = self
        settings.visibility = true
        settings.accounts += 2
        settings.replicas = max(settings.replicas, settings.accounts)
        // Homes and servers are set back only where that is asked for as well.
        settings.faults.lineage = false
        var random = SplitMix64(seed: seed ^ 0x0E0D)
        settings.faults.revokes = random.below(2) == 0
        return settings
    }
}
