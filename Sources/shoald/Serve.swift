import ArgumentParser
import Foundation
import Glibc
import Logging
import NIOCore
import ShoalServer
import ShoalTerminal
import Synchronization

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve replicas until told to stop.",
        discussion: """
            Prints "shoald listening on http://HOST:PORT" when it accepts requests; port 0 takes a free one. Its log goes
            to standard error. SIGTERM or SIGINT lets it finish what is under way.

              shoald serve
              shoald serve --listen 127.0.0.1:0 --data /var/lib/shoald
              shoald serve --listen 0.0.0.0:443 --tls-certificate chain.pem --tls-key key.pem

            Without a certificate it listens on this machine only, unless --plaintext says that something else protects
            the way, such as a reverse proxy.
            """)

    @Option(help: ArgumentHelp("Where to listen.", valueName: "host:port"))
    var listen = "127.0.0.1:7420"

    @Option(help: ArgumentHelp("Serve HTTPS with this certificate chain (PEM).", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's private key (PEM).", valueName: "file"))
    var tlsKey: String?

    @Flag(help: "Serve HTTP to other machines: everything travels readable, keys too.")
    var plaintext = false

    @Option(
        help: ArgumentHelp(
            "How long to keep what a silent replica must still be told (1 to 3650; default: 90).", valueName: "days"))
    var lease: Int64 = 90

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if (tlsCertificate == nil) != (tlsKey == nil) {
            throw ValidationError("--tls-certificate and --tls-key go together")
        }
        if !(1...3_650).contains(lease) { throw ValidationError("--lease takes a number of days from 1 to 3650") }
        guard let address = Address(listen) else {
            throw ValidationError("--listen takes HOST:PORT, for example 127.0.0.1:7420")
        }
        if tlsCertificate == nil, !plaintext, !address.isThisMachine {
            throw ValidationError(
                "without --tls-certificate and --tls-key everything would travel readable to and from \(address.host); "
                    + "--plaintext allows it, behind a reverse proxy for example")
        }
    }

    func run() async throws {
        guard let address = Address(listen) else { return }
        let directory = try global.directory
        try directory.make()
        let lock = try await Self.lock(directory)
        defer { withExtendedLifetime(lock) {} }
        let store = try directory.open(lease: lease * 86_400_000)
        directory.removeSocket()
        var options = Server.Options(
            host: address.host, port: address.port, administrationSocket: try directory.socket())
        options.connections = min(options.connections, Self.raisedFileLimit() - 128)
        if let tlsCertificate, let tlsKey { options.tls = (tlsCertificate, tlsKey) }
        let gate = LogGate()
        let logger = Logger(label: "shoald") { _ in StandardErrorLog(gate: gate) }
        let server = Server(store: store, options: options, environment: .system, logger: logger) { _ in
            gate.open()
            Foundation.exit(1)
        }
        let scheme = options.tls == nil ? "http" : "https"
        do {
            try await server.run { port in
                gate.open()
                let host = address.host.contains(":") ? "[\(address.host)]" : address.host
                print("shoald listening on \(scheme)://\(host):\(port)")
                fflush(nil)
                do { try store.stayOpen() } catch {
                    logger.warning("commits will be slower", metadata: ["error": "\(error)"])
                }
            }
        } catch {
            directory.removeSocket()
            try? store.close()
            if gate.isOpen { throw Failure("the server stopped: \(error)") }
            throw Failure(Self.reason(error, listen: listen, address: address, isSecure: options.tls != nil))
        }
        directory.removeSocket()
        try store.close()
    }

    /// How many files and sockets this process may have open, after asking for as many as it may.
    private static func raisedFileLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
        limit.rlim_cur = min(limit.rlim_max, max(limit.rlim_cur, 8_192))
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return max(256, Int(clamping: limit.rlim_cur))
    }

    /// Why it never listened.
    private static func reason(_ error: any Error, listen: String, address: Address, isSecure: Bool) -> String {
        switch error {
        case let error as IOError:
            switch error.errnoCode {
            case EADDRINUSE: return "\(listen) is in use"
            case EACCES, EPERM: return "permission to listen on \(listen) is denied"
            case EADDRNOTAVAIL: return "\(address.host) is not an address of this machine"
            default: return "the server cannot listen on \(listen): \(String(cString: strerror(error.errnoCode)))"
            }
        case is SocketAddressError: return "the host \(address.host) is not known"
        default:
            if isSecure { return "the certificate or its key cannot be read: both must be PEM files that fit together" }
            return "the server cannot listen on \(listen): \(error)"
        }
    }

    private static func lock(_ directory: DataDirectory) async throws -> DataDirectory.Lock {
        let running = RemoteServer(socket: try directory.socket())
        let lock = try await DataDirectory.waiting { () -> DataDirectory.Lock? in
            if let lock = try directory.lock() { return lock }
            if await running.answers() {
                throw Failure("a server runs on the data directory \(directory.path) already")
            }
            return nil
        }
        guard let lock else { throw Failure("another process uses the data directory \(directory.path)") }
        return lock
    }
}

/// HOST:PORT or [IPv6]:PORT.
struct Address {
    var host: String
    var port: Int

    /// Whether only this machine can reach it.
    var isThisMachine: Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return host == "localhost" || host == "::1"
            || parts.count == 4 && parts.first == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        self.port = Int(port)
    }
}

/// Keeps the log back until the server listens: one that never does says why in a sentence and nothing else.
final class LogGate: Sendable {
    /// What was kept back; nil once the gate is open.
    private let kept = Mutex<String?>("")

    var isOpen: Bool { kept.withLock { $0 == nil } }

    func open() {
        kept.withLock { text in
            if let text { FileHandle.standardError.write(Data(text.utf8)) }
            text = nil
        }
    }

    func write(_ line: String) {
        kept.withLock { text in
            if text == nil { FileHandle.standardError.write(Data(line.utf8)) } else { text?.append(line) }
        }
    }
}

/// A line of key=value on standard error for each event.
struct StandardErrorLog: LogHandler {
    let gate: LogGate
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line =
            "time=\(ServerEnvironment.system.now()) level=\(event.level) message=\(LogText.value("\(event.message)"))"
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) {
            line += " \(LogText.value(key))=\(LogText.value("\(value)"))"
        }
        gate.write(line + "\n")
    }
}
