/// Makes a failing run smaller: fewer replicas, fewer steps, fewer kinds of fault, as long as it still fails.
public struct Shrinking {
    public private(set) var settings: Settings
    /// How many runs it took.
    public private(set) var runs = 0
    private let fails: (Settings) -> Bool

    /// - Parameter fails: whether a run fails in the same way; nil: its first finding is among the run's in kind.
    public init(_ settings: Settings, fails: ((Settings) -> Bool)? = nil) {
        self.settings = settings
        if let fails {
            self.fails = fails
        } else {
            let kind = Simulation.findings(settings).findings.kinds.first
            self.fails = { smaller in kind.map(Simulation.findings(smaller).findings.kinds.contains) ?? false }
        }
    }

    /// - Parameter limit: the most runs.
    public mutating func run(limit: Int = 400) {
        var isSmaller = true
        while isSmaller, runs < limit {
            isSmaller = false
            for kind in Faults.kinds { isSmaller = attempt { kind.remove(&$0.faults) } || isSmaller }
            for steps in [settings.steps / 2, settings.steps * 3 / 4, settings.steps - 1] where steps > 0 {
                isSmaller = attempt { $0.steps = steps } || isSmaller
            }
            for replicas in [2, settings.replicas / 2, settings.replicas - 1] where replicas > 0 {
                isSmaller = attempt { $0.replicas = replicas } || isSmaller
            }
            isSmaller = attempt { $0.accounts = 1 } || isSmaller
            isSmaller = attempt { $0.ahead -= 1 } || isSmaller
            isSmaller = attempt { $0.isServerAhead = false } || isSmaller
            isSmaller = attempt { $0.frame = 5_000 } || isSmaller
            isSmaller = attempt { $0.page = 2 << 20 } || isSmaller
        }
    }

    private mutating func attempt(_ change: (inout Settings) -> Void) -> Bool {
        var smaller = settings
        change(&smaller)
        if smaller == settings { return false }
        if smaller.replicas > settings.replicas || smaller.steps > settings.steps || smaller.ahead < 0 { return false }
        runs += 1
        guard fails(smaller) else { return false }
        settings = smaller
        return true
    }
}

extension Settings: CustomStringConvertible {
    /// What replays the run: the seed, and what differs from what the seed says.
    public var arguments: String {
        let drawn = visibility ? Settings(seed: seed).withVisibility() : Settings(seed: seed)
        var parts = ["--seed \(seed)"]
        if visibility { parts.append("--visibility") }
        if replicas != drawn.replicas { parts.append("--replicas \(replicas)") }
        if accounts != drawn.accounts { parts.append("--accounts \(accounts)") }
        if steps != drawn.steps { parts.append("--steps \(steps)") }
        if frame != drawn.frame { parts.append("--frame \(frame)") }
        if page != drawn.page { parts.append("--page \(page)") }
        if ahead != drawn.ahead { parts.append("--ahead \(ahead)") }
        if isServerAhead { parts.append("--server-ahead") }
        for kind in Faults.kinds {
            var without = faults
            kind.remove(&without)
            var drawnWithout = drawn.faults
            kind.remove(&drawnWithout)
            if without == faults, drawnWithout != drawn.faults { parts.append("--without \(kind.name)") }
        }
        if faults.lineage, !drawn.faults.lineage { parts.append("--lineage") }
        if faults.recovers, !drawn.faults.recovers { parts.append("--recovery") }
        return parts.joined(separator: " ")
    }

    public var description: String { "shoal-bench simulate \(arguments)" }

    /// Takes a kind of fault away.
    ///
    /// - Returns: whether there is such a kind.
    public mutating func remove(fault name: String) -> Bool {
        guard let kind = Faults.kinds.first(where: { $0.name == name }) else { return false }
        kind.remove(&faults)
        return true
    }
}
