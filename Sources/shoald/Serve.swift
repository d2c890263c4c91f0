import ArgumentParser
import Foundation
import Logging
import ShoalServer

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve replicas until told to stop.",
        discussion: """
            Prints "shoald listening on http://HOST:PORT" when it accepts requests; port 0 takes a free one. Its log goes
            to standard error. SIGTERM or SIGINT lets it finish what is under way.

              shoald serve
              shoald serve --listen 127.0.0.1:0 --data /var/lib/shoald
              shoald serve --listen 0.0.0.0:443 --tls-certificate chain.pem --tls-key key.pem
            """)

    @Option(help: ArgumentHelp("Where to listen.", valueName: "host:port"))
    var listen = "127.0.0.1:7420"

    @Option(help: ArgumentHelp("Serve HTTPS with this certificate chain (PEM).", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's private key (PEM).", valueName: "file"))
    var tlsKey: String?

    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if (tlsCertificate == nil) != (tlsKey == nil) {
            throw ValidationError("--tls-certificate and --tls-key go together")
        }
        if Address(listen) == nil { throw ValidationError("--listen takes HOST:PORT, for example 127.0.0.1:7420") }
    }

    func run() async throws {
        guard let address = Address(listen) else { return }
        let directory = try global.directory
        try directory.make()
        let lock = try await Self.lock(directory)
        defer { withExtendedLifetime(lock) {} }
        let store = try directory.open()
        directory.removeSocket()
        var options = Server.Options(
            host: address.host, port: address.port, administrationSocket: try directory.socket())
        if let tlsCertificate, let tlsKey { options.tls = (tlsCertificate, tlsKey) }
        let logger = Logger(label: "shoald") { _ in StandardErrorLog() }
        let server = Server(store: store, options: options, environment: .system, logger: logger) { _ in
            Foundation.exit(1)
        }
        let scheme = options.tls == nil ? "http" : "https"
        do {
            try await server.run { port in
                let host = address.host.contains(":") ? "[\(address.host)]" : address.host
                print("shoald listening on \(scheme)://\(host):\(port)")
                fflush(nil)
            }
        } catch {
            try? store.close()
            throw Failure("the server cannot listen on \(listen): \(error)")
        }
        directory.removeSocket()
        try store.close()
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

/// A line of key=value on standard error for each event.
struct StandardErrorLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line =
            "time=\(ServerEnvironment.system.now()) level=\(event.level) message=\(Self.quoted("\(event.message)"))"
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(Self.quoted("\(value)"))" }
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    private static func quoted(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3D && $0 != 0x7F }
        return isPlain ? text : text.debugDescription
    }
}
