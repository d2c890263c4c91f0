import Logging
import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer
import ShoalSimulation
import ShoalStore
import Synchronization

/// A clock that moves a little with each look, and randomness that follows from a seed.
final class SeededWorld: Sendable {
    private struct State {
        var time: Int64
        var random: SplitMix64
    }
    private let state: Mutex<State>

    init(seed: UInt64, time: Int64 = 1_760_000_000_000) {
        state = Mutex(State(time: time, random: SplitMix64(seed: seed)))
    }

    func now() -> Int64 {
        state.withLock { state in
            state.time += 1
            return state.time
        }
    }

    func random() -> UInt64 { state.withLock { $0.random.next() } }

    var server: ServerEnvironment {
        ServerEnvironment(
            now: { self.now() }, random: { count in (0..<count).map { _ in UInt8(truncatingIfNeeded: self.random()) } },
            sleep: { _ in })
    }

    /// - Parameter isEncrypted: whether homes on the disk are.
    func client(_ disk: SimulatedDisk, isEncrypted: Bool = false) -> Environment {
        Environment(
            now: { self.now() }, ticks: { 0 }, random: { self.random() }, sleep: { _ in },
            secret: { _, _ in EncryptedHome.secret },
            homes: SimulatedHomes(disk, key: isEncrypted ? EncryptedHome.key : nil))
    }
}

/// A server's programs on its disk, from opening the database on.
final class ServerMachine {
    let disk: SimulatedDisk
    let world: SeededWorld
    let store: ServerStore
    let accounts: Accounts
    let committer: Committer
    let handler: SyncHandler
    /// What the committer said when it stopped.
    let failure = Failure()

    final class Failure: Sendable {
        let first = Mutex<StoreError?>(nil)
    }

    init(_ disk: SimulatedDisk, _ world: SeededWorld) throws {
        self.disk = disk
        self.world = world
        store = try ServerStore(path: Self.path(disk), environment: world.server)
        accounts = Accounts(store: store, environment: world.server)
        let metrics = Metrics()
        let failure = failure
        committer = Committer(store: store, metrics: metrics) { error in failure.first.withLock { $0 = error } }
        handler = SyncHandler(
            store: store, committer: committer, metrics: metrics, environment: world.server,
            logger: Logger(label: "server") { _ in SwiftLogNoOpLogHandler() })
    }

    static func path(_ disk: SimulatedDisk) -> String { disk.directory + "/shoald.db" }

    /// An account of that name and a first replica of it.
    func enrolment(_ name: String) throws -> (answer: EnrollResponse, key: String) {
        let code = try accounts.add(name: name, role: .supervisor).code
        return try enrolment(code: code)
    }

    func enrolment(code: String) throws -> (answer: EnrollResponse, key: String) {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        // 43 characters are 258 bits: the last has two that must be zero.
        let key = (0..<43).map { $0 == 42 ? "A" : String(UnicodeScalar(digits[Int(world.random() & 63)])) }.joined()
        return (try accounts.enroll(EnrollRequest(code: code, key: key)), key)
    }

    var dump: [String] {
        get throws {
            let dump = try store.dump()
            var bytes: [UInt8] = []
            while let lines = try dump.next() { bytes += lines }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        }
    }
}

extension Replica {
    static func home(_ disk: SimulatedDisk) -> String { disk.directory + "/home" }

    /// One sync, by bytes as over a network.
    ///
    /// - Parameter each: called after every exchange, and when the replica has stored its answer.
    @discardableResult
    func sync(_ server: ServerMachine, each: () throws -> Void = {}) throws -> SyncReport {
        let account = try account(server)
        var run = SyncRun(self)
        while true {
            switch try run.next() {
            case .send(let body):
                try each()
                let answer = try server.handler.handleAlone(body, account: account)
                try each()
                try run.received(answer)
            case .relay(let body): try run.received(try server.handler.relay(body, account: account).encoded())
            case .finished(let report):
                try each()
                return report
            }
        }
    }

    /// The same over a network that loses answers: the sync then ends.
    ///
    /// - Parameter loses: whether the answer to the request of that number, from 1, is lost.
    func sync(_ server: ServerMachine, loses: (Int) -> Bool) throws -> SyncReport? {
        let account = try account(server)
        var run = SyncRun(self)
        var number = 0
        while true {
            switch try run.next() {
            case .send(let body):
                let answer = try server.handler.handleAlone(body, account: account)
                number += 1
                if loses(number) { return nil }
                try run.received(answer)
            case .relay(let body):
                let answer = try server.handler.relay(body, account: account).encoded()
                number += 1
                if loses(number) { return nil }
                try run.received(answer)
            case .finished(let report): return report
            }
        }
    }

    private func account(_ server: ServerMachine) throws -> RecordID {
        try server.store.account(named: try status().account) ?? RecordID(rawValue: 0)
    }

    var dumpLines: [String] {
        get throws {
            var lines: [String] = []
            try dump { lines.append(String(decoding: $0, as: UTF8.self)) }
            return lines
        }
    }
}
