/// What a run's check found. Everything but `operations` must be 0.
public struct Findings: Sendable, Equatable {
    /// Operators' operations, the server's folds of them, and what each replica took over from others.
    public var operations = 0
    /// Replicas whose state is not the server's, or states that are not what the operators did.
    public var diverged = 0
    /// Writes that returned to an operator and are gone.
    public var lost = 0
    /// What was replaced or deleted and is there again.
    public var resurrected = 0
    public var doubled = 0
    /// Records that an account has and may not see.
    public var leaked = 0
    /// In words, the first few of each.
    public var sentences: [String] = []
    public init() {}

    public var isClean: Bool {
        diverged == 0 && lost == 0 && resurrected == 0 && doubled == 0 && leaked == 0 && sentences.isEmpty
    }

    /// The findings without numbers and names: what went wrong, whatever it went wrong with.
    public var kinds: [String] {
        sentences.map { sentence in
            let words = sentence.split(separator: " ").filter { word in
                word.utf8.allSatisfy { $0 >= 0x61 && $0 <= 0x7A }
            }
            return words.prefix(6).joined(separator: " ")
        }
    }

    public static func + (a: Self, b: Self) -> Self {
        var sum = a
        sum.operations += b.operations
        sum.diverged += b.diverged
        sum.lost += b.lost
        sum.resurrected += b.resurrected
        sum.doubled += b.doubled
        sum.leaked += b.leaked
        sum.sentences += b.sentences
        return sum
    }

    mutating func add(_ count: WritableKeyPath<Findings, Int>, _ sentence: String) {
        self[keyPath: count] += 1
        if sentences.count < 40 { sentences.append(sentence) }
    }

    /// - Parameter seeds: how many runs these are the findings of.
    public func line(seeds: Int) -> String {
        "seeds=\(seeds) ops=\(operations) diverged=\(diverged) lost_acked=\(lost) resurrected=\(resurrected) double_applied=\(doubled) leaks=\(leaked)"
    }
}
