import Foundation
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Synchronization

@testable import ShoalServer

import struct ShoalCRDT.Record

/// A generator whose numbers follow from its seed.
final class SeededRandom: Sendable {
    private let state: Mutex<UInt64>
    init(_ seed: UInt64) { state = Mutex(seed &* 0x9E37_79B9_7F4A_7C15 | 1) }
    func next() -> UInt64 {
        state.withLock { state in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state &* 0x2545_F491_4F6C_DD1D
        }
    }
    func below(_ bound: Int) -> Int { Int(next() >> 33) % bound }
    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 32) } }
}

/// A clock that stands until it is moved.
final class TestClock: Sendable {
    private let time = Mutex<Int64>(1_800_000_000_000)
    var now: Int64 { time.withLock { $0 } }
    func advance(_ milliseconds: Int64) { time.withLock { $0 += milliseconds } }
}

/// A server's store in a directory of its own, which goes with it.
final class TestServer: Sendable {
    let directory: String
    let store: ServerStore
    let accounts: Accounts
    let clock = TestClock()
    let random: SeededRandom
    let environment: ServerEnvironment

    /// - Parameter isInMemory: whether the file may lie where a commit waits for no disk.
    init(seed: UInt64 = 1, lease: Int64 = ServerStore.defaultLease, isInMemory: Bool = false) throws {
        let isThere = isInMemory && FileManager.default.isWritableFile(atPath: "/dev/shm")
        directory = (isThere ? "/dev/shm/" : NSTemporaryDirectory()) + "shoal-server-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let random = SeededRandom(seed)
        self.random = random
        let clock = clock
        environment = ServerEnvironment(
            now: { clock.now }, random: { random.bytes($0) },
            sleep: { try await Task.sleep(for: .milliseconds($0)) })
        store = try ServerStore(path: directory + "/shoald.db", environment: environment, lease: lease)
        accounts = Accounts(store: store, environment: environment)
    }

    deinit {
        try? store.close()
        try? FileManager.default.removeItem(atPath: directory)
    }

    func replica(_ name: String, role: Role = .supervisor) throws -> TestReplica {
        let code = try accounts.add(name: name, role: role).code
        return try replica(code: code)
    }

    func replica(code: String) throws -> TestReplica {
        let key = Base64URL.encode(random.bytes(32))
        let enrolled = try accounts.enroll(EnrollRequest(code: code, key: key))
        return TestReplica(server: self, enrolled: enrolled, key: key)
    }

    /// Collects what can be collected now.
    @discardableResult
    func collect() throws -> CollectionStep { try store.collectAll(time: clock.now) }

    /// A number of days passes, an hour at a time, while the server is there.
    func pass(days: Int) throws {
        for _ in 0..<days * 24 {
            clock.advance(3_600_000)
            _ = try store.collect(time: clock.now)
        }
    }

    /// The canonical dump of the server, or of what an account sees.
    func dump(account: String? = nil) throws -> String {
        try store.dumpText(account: account)
    }
}

extension ServerStore {
    func dumpText(account: String? = nil) throws -> String {
        let dump = try dump(account: account)
        var bytes: [UInt8] = []
        while let lines = try dump.next() { bytes += lines }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The least that can push operations and pull pages: no overlay, no disk.
final class TestReplica {
    let server: TestServer
    let enrolled: EnrollResponse
    let key: String
    var position: UInt32 = 0
    var hash = OperationHash.start
    var acknowledgement = ""
    var cursor = ""
    var rows: [RecordID: Record] = [:]
    private var filled: Set<RecordID> = []
    private var isFilling = false
    /// How many fills it began.
    private(set) var fills = 0
    private(set) var positions: [ReplicaID: UInt32] = [:]
    /// How many scopes it was told that moved, and how many records came.
    private(set) var moved = 0
    private(set) var pulled = 0
    private var allocator = RecordIDAllocator()

    init(server: TestServer, enrolled: EnrollResponse, key: String) {
        self.server = server
        self.enrolled = enrolled
        self.key = key
    }

    var replica: ReplicaID { enrolled.replica }
    var account: RecordID { enrolled.account }

    func newID() -> RecordID {
        allocator.next(time: server.clock.now, replica: replica) ?? RecordID(rawValue: 1)
    }

    /// The place that the operation `index` of the next push will have.
    func dot(_ index: Int = 0) -> Dot { Dot(replica, UInt32(Int(position) + index + 1)) }

    func request(_ operations: Operations, end: UInt32? = nil, tail: [OperationHash] = []) -> SyncRequest {
        SyncRequest(
            epoch: enrolled.epoch, cursor: cursor, acknowledgement: acknowledgement,
            logs: [
                LogPosition(
                    replica: replica, position: position, hash: hash, end: end ?? position + UInt32(operations.count))
            ],
            operations: operations, tail: tail)
    }

    func push(of request: SyncRequest) -> ServerSession.Push {
        guard case .commit(let push) = ServerSession(request, account: account, time: server.clock.now).start() else {
            preconditionFailure("a session begins with a commit")
        }
        return push
    }

    /// Pushes without noting the answer, as when it is lost.
    @discardableResult
    func send(_ operations: Operations) throws -> PushAnswer {
        try server.store.commit(group: [push(of: request(operations))])[0].answer
    }

    /// Pushes and notes what was taken.
    @discardableResult
    func push(_ operations: Operations) throws -> PushAnswer {
        let answer = try send(operations)
        note(answer, operations)
        return answer
    }

    func note(_ answer: PushAnswer, _ operations: Operations) {
        let upTo: UInt32
        switch answer {
        case .taken(let number, let token, _), .identifierTaken(_, let number, let token, _):
            upTo = number
            acknowledgement = token
        case .fork, .rollback: return
        }
        var scratch: [UInt8] = []
        for index in 0..<Int(upTo - position) { hash = operations.hash(of: index, after: hash, scratch: &scratch) }
        position = upTo
    }

    /// Pulls one page.
    ///
    /// - Returns: whether there is more.
    func pull(budget: Int = Limits.page) throws -> Bool {
        let own = ServerSession.Holdings(replica: replica, numbers: nil)
        let page = try server.store.page(cursor: cursor, own: own, account: account, budget: budget)
        if page.beginsFill {
            filled = []
            isFilling = true
        } else if isFilling, !page.isFill {
            finishFill()
        }
        // A client refuses a page that names a record twice.
        let heads = page.page.heads.map(\.id)
        guard Set(heads).count == heads.count else { throw SyncProblem.malformed("a page names a record twice") }
        fills += page.beginsFill ? 1 : 0
        moved += page.moves.left.count + page.moves.entered.count
        for scope in page.moves.left + page.moves.entered {
            rows = rows.filter { !$0.value.belongs(to: scope) }
        }
        pulled += page.page.heads.count
        for head in page.page.heads {
            var record = page.isFill ? Record(id: head.id) : rows[head.id] ?? Record(id: head.id)
            record.setEnvelope(head.envelope)
            if page.isFill { filled.insert(head.id) }
            var start = head.entries.lowerBound
            while start < head.entries.upperBound {
                var end = start + 1
                let entries = page.page.entries
                while end < head.entries.upperBound, isSameCell(entries[start].key, entries[end].key, page.page.arena) {
                    end += 1
                }
                record.takeCell(entries[start..<end], from: page.page.arena)
                start = end
            }
            record.forgetEmptied()
            rows[head.id] = record.entries.isEmpty ? nil : record
        }
        if !page.more, isFilling { finishFill() }
        cursor = page.cursor
        for dot in page.positions { positions[dot.replica] = dot.number }
        return page.more
    }

    /// What a finished fill did not name goes.
    private func finishFill() {
        rows = rows.filter { filled.contains($0.key) }
        isFilling = false
    }

    /// Pushes, pulls everything, and shows the server that it has: from then on the replica has reached what it pulled.
    @discardableResult
    func sync(_ operations: Operations = Operations(), budget: Int = Limits.page) throws -> PushAnswer {
        let answer = try push(operations)
        try pullAll(budget: budget)
        try push(Operations())
        return answer
    }

    func pullAll(budget: Int = Limits.page) throws { while try pull(budget: budget) {} }

    private func isSameCell(_ a: CellKey, _ b: CellKey, _ arena: [UInt8]) -> Bool {
        guard a.field == b.field, a.elementKind == b.elementKind else { return false }
        if a.elementKind == .text { return arena[a.elementSlice.range] == arena[b.elementSlice.range] }
        return a.elementID == b.elementID
    }

    func dump() -> String {
        rows.keys.sorted().compactMap { rows[$0].flatMap { RecordDump.line($0) } }
            .map { String(decoding: $0, as: UTF8.self) + "\n" }.joined()
    }
}

extension Operations {
    /// An operation that makes a customer with a name.
    mutating func makeCustomer(_ id: RecordID, name: String, salt: UInt32? = 1, continues: Bool = false) {
        begin(
            record: id, time: 1_700_000_000_000, creates: Envelope(kind: .customer, scope: .customer(id)), salt: salt,
            continuesCommand: continues)
        edit(CellKey(.name), text: name)
    }

    /// An operation that writes a customer's name.
    mutating func rename(
        _ id: RecordID, _ name: String, supersedes: [Dot] = [], salt: UInt32? = 2, continues: Bool = false,
        time: Int64 = 1_700_000_000_000
    ) {
        begin(record: id, time: time, salt: salt, continuesCommand: continues)
        edit(CellKey(.name), text: name, supersedes: supersedes)
    }

    init(_ body: (inout Operations) -> Void) {
        self.init()
        body(&self)
    }
}

extension Record {
    /// Whether this is a record of a scope. An account is the workspace's, not its own.
    func belongs(to scope: RecordID) -> Bool {
        switch envelope.scope {
        case .workspace: false
        case .account(let id), .customer(let id): id == scope
        case .pair(let a, let b): a == scope || b == scope
        }
    }
}

extension PushAnswer {
    var verdicts: [Verdict] {
        switch self {
        case .taken(_, _, let verdicts), .identifierTaken(_, _, _, let verdicts): verdicts
        case .fork, .rollback: []
        }
    }
    var upTo: UInt32? {
        switch self {
        case .taken(let upTo, _, _), .identifierTaken(_, let upTo, _, _): upTo
        case .fork, .rollback: nil
        }
    }
    var isFork: Bool { if case .fork = self { true } else { false } }
    var isRollback: Bool { if case .rollback = self { true } else { false } }
}
