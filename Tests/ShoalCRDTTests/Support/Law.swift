import Testing

import class Foundation.ProcessInfo

/// How many cases a law is tried on, and which.
enum Trial {
    static let environment = ProcessInfo.processInfo.environment
    static let cases = environment["SHOAL_NIGHTLY"] == nil ? 10_000 : 1_000_000
    /// The one case to replay.
    static let seed = environment["SHOAL_SEED"].flatMap { UInt64($0) }
    /// Prints each seed before its case, for a case that ends the process.
    static let isTraced = environment["SHOAL_TRACE"] != nil
}

/// Holds a law to many random cases; a case that breaks it is made smaller and reported with the command that replays it.
///
/// - Parameters:
///   - generate: makes a case.
///   - smaller: cases that are this one less something.
///   - fault: what is wrong with a case, or nil; it draws all its choices from the generator that it gets.
func law<Case>(
    generate: (inout SplitMix64) -> Case, smaller: (Case) -> [Case] = { _ in [] },
    function: String = #function, file: String = #fileID, location: SourceLocation = #_sourceLocation,
    fault: (Case, inout SplitMix64) -> String?
) {
    var seeds = SplitMix64(seed: 0x5EED)
    for _ in 0..<(Trial.seed == nil ? Trial.cases : 1) {
        // Short enough to be typed.
        let seed = Trial.seed ?? seeds.next() >> 24
        if Trial.isTraced { print(function, seed) }
        var random = SplitMix64(seed: seed)
        let first = generate(&random)
        let choices = random.next()
        var choosing = SplitMix64(seed: choices)
        guard let firstFault = fault(first, &choosing) else { continue }
        var smallest = first
        var smallestFault = firstFault
        search: while true {
            for candidate in smaller(smallest) {
                for attempt in 0..<8 as Range<UInt64> {
                    var choosing = SplitMix64(seed: choices &+ attempt)
                    guard let fault = fault(candidate, &choosing) else { continue }
                    smallest = candidate
                    smallestFault = fault
                    continue search
                }
            }
            break
        }
        let suite = file.split(separator: "/").joined(separator: ".").dropLast(".swift".count)
        let test = function.prefix { $0 != "(" }
        Issue.record(
            """
            \(smallestFault)
            in the case
            \(smallest)
            Replay: SHOAL_SEED=\(seed) swift test -c release -Xswiftc -enable-testing --filter '\(suite)/\(test)'
            """, sourceLocation: location)
        return
    }
}
