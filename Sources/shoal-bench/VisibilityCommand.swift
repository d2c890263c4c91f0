import ArgumentParser
import Foundation
import Logging
import ShoalClient
import ShoalCRDT
import ShoalProtocol
import ShoalServer

/// What it costs that each account has only its own: one account's share of a large server beside a server that has only that.
struct VisibilityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "visibility",
        abstract: "Measures bootstraps, quiet syncs and a hand-over where many accounts have customers of their own.",
        discussion: """
            Prints lines {"peer":"shoal","m":METRIC,"v":NUMBER}: seconds of a bootstrap of one account from the server that has
            everything (bootstrap_s, bootstrap_server_s of it in the server) and from one that has only that account's customers and shows it everything (alone_s, alone_server_s),
            their ratio, milliseconds of a sync that finds nothing (quiet_ms, quiet_alone_ms), and three hand-overs of all
            customers of the account to another: the server's part, the taker's and the giver's next sync.
            """)

    @Argument(help: "An empty directory for databases; decides the disk that is measured.") var scratch: String
    @Option(help: "How many accounts there are.") var accounts = 43
    @Option(help: "How many customers each follows; a fifth of all are shared by two.") var customers = 9_000
    @Option(help: "Notes a customer.") var notes = 3

    func validate() throws {
        // Three pairs that share nothing.
        if accounts < 16 { throw ValidationError("--accounts is at least 16") }
    }

    func run() throws {
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        let own = customers * 5 / 6
        let full = try ServerBench(
            path: scratch + "/full.db", accounts: (0..<accounts).map { "account \($0)" }, role: .sales)
        let (_, filling) = try Measure.seconds {
            for number in 0..<accounts {
                let next = (number + 1) % accounts
                try fill(full, number, own: own, shared: customers - own, with: next)
            }
        }
        let alone = try ServerBench(path: scratch + "/alone.db", accounts: ["account 0"])
        try fill(alone, 0, own: customers, shared: 0, with: 0)

        let shared = Bootstraps(full, 1, scratch + "/full"), only = Bootstraps(alone, 0, scratch + "/alone")
        // In turns, so that what else the machine does falls on both.
        for _ in 0..<Self.rounds {
            try shared.run()
            try only.run()
        }
        let (bootstrap, replica) = try shared.result()
        let (reference, other) = try only.result()
        let records = try replica.customers().count
        guard records == customers, try other.customers().count == customers else {
            throw BenchError("the account has \(records) of \(customers) customers")
        }
        Measure.metric("relations", Double(accounts * customers))
        Measure.metric("fill_s", filling)
        Measure.metric("bootstrap_s", bootstrap.whole)
        Measure.metric("alone_s", reference.whole)
        Measure.metric("bootstrap_ratio", bootstrap.whole / reference.whole)
        Measure.metric("bootstrap_server_s", bootstrap.serving)
        Measure.metric("alone_server_s", reference.serving)
        Measure.metric("quiet_ms", try quiet(full, 1, replica))
        Measure.metric("quiet_alone_ms", try quiet(alone, 0, other))

        var moves: [Handover] = []
        for number in [1, 4, 7] { moves.append(try handOver(full, number)) }
        func metric(_ name: String, _ value: (Handover) -> Double) {
            Measure.metric(name, Measure.median(moves.map(value)))
        }
        metric("handover_s") { $0.handing }
        metric("taker_s") { $0.taking }
        metric("taker_server_s") { $0.serving }
        metric("handover_bootstraps") { ($0.handing + $0.taking) / bootstrap.whole }
        let handler = Self.handler(full.store)
        let (given, giving) = try Measure.seconds {
            try ClientBench.sync(replica, handler, account: full.members[1].id)
        }
        guard try replica.customers().isEmpty else { throw BenchError("the giver keeps customers") }
        Measure.metric("giver_s", giving)
        Measure.metric("giver_server_s", given.serving)
        for replica in [replica, other] { try replica.close() }
        try full.close()
        try alone.close()
    }

    /// Seconds of a hand-over, of the taker's next sync, and of that in the server.
    private struct Handover {
        var handing: Double
        var taking: Double
        var serving: Double
    }

    /// All customers of an account go to one that shares none of them.
    private func handOver(_ server: ServerBench, _ number: Int) throws -> Handover {
        let taker = number + accounts / 2
        let heirs = Bootstraps(server, taker, "\(scratch)/heir\(number)-")
        try heirs.run()
        let (_, heir) = try heirs.result()
        let (report, handing) = try Measure.seconds {
            try server.store.handover(
                from: "account \(number)", to: "account \(taker)", isDryRun: false,
                time: ServerBench.environment.now())
        }
        let (taken, taking) = try Measure.seconds {
            try ClientBench.sync(heir, Self.handler(server.store), account: server.members[taker].id)
        }
        guard report.customers == customers, try heir.customers().count == 2 * customers - report.shared else {
            throw BenchError("the hand-over is not whole")
        }
        try heir.close()
        return Handover(handing: handing, taking: taking, serving: taken.serving)
    }

    private static func handler(_ store: ServerStore) -> SyncHandler {
        let metrics = Metrics()
        return SyncHandler(
            store: store, committer: Committer(store: store, metrics: metrics) { _ in }, metrics: metrics,
            environment: ServerBench.environment,
            logger: Logger(label: "shoal-bench", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    private static let rounds = 5

    /// Bootstraps of one account, each into a home of its own.
    private final class Bootstraps {
        private let server: ServerBench
        private let number: Int
        private let path: String
        private var times: [Double] = []
        private var serving: [Double] = []
        private var last: Replica?

        init(_ server: ServerBench, _ number: Int, _ path: String) {
            self.server = server
            self.number = number
            self.path = path
        }

        func run() throws {
            let member = try server.newcomer(number)
            let replica = try ClientBench.create("\(path)\(times.count)", member)
            try replica.stayOpen()
            let handler = VisibilityCommand.handler(server.store)
            let (report, time) = try Measure.seconds { try ClientBench.sync(replica, handler, account: member.id) }
            times.append(time)
            serving.append(report.serving)
            try last?.close()
            last = replica
        }

        /// The medians in seconds, and the last replica.
        func result() throws -> ((whole: Double, serving: Double), Replica) {
            guard let last else { throw BenchError("there is no replica") }
            return ((Measure.median(times), Measure.median(serving)), last)
        }
    }

    /// The median of syncs that find nothing.
    private func quiet(_ server: ServerBench, _ number: Int, _ replica: Replica) throws -> Double {
        let handler = Self.handler(server.store)
        var times: [Double] = []
        for _ in 0..<21 {
            times.append(
                try Measure.seconds { try ClientBench.sync(replica, handler, account: server.members[number].id) }.1)
        }
        return Measure.median(times) * 1_000
    }

    /// One account makes customers with tags and notes, which it follows, some of them together with another.
    private func fill(_ server: ServerBench, _ number: Int, own: Int, shared: Int, with other: Int) throws {
        let member = server.members[number]
        var operations = Operations()
        var allocator = RecordIDAllocator()
        let time = ServerBench.environment.now() - 86_400_000
        func id() throws -> RecordID {
            guard let id = allocator.next(time: time, replica: member.importer) else {
                throw BenchError("no identifiers are left")
            }
            return id
        }
        for index in 0..<own {
            let customer = try id()
            operations.begin(
                record: customer, time: time, creates: Envelope(kind: .customer, scope: .customer(customer)),
                salt: UInt32.random(in: .min ... .max))
            operations.edit(CellKey(.name), text: "客户\(number)-\(index)")
            operations.edit(CellKey(.source), text: Vocabulary.sources[index % Vocabulary.sources.count])
            var followers = [member.id]
            if index < shared { followers.append(server.members[other].id) }
            for follower in followers.sorted() { operations.edit(CellKey(.follow, id: follower), .present) }
            operations.edit(CellKey(.description, id: member.id), text: "皮肤偏干，春季易敏感，喜欢清爽质地")
            for _ in 0..<notes {
                operations.begin(
                    record: try id(), time: time, creates: Envelope(kind: .note, scope: .customer(customer)),
                    salt: UInt32.random(in: .min ... .max))
                operations.edit(CellKey(.body), text: "回访：已收到小样，下周五之前再联系一次，推荐清洁套装 \(index)")
            }
        }
        let push = ServerSession.Push(
            account: member.id, epoch: server.store.epoch, acknowledgement: "", cursor: "",
            logs: [
                LogPosition(
                    replica: member.importer, position: 0, hash: .start, end: UInt32(operations.count))
            ], operations: operations, tail: [], time: ServerBench.environment.now())
        guard case .taken(_, _, let verdicts)? = try server.store.commit(group: [push]).first?.answer, verdicts.isEmpty
        else { throw BenchError("the server refused the workload") }
    }
}
