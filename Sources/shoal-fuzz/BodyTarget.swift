import Foundation
import Logging
import ShoalCRDT
import ShoalProtocol
import ShoalServer

/// A server that answers the body of a sync: as it comes, and, where it is a request in JSON, as the next one of a replica that the server
/// knows, so that its operations reach the store.
enum BodyTarget {
    static func run(_ bytes: [UInt8]) throws {
        guard let server else { Finding.report("the server of the fuzzer does not start") }
        server.answer(bytes)
        guard let request = try? SyncRequest(json: bytes) else { return }
        server.answer(next: request)
    }

    nonisolated(unsafe) private static var server: FuzzedServer? = try? FuzzedServer()
}

/// A store in a directory of its own. It begins anew now and then, so that a finding is one of a few thousand inputs.
private final class FuzzedServer {
    private static let inputs = 5_000

    private var store: ServerStore
    private var handler: SyncHandler
    private var replica: EnrollResponse
    private var position: UInt32 = 0
    private var hash = OperationHash.start
    private var cursor = ""
    private var acknowledgement = ""
    private var count = 0
    private let directory: String

    init() throws {
        let memory = "/dev/shm"
        let base = FileManager.default.isWritableFile(atPath: memory) ? memory : NSTemporaryDirectory()
        directory = base + "/shoal-fuzz-\(ProcessInfo.processInfo.processIdentifier)"
        (store, handler, replica) = try Self.start(directory)
    }

    private static func start(_ directory: String) throws -> (ServerStore, SyncHandler, EnrollResponse) {
        try? FileManager.default.removeItem(atPath: directory)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let environment = ServerEnvironment(
            now: { 1_800_000_000_000 }, random: { (0..<$0).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) } },
            sleep: { _ in })
        let store = try ServerStore(path: directory + "/shoald.db", environment: environment)
        let accounts = Accounts(store: store, environment: environment)
        let made = try accounts.add(name: "fuzz", role: .supervisor)
        let key = String(repeating: "A", count: 43)
        let replica = try accounts.enroll(EnrollRequest(code: made.code, key: key))
        let metrics = Metrics()
        let committer = Committer(store: store, metrics: metrics) { failure in
            Finding.report("a commit failed: \(failure)")
        }
        let logger = Logger(label: "shoal-fuzz", factory: { _ in SwiftLogNoOpLogHandler() })
        return (
            store,
            SyncHandler(
                store: store, committer: committer, metrics: metrics, environment: environment, logger: logger), replica
        )
    }

    func answer(_ body: [UInt8]) {
        do { _ = try handler.handleAlone(body, account: replica.account) } catch { check(error) }
    }

    func answer(next request: SyncRequest) {
        count += 1
        if count > Self.inputs { restart() }
        var request = request
        request.epoch = replica.epoch
        request.cursor = cursor
        request.acknowledgement = acknowledgement
        request.logs = [
            LogPosition(
                replica: replica.replica, position: position, hash: hash,
                end: position + UInt32(request.operations.count))
        ]
        do {
            let answer = try handler.handleAlone(try request.encoded(), account: replica.account)
            note(try SyncResponse(decoding: answer), request.operations)
        } catch { check(error) }
    }

    private func note(_ response: SyncResponse, _ operations: Operations) {
        guard case .taken(let upTo, let token, let verdicts) = response.push else { return }
        Finding.require(upTo == position + UInt32(operations.count), "not all operations got a place")
        var scratch: [UInt8] = []
        for index in operations.operations.indices {
            hash = operations.hash(of: index, after: hash, scratch: &scratch)
        }
        (position, acknowledgement, cursor) = (upTo, token, response.cursor)
        Finding.planted(verdicts.contains { $0.reason == .keyMismatch || $0.reason == .unknownDot })
    }

    /// What the bytes are to blame for is refused; what the store is to blame for is a finding.
    private func check(_ error: any Error) {
        if error is FrameError || error is SyncProblem { return }
        Finding.report("\(error)")
    }

    private func restart() {
        try? store.close()
        guard let (store, handler, replica) = try? Self.start(directory) else {
            Finding.report("the server of the fuzzer does not start again")
        }
        (self.store, self.handler, self.replica) = (store, handler, replica)
        (position, hash, cursor, acknowledgement, count) = (0, .start, "", "", 0)
    }
}
