import ArgumentParser
import Foundation
import Logging
import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer

/// Measures anti-entropy: what it costs to find that a replica and the server agree, and to mend what differs.
struct DigestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "digest", abstract: "Measures the comparison of a replica with the server.",
        discussion: """
            Makes a server and a replica that has everything, then changes records on the server behind the replica's back.
            Each figure is a line; digest_messages and digest_bytes are those of the comparison alone.
            """)

    @Argument(help: "An empty directory for databases and the workload.") var scratch: String
    @Option(help: "How many customers.") var customers = 100_000
    @Option(help: "How many records differ.") var differing = 10

    func validate() throws {
        guard 1...5_000_000 ~= customers, 0...customers ~= differing else {
            throw ValidationError("1 to 5,000,000 customers, and not more that differ")
        }
    }

    func run() throws {
        let directory = scratch + "/workload"
        try Generator(customers: customers, accounts: 2, operations: 0).write(to: directory)
        let workload = try Workload(directory: directory)
        let server = try ServerBench(path: scratch + "/server.db", accounts: ["a00", "a01"])
        let base = try BaseOperations(
            workload, accounts: server.members.map { ($0.name, $0.id, $0.importer) })
        _ = try server.store.commit(group: server.pushes(base))
        let member = server.members[0]
        let replica = try ClientBench.create(scratch + "/home", member)
        let metrics = Metrics()
        let committer = Committer(store: server.store, metrics: metrics) { _ in }
        let handler = SyncHandler(
            store: server.store, committer: committer, metrics: metrics, environment: ServerBench.environment,
            logger: Logger(label: "shoal-bench", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try ClientBench.sync(replica, handler, account: member.id)
        try compare("agreeing", replica, server, member)
        if differing > 0 {
            let ids = base.customers.values.sorted()
            let chosen = (0..<differing).map { ids[$0 * ids.count / differing] }
            try replica.forget(chosen)
            try compare("differing", replica, server, member)
            try compare("mended", replica, server, member)
        }
        try replica.close()
        try server.close()
    }

    private func compare(
        _ name: String, _ replica: Replica, _ server: ServerBench, _ member: ServerBench.Member
    ) throws {
        let handler = DigestHandler(store: server.store)
        var run: DigestRun?
        let (_, seconds) = try Measure.seconds {
            var digest = try DigestRun(replica)
            while case .send(let body) = try digest.next() {
                digest.sending(body)
                try digest.received(
                    try handler.handle(
                        body, account: member.id, device: member.importer, time: ServerBench.environment.now()))
            }
            run = digest
        }
        guard let report = run?.report else { return }
        Measure.metric("digest_\(name)_messages", Double(report.messages))
        Measure.metric("digest_\(name)_bytes", Double(report.bytes))
        Measure.metric("digest_\(name)_repaired", Double(report.repair.replaced.count + report.repair.removed.count))
        Measure.metric("digest_\(name)_s", seconds)
    }
}
