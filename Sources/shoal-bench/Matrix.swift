import Foundation
import Logging
import ShoalClient
import ShoalCRDT
import ShoalProtocol
import ShoalServer

/// The matrix: every account works offline on a copy of the base, then everything is merged.
///
/// The parts and their metrics are those of the anchors' description: (a) load, (b) local commands, (c) the delta of a
/// day, (d) merge, re-apply, (e) bootstrap, (f) catch-up, (g) sizes. Requests and answers are the bytes that HTTP would
/// carry, produced and read by the code of the programs.
final class Matrix {
    private let workload: Workload
    private let scratch: String
    private let server: ServerBench
    private let base: BaseOperations
    /// The day of each account as the body of a request.
    private var bodies: [[UInt8]] = []
    private var dayOperations = 0
    /// MiB above the start of a timed part, the greatest of all parts.
    private var growth = 0.0

    private var serverPath: String { scratch + "/server.db" }
    private var imageHome: String { scratch + "/image" }
    private var staleHome: String { scratch + "/stale" }

    init(workload: Workload, scratch: String) throws {
        self.workload = workload
        self.scratch = scratch
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        server = try ServerBench(path: scratch + "/server.db", accounts: workload.days.map(\.account))
        base = try BaseOperations(workload, accounts: server.members.map { ($0.name, $0.id, $0.importer) })
        dayOperations = workload.days.reduce(0) { $0 + $1.lines.count }
    }

    func run() async throws {
        try load()
        try image()
        try days()
        try await merge()
        try reapply()
        try catchUp()
        try bootstrap()
        try smallSync()
        Measure.metric("memory_growth_MiB", growth)
        try server.close()
    }

    /// Runs a timed part and notes how far it raised the memory.
    private func part<T>(_ body: () throws -> T) rethrows -> T {
        let before = Measure.memory("VmRSS")
        Measure.resetPeak()
        defer { growth = max(growth, Measure.memory("VmHWM") - before) }
        return try body()
    }

    private func handler() -> (SyncHandler, Metrics) {
        let metrics = Metrics()
        let committer = Committer(store: server.store, metrics: metrics) { _ in }
        return (
            SyncHandler(
                store: server.store, committer: committer, metrics: metrics, environment: ServerBench.environment,
                logger: Logger(label: "shoal-bench", factory: { _ in SwiftLogNoOpLogHandler() })), metrics
        )
    }

    // MARK: (a), (g)

    private func load() throws {
        let pushes = server.pushes(base)
        let processor = Measure.processor()
        let (_, seconds) = try part { try Measure.seconds { try server.store.commit(group: pushes) } }
        Measure.metric("a_load_rows_s", Double(workload.base.count) / seconds)
        Measure.metric("a_load_s", seconds)
        Measure.metric("a_load_cpu_s", Measure.processor() - processor)
        Measure.metric("base_rows", Double(workload.base.count))
        Measure.metric("day_ops", Double(dayOperations))
        try server.reopen()
        Measure.metric("g_db_bytes", Measure.fileSize(serverPath))
    }

    /// The image that all replicas start from: the base, applied page by page, text not indexed.
    private func image() throws {
        let (handler, _) = handler()
        let replica = try ClientBench.create(imageHome, server.members[0])
        try replica.stayOpen()
        let pull = try part { try ClientBench.sync(replica, handler, account: server.members[0].id) }
        Measure.metric("client_a_load_rows_s", Double(workload.base.count) / pull.applying)
        try replica.close()
        let bytes = Measure.fileSize(imageHome + "/replica.db")
        Measure.metric("client_g_db_bytes", bytes)
        try copy(imageHome, staleHome)
        // What the index costs, on a copy: the others are measured without.
        let indexed = scratch + "/indexed"
        try copy(imageHome, indexed)
        let copy = try ClientBench.open(indexed)
        let (_, seconds) = try Measure.seconds { while try copy.drainTextIndex(limit: 2_000) > 0 {} }
        Measure.metric("client_index_s", seconds)
        try copy.close()
        Measure.metric("client_index_bytes", Measure.fileSize(indexed + "/replica.db") - bytes)
        try remove(indexed)
    }

    // MARK: (b), (c)

    private func days() throws {
        var single: [Double] = []
        var cold: [Double] = []
        var batch: [Double] = []
        var encode: [Double] = []
        var bytes = 0
        for (index, day) in workload.days.enumerated() {
            let home = index == 0 ? staleHome : scratch + "/day"
            if index > 0 { try copy(imageHome, home) }
            let replica = try ClientBench.open(home)
            // The first is the image's own account and catches up later.
            if index > 0 { try replica.adopt(server.members[index].enrolment, key: server.members[index].key) }
            let isCold = index == 7 || index == 8
            if !isCold { try replica.stayOpen() }
            // One command unmeasured would change the day; one read brings the connection to life instead.
            _ = try replica.status()
            let (_, seconds) = try part {
                try Measure.seconds {
                    if index < 9 {
                        for line in day.lines { try replica.write { try ClientBench.perform(line, $0, base) } }
                    } else {
                        try replica.write { commands in
                            for line in day.lines { try ClientBench.perform(line, commands, base) }
                        }
                    }
                }
            }
            let rate = Double(day.lines.count) / seconds
            if isCold { cold.append(rate) } else if index < 9 { single.append(rate) } else { batch.append(rate) }
            let (body, encoding) = try Measure.seconds { try replica.nextRequest().encoded() }
            encode.append(encoding)
            bytes += body.count
            var request = try replica.nextRequest()
            request.wantsPage = false
            bodies.append(try request.encoded())
            try replica.close()
            if index > 0 { try remove(home) }
        }
        Measure.metric("b_op_full_s", Measure.median(single))
        Measure.metric("b_op_full_coldwal_s", Measure.median(cold))
        Measure.metric("b_op_batch_s", Measure.median(batch))
        Measure.metric("c_delta_wire_bytes", Double(bytes) / Double(workload.days.count))
        Measure.metric("c_encode_ms", Measure.median(encode) * 1e3)
        try remove(imageHome)
    }

    // MARK: (d)

    private func merge() async throws {
        // One by one, a commit each, on a copy.
        try server.close()
        try FileManager.default.copyItem(atPath: serverPath, toPath: serverPath + ".merged")
        try server.open()
        try server.store.stayOpen()
        var (handler, metrics) = handler()
        let (times, serial) = try part {
            try Measure.seconds {
                try bodies.enumerated().map { index, body in
                    try Measure.seconds { try handler.handleAlone(body, account: server.members[index].id) }.1
                }
            }
        }
        Measure.metric("d_serial_changes_s", Double(dayOperations) / serial)
        Measure.metric("d_delta_ms_p50", Measure.median(times) * 1e3)
        try server.close()
        try FileManager.default.removeItem(atPath: serverPath)
        try FileManager.default.moveItem(atPath: serverPath + ".merged", toPath: serverPath)

        try server.open()
        try server.store.stayOpen()
        (handler, metrics) = self.handler()
        let before = Measure.memory("VmRSS")
        Measure.resetPeak()
        let processor = Measure.processor()
        let start = Measure.now()
        let calls = zip(bodies, server.members).map { ($0, $1.id) }
        let shared = handler
        try await withThrowingTaskGroup(of: Int.self) { group in
            for (body, account) in calls { group.addTask { try await shared.handle(body, account: account).count } }
            for try await _ in group {}
        }
        let seconds = Measure.now() - start
        growth = max(growth, Measure.memory("VmHWM") - before)
        Measure.metric("d_merge_s", seconds)
        Measure.metric("d_merge_cpu_s", Measure.processor() - processor)
        Measure.metric("d_merge_changes_s", Double(dayOperations) / seconds)
        for (size, times) in metrics.groupSizes.sorted(by: { $0.key < $1.key }) {
            Measure.metric("d_groups_of_\(size)", Double(times))
        }
    }

    private func reapply() throws {
        let before = try ClientBench.fingerprint(server.store)
        let (handler, _) = handler()
        var times: [Double] = []
        for round in 0..<9 {
            let index = 1 + round * 3 % max(bodies.count - 1, 1)
            guard index < bodies.count else { continue }
            let (_, seconds) = try part {
                try Measure.seconds { try handler.handleAlone(bodies[index], account: server.members[index].id) }
            }
            times.append(seconds)
        }
        Measure.metric("r_reapply_ms", Measure.median(times) * 1e3)
        Measure.metric("r_reapply_unchanged", try ClientBench.fingerprint(server.store) == before ? 1 : 0)
    }

    // MARK: (f), (e)

    private func catchUp() throws {
        let (handler, _) = handler()
        let replica = try ClientBench.open(staleHome)
        try replica.stayOpen()
        let pull = try part { try ClientBench.sync(replica, handler, account: server.members[0].id) }
        let others = dayOperations - workload.days[0].lines.count
        Measure.metric("f_wire_bytes", Double(pull.bytes))
        Measure.metric("f_encode_s", pull.serving)
        Measure.metric("f_prepare_s", pull.preparing)
        Measure.metric("f_apply_s", pull.applying)
        Measure.metric("f_changes_s", Double(others) / pull.applying)
        Measure.metric(
            "f_converged", try ClientBench.fingerprint(replica) == ClientBench.fingerprint(server.store) ? 1 : 0)
        try replica.close()
        Measure.metric("client_g_db_after_merge_bytes", Measure.fileSize(staleHome + "/replica.db"))
    }

    private func bootstrap() throws {
        let (handler, _) = handler()
        let home = scratch + "/fresh"
        let replica = try ClientBench.create(home, server.newcomer())
        let processor = Measure.processor()
        let pull = try part { try ClientBench.sync(replica, handler, account: server.members[0].id) }
        let rows = logicalRows()
        Measure.metric("server_rows", Double(rows))
        Measure.metric("e_wire_bytes", Double(pull.bytes))
        Measure.metric("e_encode_s", pull.serving)
        Measure.metric("e_apply_s", pull.applying)
        Measure.metric("e_cpu_s", Measure.processor() - processor)
        Measure.metric("e_rows_s", Double(rows) / (pull.serving + pull.applying))
        Measure.metric("e_apply_rows_s", Double(rows) / pull.applying)
        Measure.metric(
            "e_converged", try ClientBench.fingerprint(replica) == ClientBench.fingerprint(server.store) ? 1 : 0)
        try replica.close()
        try remove(home)
        try server.reopen()
        Measure.metric("g_db_after_merge_bytes", Measure.fileSize(serverPath))
    }

    /// What a plain database would hold after the merge: accounts, tags, customers, follow relations, tag assignments
    /// that ever were, notes.
    private func logicalRows() -> Int {
        var rows = 0
        var assigned: Set<String> = []
        for line in workload.base {
            if line.kind == .addtag { assigned.insert(line.customer + line.tag) } else { rows += 1 }
        }
        for day in workload.days {
            for line in day.lines {
                if line.kind == .addtag { assigned.insert(line.customer + line.tag) }
                if line.kind == .note { rows += 1 }
            }
        }
        return rows + assigned.count
    }

    /// A hundred changes on a replica of this size, pushed and pulled: what must not grow with the data.
    private func smallSync() throws {
        let (handler, _) = handler()
        let replica = try ClientBench.open(staleHome)
        try replica.stayOpen()
        let customers = base.customers.values.sorted().prefix(100)
        var times: [Double] = []
        for round in 0..<9 {
            try replica.write { commands in
                for customer in customers { try commands.set(customer, .occupation, "第\(round)轮") }
            }
            let (_, seconds) = try part {
                try Measure.seconds { try ClientBench.sync(replica, handler, account: server.members[0].id) }
            }
            times.append(seconds)
        }
        Measure.metric("sync_100_ms", Measure.median(times) * 1e3)
        try replica.close()
    }

    // MARK: Files

    private func copy(_ home: String, _ other: String) throws {
        try remove(other)
        try FileManager.default.copyItem(atPath: home, toPath: other)
    }

    private func remove(_ path: String) throws {
        if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
    }
}
