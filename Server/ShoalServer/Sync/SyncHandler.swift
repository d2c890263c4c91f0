import Logging
import ShoalCRDT
import ShoalProtocol

/// One exchange from bytes to bytes, without HTTP: decode, commit, read a page, encode.
public struct SyncHandler: Sendable {
    let store: ServerStore
    let committer: Committer
    private let metrics: Metrics
    let environment: ServerEnvironment
    let logger: Logger
    private let pageBudget: Int
    private let lease: Int?

    /// - Parameters:
    ///   - pageBudget: the weight at which a page is closed; smaller ones than the protocol's are for tests.
    ///   - lease: for how many days replicas are told that they may go on alone; nil tells them nothing.
    public init(
        store: ServerStore, committer: Committer, metrics: Metrics, environment: ServerEnvironment, logger: Logger,
        pageBudget: Int = Limits.page, lease: Int? = nil
    ) {
        self.lease = lease
        self.pageBudget = pageBudget
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
    ///   - device: the replica that the credential was given to; nil where there is none.
    /// - Returns: the answer's body, compressed.
    /// - Throws: `FrameError`, `SyncProblem`, `StoreError`.
    public func handle(_ body: [UInt8], account: RecordID, device: ReplicaID? = nil) async throws -> [UInt8] {
        var session = try session(body, account, device)
        var action = session.start()
        while true {
            switch action {
            case .commit(let push):
                let receipt = try await committer.commit(try store.prepare(push))
                note(receipt.answer, push)
                action = session.committed(receipt)
            case .readPage(let cursor, let own):
                let page = try await store.page(
                    cursor: cursor, own: own, account: account, epoch: session.epoch, budget: pageBudget)
                if page.beginsFill || page.beginsEverything {
                    try store.noteFill(by: account, own.replica, time: environment.now())
                }
                action = session.read(page)
            case .respond(let response):
                return try told(response).encoded()
            }
        }
    }

    /// The same on the calling thread, in a commit of its own.
    public func handleAlone(_ body: [UInt8], account: RecordID) throws -> [UInt8] {
        var session = try session(body, account, nil)
        var action = session.start()
        while true {
            switch action {
            case .commit(let push):
                let receipt = try committer.commitAlone(try store.prepare(push))
                note(receipt.answer, push)
                action = session.committed(receipt)
            case .readPage(let cursor, let own):
                let page = try store.page(
                    cursor: cursor, own: own, account: account, epoch: session.epoch, budget: pageBudget)
                if page.beginsFill || page.beginsEverything {
                    try store.noteFill(by: account, own.replica, time: environment.now())
                }
                action = session.read(page)
            case .respond(let response):
                return try told(response).encoded()
            }
        }
    }

    /// Adds what every answer says: whether the server wants relays, and the lease.
    private func told(_ response: SyncResponse) -> SyncResponse {
        var response = response
        response.recovery = store.isRecovering
        response.lease = lease
        return response
    }

    /// Answers the body of `POST /v1/relay`.
    ///
    /// - Throws: `FrameError`, `SyncProblem`, `StoreError`.
    public func relay(_ body: [UInt8], account: RecordID) throws -> RelayResponse {
        let request = try RelayRequest(decoding: body)
        let response = try store.relay(request, account: account, time: environment.now())
        metrics.countRelay(records: response.taken)
        logger.notice(
            "a replica relayed what it held",
            metadata: [
                "account": "\(account)", "records": "\(request.page.heads.count)", "taken": "\(response.taken)",
            ])
        return response
    }

    /// Begins or ends recovery, which a person asked for.
    func recover(_ request: RecoveryRequest) throws -> RecoveryReport {
        try store.note(request.finishes ? .recoverEnd : .recover, time: environment.now())
        let report = try request.finishes ? store.finishRecovery() : store.beginRecovery()
        logger.notice(
            report.isOn ? "recovery is on: replicas are asked for what they held" : "recovery is over",
            metadata: ["sources": "\(report.sources)", "forgotten": "\(report.forgotten)"])
        return report
    }

    /// Erases everything about a customer, which a person asked for.
    func erase(_ person: RecordID, by: String, isDryRun: Bool) throws -> ErasureReport {
        let report = try store.erase(person, by: by, time: environment.now(), isDryRun: isDryRun)
        if !isDryRun {
            logger.notice(
                "a customer was erased", metadata: ["customer": "\(person)", "records": "\(report.records)"])
        }
        return report
    }

    private func session(_ body: [UInt8], _ account: RecordID, _ device: ReplicaID?) throws -> ServerSession {
        ServerSession(try request(body), account: account, device: device, time: environment.now())
    }

    func request(_ body: [UInt8]) throws -> SyncRequest {
        let request = try SyncRequest(decoding: body)
        guard request.operations.count <= Limits.operations else {
            throw SyncProblem.tooManyOperations(request.operations.count)
        }
        return request
    }

    func note(_ answer: PushAnswer, _ push: ServerSession.Push) {
        switch answer {
        case .taken(_, _, let verdicts), .identifierTaken(_, _, _, let verdicts):
            metrics.countPush(operations: push.operations.count, refusals: verdicts.count)
        case .fork(let fork):
            guard let replica = fork.replica else { return }
            metrics.countFork()
            var metadata = metadata(push)
            metadata["known"] = "\(fork.known.count)"
            metadata["continues"] = "\(replica.rawValue)"
            logger.notice(
                "a home is a copy or was restored: what is unknown of it goes on as another replica",
                metadata: metadata)
        case .rollback(let rollback):
            metrics.countRollback()
            var metadata = metadata(push)
            metadata["continues"] = "\(rollback.replica.rawValue)"
            metadata["epoch"] = "\(String(rollback.epoch, radix: 16))"
            logger.error("a replica has what this server lost: its logs are taken again", metadata: metadata)
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
