import Synchronization

/// What the server counts, and its text for Prometheus. Names no account and no customer.
public final class Metrics: Sendable {
    private struct Counters {
        /// Answers by route and status.
        var requests: [String: [Int: Int]] = [:]
        var operations = 0
        var refusals = 0
        var forks = 0
        var rollbacks = 0
        var relayed = 0
        var quarantined = 0
        var bytesIn = 0
        var bytesOut = 0
        /// How many commits there were of each group size.
        var groups: [Int: Int] = [:]
        var collection: CollectionStatus?
    }
    private let counters = Mutex(Counters())

    public init() {}

    func countRequest(_ route: String, status: Int, bytesIn: Int, bytesOut: Int) {
        counters.withLock { counters in
            counters.requests[route, default: [:]][status, default: 0] += 1
            counters.bytesIn += bytesIn
            counters.bytesOut += bytesOut
        }
    }

    func countPush(operations: Int, refusals: Int) {
        counters.withLock { counters in
            counters.operations += operations
            counters.refusals += refusals
        }
    }

    func countFork() { counters.withLock { $0.forks += 1 } }
    func countRollback() { counters.withLock { $0.rollbacks += 1 } }
    func countRelay(records: Int) { counters.withLock { $0.relayed += records } }
    func countQuarantined() { counters.withLock { $0.quarantined += 1 } }
    func countGroup(_ size: Int) { counters.withLock { $0.groups[size, default: 0] += 1 } }

    func note(_ status: CollectionStatus) { counters.withLock { $0.collection = status } }

    /// How many commits there were of each group size.
    public var groupSizes: [Int: Int] { counters.withLock { $0.groups } }

    /// The text exposition format, version 0.0.4.
    var text: String {
        let now = counters.withLock { $0 }
        var lines: [String] = []
        func counter(_ name: String, _ help: String, _ samples: [(String, Int)]) {
            lines.append("# HELP shoal_\(name) \(help)")
            lines.append("# TYPE shoal_\(name) counter")
            for (labels, value) in samples { lines.append("shoal_\(name)\(labels) \(value)") }
        }
        counter(
            "requests_total", "Answered requests.",
            now.requests.sorted { $0.key < $1.key }.flatMap { route, statuses in
                statuses.sorted { $0.key < $1.key }.map { ("{route=\"\(route)\",status=\"\($0.key)\"}", $0.value) }
            })
        counter("operations_total", "Operations that clients pushed and the server knows now.", [("", now.operations)])
        counter("refusals_total", "Refused operations in answers.", [("", now.refusals)])
        counter("forks_total", "Pushes of logs that do not continue the known ones.", [("", now.forks)])
        counter("rollbacks_total", "Pushes that name commits which this server does not have.", [("", now.rollbacks)])
        counter(
            "relayed_records_total", "Records that replicas relayed after this server lost some.", [("", now.relayed)])
        counter("quarantined_total", "Records set aside because their row is damaged.", [("", now.quarantined)])
        counter("received_bytes_total", "Bytes of request bodies.", [("", now.bytesIn)])
        counter("sent_bytes_total", "Bytes of answers.", [("", now.bytesOut)])
        if let status = now.collection { lines += Self.lines(status) }
        lines.append("# HELP shoal_commit_group_size Pushes in one durable commit.")
        lines.append("# TYPE shoal_commit_group_size histogram")
        var count = 0
        var sum = 0
        for (size, times) in now.groups.sorted(by: { $0.key < $1.key }) {
            count += times
            sum += size * times
            lines.append("shoal_commit_group_size_bucket{le=\"\(size)\"} \(count)")
        }
        lines.append("shoal_commit_group_size_bucket{le=\"+Inf\"} \(count)")
        lines.append("shoal_commit_group_size_sum \(sum)")
        lines.append("shoal_commit_group_size_count \(count)")
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(_ status: CollectionStatus) -> [String] {
        let samples: [(name: String, help: String, type: String, value: Int64)] = [
            ("collected_records_total", "Deleted records that were collected.", "counter", status.records),
            ("collected_cells_total", "Absences that were collected.", "counter", status.cells),
            ("sequence", "The sequence of the newest commit.", "gauge", status.sequence),
            ("collection_point", "A cursor below this takes a fresh fill.", "gauge", status.collected),
            ("live_replicas", "Replicas that collection waits for.", "gauge", Int64(status.live)),
            (
                "watermark_lag", "How far the live replica that has reached least is behind the newest commit.",
                "gauge",
                status.sequence - status.watermark
            ),
            (
                "watermark_silence_seconds", "How long that replica has been silent.", "gauge", status.silence / 1_000
            ),
        ]
        return samples.flatMap { sample in
            [
                "# HELP shoal_\(sample.name) \(sample.help)", "# TYPE shoal_\(sample.name) \(sample.type)",
                "shoal_\(sample.name) \(sample.value)",
            ]
        }
    }
}
