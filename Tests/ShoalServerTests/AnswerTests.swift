import AsyncHTTPClient
import Logging
import NIOCore
import ShoalCRDT
import ShoalProtocol
import Synchronization
import Testing

@testable import ShoalServer

/// What every answer of the network says, and how many a peer may ask for.
@Suite(.timeLimit(.minutes(2)))
struct AnswerTests {
    @Test func everyAnswerKeepsBrowsersAndCachesOutAndSaysNothingOfTheServer() async throws {
        try await ServedStore.run(try TestServer()) { served in
            let requests = [
                "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
                "POST /v1/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                "DELETE /v1/enroll HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n",
                "GET /healthz HTTP/1.1\r\nX y: z\r\n\r\n",
                "GET /healthz HTTP/1.1\r\nX: \(String(repeating: "a", count: 300_000))\r\n\r\n",
            ]
            for request in requests {
                let answer = try await served.answer(request).lowercased()
                let name = request.prefix(40)
                #expect(answer.contains("\r\nx-content-type-options: nosniff\r\n"), "\(name): \(answer)")
                #expect(answer.contains("\r\ncache-control: no-store\r\n"), "\(name)")
                #expect(
                    answer.contains("\r\ncontent-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"),
                    "\(name)")
                #expect(!answer.contains("\r\nserver:") && !answer.contains("strict-transport"), "\(name)")
                #expect(!answer.contains("hummingbird") && !answer.contains("nio"), "\(name)")
            }
        }
    }

    @Test func whatIsNoHTTPIsRefusedWithAProblemDocument() async throws {
        try await ServedStore.run(try TestServer()) { served in
            let cases: [(String, Int, String)] = [
                ("nonsense\r\n\r\n", 400, "malformed"), ("GET /healthz HTTP/1.1\r\nX y: z\r\n\r\n", 400, "malformed"),
                (
                    "GET /healthz HTTP/1.1\r\n" + (0..<2_000).map { "x\($0): y\r\n" }.joined() + "\r\n", 431,
                    "header-too-large"
                ),
                (
                    "GET /healthz HTTP/1.1\r\n" + (0..<101).map { "x\($0): y\r\n" }.joined() + "\r\n", 431,
                    "header-too-large"
                ),
                (
                    "POST /v1/enroll HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                    400, "malformed"
                ),
            ]
            for (request, status, problem) in cases {
                let answer = try await served.answer(request)
                #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
                #expect(answer.contains("\"urn:shoal:problem:\(problem)\""), "\(answer)")
            }
            #expect(
                try await served.answer("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\nrubbish\r\n\r\n").contains(
                    "HTTP/1.1 400"))
            #expect(try await served.isServing())
        }
    }

    @Test func logsAndMetricsNameNobody() async throws {
        let server = try TestServer()
        let code = try server.accounts.add(name: "canary account", role: .sales).code
        let log = KeptLog()
        try await ServedStore.run(server, logger: Logger(label: "test") { _ in LogKeeper(log: log) }) { served in
            func post(_ path: String, _ body: [UInt8], key: String, type: String = "application/vnd.shoal.v1+json")
                async throws -> HTTPClientResponse
            {
                var request = HTTPClientRequest(url: "http://127.0.0.1:\(served.port)\(path)?canary=query")
                request.method = .POST
                request.headers.add(name: "Authorization", value: "Bearer \(key)")
                request.headers.add(name: "Content-Type", value: type)
                request.headers.add(name: "Content-Encoding", value: "deflate")
                request.headers.add(name: "X-Canary", value: "canary field")
                request.body = .bytes(ByteBuffer(bytes: body))
                return try await HTTPClient.shared.execute(request, timeout: .seconds(10))
            }
            let key = Base64URL.encode(server.random.bytes(32))
            let enrolled = try await post("/v1/enroll", EnrollRequest(code: code, key: key).encoded(), key: "canary")
            let answer = try EnrollResponse(
                decoding: Array(try await enrolled.body.collect(upTo: 1 << 20).readableBytesView))
            let replica = TestReplica(server: server, enrolled: answer, key: key)
            let operations = Operations { $0.makeCustomer(replica.newID(), name: "canary customer") }
            var statuses = [try await post("/v1/sync", try replica.request(operations).encoded(), key: key).status.code]
            for (path, body, type) in [
                ("/v1/sync", "canary", "application/vnd.shoal.v1+json"),
                ("/v1/enroll", #"{"canary":1}"#, "application/json"),
                ("/v1/enroll", #"{"protocol":2,"code":"canary","key":"\#(key)"}"#, "application/json"),
                ("/canary", "canary", "canary/canary"), ("/v1/sync", "x", "canary/canary"),
            ] {
                statuses.append(try await post(path, Array(body.utf8), key: key, type: type).status.code)
            }
            #expect(statuses == [200, 400, 400, 403, 404, 415])
            _ = try await served.answer("CANARY canary\r\ncanary\r\n\r\n")
            for path in ["/metrics", "/healthz", "/readyz"] {
                let text = try await served.answer("GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(text.hasPrefix("HTTP/1.1 200") && !text.lowercased().contains("canary"), "\(path)")
                #expect(!text.contains("\(answer.account)") && !text.contains("\(answer.replica.rawValue)"), "\(path)")
            }
        }
        #expect(log.lines.count > 8)
        #expect(log.lines.contains { $0.contains("\(server.directory)") } == false)
        for line in log.lines { #expect(!line.lowercased().contains("canary") && !line.contains(code), "\(line)") }
    }

    @Test func anAccountThatSendsTooMuchWaits() async throws {
        let server = try TestServer()
        let (noisy, quiet) = (try server.replica("小美"), try server.replica("小王"))
        var options = Server.Options(host: "127.0.0.1", port: 0)
        options.rates.account = .init(burst: 5, perSecond: 0.01)
        try await ServedStore.run(server, options: options) { served in
            func sync(_ replica: TestReplica) async throws -> HTTPClientResponse {
                var request = HTTPClientRequest(url: "http://127.0.0.1:\(served.port)/v1/sync")
                request.method = .POST
                request.headers.add(name: "Authorization", value: "Bearer \(replica.key)")
                request.headers.add(name: "Content-Type", value: "application/vnd.shoal.v1+json")
                request.headers.add(name: "Content-Encoding", value: "deflate")
                request.body = .bytes(ByteBuffer(bytes: try replica.request(Operations()).encoded()))
                return try await HTTPClient.shared.execute(request, timeout: .seconds(10))
            }
            for _ in 0..<5 { #expect(try await sync(noisy).status == .ok) }
            let refused = try await sync(noisy)
            #expect(refused.status == .tooManyRequests)
            let seconds = try #require(refused.headers.first(name: "Retry-After").flatMap { Int($0) })
            #expect((1...100).contains(seconds))
            #expect(try await sync(quiet).status == .ok)
        }
    }

    @Test func guessedCodesAreCountedAndRightOnesAreNot() async throws {
        let server = try TestServer()
        var options = Server.Options(host: "127.0.0.1", port: 0)
        options.rates.guesses = .init(burst: 3, perSecond: 0.01)
        let codes = try (0..<6).map { try server.accounts.add(name: "account \($0)", role: .sales).code }
        try await ServedStore.run(server, options: options) { served in
            func post(_ body: String) async throws -> Int {
                let head =
                    "POST /v1/enroll HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
                let answer = try await served.answer("\(head)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
                return Int(answer.dropFirst("HTTP/1.1 ".count).prefix(3)) ?? 0
            }
            func enroll(_ code: String) async throws -> Int {
                let request = EnrollRequest(code: code, key: Base64URL.encode(server.random.bytes(32)))
                return try await post(String(decoding: request.encoded(), as: UTF8.self))
            }
            var statuses: [Int] = []
            for code in codes.prefix(5) { statuses.append(try await enroll(code)) }
            for _ in 0..<5 { statuses.append(try await post("{}")) }
            for _ in 0..<3 { statuses.append(try await enroll("0000-0000-0000")) }
            statuses.append(try await enroll("0000-0000-0001"))
            // Nor is a right code looked at then.
            statuses.append(try await enroll(codes[5]))
            #expect(statuses == [200, 200, 200, 200, 200, 400, 400, 400, 400, 400, 403, 403, 403, 429, 429])
        }
    }

    @Test func aBucketFillsWithTimeAndHoldsNoMoreThanItsBurst() {
        let rate = TokenBucket.Rate(burst: 3, perSecond: 2)
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
        let buckets = TokenBuckets<Int>(rate)
        for _ in 0..<3 { #expect(buckets.take(1, now: start) == nil) }
        #expect(buckets.take(1, now: start) == 1)
        #expect(buckets.take(2, now: start) == nil)
        #expect(buckets.take(1, now: start + .milliseconds(500)) == nil)
        #expect(buckets.take(1, now: start + .milliseconds(500)) == 1)
        // A clock that stands or goes back gives nothing and takes nothing.
        #expect(buckets.take(1, now: start) == 1)
        for _ in 0..<3 { #expect(buckets.take(1, now: start + .hours(1)) == nil) }
        #expect(buckets.take(1, now: start + .hours(1)) == 1)
        buckets.giveBack(1)
        #expect(buckets.take(1, now: start + .hours(1)) == nil)
        let slow = TokenBuckets<Int>(.init(burst: 1, perSecond: 0.2))
        #expect(slow.take(1, now: start) == nil)
        #expect(slow.take(1, now: start) == 5)
    }
}

/// What was logged.
private final class KeptLog: Sendable {
    private let kept = Mutex<[String]>([])
    var lines: [String] { kept.withLock { $0 } }
    func keep(_ line: String) { kept.withLock { $0.append(line) } }
}

private struct LogKeeper: LogHandler {
    let log: KeptLog
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { log.keep("\(event.message) \(metadata) \(event.metadata ?? [:])") }
}
