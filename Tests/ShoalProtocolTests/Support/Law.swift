import Testing

import class Foundation.ProcessInfo

/// How many cases a law is tried on, and which.
enum Trial {
    static let environment = ProcessInfo.processInfo.environment
    static let isNightly = environment["SHOAL_NIGHTLY"] != nil
    static let cases = isNightly ? 1_000_000 : 10_000
    /// The one case to replay.
    static let seed = environment["SHOAL_SEED"].flatMap { UInt64($0) }
    /// Writes the golden and the refused frames instead of comparing with them.
    static let isRecording = environment["SHOAL_RECORD"] != nil
}

/// Holds a law to many random cases; a case that breaks it is made smaller and reported with the command that replays it.
///
/// - Parameters:
///   - smaller: cases that are this one less something.
///   - fault: what is wrong with a case, or nil.
func law<Case>(
    cases: Int = Trial.cases, generate: (inout SplitMix) -> Case, smaller: (Case) -> [Case] = { _ in [] },
    function: String = #function, file: String = #fileID, location: SourceLocation = #_sourceLocation,
    fault: (Case) -> String?
) {
    var seeds = SplitMix(seed: 0x5EED)
    for _ in 0..<(Trial.seed == nil ? cases : 1) {
        // Short enough to be typed.
        let seed = Trial.seed ?? seeds.next() >> 24
        var random = SplitMix(seed: seed)
        var smallest = generate(&random)
        guard var smallestFault = fault(smallest) else { continue }
        search: while true {
            for candidate in smaller(smallest) {
                guard let fault = fault(candidate) else { continue }
                smallest = candidate
                smallestFault = fault
                continue search
            }
            break
        }
        let suite = file.split(separator: "/").joined(separator: ".").dropLast(".swift".count)
        let test = function.prefix { $0 != "(" }
        Issue.record(
            """
            \(smallestFault)
            Replay: SHOAL_SEED=\(seed) swift test -c release -Xswiftc -enable-testing --filter '\(suite)/\(test)'
            """, sourceLocation: location)
        return
    }
}
