import AsyncHTTPClient
import Foundation
import NIOCore
import Testing

@testable import ShoalServer

/// TLS, and HTTP/2 over it.
@Suite(.timeLimit(.minutes(2)))
struct SecureConnectionTests {
    private static let certificates =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Certificates").path() + "/"

    private var options: Server.Options {
        var options = Server.Options(host: "127.0.0.1", port: 0)
        options.tls = (Self.certificates + "here.pem", Self.certificates + "here.key")
        return options
    }

    private func configuration(_ version: HTTPClient.Configuration.HTTPVersion) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration()
        configuration.tlsConfiguration = .makeClientConfiguration()
        configuration.tlsConfiguration?.additionalTrustRoots = [.file(Self.certificates + "authority.pem")]
        configuration.httpVersion = version
        configuration.connectionPool.retryConnectionEstablishment = false
        return configuration
    }

    @Test func bothVersionsOfHTTPAreSpoken() async throws {
        try await ServedStore.run(try TestServer(), options: options) { served in
            for (version, major) in [(HTTPClient.Configuration.HTTPVersion.automatic, 2), (.http1Only, 1)] {
                let client = HTTPClient(configuration: configuration(version))
                do {
                    let request = HTTPClientRequest(url: "https://localhost:\(served.port)/v1/openapi.json")
                    let answer = try await client.execute(request, timeout: .seconds(10))
                    #expect(answer.status == .ok && answer.version.major == major)
                    #expect(answer.headers.first(name: "Strict-Transport-Security") == "max-age=31536000")
                    #expect(answer.headers.first(name: "X-Content-Type-Options") == "nosniff")
                    #expect(answer.headers.first(name: "Connection") == nil)
                    #expect(try await answer.body.collect(upTo: 1 << 20).readableBytes > 1_000)
                } catch { Issue.record(error) }
                try await client.shutdown()
            }
        }
    }

    @Test func anOlderTLSIsRefused() async throws {
        try await ServedStore.run(try TestServer(), options: options) { served in
            var old = configuration(.http1Only)
            old.tlsConfiguration?.minimumTLSVersion = .tlsv1
            old.tlsConfiguration?.maximumTLSVersion = .tlsv11
            let client = HTTPClient(configuration: old)
            await #expect(throws: (any Error).self) {
                try await client.execute(
                    HTTPClientRequest(url: "https://localhost:\(served.port)/healthz"), timeout: .seconds(5))
            }
            try await client.shutdown()
        }
    }

    @Test func aHandshakeThatNeverEndsIsCut() async throws {
        var options = options
        options.headerSeconds = 1
        try await ServedStore.run(try TestServer(), options: options) { served in
            let silent = try RawConnection(port: served.port)
            // The beginning of a record of the handshake.
            try silent.send([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
            let end = try await waiting { silent.rest(milliseconds: 20_000) }
            #expect(end.isClosed)
        }
    }
}
