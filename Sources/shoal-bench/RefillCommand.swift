import ArgumentParser
import Foundation
import Logging
import ShoalClient
import ShoalCRDT
import ShoalProtocol
import ShoalServer
import Synchronization

/// How long a server that lost everything takes to be complete again, beside a bootstrap of the same data.
struct RefillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "refill",
        abstract: "Measures how long a server that lost everything takes to be refilled by one replica.",
        discussion: """
            The replica holds the base of the workload, all of it written by others who are gone. bootstrap_s is its first
            sync with the server that had everything, refill_s the time in which the new server has it too, refill_sync_s that of
            the whole sync, after which the replica has pulled it again.
            """)

    @Argument(help: "The directory of the workload.") var workload: String
    @Argument(help: "An empty directory for databases; decides the disk that is measured.") var scratch: String

    func run() async throws {
        let workload = try Workload(directory: workload)
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        let accounts = workload.days.map(\.account)
        let full = try ServerBench(path: scratch + "/full.db", accounts: accounts)
        let base = try BaseOperations(workload, accounts: full.members.map { ($0.name, $0.id, $0.importer) })
        _ = try full.store.commit(group: full.pushes(base))
        let reader = try full.newcomer()
        let replica = try ClientBench.create(scratch + "/reader", reader)
        try replica.stayOpen()
        let before = LocalTransport(full.store)
        let bootstrap = try await timed { try await Self.driver(replica, before).sync() }
        let customers = try Self.customers(full.store)
        try full.close()
        try replica.close()

        let store = try ServerStore(path: scratch + "/refilled.db", environment: ServerBench.environment)
        try store.stayOpen()
        let code = try Accounts(store: store, environment: ServerBench.environment).add(
            name: reader.name, role: .supervisor
        )
        .code
        _ = try store.beginRecovery()
        let after = LocalTransport(store)
        let again = try await Replica.enroll(
            home: scratch + "/reader", url: "http://127.0.0.1", code: code, transport: after,
            environment: ClientBench.environment, options: ClientBench.options)
        try again.stayOpen()
        let start = Measure.now()
        let whole = try await timed { try await Self.driver(again, after).sync() }
        let refill = after.relayed - start
        let refilled = try Self.customers(store)
        guard refilled == customers, customers.count > 0 else {
            throw BenchError("the server has \(refilled.count) of \(customers.count) customers again")
        }
        Measure.metric("refill_customers", Double(customers.count))
        Measure.metric("bootstrap_s", bootstrap)
        Measure.metric("refill_s", refill)
        Measure.metric("refill_sync_s", whole)
        Measure.metric("refill_ratio", refill / bootstrap)
        try again.close()
        try store.close()
    }

    private static func driver(_ replica: Replica, _ transport: LocalTransport) -> SyncDriver {
        SyncDriver(replica: replica, transport: transport)
    }

    private func timed(_ body: () async throws -> SyncReport) async throws -> Double {
        let start = Measure.now()
        _ = try await body()
        return Measure.now() - start
    }

    /// A hash of the line of each present customer.
    private static func customers(_ store: ServerStore) throws -> [UInt64] {
        var hashes: [UInt64] = []
        let dump = try store.dump()
        let kind = Array("\"kind\":\"customer\"".utf8)
        while let lines = try dump.next() {
            for line in lines.split(separator: UInt8(ascii: "\n")) where line.firstRange(of: kind) != nil {
                hashes.append(line.withUnsafeBytes { SipHash.hash($0, key: (0, 0)) })
            }
        }
        return hashes
    }
}

/// The routes of a server in this process, over the bytes that HTTP would carry.
private final class LocalTransport: Transport {
    private let lastRelay = Mutex(0.0)
    private let accounts: Accounts
    private let handler: SyncHandler

    init(_ store: ServerStore) {
        accounts = Accounts(store: store, environment: ServerBench.environment)
        let metrics = Metrics()
        handler = SyncHandler(
            store: store, committer: Committer(store: store, metrics: metrics) { _ in }, metrics: metrics,
            environment: ServerBench.environment,
            logger: Logger(label: "shoal-bench", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    /// When the last relay was answered.
    var relayed: Double { lastRelay.withLock { $0 } }

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        if request.url.hasSuffix("/v1/enroll") {
            return TransportResponse(
                status: 200, body: try accounts.enroll(try EnrollRequest(decoding: request.body)).encoded())
        }
        let key = request.headers.first { $0.name == "Authorization" }?.value.dropFirst("Bearer ".count)
        guard let key, let credential = try accounts.credential(key: String(key)) else {
            return TransportResponse(status: 401, body: [])
        }
        let isRelay = request.url.hasSuffix("/v1/relay")
        defer { if isRelay { lastRelay.withLock { $0 = Measure.now() } } }
        return TransportResponse(
            status: 200,
            body: isRelay
                ? try handler.relay(request.body, account: credential.account).encoded()
                : try handler.handleAlone(request.body, account: credential.account))
    }
}
