import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1
import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// Everything that answering a request needs.
struct Services: Sendable {
    var store: ServerStore
    var accounts: Accounts
    var handler: SyncHandler
    var committer: Committer
    var metrics: Metrics
    var environment: ServerEnvironment
    var logger: Logger
    var gate: RequestGate
    /// Of all accounts together.
    var digestGate: RequestGate
    var connections: Connections
    var limits: RequestLimits
}

/// The routes, one table for the network and one for administration on the local socket.
///
/// A responder of our own rather than a router, so that every refusal, a wrong address or method included, is a problem
/// document.
struct Routes: HTTPResponder {
    struct Context: InitializableFromSource {
        let channel: any Channel
        init(source: ApplicationRequestContextSource) { channel = source.channel }
    }
    /// A route's answer and what is logged of it; ids only.
    struct Answer {
        var response: Response
        var bytesIn = 0
        var bytesOut = 0
        var metadata: Logger.Metadata = [:]
        /// Whether the request showed that it is a replica's.
        var isKnown = false
    }
    struct Route: Sendable {
        var method: HTTPRequest.Method
        var path: String
        /// Whether it is logged at debug level only.
        var isQuiet = false
        /// Whether it tells a right secret from a wrong one, so that its refusals count as guesses.
        var isGuessable = false
        var answer: @Sendable (Request) async throws -> Answer
    }

    private let routes: [String: [Route]]
    private let services: Services

    init(_ services: Services, _ routes: [Route]) {
        self.services = services
        self.routes = Dictionary(grouping: routes, by: \.path)
    }

    func respond(to request: Request, context: Context) async throws -> Response {
        let start = services.environment.now()
        let known = routes[request.uri.path] ?? []
        let route = known.first { $0.method == request.method }
        var answer: Answer
        do {
            try checkHeader(request)
            guard let route else {
                if known.isEmpty { throw Problem.notFound }
                var problem = Problem.method(known.map(\.method.rawValue).joined(separator: ", ")).response
                problem.headers[.allow] = known.map(\.method.rawValue).joined(separator: ", ")
                return finish(Answer(response: problem), nil, start)
            }
            answer = try await guarded(route, context.channel) { try await route.answer(request) }
            if answer.isKnown { services.connections.know(context.channel) }
        } catch let error as HTTPParserError {
            throw error
        } catch {
            let problem = Problem(error)
            answer = Answer(response: problem.response, metadata: ["problem": "\(problem.type)"])
            if problem.status.code >= 500 { answer.metadata["error"] = "\(error)" }
        }
        return finish(answer, route, start)
    }

    /// Bounds how often a route that can be guessed at is asked in vain.
    private func guarded(
        _ route: Route, _ channel: any Channel, _ answer: () async throws -> Answer
    ) async throws -> Answer {
        guard route.isGuessable else { return try await answer() }
        let guess = try services.limits.guess(PeerAddress(channel.remoteAddress), now: .now())
        do {
            let result = try await answer()
            services.limits.wasRight(guess)
            return result
        } catch let error as AccountProblem {
            throw error
        } catch {
            // What is not in form says nothing about any secret.
            services.limits.wasRight(guess)
            throw error
        }
    }

    private func finish(_ answer: Answer, _ route: Route?, _ start: Int64) -> Response {
        let status = answer.response.status.code
        services.metrics.countRequest(
            route?.path ?? "other", status: status, bytesIn: answer.bytesIn, bytesOut: answer.bytesOut)
        var metadata = answer.metadata
        metadata["route"] = "\(route?.path ?? "other")"
        metadata["status"] = "\(status)"
        metadata["ms"] = "\(services.environment.now() - start)"
        let level: Logger.Level = status >= 500 ? .error : route?.isQuiet == true ? .debug : .info
        services.logger.log(level: level, "request", metadata: metadata)
        return answer.response
    }

    private func checkHeader(_ request: Request) throws {
        var size = request.head.path?.utf8.count ?? 0
        for field in request.headers { size += field.name.rawName.utf8.count + field.value.utf8.count + 4 }
        if size > Limits.header || request.headers.count > Limits.headerFields { throw Problem.headerTooLarge }
    }
}

// MARK: - Bodies

extension Services {
    /// How long a body may take to arrive, in milliseconds.
    private static let bodyTime: Int64 = 30_000

    /// The whole body, bounded in bytes and in time.
    func body(_ request: Request, limit: Int = Limits.body) async throws -> [UInt8] {
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit {
            throw Problem.tooLarge(limit)
        }
        let body = request.body
        return try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
            group.addTask {
                do {
                    return Array(try await body.collect(upTo: limit).readableBytesView)
                } catch is NIOTooManyBytesError { throw Problem.tooLarge(limit) }
            }
            group.addTask {
                try await environment.sleep(Self.bodyTime)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let bytes = first else { throw Problem.timeout }
            return bytes
        }
    }

    static let mediaType = ProtocolVersion.mediaType

    /// Refuses bodies of another media type, with a sentence of its own for other versions of the protocol.
    func checkMediaType(_ request: Request, orJSON: Bool = false) throws {
        let given = request.headers[.contentType] ?? ""
        let type = given.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
        if type == Self.mediaType || (orJSON && type == "application/json") { return }
        if type.hasPrefix("application/vnd.shoal.v"), type.hasSuffix("+json") {
            throw Problem.mediaType(
                "this server speaks \(Self.mediaType), not \(type); update the older side"
            )
        }
        throw Problem.mediaType("the body must be \(Self.mediaType)")
    }
}
