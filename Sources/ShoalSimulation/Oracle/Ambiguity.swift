import ShoalClient
import ShoalCRDT

/// What nobody can tell any more after a server was set back (SPEC.md §3.5). What was written before names operations by
/// the places that they had then. Where copies of a home were at work, two operations may have had one place, and where a
/// home was set back too, nobody may remember which had it.
struct Ambiguity {
    /// For each operation those that others may mean by a place that it lays claim to.
    private var rivals: [OperationHash: Set<OperationHash>] = [:]
    /// Those that were named by a place which may be another's, or of which nobody knows any more that it was theirs.
    private var lost: Set<OperationHash> = []

    /// - Parameters:
    ///   - had: every place that an operation ever had in any log.
    ///   - shown: those by which others have seen it.
    ///   - known: those of which a log still says whose they are or were.
    init(had: [OperationHash: Set<Dot>], shown: [OperationHash: Set<Dot>], known: [OperationHash: Set<Dot>]) {
        var owners: [Dot: Set<OperationHash>] = [:]
        for (hash, dots) in had { for dot in dots { owners[dot, default: []].insert(hash) } }
        for (hash, dots) in shown {
            if !dots.isSubset(of: known[hash] ?? []) { lost.insert(hash) }
            for dot in dots {
                for other in owners[dot] ?? [] where other != hash {
                    rivals[other, default: []].insert(hash)
                    lost.insert(hash)
                }
            }
        }
    }

    /// Nothing is ambiguous.
    init() {}

    /// Whether a value may have been taken for one of these.
    func mayBeTaken(_ event: OperationHash, for seen: Set<OperationHash>) -> Bool {
        rivals[event]?.isDisjoint(with: seen) == false
    }

    /// Whether what replaced or covered a value may not have found it.
    func mayStay(_ event: OperationHash) -> Bool { lost.contains(event) }
}
