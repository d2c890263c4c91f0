import Foundation
import Synchronization

/// The demo: 43 accounts work offline and converge.
struct Demo {
    private let directory: DemoDirectory
    private let generator: Generator
    private let children: Children
    private let board = PhaseBoard()
    private let programs: String
    /// How many replicas do heavy work at once. The server needs its share too.
    private let parallel = max(2, ProcessInfo.processInfo.activeProcessorCount)
    private var accounts: Range<Int> { 0..<generator.accounts }

    init(directory: DemoDirectory, generator: Generator, children: Children) throws {
        self.directory = directory
        self.generator = generator
        self.children = children
        programs = try Self.programs()
        for name in ["shoal", "shoald"] where !FileManager.default.isExecutableFile(atPath: programs + "/" + name) {
            throw BenchError("\(name) is not beside shoal-bench in \(programs); build it: swift build -c release")
        }
    }

    /// Where this program lies: as it was called, if that has a path.
    static func programs() throws -> String {
        let called = CommandLine.arguments.first ?? ""
        if called.contains("/") {
            return URL(fileURLWithPath: called).deletingLastPathComponent().standardizedFileURL.path
        }
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(fileURLWithPath: own).deletingLastPathComponent().path
    }

    /// - Returns: whether everything is equal in the end.
    func run() async throws -> Bool {
        say("\(generator.accounts) accounts, \(generator.customers) customers; everything goes to \(directory.path)\n")
        let begin = Measure.now()
        let workload = try await board.phase("Workload", total: 1) { try DemoWorkload(generator, in: directory) }
        var report = DemoReport()
        report.accounts = generator.accounts
        report.expectedConflicts = workload.conflicts
        report.allConflicts = workload.allConflicts
        (report.customers, report.shared) = (workload.customers, workload.shared)
        let server = try await ServerProcess(program: programs + "/shoald", directory: directory, children: children)
        let operators = try await enroll(workload, server)
        let made = try await load(operators, workload)
        try await bootstrap(operators)
        try await day(operators, workload, made, &report)
        try await converge(operators, &report)
        try await settle(operators, &report)
        try await compare(operators, workload, &report)
        try await server.stop()
        say("\n" + report.text)
        show(report.example)
        say(String(format: "\nDone in %.0f s. ", Measure.now() - begin))
        say(report.isEqual ? "Everybody has exactly their own, as the server has it.\n" : "THE REPLICAS DIFFER.\n")
        invite(workload, server)
        return report.isEqual
    }

    private func say(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }

    // MARK: Phases

    private func enroll(_ workload: DemoWorkload, _ server: ServerProcess) async throws -> [OperatorProcess] {
        try await board.phase("Accounts enrolled", total: accounts.count) {
            let operators = try accounts.map {
                try OperatorProcess(
                    $0, program: programs + "/shoal-bench", directory: directory,
                    seed: generator.seed &* 1_000 &+ UInt64($0), children: children)
            }
            try await forEach(operators) { worker in
                let role = worker.number % 3 == 0 ? "expert" : "sales"
                let code = try await server.addAccount(workload.accounts[worker.number], role: role)
                let order = OperatorOrder.enroll(server: server.url, code: code)
                _ = try await worker.perform(order) { _ in }
                board.advance()
            }
            board.advance(0, note: "\(server.url), a process and a home each")
            return operators
        }
    }

    /// Everybody makes their part of the workspace on one tag book.
    ///
    /// - Returns: the customers' ids by their names in the workload.
    private func load(_ operators: [OperatorProcess], _ workload: DemoWorkload) async throws -> [String: String] {
        try await board.phase("Tag book shared", total: accounts.count) {
            _ = try await operators[0].perform(.makeTags(part: directory.part(0))) { _ in }
            _ = try await operators[0].perform(.sync(.none)) { _ in }
            board.advance()
            try await forEach(operators.dropFirst()) {
                _ = try await $0.perform(.sync(.none)) { _ in }
                board.advance()
            }
            board.advance(0, note: "\(workload.tags) tags")
        }
        let made = Mutex<[String: String]>([:])
        try await board.phase("Customers loaded", total: workload.customers) {
            try await forEach(operators) { worker in
                let outcome = try await worker.perform(.load(part: directory.part(worker.number))) { board.advance($0) }
                made.withLock { $0.merge(outcome.made) { $1 } }
            }
            board.advance(0, note: "\(workload.customers) customers, \(workload.notes) notes")
        }
        return made.withLock { $0 }
    }

    private func bootstrap(_ operators: [OperatorProcess]) async throws {
        for (name, note) in [("Parts pushed", "up"), ("Rest bootstrapped", "down")] {
            let traffic = Mutex(Traffic())
            try await board.phase(name, total: accounts.count) {
                try await forEach(operators) { worker in
                    let outcome = try await worker.perform(.sync(.none)) { _ in }
                    guard outcome.isComplete, outcome.pending == 0 else { throw BenchError("the server went away") }
                    let bytes = traffic.withLock { traffic in
                        traffic += outcome.traffic
                        return note == "up" ? traffic.bytesUp : traffic.bytesDown
                    }
                    board.advance(note: String(format: "%.1f MB %@", Double(bytes) / 1e6, note))
                }
            }
        }
    }

    private func day(
        _ operators: [OperatorProcess], _ workload: DemoWorkload, _ made: [String: String], _ report: inout DemoReport
    ) async throws {
        let total = Mutex((operations: 0, changes: 0))
        try await board.phase("Offline day", total: accounts.count * generator.operations) {
            // All at once: that is the point.
            try await forEach(operators, limit: operators.count) { worker in
                let foreign = made.filter { workload.foreign[worker.number].contains($0.key) }
                let order = OperatorOrder.day(path: directory.day(worker.number), customers: foreign)
                let outcome = try await worker.perform(order) { count in
                    total.withLock { $0.operations += count }
                    board.advance(count)
                }
                total.withLock { $0.changes += outcome.pending }
            }
            board.advance(0, note: "\(accounts.count) processes at once, no network")
        }
        (report.operations, report.changes) = total.withLock { $0 }
        report.daySeconds = board.phases.last?.seconds ?? 0
    }

    /// Syncs in random order over a bad network, until everybody has everything.
    private func converge(_ operators: [OperatorProcess], _ report: inout DemoReport) async throws {
        let shared = Mutex(report)
        var random = SplitMix64(state: generator.seed)
        let cuts = Cuts(requests: 150, answers: 150)
        for (name, isLast) in [("Pushed, random order", false), ("Pulled, random order", true)] {
            var waiting = operators
            try await board.phase(name, total: accounts.count) {
                for round in 0... where !waiting.isEmpty {
                    guard round < 100 else { throw BenchError("the replicas did not converge in 100 rounds") }
                    let failed = Mutex<[OperatorProcess]>([])
                    try await forEach(waiting.shuffled(using: &random)) { worker in
                        let outcome = try await worker.perform(.sync(cuts)) { _ in }
                        let isDone = isLast ? outcome.isComplete : outcome.pending == 0
                        if !isDone { failed.withLock { $0.append(worker) } }
                        let note = shared.withLock { report in
                            report.traffic += outcome.traffic
                            report.pulled += outcome.pulled
                            report.refused += outcome.refused
                            if !outcome.isComplete { report.interrupted += 1 }
                            return "\(report.traffic.requestsCut + report.traffic.answersCut) requests cut"
                        }
                        board.advance(isDone ? 1 : 0, note: note)
                    }
                    waiting = failed.withLock { $0 }.sorted { $0.number < $1.number }
                    if waiting.isEmpty { break }
                }
            }
        }
        report = shared.withLock { $0 }
        report.mergeSeconds = board.phases.suffix(2).reduce(0) { $0 + $1.seconds }
    }

    /// An immediate second sync moves nothing.
    private func settle(_ operators: [OperatorProcess], _ report: inout DemoReport) async throws {
        report.conflicts = Array(repeating: 0, count: accounts.count)
        let shared = Mutex(report)
        try await board.phase("Synced once more", total: accounts.count) {
            try await forEach(operators) { worker in
                let outcome = try await worker.perform(.sync(.none)) { _ in }
                shared.withLock { report in
                    if outcome.pushed != 0 || outcome.pulled != 0 || !outcome.isComplete { report.unsettled += 1 }
                    report.conflicts[worker.number] = outcome.conflicts
                    report.memory = max(report.memory, outcome.memory)
                    if worker.number == 0 { report.example = outcome.example }
                }
                board.advance()
            }
        }
        report = shared.withLock { $0 }
    }

    private func compare(
        _ operators: [OperatorProcess], _ workload: DemoWorkload, _ report: inout DemoReport
    ) async throws {
        let shared = Mutex(report)
        try await board.phase("Dumps compared", total: accounts.count) {
            try await forEach(operators) { worker in
                let number = worker.number
                _ = try await worker.perform(.close) { _ in }
                try await worker.finish()
                let own = try await DumpDigest.of(
                    "shoal dump", programs + "/shoal", ["--home", directory.home(number), "dump"],
                    errors: directory.operatorLog, children: children)
                let theirs = try await DumpDigest.of(
                    "shoald dump", programs + "/shoald",
                    ["dump", "--account", workload.accounts[number], "--data", directory.brand],
                    errors: directory.serverLog, children: children)
                shared.withLock { report in
                    if own.bytes > 0, own.digest == theirs.digest { report.equal += 1 }
                    if number == 0 { report.dump = own }
                }
                board.advance()
            }
        }
        report = shared.withLock { $0 }
    }

    /// Does something with all of `items`, a few at a time.
    private func forEach<T: Sendable>(
        _ items: some Collection<T>, limit: Int? = nil, _ body: @escaping @Sendable (T) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, item) in items.enumerated() {
                if index >= limit ?? parallel { try await group.next() }
                group.addTask { try await body(item) }
            }
            try await group.waitForAll()
        }
    }

    // MARK: Words

    private func show(_ example: ConflictExample?) {
        guard let example else { return }
        say("\nOne of the conflicts: \(example.name)'s \(example.field) is shown as \(words(example.shown)); kept: ")
        say(example.others.map(words).joined(separator: ", ") + ".\n")
    }

    private func words(_ value: ConflictExample.Value) -> String {
        (value.value.isEmpty ? "(empty)" : value.value) + " (\(value.by))"
    }

    private func invite(_ workload: DemoWorkload, _ server: ServerProcess) {
        let shoal = "shoal --home \(directory.path)/homes/a00"
        say(
            """

            Go on playing; each of homes/a00 to homes/\(Generator.name(of: generator.accounts - 1)) is a replica:

                export PATH=\(programs):$PATH
                \(shoal) customer list 'source:直播间 birth:5'
                \(shoal) conflicts
                shoald serve --data \(directory.brand) --listen 127.0.0.1:\(server.port) &
                \(shoal) sync

            """)
    }
}
