import ShoalCRDT
import ShoalProtocol
import Synchronization
import Testing

@testable import ShoalClient

/// Answers from a script before it asks the server behind it.
final class ScriptedTransport: Transport {
    enum Step {
        case status(Int, body: String = "", type: String = "application/problem+json", retryAfter: Int? = nil)
        case fail(TransportError)
        /// The request arrives and is carried out, the answer is lost.
        case loseAnswer
        case push(PushAnswer)
        /// The answer names a lease.
        case lease(Int)
        case bytes([UInt8])
    }
    private struct State {
        var steps: [Step]
        var requests: [TransportRequest] = []
        var server: TinyServer
    }
    private let state: Mutex<State>

    init(_ server: sending TinyServer, _ steps: [Step] = []) { state = Mutex(State(steps: steps, server: server)) }

    /// What comes next.
    func script(_ steps: [Step]) { state.withLock { $0.steps = steps } }
    /// What the server has.
    var dump: [String] { state.withLock { $0.server.dump } }
    var requests: [TransportRequest] { state.withLock { $0.requests } }

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        try state.withLock { state in
            state.requests.append(request)
            let step = state.steps.isEmpty ? nil : state.steps.removeFirst()
            switch step {
            case .status(let status, let body, let type, let retryAfter):
                return TransportResponse(
                    status: status, contentType: type, retryAfter: retryAfter, body: Array(body.utf8))
            case .fail(let error): throw error
            case .bytes(let bytes): return TransportResponse(status: 200, body: bytes)
            default: break
            }
            if request.url.hasSuffix("/v1/enroll") {
                _ = try EnrollRequest(decoding: request.body)
                return TransportResponse(status: 200, body: state.server.enrolment("Anna").encoded())
            }
            var answer = state.server.handle(try SyncRequest(decoding: request.body))
            if case .loseAnswer? = step { throw TransportError.unreachable("the connection broke") }
            if case .push(let push)? = step { answer.push = push }
            if case .lease(let days)? = step { answer.lease = days }
            return TransportResponse(status: 200, body: try answer.encoded())
        }
    }
}

/// Lets something else happen before each answer arrives.
struct InterruptedTransport: Transport {
    let base: ScriptedTransport
    let before: @Sendable () async -> Void

    func send(_ request: TransportRequest) async throws -> TransportResponse {
        await before()
        return try await base.send(request)
    }
}

@Suite struct DriverTests {
    /// An enrolled replica whose home lives as long as this does.
    final class Enrolled {
        let home: TemporaryHome
        let world: TestWorld
        let replica: Replica
        let transport: ScriptedTransport
        init(_ home: TemporaryHome, _ world: TestWorld, _ replica: Replica, _ transport: ScriptedTransport) {
            self.home = home
            self.world = world
            self.replica = replica
            self.transport = transport
        }
        func sync() async throws { _ = try await SyncDriver(replica: replica, transport: transport).sync() }
    }

    static func enrolled(_ steps: [ScriptedTransport.Step] = []) async throws -> Enrolled {
        let home = TemporaryHome()
        let world = TestWorld()
        let transport = ScriptedTransport(TinyServer(), [.bytes(TinyServer().enrolment("Anna").encoded())] + steps)
        let replica = try await Replica.enroll(
            home: home.path, url: "http://host:1/", code: "ABCD", transport: transport, environment: world.environment)
        return Enrolled(home, world, replica, transport)
    }

    @Test func enrolmentAndSync() async throws {
        let one = try await Self.enrolled()
        _ = try one.replica.addCustomer(name: "a")
        let report = try await SyncDriver(replica: one.replica, transport: one.transport).sync()
        #expect(report.pushed == 1 && report.pulled == 0)
        #expect(report.bytesUp == one.transport.requests[1].body.count && report.bytesDown > 0)
        #expect(one.transport.requests.map(\.url) == ["http://host:1/v1/enroll", "http://host:1/v1/sync"])
        let key = try one.replica.credential().key
        #expect(key.utf8.count == 43)
        #expect(
            one.transport.requests[1].headers.contains { $0.name == "Authorization" && $0.value == "Bearer \(key)" })
        let again = try await SyncDriver(replica: one.replica, transport: one.transport).sync()
        #expect(again.pushed == 0 && again.pulled == 0)
        #expect(try one.replica.status().lastSync != nil)
        await #expect(throws: ReplicaError.alreadyEnrolled(home: one.home.path, server: "http://host:1")) {
            try await Replica.enroll(
                home: one.home.path, url: "http://host:1", code: "X", transport: one.transport,
                environment: one.replica.environment)
        }
    }

    @Test func anEnrolmentWhoseAnswerWasLostSendsTheSameKey() async throws {
        let home = TemporaryHome()
        let world = TestWorld()
        let transport = ScriptedTransport(TinyServer(), [.fail(.timeout)])
        for attempt in 0..<2 {
            do {
                let replica = try await Replica.enroll(
                    home: home.path, url: "http://host", code: "ABCD", transport: transport,
                    environment: world.environment)
                #expect(attempt == 1)
                try replica.close()
            } catch let error as SyncError {
                #expect(attempt == 0 && error == .transport(.timeout))
                #expect(throws: ReplicaError.notEnrolled(home: home.path)) {
                    try Replica(home: home.path, environment: world.environment)
                }
            }
        }
        let keys = try transport.requests.map { try EnrollRequest(decoding: $0.body).key }
        #expect(keys.count == 2 && keys[0] == keys[1])
    }

    @Test func aCodeTypedInAnotherSpellingGoesOnWithTheSameEnrolment() async throws {
        let home = TemporaryHome()
        let world = TestWorld()
        let transport = ScriptedTransport(TinyServer(), [.fail(.timeout)])
        func enroll(_ code: String) async throws -> Replica {
            try await Replica.enroll(
                home: home.path, url: "http://host", code: code, transport: transport, environment: world.environment)
        }
        await #expect(throws: SyncError.transport(.timeout)) { try await enroll("ABCD-EF01-23GH") }
        try await enroll("abcd efo i23gh").close()
        let keys = try transport.requests.map { try EnrollRequest(decoding: $0.body).key }
        #expect(keys.count == 2 && keys[0] == keys[1])
    }

    /// While the first waits for its answer a second enrols with another code: the first's answer is not for its key.
    @Test func anAnswerIsTakenOnlyForTheKeyThatWasSent() async throws {
        let home = TemporaryHome()
        let world = TestWorld()
        let path = home.path
        let second = ScriptedTransport(TinyServer(), [.fail(.timeout)])
        let first = InterruptedTransport(base: ScriptedTransport(TinyServer())) {
            _ = try? await Replica.enroll(
                home: path, url: "http://host", code: "BBBB", transport: second, environment: world.environment)
        }
        await #expect(throws: ReplicaError.home(home.path, reason: "another enrolment of it has begun meanwhile")) {
            try await Replica.enroll(
                home: home.path, url: "http://host", code: "AAAA", transport: first, environment: world.environment)
        }
        let replica = try await Replica.enroll(
            home: home.path, url: "http://host", code: "BBBB", transport: second, environment: world.environment)
        let keys = try second.requests.map { try EnrollRequest(decoding: $0.body).key }
        #expect(try replica.credential().key == keys[0] && keys[0] == keys[1])
    }

    @Test func whatHelpsToRetryIsRetriedWithGrowingWaits() async throws {
        let one = try await Self.enrolled([
            .fail(.unreachable("no route")), .status(408), .loseAnswer,
        ])
        let id = try one.replica.addCustomer(name: "a")
        let report = try await SyncDriver(replica: one.replica, transport: one.transport).sync()
        #expect(report.requests == 4 && report.pushed == 1)
        #expect(try one.replica.customers().map(\.id) == [id])
        #expect(one.world.sleeps.count == 3)
        for (wait, longest) in zip(one.world.sleeps, [250, 500, 1_000]) {
            #expect(wait <= .milliseconds(longest) && wait >= .milliseconds(longest / 2))
        }
    }

    @Test func progressCountsWhatThisSyncSent() async throws {
        let one = try await Self.enrolled()
        for count in 1...3 {
            for _ in 0..<count { _ = try one.replica.addCustomer(name: "a") }
            let sent = Mutex<[Int]>([])
            _ = try await SyncDriver(replica: one.replica, transport: one.transport).sync { progress in
                sent.withLock { $0.append(progress.pushed) }
            }
            #expect(sent.withLock(\.last) == count)
        }
    }

    @Test func theServersRetryAfterIsHonoured() async throws {
        let one = try await Self.enrolled([.status(429, retryAfter: 7)])
        _ = try await SyncDriver(replica: one.replica, transport: one.transport).sync()
        #expect(one.world.sleeps == [.seconds(7)])
    }

    /// A command gives up after a minute of waiting in all, and at once where the server asks for more than is left of it.
    @Test func aSyncWaitsForAMinuteAtMost() async throws {
        let one = try await Self.enrolled([.status(503, retryAfter: 300)])
        let driver = SyncDriver(replica: one.replica, transport: one.transport)
        let error = try await #require(throws: SyncError.self) { try await driver.sync() }
        #expect(error.advice == "try again in 5 minutes" && one.world.sleeps == [])
        one.transport.script([.status(503, retryAfter: 40), .status(429, retryAfter: 20), .status(503)])
        await #expect(throws: SyncError.unavailable(status: 503, retryAfter: nil, "it gave no reason")) {
            try await driver.sync()
        }
        #expect(one.world.sleeps == [.seconds(40), .seconds(20)])
        // The next has a minute of its own, and says what it waits for.
        let said = Mutex<[Duration]>([])
        one.transport.script([.status(503, retryAfter: 60)])
        _ = try await SyncDriver(replica: one.replica, transport: one.transport) { wait, _ in
            said.withLock { $0.append(wait) }
        }.sync()
        #expect(said.withLock { $0 } == [.seconds(60)])
        // So has a comparison, with all that it does.
        one.transport.script([.status(503, retryAfter: 40), .lease(90), .status(503, retryAfter: 40)])
        await #expect(throws: SyncError.self) { try await DigestDriver(driver).run() }
        #expect(one.world.sleeps == [.seconds(40), .seconds(20), .seconds(60), .seconds(40)])
    }

    @Test func oneThatStaysWaitsAsLongAsTheServerAsks() async throws {
        let one = try await Self.enrolled([.status(503, retryAfter: 300)])
        let driver = SyncDriver(replica: one.replica, transport: one.transport)
        let failures = Mutex(0)
        let task = Task {
            try await driver.watch {
                switch $0 {
                case .success: withUnsafeCurrentTask { $0?.cancel() }
                case .failure: failures.withLock { $0 += 1 }
                }
            }
        }
        _ = try? await task.value
        #expect(one.world.sleeps.first == .seconds(300) && failures.withLock { $0 } == 0)
    }

    @Test(arguments: [(1, "1 second"), (119, "119 seconds"), (121, "3 minutes"), (7_200, "2 hours"), (.max, "hours")])
    func itSaysWhenToTryAgain(seconds: Int, words: String) {
        let advice = SyncError.unavailable(status: 503, retryAfter: seconds, "").advice
        #expect(advice?.hasPrefix("try again in ") == true && advice?.hasSuffix(words) == true)
    }

    @Test(arguments: [
        (ScriptedTransport.Step.status(401), SyncError.wrongToken(server: "http://host:1")),
        (.status(403, body: #"{"detail":"gone"}"#), .unknownAccount("gone")),
        (.status(415, body: #"{"title":"no"}"#), .otherProtocol("no")),
        (.status(400, body: #"{"type":"urn:shoal:problem:protocol-version","detail":"v2"}"#), .otherProtocol("v2")),
        (.status(413, body: #"{"detail":"16 MiB"}"#), .refused(status: 413, "16 MiB")),
        (.status(400, body: "not json"), .refused(status: 400, "it gave no reason")),
    ])
    func whatDoesNotHelpToRetryIsSaidAndChangesNothing(step: ScriptedTransport.Step, error: SyncError) async throws {
        let one = try await Self.enrolled([step])
        _ = try one.replica.addCustomer(name: "a")
        let before = try one.replica.status()
        await #expect(throws: error) { try await SyncDriver(replica: one.replica, transport: one.transport).sync() }
        #expect(try one.replica.status() == before)
        #expect(one.world.sleeps.isEmpty)
        #expect(!error.description.isEmpty && !error.description.contains("\n"))
    }

    @Test func anAnswerThatIsCutChangesNothing() async throws {
        let one = try await Self.enrolled([.bytes([0x78, 0x9C, 1]), .bytes([])])
        _ = try one.replica.addCustomer(name: "a")
        for _ in 0..<2 {
            await #expect(throws: SyncError.self) {
                try await SyncDriver(replica: one.replica, transport: one.transport).sync()
            }
            #expect(try one.replica.status().pending == 1 && one.replica.status().cursor == "")
        }
        #expect(try await SyncDriver(replica: one.replica, transport: one.transport).sync().pushed == 1)
    }

    @Test func onlyOneSyncRunsOnAHome() async throws {
        let one = try await Self.enrolled()
        let lock = try FileLock(home: one.home.path, name: HomeDirectory.syncLock)
        #expect(lock.tryAcquire())
        await #expect(throws: ReplicaError.self) {
            try await SyncDriver(replica: one.replica, transport: one.transport).sync()
        }
        lock.release()
        _ = try await SyncDriver(replica: one.replica, transport: one.transport).sync()
    }

    @Test func watchingSyncsAfterALocalChangeAndEndsWhenCancelled() async throws {
        let one = try await Self.enrolled()
        let environment = Environment(
            now: { 1_760_000_000_000 }, ticks: { 0 }, random: { 1 }, sleep: { try await Task.sleep(for: $0) })
        let open = try Replica(home: one.replica.home, environment: environment)
        let driver = SyncDriver(replica: open, transport: one.transport)
        let (reports, continuation) = AsyncStream.makeStream(of: Int.self)
        let task = Task {
            try await driver.watch(interval: .seconds(600)) { result in
                if case .success(let report) = result { continuation.yield(report.pushed) }
            }
        }
        var iterator = reports.makeAsyncIterator()
        #expect(await iterator.next() == 0)
        try await Task.sleep(for: .milliseconds(100))
        _ = try open.addCustomer(name: "a")
        #expect(await iterator.next() == 1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test(arguments: ["", "host", "ftp://x", "http://", "http:///x", "http://a b"])
    func aURLThatIsNoneIsRefused(url: String) {
        #expect(throws: SyncError.transport(.invalidURL(url))) { try Endpoint.normalized(url) }
    }
}
