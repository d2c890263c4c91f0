import Hummingbird
import HummingbirdCore
import HummingbirdHTTP2
import HummingbirdTLS
import Logging
import NIOCore
import ServiceLifecycle
import ShoalProtocol
import ShoalStore

/// The server: the routes on the network, and administration on a socket in its data directory.
public struct Server: Sendable {
    public struct Options: Sendable {
        public var host: String
        /// 0 takes a free one.
        public var port: Int
        /// Where administrative commands reach this server; nil for nowhere.
        public var administrationSocket: String?
        /// Files in PEM: the certificate with its chain, and its key.
        public var tls: (certificate: String, key: String)?
        /// How many pushes are committed together at most.
        public var groupLimit = 8
        /// How many requests of one account may be under way.
        public var requestsPerAccount = 8
        /// How many digests, which read everything, may be under way.
        public var digests = 2
        /// Seconds for the header of a request, from the connection or the answer before it. More than the minute for
        /// which clients keep connections, so that none is closed under a request.
        public var headerSeconds: Int64 = 75
        /// How many connections there may be, of all and of one address. The process needs a descriptor for each.
        public var connections = 2_048
        public var connectionsPerAddress = 256
        /// How often an account may send requests, and how often codes may be guessed.
        var rates = RequestLimits.Rates()
        /// How long peers may take over answers and superfluous bodies.
        var times = RequestGuard.Times()

        public init(host: String, port: Int, administrationSocket: String? = nil) {
            self.host = host
            self.port = port
            self.administrationSocket = administrationSocket
        }
    }

    let services: Services
    private let options: Options
    private let collector: Collector

    /// - Parameter onFailure: called once when the disk has failed; the process must end without trying again.
    public init(
        store: ServerStore, options: Options, environment: ServerEnvironment, logger: Logger,
        onFailure: @escaping @Sendable (StoreError) -> Void
    ) {
        let metrics = Metrics()
        let committer = Committer(
            store: store, limit: options.groupLimit, metrics: metrics,
            onDamage: { error in
                logger.critical(
                    "the database is damaged; nothing more is written, run shoald check",
                    metadata: ["error": "\(error)"])
            },
            onFailure: { error in
                logger.critical("the disk failed; stopping", metadata: ["error": "\(error)"])
                onFailure(error)
            })
        store.quarantine.observe { id, reason in
            metrics.countQuarantined()
            logger.critical(
                "a record is damaged and was set aside, run shoald check",
                metadata: ["record": "\(id)", "reason": "\(reason)"])
        }
        self.options = options
        collector = Collector(
            store: store, committer: committer, metrics: metrics, environment: environment, logger: logger)
        services = Services(
            store: store, accounts: Accounts(store: store, environment: environment),
            handler: SyncHandler(
                store: store, committer: committer, metrics: metrics, environment: environment, logger: logger,
                lease: store.leaseDays),
            committer: committer, metrics: metrics, environment: environment, logger: logger,
            gate: RequestGate(limit: options.requestsPerAccount), digestGate: RequestGate(limit: options.digests),
            connections: Connections(
                .init(total: options.connections, perAddress: options.connectionsPerAddress)),
            limits: RequestLimits(options.rates))
    }

    /// Serves until it is told to stop (SIGTERM, SIGINT, or the task's graceful shutdown), then finishes what is under
    /// way.
    ///
    /// - Parameters:
    ///   - signals: whether the signals of the process are listened to.
    ///   - onListening: called with the port once requests are accepted.
    /// - Throws: when an address cannot be taken or a certificate cannot be read.
    public func run(signals: Bool = true, onListening: @escaping @Sendable (Int) -> Void) async throws {
        var running: [any Service] = [collector]
        if let socket = options.administrationSocket {
            running.append(
                application(Routes(services, services.administrationRoutes), .unixDomainSocket(path: socket), .http1()))
        }
        running.append(
            ConnectionSweeper(
                connections: services.connections, seconds: options.headerSeconds, environment: services.environment))
        let builder = try network()
        let address = BindAddress.hostname(options.host, port: options.port)
        running.append(
            application(Routes(services, services.publicRoutes), address, builder) { channel in
                onListening(channel.localAddress?.port ?? options.port)
            })
        var configuration = ServiceGroupConfiguration(
            services: running, gracefulShutdownSignals: signals ? [.sigterm, .sigint] : [], logger: services.logger)
        configuration.maximumGracefulShutdownDuration = .seconds(20)
        try await ServiceGroup(configuration: configuration).run()
    }

    /// HTTP/1.1, and over TLS HTTP/2 for those who ask for it; NIO bounds its streams, header lists, resets and pings.
    private func network() throws -> HTTPServerBuilder {
        let (connections, times) = (services.connections, options.times)
        func channels(isSecure: Bool) -> HTTP1Channel.Configuration {
            HTTP1Channel.Configuration(
                additionalChannelHandlers: [RequestGuard(connections, times: times, isSecure: isSecure)],
                // Between the bytes of a request.
                idleTimeout: .seconds(60),
                // Above the protocol's limits, so that its own problem document answers first.
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 4 * Limits.header, maxHeaderListSize: 4 * Limits.header,
                    maxHeaderFieldCount: 4 * Limits.headerFields))
        }
        guard let tls = options.tls else {
            let configuration = channels(isSecure: false)
            return HTTPServerBuilder { responder in
                GuardedChannel(HTTP1Channel(responder: responder, configuration: configuration), connections)
            }
        }
        var secure = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(tls.certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: tls.key, format: .pem)))
        secure.minimumTLSVersion = .tlsv12
        let configuration = HTTP2ChannelConfiguration(
            idleTimeout: .seconds(options.headerSeconds), gracefulCloseTimeout: .seconds(10),
            streamConfiguration: channels(isSecure: true))
        return HTTPServerBuilder { [secure] responder in
            GuardedChannel(
                try HTTP2UpgradeChannel(tlsConfiguration: secure, configuration: configuration, responder: responder),
                connections)
        }
    }

    private func application(
        _ routes: Routes, _ address: BindAddress, _ server: HTTPServerBuilder,
        _ onServerRunning: @escaping @Sendable (any Channel) async -> Void = { _ in }
    ) -> Application<Routes> {
        Application(
            responder: routes, server: server, configuration: ApplicationConfiguration(address: address),
            onServerRunning: onServerRunning, logger: services.logger)
    }
}
