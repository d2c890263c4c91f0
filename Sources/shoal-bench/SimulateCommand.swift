import ArgumentParser
import Glibc
import ShoalSimulation

/// Runs the simulator: one seed in words, or many for their figures.
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Runs replicas and server with every fault that a seed says.",
        shouldDisplay: false)

    @Option(help: "The first seed.") var seed: UInt64 = 1
    @Option(help: "How many seeds.") var seeds = 1
    @Option(help: "Run every Nth seed only: one process of several.") var stride: UInt64 = 1
    @Option var replicas: Int?
    @Option var accounts: Int?
    @Option var steps: Int?
    @Option(help: "The most operations in a frame.") var frame: Int?
    @Option(help: "The weight at which a page is closed.") var page: Int?
    @Option(help: "A kind of fault to leave out; repeatable.") var without: [String] = []
    @Flag(help: "Homes are copied and restored, and the server is set back, whatever the seed says.") var lineage =
        false
    @Flag(help: "Accounts see only what they follow; follow relations and roles change, and devices are revoked.")
    var visibility = false
    @Flag(help: "With --lineage the server is wiped too, people leave, and the others are asked for what they hold.")
    var recovery =
        false
    @Option(help: "How many machines run a program one version ahead.") var ahead = 0
    @Flag(help: "The server is one version ahead.") var serverAhead = false
    @Flag(help: "Say in words what happens.") var trace = false
    @Flag(help: "Do not make failing runs smaller.") var whole = false
    @Flag(help: "Print the hash of each run's trace.") var hashes = false

    func run() throws {
        var sum = Findings()
        let start = clock()
        var failed = 0
        for number in 0..<seeds {
            let settings = try settings(seed + UInt64(number) * stride)
            let run = Simulation.findings(settings, trace: trace ? Trace { print($0) } : Trace())
            sum = sum + run.findings
            if hashes { print(settings.seed, String(run.trace, radix: 16)) }
            if run.findings.isClean { continue }
            failed += 1
            if failed <= 5 { report(settings, run.findings) }
        }
        // Of this process, however busy the machine is: the simulator has one thread.
        let seconds = Double(clock() - start) / Double(CLOCKS_PER_SEC)
        print(sum.line(seeds: seeds), "failed=\(failed) per_second=\(Int(Double(sum.operations) / seconds))")
        if failed > 0 { throw ExitCode.failure }
    }

    private func settings(_ seed: UInt64) throws -> Settings {
        var settings = visibility ? Settings(seed: seed).withVisibility() : Settings(seed: seed)
        settings.replicas = replicas ?? settings.replicas
        settings.accounts = accounts ?? settings.accounts
        settings.steps = steps ?? settings.steps
        settings.frame = frame ?? settings.frame
        settings.page = page ?? settings.page
        settings.ahead = ahead
        settings.isServerAhead = serverAhead
        if lineage { settings.faults.lineage = true }
        if recovery { settings.faults.recovers = true }
        for name in without where !settings.remove(fault: name) {
            throw ValidationError("there is no kind of fault \(name)")
        }
        return settings
    }

    private func report(_ settings: Settings, _ findings: Findings) {
        print("seed \(settings.seed) failed: \(settings)")
        for sentence in findings.sentences.prefix(5) { print("    \(sentence)") }
        if whole { return }
        var shrinking = Shrinking(settings)
        shrinking.run()
        print("  smaller: \(shrinking.settings)")
        for sentence in Simulation.findings(shrinking.settings).findings.sentences.prefix(5) {
            print("    \(sentence)")
        }
    }
}
