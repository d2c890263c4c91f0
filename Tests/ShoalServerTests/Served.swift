import AsyncHTTPClient
import Foundation
import Logging
import NIOCore
import Testing

@testable import ShoalServer

/// A served store on loopback and on the socket of its administration, and a client of both.
struct Served {
    struct Reply {
        var status: Int
        var body: [UInt8]
        /// The last part of a problem's type; nil for anything else.
        var problem: String? {
            struct Document: Decodable { var type: String }
            let document = try? JSONDecoder().decode(Document.self, from: Data(body))
            return document?.type.split(separator: ":").last.map(String.init)
        }
    }

    /// Where a request goes.
    enum Door: String, CaseIterable { case network, administration }

    let http: Server
    private let client: HTTPClient
    private let port: Int
    private let socket: String

    static func run(_ server: TestServer, _ body: (Served) async throws -> Void) async throws {
        let socket = server.directory + "/s"
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let options = Server.Options(host: "127.0.0.1", port: 0, administrationSocket: socket)
        let http = Server(
            store: server.store, options: options, environment: server.environment, logger: logger
        ) { _ in }
        let ports = AsyncStream<Int>.makeStream()
        let running = Task { try await http.run(signals: false) { ports.continuation.yield($0) } }
        var iterator = ports.stream.makeAsyncIterator()
        let port = try #require(await iterator.next())
        let client = HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup)
        let outcome: Result<Void, any Error>
        do {
            try await body(Served(http: http, client: client, port: port, socket: socket))
            outcome = .success(())
        } catch { outcome = .failure(error) }
        try await client.shutdown()
        running.cancel()
        _ = try? await running.value
        try outcome.get()
    }

    func send(
        _ method: String, _ path: String, _ body: [UInt8] = [], key: String? = nil, door: Door = .network,
        type: String = "application/vnd.shoal.v1+json", isCompressed: Bool = true
    ) async throws -> Reply {
        let socket = socket.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? socket
        let base = door == .network ? "http://127.0.0.1:\(port)" : "http+unix://\(socket)"
        var request = HTTPClientRequest(url: base + path)
        request.method = .RAW(value: method)
        if let key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        if method == "POST" {
            request.headers.add(name: "Content-Type", value: type)
            if isCompressed { request.headers.add(name: "Content-Encoding", value: "deflate") }
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        let response = try await client.execute(request, timeout: .seconds(20))
        let bytes = try await response.body.collect(upTo: 64 << 20)
        return Reply(status: Int(response.status.code), body: Array(bytes.readableBytesView))
    }
}
