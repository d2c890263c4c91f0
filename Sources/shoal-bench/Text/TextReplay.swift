import ShoalCRDT

/// Replays a trace: each transaction is applied to the text as its parents leave it, by a replica that has merged just
/// those transactions, and travels to the other replicas as the change that it made.
struct TextReplay {
    private struct Replica {
        var text = TextSequence()
        var isMerged: [Bool]
        /// The transactions merged that no other merged one was made upon.
        var heads: [Int] = []
    }

    private let trace: TextTrace
    private var replicas: [Replica] = []
    private(set) var changes: [TextDelta] = []

    init(_ trace: TextTrace) { self.trace = trace }

    /// Replays everything.
    ///
    /// - Returns: a text that has merged all transactions.
    /// - Throws: `TextTrace.Failure` if a patch lies outside its text.
    mutating func run() throws -> TextSequence {
        let isLinear = trace.transactions.enumerated().allSatisfy { $1.parents == ($0 > 0 ? [$0 - 1] : []) }
        return isLinear ? try runLinear() : try runBranches()
    }

    /// One replica, and nobody to send its changes to.
    private func runLinear() throws -> TextSequence {
        var text = TextSequence()
        var delta = TextDelta()
        for (index, transaction) in trace.transactions.enumerated() {
            delta.removeAll()
            try Self.apply(transaction, index, to: &text, &delta)
        }
        return text
    }

    private mutating func runBranches() throws -> TextSequence {
        changes.reserveCapacity(trace.transactions.count)
        for (index, transaction) in trace.transactions.enumerated() {
            let place = replica(at: transaction.parents)
            var delta = TextDelta()
            try Self.apply(transaction, index, to: &replicas[place].text, &delta)
            changes.append(delta)
            replicas[place].isMerged[index] = true
            replicas[place].heads = [index]
        }
        var heads = Set(trace.transactions.indices)
        for transaction in trace.transactions { heads.subtract(transaction.parents) }
        return replicas.isEmpty ? TextSequence() : replicas[replica(at: heads.sorted())].text
    }

    private static func apply(
        _ transaction: TextTrace.Transaction, _ index: Int, to text: inout TextSequence, _ delta: inout TextDelta
    ) throws {
        var offset = transaction.sequence
        let name = TextName(rawValue: UInt64(transaction.author))
        for patch in transaction.patches {
            guard patch.position + patch.deleted <= text.count else {
                throw TextTrace.Failure(description: "transaction \(index) reaches beyond the end of its text")
            }
            text.delete(at: patch.position, count: patch.deleted, into: &delta)
            offset += UInt32(patch.deleted)
            text.insert(patch.inserted, at: patch.position, as: name, from: offset, into: &delta)
            offset += UInt32(patch.inserted.count)
        }
    }

    /// A replica that has merged these transactions and all before them, and nothing else.
    private mutating func replica(at parents: [Int]) -> Int {
        if let place = replicas.lastIndex(where: { $0.heads == parents }) { return place }
        // One that stands at a parent lacks least.
        let near = replicas.indices.filter {
            replicas[$0].heads.allSatisfy(parents.contains) && !replicas[$0].heads.isEmpty
        }
        var best: (place: Int, missing: [Int])?
        for place in near.isEmpty ? Array(replicas.indices) : near {
            guard let missing = missing(in: replicas[place], upTo: parents) else { continue }
            if missing.count < best?.missing.count ?? .max { best = (place, missing) }
        }
        if best == nil {
            replicas.append(Replica(isMerged: Array(repeating: false, count: trace.transactions.count)))
            let place = replicas.count - 1
            best = missing(in: replicas[place], upTo: parents).map { (place, $0) }
        }
        guard let (place, missing) = best else { return 0 }
        for index in missing {
            replicas[place].text.merge(changes[index])
            replicas[place].isMerged[index] = true
        }
        replicas[place].heads = parents
        return place
    }

    /// What a replica must merge to stand at these transactions; nil if it has merged others.
    private func missing(in replica: Replica, upTo parents: [Int]) -> [Int]? {
        var missing: Set<Int> = []
        var met: Set<Int> = []
        var open = parents
        while let index = open.popLast() {
            if replica.isMerged[index] {
                met.insert(index)
            } else if missing.insert(index).inserted {
                open += trace.transactions[index].parents
            }
        }
        return replica.heads.allSatisfy(met.contains) ? missing.sorted() : nil
    }
}
