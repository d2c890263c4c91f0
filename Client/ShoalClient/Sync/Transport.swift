/// The way to the server: one request, one answer. The library has one over AsyncHTTPClient; tests have their own.
public protocol Transport: Sendable {
    /// - Throws: `TransportError`.
    func send(_ request: TransportRequest) async throws -> TransportResponse
}

public struct TransportRequest: Sendable {
    public enum Method: String, Sendable { case get = "GET", post = "POST" }

    public var method: Method
    /// The whole URL.
    public var url: String
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]
    public init(
        method: Method = .post, url: String, headers: [(name: String, value: String)], body: [UInt8] = []
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }
}

public struct TransportResponse: Sendable {
    public var status: Int
    public var contentType: String
    /// The `Retry-After` header, in seconds.
    public var retryAfter: Int?
    public var body: [UInt8]
    public init(status: Int, contentType: String = "", retryAfter: Int? = nil, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.retryAfter = retryAfter
        self.body = body
    }
}

/// Why no answer came.
public enum TransportError: Error, Equatable, Sendable, CustomStringConvertible {
    case invalidURL(String)
    /// No connection, or it broke.
    case unreachable(String)
    case timeout
    case answerTooLarge(limit: Int)
    /// The server could not show that it is the one meant.
    case untrusted(String)
    /// Everything would travel readable to this host.
    case plaintext(String)
    /// A certificate of an authority cannot be read.
    case badAuthority

    public var helpsToRetry: Bool {
        switch self {
        case .unreachable, .timeout: true
        case .invalidURL, .answerTooLarge, .untrusted, .plaintext, .badAuthority: false
        }
    }

    public var description: String {
        switch self {
        case .invalidURL(let url): "\"\(url)\" is not the URL of a server: write it as https://HOST or http://HOST:PORT"
        case .unreachable(let reason): "the server cannot be reached: \(reason)"
        case .timeout: "the server did not answer in time"
        case .untrusted(let reason): "the server is not trusted: \(reason)"
        case .plaintext(let host):
            "over http:// everything would travel readable to \(host): use https://, or --plaintext with shoal enroll if the "
                + "way there is protected by other means"
        case .badAuthority: "the authority's certificate cannot be read: it must be in PEM"
        case .answerTooLarge(let limit): "the server's answer is longer than \(limit) bytes"
        }
    }
}
