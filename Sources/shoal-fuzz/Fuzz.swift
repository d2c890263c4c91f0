import Foundation

/// What libFuzzer calls with each input that it thinks of. One program has all targets; `SHOAL_FUZZ_TARGET` names the one.
///
/// Errors of the code under test are what it should give for bytes that are no good, and end the input. A finding is a crash: a trap or
/// damaged memory there, or a law that does not hold, by `Finding.require`.
enum FuzzTarget: String, CaseIterable {
    case body, inflate, request, response, merge, text, query, sanitiser, csv

    private func callAsFunction(_ bytes: [UInt8]) throws {
        switch self {
        case .body: try BodyTarget.run(bytes)
        case .inflate: try FrameTargets.inflate(bytes)
        case .request: try FrameTargets.request(bytes)
        case .response: try FrameTargets.response(bytes)
        case .merge: try MergeTargets.merge(bytes)
        case .text: try MergeTargets.text(bytes)
        case .query: try TextTargets.query(bytes)
        case .sanitiser: TextTargets.sanitiser(bytes)
        case .csv: TextTargets.csv(bytes)
        }
    }

    static func run(_ bytes: [UInt8]) {
        guard let chosen else {
            Finding.report("SHOAL_FUZZ_TARGET is none of \(allCases.map(\.rawValue).joined(separator: ", "))")
        }
        do { try chosen(bytes) } catch {}
    }

    private static let chosen = FuzzTarget(rawValue: ProcessInfo.processInfo.environment["SHOAL_FUZZ_TARGET"] ?? "")
}

enum Finding {
    /// Ends the program, which is how libFuzzer hears of a finding.
    static func report(_ what: String) -> Never { fatalError("finding: \(what)") }

    static func require(_ holds: Bool, _ what: @autoclosure () -> String) { if !holds { report(what()) } }

    /// In a build with planted bugs a finding when the input is such that the bug shows; nothing in any other build.
    static func planted(_ shows: @autoclosure () -> Bool) {
        #if PLANTED
            if shows() { report("planted") }
        #endif
    }
}

/// libFuzzer's own loop.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The build tool makes this symbol the program's `main`.
@_cdecl("shoal_fuzz_main")
public func main(_ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> CInt {
    var (count, arguments) = (count, arguments)
    return runDriver(&count, &arguments) { data, size in
        FuzzTarget.run(Array(UnsafeBufferPointer(start: data, count: size)))
        return 0
    }
}
