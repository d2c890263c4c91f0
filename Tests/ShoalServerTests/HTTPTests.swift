import AsyncHTTPClient
import Foundation
import Glibc
import Logging
import NIOCore
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// The routes over a real socket on loopback.
struct HTTPTests {
    private struct Reply {
        var status: Int
        var type: String
        var body: [UInt8]
        var problem: String? {
            struct Document: Decodable {
                var type: String
                var title: String
                var status: Int
                var detail: String
            }
            guard type == "application/problem+json",
                let document = try? JSONDecoder().decode(Document.self, from: Data(body)), document.status == status,
                !document.detail.isEmpty
            else { return nil }
            return document.type
        }
    }

    /// Runs `body` against a served store; the functions send a request to it.
    private func serving(
        _ server: TestServer, options: Server.Options = Server.Options(host: "127.0.0.1", port: 0),
        _ body: (_ send: (HTTPClientRequest) async throws -> Reply, _ base: String) async throws -> Void
    ) async throws {
        // One that leaves the bodies as they come.
        let client = HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup)
        func send(_ request: HTTPClientRequest) async throws -> Reply {
            let response = try await client.execute(request, timeout: .seconds(10))
            let bytes = try await response.body.collect(upTo: 64 << 20)
            return Reply(
                status: Int(response.status.code), type: response.headers.first(name: "content-type") ?? "",
                body: Array(bytes.readableBytesView))
        }
        do {
            try await ServedStore.run(server, options: options) { served in
                try await body(send, "http://127.0.0.1:\(served.port)")
            }
        } catch {
            try await client.shutdown()
            throw error
        }
        try await client.shutdown()
    }

    private func request(
        _ url: String, _ body: [UInt8]? = nil, key: String? = nil, type: String = "application/vnd.shoal.v1+json",
        encoding: String? = "deflate"
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url)
        guard let body else { return request }
        request.method = .POST
        request.headers.add(name: "Content-Type", value: type)
        if let encoding { request.headers.add(name: "Content-Encoding", value: encoding) }
        if let key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        request.body = .bytes(ByteBuffer(bytes: body))
        return request
    }

    @Test func aHeaderThatDripsIsCutAndOneInTimeIsAnswered() async throws {
        let server = try TestServer()
        var options = Server.Options(host: "127.0.0.1", port: 0)
        options.headerSeconds = 1
        try await serving(server, options: options) { send, base in
            let port = try #require(base.split(separator: ":").last.flatMap { Int($0) })
            let milliseconds = try await waiting { try Self.drip(port) }
            // Ten bytes a second keep an idle timeout waiting; on a busy machine the deadline may come late, but it comes.
            #expect((900..<20_000).contains(milliseconds))
            #expect(try await send(request(base + "/healthz")).status == 200)
        }
    }

    /// Sends a header a byte at a time; returns after how many milliseconds the connection was closed, at most 20,000.
    private static func drip(_ port: Int) throws -> Int {
        let connection = try RawConnection(port: port)
        let header = Array("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: \(String(repeating: "a", count: 200))".utf8)
        for (index, byte) in header.prefix(200).enumerated() {
            guard try connection.send([byte]) else { return index * 100 }
            usleep(100_000)
            if connection.isClosed { return (index + 1) * 100 }
        }
        return 20_000
    }

    @Test func enrolAndSyncOverHTTP() async throws {
        let server = try TestServer()
        let code = try server.accounts.add(name: "小美", role: .supervisor).code
        let key = Base64URL.encode(server.random.bytes(32))
        try await serving(server) { send, base in
            let enrolled = try await send(
                request("\(base)/v1/enroll", EnrollRequest(code: code, key: key).encoded(), encoding: nil))
            #expect(enrolled.status == 200)
            let replica = TestReplica(server: server, enrolled: try EnrollResponse(decoding: enrolled.body), key: key)
            let operations = Operations { $0.makeCustomer(replica.newID(), name: "张三") }
            let answer = try await send(
                request("\(base)/v1/sync", try replica.request(operations).encoded(), key: key))
            #expect(answer.status == 200)
            let response = try SyncResponse(decoding: answer.body)
            #expect(response.push.upTo == 1 && response.isFill && !response.more)
            #expect(response.page.heads.count == 2)
        }
        #expect(try server.dump().contains("张三"))
    }

    @Test func digestsAndRelaysOverHTTP() async throws {
        let server = try TestServer()
        let replica = try server.replica("小美")
        let id = replica.newID()
        try replica.sync(Operations { $0.makeCustomer(id, name: "张三") })
        try replica.pullAll()
        let ask = DigestRequest(
            epoch: server.store.epoch, cursor: replica.cursor, ranges: [DigestRange(.all, .list([]))])
        let relay = RelayRequest(epoch: server.store.epoch, vector: VersionVector(), page: RecordPage())
        try await serving(server) { send, base in
            func post(_ path: String, _ body: [UInt8], key: String? = nil) async throws -> Reply {
                try await send(request("\(base)/v1/\(path)", body, key: key ?? replica.key))
            }
            let reply = try await post("digest", try ask.encoded())
            #expect(reply.status == 200)
            let answer = try DigestResponse(decoding: reply.body)
            // The replica says that it has nothing: it gets what it lacks.
            #expect(!answer.isBehind && answer.page.heads.map(\.id).contains(id))
            var elsewhere = ask
            elsewhere.epoch ^= 1
            #expect(try await post("digest", try elsewhere.encoded()).status == 409)
            #expect(try await post("digest", Array("not zlib".utf8)).problem == "urn:shoal:problem:malformed")
            #expect(try await post("digest", try ask.encoded(), key: "wrong").status == 401)
            // Nobody asked for relays.
            #expect(try await post("relay", try relay.encoded()).status == 409)
            _ = try server.store.beginRecovery()
            let taken = try await post("relay", try relay.encoded())
            #expect(taken.status == 200)
            #expect(try RelayResponse(decoding: taken.body) == RelayResponse(taken: 0, more: true))
            #expect(try await post("relay", try relay.encoded(), key: "wrong").status == 401)
        }
    }

    @Test func badInputGetsAProblemDocumentAndChangesNothing() async throws {
        let server = try TestServer()
        let replica = try server.replica("小美")
        let dump = try server.dump()
        let good = try replica.request(Operations()).encoded()
        var other = replica.request(Operations())
        other.epoch ^= 1
        let otherEpoch = try other.encoded()
        let later = replica.request(Operations()).json()
        let needs = try Deflate.compress(Array(#"{"protocol":1000,"needs":1000,"#.utf8) + later.dropFirst())
        let bomb = try Deflate.compress([UInt8](repeating: 0x20, count: 20 << 20))
        try await serving(server) { send, base in
            let sync = "\(base)/v1/sync"
            let key = replica.key
            let cases: [(HTTPClientRequest, Int, String)] = [
                (request("\(base)/nothing"), 404, "not-found"),
                (request(sync), 405, "method-not-allowed"),
                (request(sync, good), 401, "unauthorized"),
                (request(sync, good, key: "wrong"), 401, "unauthorized"),
                (request(sync, good, key: Base64URL.encode(server.random.bytes(32))), 401, "unauthorized"),
                (request(sync, good, key: key, type: "text/plain"), 415, "media-type"),
                (request(sync, good, key: key, type: "application/vnd.shoal.v2+json"), 415, "media-type"),
                (request(sync, good, key: key, encoding: nil), 415, "media-type"),
                (request(sync, Array("not zlib".utf8), key: key), 400, "malformed"),
                (request(sync, try Deflate.compress(Array("not JSON".utf8)), key: key), 400, "malformed"),
                (request(sync, Array(good.dropLast()), key: key), 400, "malformed"),
                (request(sync, good + [0], key: key), 400, "malformed"),
                (request(sync, needs, key: key), 400, "protocol-version"),
                (request(sync, bomb, key: key), 413, "too-large"),
                (request(sync, [UInt8](repeating: 0, count: Limits.body + 1), key: key), 413, "too-large"),
                (request(sync, otherEpoch, key: key), 409, "other-epoch"),
                (request("\(base)/v1/enroll", Array("{}".utf8), encoding: nil), 400, "malformed"),
                (
                    request(
                        "\(base)/v1/enroll", EnrollRequest(code: "0000-0000-0000", key: key).encoded(), encoding: nil),
                    403, "wrong-code"
                ),
                (request("\(base)/v1/accounts"), 404, "not-found"),
            ]
            for (index, (request, status, problem)) in cases.enumerated() {
                let reply = try await send(request)
                #expect(reply.status == status, "case \(index)")
                #expect(reply.problem == "urn:shoal:problem:\(problem)", "case \(index)")
            }
            var long = HTTPClientRequest(url: "\(base)/healthz")
            long.headers.add(name: "X-Long", value: String(repeating: "a", count: Limits.header))
            #expect(try await send(long).status == 431)
        }
        #expect(try server.dump() == dump)
    }

    @Test func healthReadinessMetricsAndDescription() async throws {
        let server = try TestServer()
        try await serving(server) { send, base in
            #expect(try await send(request("\(base)/healthz")).status == 200)
            #expect(try await send(request("\(base)/readyz")).status == 200)
            let metrics = try await send(request("\(base)/metrics"))
            #expect(
                String(decoding: metrics.body, as: UTF8.self).contains(
                    "shoal_requests_total{route=\"/healthz\",status=\"200\"} 1"))
            let description = try await send(request("\(base)/v1/openapi.json"))
            #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(description.body)) }
        }
    }

    @Test func anAccountHasABoundedNumberOfRequestsUnderWay() throws {
        let gate = RequestGate(limit: 2)
        let account = RecordID(rawValue: 1)
        let first = try gate.enter(account)
        var second: RequestGate.Place? = try gate.enter(account)
        #expect(throws: Problem.busy) { try gate.enter(account) }
        let other = try gate.enter(RecordID(rawValue: 2))
        #expect(second != nil)
        second = nil
        second = try gate.enter(account)
        #expect(throws: Problem.busy) { try gate.enter(account) }
        withExtendedLifetime((first, second, other)) {}
    }

    @Test func theHandlerNeedsNoHTTPAndNoConcurrency() throws {
        let server = try TestServer()
        let replica = try server.replica("小美")
        let committer = Committer(store: server.store, metrics: Metrics()) { _ in }
        let handler = SyncHandler(
            store: server.store, committer: committer, metrics: Metrics(), environment: server.environment,
            logger: Logger(label: "test"))
        let operations = Operations { $0.makeCustomer(replica.newID(), name: "张三") }
        let body = try replica.request(operations).encoded()
        let response = try SyncResponse(decoding: try handler.handleAlone(body, account: replica.account))
        #expect(response.push.upTo == 1)
        #expect(response.from.isEmpty && !response.cursor.isEmpty)
    }
}
