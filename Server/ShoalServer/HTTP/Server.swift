import Hummingbird
import HummingbirdCore
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
            gate: RequestGate(limit: options.requestsPerAccount), digestGate: RequestGate(limit: options.digests))
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
        let limit = TimeAmount.seconds(options.headerSeconds)
        let channels = HTTP1Channel.Configuration(
            additionalChannelHandlers: [HeaderDeadline(limit: limit)],
            // Between the bytes of a request.
            idleTimeout: .seconds(60),
            // Above the protocol's limit, so that its own problem document answers first.
            httpDecoderConfiguration: .init(maxHeaderFieldSize: 4 * Limits.header, maxHeaderListSize: 4 * Limits.header)
        )
        var builder = HTTPServerBuilder.http1(configuration: channels)
        if let tls = options.tls {
            let configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(tls.certificate).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: tls.key, format: .pem)))
            builder = try .tls(builder, tlsConfiguration: configuration)
        }
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

    private func application(
        _ routes: Routes, _ address: BindAddress, _ server: HTTPServerBuilder,
        _ onServerRunning: @escaping @Sendable (any Channel) async -> Void = { _ in }
    ) -> Application<Routes> {
        Application(
            responder: routes, server: server, configuration: ApplicationConfiguration(address: address),
            onServerRunning: onServerRunning, logger: services.logger)
    }
}
