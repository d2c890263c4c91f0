import ArgumentParser
import ShoalClient

struct Enroll: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enroll",
        abstract: "Make this machine a replica of your account.",
        discussion: """
            Your administrator gives you the server's address and a code, which works once. The data is fetched at once; \
            if only that fails, you are enrolled all the same, and shoal sync fetches it later.

            EXAMPLES:
              shoal enroll https://shoal.example 7QWK-M9X2-4TBD
              shoal enroll --ca brand.pem https://192.0.2.7:7420 7QWK-M9X2-4TBD
              shoal --home ~/second enroll http://127.0.0.1:8080 7QWK-M9X2-4TBD
            """)

    @Argument(help: ArgumentHelp("The server: https://HOST or http://HOST:PORT.", valueName: "url"))
    var url: String
    @Argument(help: ArgumentHelp("The code that shoald account add or account code printed.", valueName: "code"))
    var code: String
    @Option(help: ArgumentHelp("What to call this machine (default: its host name).", valueName: "name"))
    var device: String?
    @Option(
        name: .customLong("ca"),
        help: ArgumentHelp("Trust this authority's certificate (PEM) besides the system's.", valueName: "file"))
    var authority: String?
    @Flag(help: "Let everything travel readable over http:// to another machine.")
    var plaintext = false
    @Flag(help: "Encrypt this machine's copy of the data; see shoal encrypt.")
    var encrypt = false
    @Flag(help: "With --encrypt: keep the key in the system's keyring.")
    var keyring = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if !ServerURL.isValid(url) { throw ValidationError(TransportError.invalidURL(url).description) }
        if keyring, !encrypt { throw ValidationError("--keyring goes with --encrypt") }
    }

    func run() async throws {
        let home = try global.directory()
        let (url, code, device, environment) = (url, code, device ?? System.hostName, global.environment)
        var trust = ServerTrust(allowsPlaintext: plaintext)
        if let authority {
            trust.authorities = String(decoding: try File.read(authority, limit: 1 << 20), as: UTF8.self)
        }
        do { try trust.check(url) } catch { throw Failure.failed(error.description) }
        if encrypt { try prepare(home, environment) }
        var screen = Screen(isJSON: global.json)
        try await Network.use(trust) { [trust] transport in
            let replica = try await Progress("waiting for the server").during {
                try await Replica.enroll(
                    home: home, url: url, code: code, device: device, trust: trust, transport: transport,
                    environment: environment)
            }
            let status = try replica.status()
            if screen.isJSON {
                screen.done()
            } else {
                screen.line(.plain("Enrolled as \(status.account) (\(status.role)) in \(home)."))
            }
            do {
                let report = try await Network.sync(replica, over: transport)
                if !screen.isJSON {
                    screen.line(.plain("Received \(Format.count(report.pulled, "change", "changes"))."))
                }
            } catch {
                Screen.say("enrolled, but the first sync failed (\(Failure(error).sentence)); run shoal sync later")
            }
            try screen.finish()
            replica.leave()
        }
    }

    /// Makes an encrypted home with nothing in it. One that an earlier attempt made is gone on with.
    private func prepare(_ home: String, _ environment: ShoalClient.Environment) throws {
        let encryption = HomeEncryption(home: home, environment: environment)
        if try encryption.lock() != nil { return }
        let secret: HomeSecret =
            keyring
            ? try .inKeyring(for: home)
            : .passphrase(try Passphrase.new(for: home, file: global.passphraseFile))
        try encryption.prepare(secret)
    }
}
