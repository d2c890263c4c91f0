import AsyncHTTPClient
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// The transport over AsyncHTTPClient, HTTP/1.1 or 2.
public final class HTTPTransport: Transport {
    private let client: HTTPClient
    private let timeout: TimeAmount
    private let trust: ServerTrust
    private static let answerLimit = 32 << 20

    /// - Parameters:
    ///   - trust: what servers are trusted by, beyond what the system does.
    ///   - timeout: for a whole request.
    /// - Throws: `TransportError.badAuthority`.
    public init(trust: ServerTrust = ServerTrust(), timeout: Duration = .seconds(60)) throws {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(10)
        configuration.redirectConfiguration = .disallow
        // Bodies are compressed by the protocol itself.
        configuration.decompression = .disabled
        // Whether to try again is the driver's to say: it waits between attempts and names what went wrong.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.tlsConfiguration = .makeClientConfiguration()
        configuration.tlsConfiguration?.minimumTLSVersion = .tlsv12
        if !trust.authorities.isEmpty {
            let certificates = trust.certificates
            do {
                configuration.tlsConfiguration?.additionalTrustRoots = [
                    .certificates(try certificates.map { try .init(bytes: $0, format: .pem) })
                ]
            } catch { throw TransportError.badAuthority }
            if certificates.isEmpty { throw TransportError.badAuthority }
        }
        self.trust = trust
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        self.timeout = .milliseconds(Int64(timeout / .milliseconds(1)))
    }

    public func send(_ request: TransportRequest) async throws -> TransportResponse {
        try trust.check(request.url)
        var outgoing = HTTPClientRequest(url: request.url)
        outgoing.method = request.method == .get ? .GET : .POST
        for header in request.headers { outgoing.headers.add(name: header.name, value: header.value) }
        if request.method == .post { outgoing.body = .bytes(ByteBuffer(bytes: request.body)) }
        do {
            let answer = try await client.execute(outgoing, timeout: timeout)
            let body = try await answer.body.collect(upTo: Self.answerLimit)
            return TransportResponse(
                status: Int(answer.status.code), contentType: answer.headers.first(name: "Content-Type") ?? "",
                retryAfter: answer.headers.first(name: "Retry-After").flatMap { Int($0) },
                body: Array(body.readableBytesView))
        } catch let error as CancellationError {
            throw error
        } catch let error as HTTPClientError {
            throw Self.sorted(error, request.url)
        } catch is NIOTooManyBytesError {
            throw TransportError.answerTooLarge(limit: Self.answerLimit)
        } catch let error as IOError {
            throw TransportError.unreachable(String(cString: strerror(error.errnoCode)).lowercased())
        } catch let error as NIOConnectionError {
            throw TransportError.unreachable(Self.reason(error))
        } catch is HTTPParserError {
            throw TransportError.unreachable("what answers there does not speak HTTP")
        } catch {
            throw Self.sorted(error)
        }
    }

    /// Why no address of a host took the connection, in the system's words.
    private static func reason(_ error: NIOConnectionError) -> String {
        if let refused = error.connectionErrors.lazy.compactMap({ $0.error as? IOError }).first {
            return "\(error.host):\(error.port): \(String(cString: strerror(refused.errnoCode)).lowercased())"
        }
        if error.dnsAError != nil || error.dnsAAAAError != nil { return "the name \(error.host) is not known" }
        return "\(error.host):\(error.port)"
    }

    /// Why a connection failed, for errors whose own words are made for programmers. Those of TLS are known by their
    /// module, of which this library imports nothing else.
    private static func sorted(_ error: any Error) -> TransportError {
        let text = "\(error)"
        guard String(reflecting: type(of: error)).hasPrefix("NIOSSL.") else { return .unreachable(text) }
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return .untrusted(
                "its certificate is of an authority that this machine does not know (--ca FILE with shoal enroll names one), "
                    + "or it is not valid today")
        }
        if text.contains("failedToValidateHostname") { return .untrusted("its certificate is for another host") }
        if text.contains("WRONG_VERSION_NUMBER") {
            return .unreachable("it does not speak HTTPS; its URL may begin with http://")
        }
        return .unreachable("no secure connection (TLS) could be made")
    }

    private static func sorted(_ error: HTTPClientError, _ url: String) -> TransportError {
        switch error {
        case .invalidURL, .emptyHost, .emptyScheme: .invalidURL(url)
        case .connectTimeout, .readTimeout, .writeTimeout, .deadlineExceeded, .tlsHandshakeTimeout: .timeout
        case .remoteConnectionClosed: .unreachable("it closed the connection without an answer")
        default: .unreachable(error.shortDescription.lowercased())
        }
    }

    /// Closes the connections; call it once, at the end.
    public func close() async throws { try await client.shutdown() }
}
