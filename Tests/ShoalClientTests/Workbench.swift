import Foundation
import ShoalCRDT
import ShoalProtocol
import Synchronization

@testable import ShoalClient

import struct ShoalCRDT.Record

/// A seeded source of numbers (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A clock that stands until it is moved, seeded randomness, and sleeps that are only counted.
final class TestWorld: Sendable {
    private struct State {
        var time: Int64 = 1_760_000_000_000
        var random: Seeded
        var sleeps: [Duration] = []
    }
    private let state: Mutex<State>

    init(seed: UInt64 = 1) { state = Mutex(State(random: Seeded(seed))) }

    var time: Int64 {
        get { state.withLock { $0.time } }
        set { state.withLock { $0.time = newValue } }
    }
    var sleeps: [Duration] { state.withLock { $0.sleeps } }

    var environment: Environment {
        Environment(
            now: {
                self.state.withLock { state in
                    state.time += 1; return state.time
                }
            },
            ticks: { DispatchTime.now().uptimeNanoseconds },
            random: { self.state.withLock { $0.random.next() } },
            sleep: { duration in
                try Task.checkCancellation()
                self.state.withLock { $0.sleeps.append(duration) }
            })
    }
}

/// A directory of its own for each test, removed at the end.
final class TemporaryHome {
    let path: String
    init() { path = NSTemporaryDirectory() + "shoal-client-\(UUID().uuidString)" }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// The server's fold in memory, without durability or permissions: enough for a client to talk to.
final class TinyServer {
    var records: [RecordID: Record] = [:]
    var logs: [ReplicaID: UInt32] = [:]
    var sequence: Int64 = 0
    var time: Int64 = 1_760_000_100_000
    /// Heads a page has at most.
    var pageSize = 1_000
    /// Operations to refuse, by record.
    var refuses: Set<RecordID> = []
    var reason = RefusalReason.forbidden
    /// What the next page says of the account's view.
    var moves = ScopeMoves()
    var verdicts: [ReplicaID: [Verdict]] = [:]
    private var count: UInt16 = 0
    static let own = ReplicaID(epoch: 7, count: 0)

    func enrolment(_ name: String, role: Role = .sales) -> EnrollResponse {
        count += 1
        let replica = ReplicaID(epoch: 7, count: count)
        let id = RecordID(milliseconds: Int64(count), count: 0, sequence: 0)
        sequence += 1
        var batch = Operations()
        batch.begin(record: id, time: time, creates: Envelope(kind: .account, scope: .workspace))
        batch.edit(CellKey(.accountName), text: name)
        batch.edit(CellKey(.accountRole), text: role.rawValue)
        batch.edit(CellKey(.accountReplica, id: RecordID(rawValue: Int64(replica.rawValue))), .present)
        logs[Self.own, default: 0] += 1
        var record = Record(id: id)
        record.apply(0, of: batch, dot: Dot(Self.own, logs[Self.own] ?? 0), time: time, sequence: sequence)
        records[id] = record
        return EnrollResponse(replica: replica, account: id, name: name, role: role, epoch: 7, time: time)
    }

    /// Writes one operation through the server's own log.
    func write(_ body: (inout Operations) -> Void) {
        sequence += 1
        var batch = Operations()
        body(&batch)
        logs[Self.own, default: 0] += 1
        let id = batch.operations[0].record
        records[id, default: Record(id: id)].apply(
            0, of: batch, dot: Dot(Self.own, logs[Self.own] ?? 0), time: batch.operations[0].time, sequence: sequence)
    }

    func handle(_ request: SyncRequest) -> SyncResponse {
        guard let log = request.logs.last else { fatalError("a request names its log") }
        let known = logs[log.replica] ?? 0
        let last = log.position + UInt32(request.operations.count)
        for index in request.operations.operations.indices {
            let number = log.position + UInt32(index) + 1
            if number <= known { continue }
            let operation = request.operations.operations[index]
            logs[log.replica] = number
            if refuses.contains(operation.record) {
                verdicts[log.replica, default: []].append(Verdict(number: number, reason: reason))
                continue
            }
            sequence += 1
            records[operation.record, default: Record(id: operation.record)].apply(
                index, of: request.operations, dot: Dot(log.replica, number), time: min(operation.time, time),
                sequence: sequence)
        }
        let own = ServerSession.Holdings(
            replica: log.replica, numbers: log.position < last ? log.position + 1...last : nil)
        let push = PushAnswer.taken(
            upTo: last, acknowledgement: "\(last)", verdicts: verdicts[log.replica] ?? [])
        if !request.wantsPage {
            return SyncResponse(
                push: push, from: request.cursor, page: RecordPage(), cursor: request.cursor, more: true, isFill: false,
                positions: [], time: time)
        }
        // The cursor is how far the pull has come and where it began: of each record the cells since then are sent.
        let parts = request.cursor.split(separator: "/").compactMap { Int64($0) }
        let (after, floor) = parts.count == 2 ? (parts[0], parts[1]) : (0, 0)
        let changed = records.values.filter { $0.sequence > after }.sorted {
            ($0.sequence, $0.id) < ($1.sequence, $1.id)
        }
        var page = RecordPage()
        for record in changed.prefix(pageSize) {
            page.begin(record.id, record.envelope)
            record.forEachCell { cell in
                guard cell.contains(where: { record.entries[$0].sequence > floor }) else { return }
                for index in cell {
                    let entry = record.entries[index]
                    page.append(entry, from: record.arena, isOwn: !entry.kind.isMarker && own.contains(entry.dot))
                }
            }
        }
        let more = changed.count > pageSize
        let cursor = more ? "\(changed[pageSize - 1].sequence)/\(floor)" : "\(sequence)/\(sequence)"
        var response = SyncResponse(
            push: push, from: request.cursor, page: page, cursor: cursor, more: more, isFill: floor == 0,
            positions: logs.map { Dot($0.key, $0.value) }, time: time)
        response.moves = moves
        moves = ScopeMoves()
        return response
    }

    var dump: [String] {
        records.values.sorted { $0.id < $1.id }.compactMap { RecordDump.line($0) }.map {
            String(decoding: $0, as: UTF8.self)
        }
    }
}

extension Replica {
    /// Runs the session against the server until it is done.
    @discardableResult
    func sync(_ server: TinyServer) throws -> ClientSession.Report {
        var session = ClientSession()
        var action = session.start(try nextRequest())
        while true {
            switch action {
            case .send(let request):
                let sent = try SyncRequest(decoding: try request.encoded())
                action = session.receive(try SyncResponse(decoding: try server.handle(sent).encoded()))
            case .commit(let commit):
                let outcome = try self.commit(commit)
                action = session.committed(next: try nextRequest(), pulled: outcome.pulled)
            case .heal(let healing):
                try heal(healing)
                action = session.healed(next: try nextRequest())
            case .finish(let report): return report
            case .stop(let problem): throw problem
            }
        }
    }

    var dumpLines: [String] {
        get throws {
            var lines: [String] = []
            try dump { lines.append(String(decoding: $0, as: UTF8.self)) }
            return lines
        }
    }
}

/// A replica with a home of its own.
final class Operator {
    let home = TemporaryHome()
    let world: TestWorld
    let replica: Replica

    init(_ name: String, _ server: TinyServer, role: Role = .sales, seed: UInt64 = 1) throws {
        world = TestWorld(seed: seed)
        replica = try Replica.create(
            home: home.path, server: "http://test", key: "key", enrolment: server.enrolment(name, role: role),
            environment: world.environment)
    }
}
