import HTTPTypes
import HummingbirdCore
import NIOCore
import NIOHTTP1

/// Stands between the decoder of a connection (or of a stream of HTTP/2) and what answers its requests.
///
/// - It tells `Connections` what is under way.
/// - It ends a connection whose peer does not take its answer, and, some seconds after the answer, one whose peer goes on
///   sending a body that nobody reads.
/// - It puts on every answer the fields that keep browsers and caches from doing anything with it.
/// - It answers what is not HTTP with a problem document like every other.
final class RequestGuard: ChannelDuplexHandler, RemovableChannelHandler {
    // The parts of HTTP under the names that this library has for them.
    typealias InboundIn = HTTPConnectionStateHandler.InboundIn
    typealias InboundOut = HTTPConnectionStateHandler.InboundIn
    typealias OutboundIn = HTTPConnectionStateHandler.OutboundIn
    typealias OutboundOut = HTTPConnectionStateHandler.OutboundIn

    struct Times: Sendable {
        /// For the peer to take an answer.
        var answer = TimeAmount.seconds(120)
        /// For the rest of a body after the answer.
        var rest = TimeAmount.seconds(5)
    }

    /// How much of a body is read and dropped after the answer.
    private static let mostRest = 2 << 20

    private let connections: Connections
    private let times: Times
    private let isSecure: Bool

    private var isReceiving = false
    /// For each request without the end of its answer, oldest first, whether it has come whole.
    private var underWay: [Bool] = []
    /// Whether the connection ends with what is left of the request.
    private var isEnding = false
    private var dropped = 0
    private var failure: HTTPParserError?
    private var timer: Scheduled<Void>?

    init(_ connections: Connections, times: Times, isSecure: Bool) {
        self.connections = connections
        self.times = times
        self.isSecure = isSecure
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        for wasReceived in underWay { connections.ended(context.channel, wasReceived: wasReceived) }
        underWay = []
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            isReceiving = true
            underWay.append(false)
            connections.began(context.channel)
        case .body(let bytes):
            if isEnding {
                dropped += bytes.readableBytes
                return dropped > Self.mostRest ? context.close(promise: nil) : ()
            }
        case .end:
            isReceiving = false
            if let last = underWay.indices.last {
                underWay[last] = true
                connections.received(context.channel)
            }
            if isEnding { context.close(promise: nil) }
        }
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Others may follow, which say less.
        failure = failure ?? error as? HTTPParserError
        context.fireErrorCaught(error)
    }

    // MARK: Answers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head):
            begin(context, times.answer)
            let problem = failure.flatMap { head.headerFields[.contentLength] == "0" ? Problem(parser: $0) : nil }
            if let problem {
                head.status = problem.status
                head.headerFields = problem.response.headers
                head.headerFields[.contentLength] = "\(problem.bytes.count)"
            }
            if isReceiving || failure != nil, connections.holds(context.channel) {
                head.headerFields[.connection] = "close"
            }
            protect(&head.headerFields)
            context.write(wrapOutboundOut(.head(head)), promise: promise)
            if let problem { context.write(wrapOutboundOut(.body(ByteBuffer(bytes: problem.bytes))), promise: nil) }
        case .body:
            context.write(data, promise: promise)
        case .end:
            let written = promise ?? context.eventLoop.makePromise()
            written.futureResult.assumeIsolated().whenComplete { _ in self.ended(context) }
            context.write(data, promise: written)
        }
    }

    private func protect(_ fields: inout HTTPFields) {
        fields[.xContentTypeOptions] = "nosniff"
        fields[.cacheControl] = "no-store"
        fields[.contentSecurityPolicy] = "default-src 'none'; frame-ancestors 'none'"
        if isSecure { fields[.strictTransportSecurity] = "max-age=31536000" }
    }

    /// The peer, or at least its system, has the answer.
    private func ended(_ context: ChannelHandlerContext) {
        timer?.cancel()
        if !underWay.isEmpty {
            connections.ended(context.channel, wasReceived: underWay.removeFirst())
        }
        guard isReceiving || failure != nil else { return }
        isEnding = true
        begin(context, times.rest)
    }

    private func begin(_ context: ChannelHandlerContext, _ limit: TimeAmount) {
        timer?.cancel()
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
    }
}
