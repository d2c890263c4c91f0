import AsyncHTTPClient
import NIOCore
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// Connections are bounded, and what keeps one waiting is ended.
@Suite(.timeLimit(.minutes(2)))
struct ConnectionTests {
    private func eventually(_ holds: () throws -> Bool) async throws -> Bool {
        for _ in 0..<400 {
            if try holds() { return true }
            try await Task.sleep(for: .milliseconds(25))
        }
        return try holds()
    }

    private func options(_ change: (inout Server.Options) -> Void) -> Server.Options {
        var options = Server.Options(host: "127.0.0.1", port: 0)
        change(&options)
        return options
    }

    @Test func thereAreOnlySoManyConnectionsAndTheOldestSilentOnesGo() async throws {
        for bounds in [(total: 100, perAddress: 8), (total: 8, perAddress: 100)] {
            let options = options {
                $0.connections = bounds.total
                $0.connectionsPerAddress = bounds.perAddress
            }
            try await ServedStore.run(try TestServer(), options: options) { served in
                var silent: [RawConnection] = []
                for count in 1...20 {
                    silent.append(try RawConnection(port: served.port))
                    // The next one comes when this one is counted.
                    if count <= 8 { try await Task.sleep(for: .milliseconds(50)) }
                    try #require(try await eventually { silent.filter { !$0.isClosed }.count == min(count, 8) })
                }
                // Those that came last.
                #expect(silent.suffix(8).allSatisfy { !$0.isClosed })
                #expect(try await served.isServing())
            }
        }
    }

    @Test func aReplicasConnectionOutlivesThoseOfStrangers() async throws {
        let server = try TestServer()
        let replica = try server.replica("小美")
        let options = options { $0.connectionsPerAddress = 8 }
        try await ServedStore.run(server, options: options) { served in
            let known = try RawConnection(port: served.port)
            let body = try replica.request(Operations()).encoded()
            let fields = [
                "POST /v1/sync HTTP/1.1", "Host: x", "Authorization: Bearer \(replica.key)",
                "Content-Length: \(body.count)",
                "Content-Type: application/vnd.shoal.v1+json", "Content-Encoding: deflate",
            ]
            let head = fields.map { $0 + "\r\n" }.joined() + "\r\n"
            try known.send(Array(head.utf8) + body)
            let answer = try await waiting { known.rest(milliseconds: 12_000) }
            #expect(String(decoding: answer.bytes.prefix(12), as: UTF8.self) == "HTTP/1.1 200" && !answer.isClosed)
            let strangers = try (0..<30).map { _ in try RawConnection(port: served.port) }
            #expect(try await eventually { strangers.filter { !$0.isClosed }.count == 7 })
            #expect(!known.isClosed)
        }
    }

    /// A body may take long. Who sends it is asked again when it is there.
    @Test(arguments: ["/v1/sync", "/v1/digest", "/v1/relay", "/v1/handover"])
    func whoIsDisabledWhileTheirBodyArrivesIsRefused(_ path: String) async throws {
        let server = try TestServer()
        let replica = try server.replica("a")
        try await ServedStore.run(server, options: options { _ in }) { served in
            let body = try replica.request(Operations { $0.makeCustomer(replica.newID(), name: "late") }).encoded()
            let fields = [
                "POST \(path) HTTP/1.1", "Host: x", "Authorization: Bearer \(replica.key)",
                "Content-Length: \(body.count)", "Content-Type: application/vnd.shoal.v1+json",
                "Content-Encoding: deflate", "Connection: close",
            ]
            let slow = try RawConnection(port: served.port)
            let head = fields.map { $0 + "\r\n" }.joined() + "\r\n"
            try slow.send(Array(head.utf8))
            try slow.send(body.prefix(10))
            try await Task.sleep(for: .milliseconds(300))
            try server.store.disable("a", time: server.clock.now)
            if path == "/v1/handover" {
                try server.accounts.revoke(device: replica.enrolled.replica.text, discards: true)
            }
            try slow.send(body.dropFirst(10))
            let answer = try await waiting { slow.rest(milliseconds: 5_000) }
            let text = String(decoding: answer.bytes, as: UTF8.self)
            #expect(text.hasPrefix(path == "/v1/handover" ? "HTTP/1.1 4" : "HTTP/1.1 403"), "\(text)")
            #expect(try !server.dump().contains("late"))
        }
    }

    @Test func aConnectionThatSaysNothingIsClosed() async throws {
        let options = options { $0.headerSeconds = 1 }
        try await ServedStore.run(try TestServer(), options: options) { served in
            let silent = try RawConnection(port: served.port)
            #expect(try await eventually { silent.isClosed })
        }
    }

    @Test func aBodyThatGoesOnAfterTheAnswerIsCut() async throws {
        let options = options { $0.times.rest = .seconds(1) }
        try await ServedStore.run(try TestServer(), options: options) { served in
            let head = "POST /v1/sync HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
            // One that drips and one that pours.
            let dripping = try RawConnection(port: served.port)
            try dripping.send(head.utf8)
            let pouring = try RawConnection(port: served.port)
            try pouring.send(head.utf8)
            let chunk = Array("10000\r\n".utf8) + [UInt8](repeating: 0x61, count: 1 << 16) + Array("\r\n".utf8)
            let poured = try await waiting { try (0..<1_000).prefix { _ in try pouring.send(chunk) }.count }
            // 64 MiB are not taken.
            #expect(poured < 1_000)
            let answer = try await waiting { dripping.rest(milliseconds: 30_000) }
            let text = String(decoding: answer.bytes, as: UTF8.self)
            #expect(text.hasPrefix("HTTP/1.1 401") && text.lowercased().contains("connection: close"))
            #expect(answer.isClosed)
        }
    }

    @Test func whoDoesNotTakeTheAnswersIsCut() async throws {
        let options = options { $0.times.answer = .seconds(1) }
        try await ServedStore.run(try TestServer(), options: options) { served in
            let greedy = try RawConnection(port: served.port)
            let requests = Array(
                String(repeating: "GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", count: 1_000).utf8)
            // The server stops reading when it cannot write, so that this ends when it closes.
            let rounds = try await waiting { try (0..<200).prefix { _ in try greedy.send(requests) }.count }
            #expect(rounds < 200)
            #expect(try await served.isServing())
        }
    }

    @Test func manyReplicasAtOnceAreAllServed() async throws {
        let server = try TestServer()
        let replicas = try (0..<43).map { try server.replica("account \($0)") }
        try await ServedStore.run(server) { served in
            let bodies = try replicas.map { (key: $0.key, body: try $0.request(Operations()).encoded()) }
            try await withThrowingTaskGroup(of: Int.self) { group in
                for (key, body) in bodies {
                    group.addTask {
                        let client = HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup)
                        var request = HTTPClientRequest(url: "http://127.0.0.1:\(served.port)/v1/sync")
                        request.method = .POST
                        request.headers.add(name: "Authorization", value: "Bearer \(key)")
                        request.headers.add(name: "Content-Type", value: "application/vnd.shoal.v1+json")
                        request.headers.add(name: "Content-Encoding", value: "deflate")
                        request.body = .bytes(ByteBuffer(bytes: body))
                        var answered = 0
                        for _ in 0..<20 {
                            let status = try? await client.execute(request, timeout: .seconds(60)).status
                            if status == .ok { answered += 1 }
                        }
                        try await client.shutdown()
                        return answered
                    }
                }
                for try await answered in group { #expect(answered == 20) }
            }
        }
    }

    @Test func anAddressIsOneInHoweverManyWritings() throws {
        let addresses = try [
            "127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1",
        ]
        .map { PeerAddress(try .init(ipAddress: $0, port: 1)) }
        #expect(addresses[0] == addresses[1] && addresses[3] == addresses[4])
        #expect(Set(addresses).count == 4)
    }
}
