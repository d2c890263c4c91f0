import Logging
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

struct CollectorTests {
    @Test func aRoundCollectsAndSaysHowFarItIs() async throws {
        let server = try TestServer()
        let (a, silent) = (try server.replica("a"), try server.replica("silent"))
        let id = a.newID()
        try silent.sync()
        try a.sync(Operations { $0.makeCustomer(id, name: "一") })
        try a.sync(
            Operations {
                $0.begin(record: id, time: 0, salt: 1)
                $0.cover([Dot(a.replica, 1)])
            })
        let metrics = Metrics()
        let committer = Committer(store: server.store, metrics: metrics) { _ in }
        let collector = Collector(
            store: server.store, committer: committer, metrics: metrics, environment: server.environment,
            logger: Logger(label: "test"))
        try await collector.round()
        #expect(metrics.text.contains("shoal_live_replicas 2\n"))
        #expect(metrics.text.contains("shoal_collected_records_total 0\n"))
        for _ in 0..<2 {
            for replica in [a, silent] { try replica.sync() }
            try await collector.round()
        }
        #expect(metrics.text.contains("shoal_collected_records_total 1\n"))
        #expect(!metrics.text.contains("shoal_collection_point 0\n"))
        #expect(a.rows[id] == nil)
    }
}
