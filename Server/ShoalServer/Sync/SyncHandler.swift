import Logging
import ShoalCRDT
import ShoalProtocol

/// One exchange from bytes to bytes, without HTTP: decode, commit, read a page, encode.
public struct SyncHandler: Sendable {
    private let store: ServerStore
    private let committer: Committer
    private let metrics: Metrics
    private let environment: ServerEnvironment
    private let logger: Logger

    public init(
        store: ServerStore, committer: Committer, metrics: Metrics, environment: ServerEnvironment, logger: Logger
    ) {
        self.store = store
        self.committer = committer
        self.metrics = metrics
        self.environment = environment
        self.logger = logger
    }

    /// Answers the body of `POST /v1/sync`, committing together with concurrent callers.
    ///
    /// - Parameters:
    ///   - body: as it came, compressed.
    ///   - account: whose credential the request showed.
    /// - Returns: the answer's body, compressed.
    /// - Throws: `FrameError`, `SyncProblem`, `StoreError`.
    public func handle(_ body: [UInt8], account: RecordID) async throws -> [UInt8] {
        var session = try session(body, account)
        var action = session.start()
        while true {
            switch action {
            case .commit(let push):
                let receipt = try await committer.commit(try store.prepare(push))
                note(receipt.answer, push)
                action = session.committed(receipt)
            case .readPage(let cursor, let own):
                action = session.read(
                    try await store.page(cursor: cursor, own: own, account: account, epoch: session.epoch))
            case .respond(let response):
                return try response.encoded()
            }
        }
    }

    /// The same on the calling thread, in a commit of its own.
    public func handleAlone(_ body: [UInt8], account: RecordID) throws -> [UInt8] {
        var session = try session(body, account)
        var action = session.start()
        while true {
            switch action {
            case .commit(let push):
                let receipt = try committer.commitAlone(try store.prepare(push))
                note(receipt.answer, push)
                action = session.committed(receipt)
            case .readPage(let cursor, let own):
                action = session.read(try store.page(cursor: cursor, own: own, account: account, epoch: session.epoch))
            case .respond(let response):
                return try response.encoded()
            }
        }
    }

    private func session(_ body: [UInt8], _ account: RecordID) throws -> ServerSession {
        let request = try SyncRequest(decoding: body)
        guard request.operations.count <= Limits.operations else {
            throw SyncProblem.tooManyOperations(request.operations.count)
        }
        return ServerSession(request, account: account, time: environment.now())
    }

    private func note(_ answer: PushAnswer, _ push: ServerSession.Push) {
        switch answer {
        case .taken(_, _, let verdicts), .identifierTaken(_, _, _, let verdicts):
            metrics.countPush(operations: push.operations.count, refusals: verdicts.count)
        case .fork:
            metrics.countFork()
            logger.notice("a log does not continue the known one", metadata: metadata(push))
        case .rollback:
            metrics.countRollback()
            logger.error(
                "a replica has what this server has not: its logs are taken again", metadata: metadata(push))
        }
    }

    private func metadata(_ push: ServerSession.Push) -> Logger.Metadata {
        let log = push.logs.last
        return [
            "account": "\(push.account)", "replica": "\(log?.replica.rawValue ?? 0)",
            "position": "\(log?.position ?? 0)",
            "end": "\(log?.end ?? 0)",
        ]
    }
}
