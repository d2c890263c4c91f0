import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// What a comparison with the server found and mended.
public struct DigestReport: Sendable, Equatable {
    public var repair = RepairOutcome()
    /// Requests and answers of the digest alone.
    public var messages = 0
    /// Their bytes.
    public var bytes = 0
    /// Records that could not be compared: the server was changing them each time, or cannot read them itself.
    public var omitted = 0
    public init() {}
}

/// Compares the replica's rows with the server's records and makes them the same.
public struct DigestDriver: Sendable {
    /// How often it begins again when the server goes on meanwhile.
    private static let attempts = 3
    private let driver: SyncDriver

    public init(_ driver: SyncDriver) { self.driver = driver }

    /// Syncs, then compares. Nothing that was not sent yet is touched.
    ///
    /// - Throws: `SyncError`, `ReplicaError`, `StoreError`, `CancellationError`.
    public func run(progress: @Sendable (SyncProgress) -> Void = { _ in }) async throws -> DigestReport {
        var report = DigestReport()
        let patience = Patience(driver.retry.patience)
        for _ in 0..<Self.attempts {
            _ = try await driver.sync(patience, progress)
            let isDone = try await driver.replica.exclusively { try await compare(&report, patience) }
            if isDone { return report }
        }
        return report
    }

    /// - Returns: whether all was compared.
    private func compare(_ report: inout DigestReport, _ patience: Patience) async throws -> Bool {
        let replica = driver.replica
        let credential = try replica.credential()
        let endpoint = Endpoint(server: credential.server, key: credential.key, transport: driver.transport)
        var run = try DigestRun(replica)
        defer { report.add(run.report) }
        while true {
            try Task.checkCancellation()
            switch try run.next() {
            case .send(let body):
                try run.received(try await exchange(body, endpoint, &run, patience))
            case .behind: return false
            case .finished: return run.report.omitted == 0
            }
        }
    }

    private func exchange(
        _ body: [UInt8], _ endpoint: Endpoint, _ run: inout DigestRun, _ patience: Patience
    ) async throws -> [UInt8] {
        var backoff = Backoff(policy: driver.retry, random: driver.replica.environment.random)
        while true {
            run.sending(body)
            do { return try await endpoint.digest(body) } catch let error as SyncError where error.helpsToRetry {
                try await driver.wait(after: error, &backoff, patience)
            }
        }
    }
}

extension DigestReport {
    mutating func add(_ other: DigestReport) {
        repair.add(other.repair)
        messages += other.messages
        bytes += other.bytes
        omitted = other.omitted
    }
}

/// One comparison, without waiting: a step machine over the replica and its `DigestSession`. Call it while nobody else
/// syncs this home.
public struct DigestRun {
    public enum Step: Sendable {
        /// Send this to `/v1/digest`, then call `received`.
        case send([UInt8])
        /// The replica must sync first.
        case behind
        case finished
    }

    public private(set) var report = DigestReport()
    private let replica: Replica
    private var session: DigestSession
    private var action: DigestSession.Action

    public init(_ replica: Replica) throws {
        self.replica = replica
        (session, action) = try replica.read(needsContact: false) { store in
            var session = DigestSession(epoch: store.standing.epoch, cursor: store.standing.cursor)
            let action = try session.start(try RowDigest(store.database))
            return (session, action)
        }
    }

    /// Does what can be done without the server.
    public mutating func next() throws -> Step {
        while true {
            switch action {
            case .send(let request):
                do throws(FrameError) { return .send(try request.encoded()) } catch {
                    throw SyncError.badAnswer(error.description)
                }
            case .commit(let repair):
                report.repair.add(try replica.repair(repair))
                action = session.committed()
            case .finish(let result):
                report.messages = result.messages
                report.omitted = result.omitted
                return .finished
            case .stop(.behind): return .behind
            case .stop(.protocolError(let detail)): throw SyncError.session(.protocolError(detail))
            }
        }
    }

    /// Counts a request on its way.
    public mutating func sending(_ body: [UInt8]) { report.bytes += body.count }

    /// Takes the body of the server's answer to what was sent last.
    public mutating func received(_ body: [UInt8]) throws {
        report.bytes += body.count
        let response: DigestResponse
        do throws(FrameError) { response = try DigestResponse(decoding: body) } catch {
            throw Endpoint.unreadable(error)
        }
        action = try replica.read(needsContact: false) { try session.receive(response, try RowDigest($0.database)) }
    }
}
