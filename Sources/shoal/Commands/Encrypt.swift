import ArgumentParser
import ShoalClient

struct Encrypt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "encrypt",
        abstract: "Encrypt this machine's copy of your data.",
        discussion: """
            Whoever has the disk but not the passphrase then reads nothing of it. The passphrase is asked for whenever a \
            command needs the data, or taken from --passphrase-file or $SHOAL_PASSPHRASE; with --keyring the system's \
            keyring keeps a key instead. Nobody can open the data when the passphrase is lost: what was synced is on the \
            server, everything else is gone. What lay on the disk before is not overwritten.

            EXAMPLES:
              shoal encrypt
              shoal encrypt --keyring
              shoal encrypt --change
            """)

    @Flag(help: "Keep the key in the system's keyring.")
    var keyring = false
    @Flag(help: "Give an encrypted home another passphrase, or move it to the keyring or away from it.")
    var change = false
    @Option(
        help: ArgumentHelp("With --change: the new passphrase is the first line of this file.", valueName: "file"),
        completion: .file())
    var newPassphraseFile: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if newPassphraseFile != nil, !change || keyring {
            throw ValidationError("--new-passphrase-file goes with --change and without --keyring")
        }
    }

    func run() throws {
        let home = try global.directory()
        let environment = global.environment
        let encryption = HomeEncryption(home: home, environment: environment)
        guard try environment.homes.hasDatabase(home) else { throw ReplicaError.notEnrolled(home: home) }
        let isEncrypted = try encryption.lock() != nil
        if !isEncrypted { try encryption.refuseWithoutKey() }
        guard isEncrypted == change else {
            throw Failure.failed(
                change ? "\(home) is not encrypted: leave out --change" : "\(home) is encrypted already: see --change")
        }
        if change {
            try encryption.change(to: { try newSecret(home) })
        } else {
            try encryption.encrypt(newSecret(home))
        }
        try global.finish()
    }

    private func newSecret(_ home: String) throws -> HomeSecret {
        if keyring { return try HomeSecret.inKeyring(for: home) }
        guard change else { return .passphrase(try Passphrase.new(for: home, file: global.passphraseFile)) }
        return .passphrase(try Passphrase.new(for: home, file: newPassphraseFile, replaces: true))
    }
}

struct Decrypt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decrypt",
        abstract: "Keep this machine's copy of your data as plain text again.",
        discussion: """
            EXAMPLES:
              shoal decrypt
            """)

    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let home = try global.directory()
        let environment = global.environment
        guard try environment.homes.hasDatabase(home) else { throw ReplicaError.notEnrolled(home: home) }
        try HomeEncryption(home: home, environment: environment).decrypt()
        try global.finish()
    }
}

extension GlobalOptions {
    /// Ends a command that has nothing to print.
    fileprivate func finish() throws {
        var screen = Screen(isJSON: json)
        screen.done()
        try screen.finish()
    }
}

extension HomeSecret {
    /// A new key that the system's keyring keeps.
    static func inKeyring(for home: String) throws -> HomeSecret {
        let bytes = (0..<4).flatMap { _ in withUnsafeBytes(of: System.environment.random()) { Array($0) } }
        let item = String(System.environment.random(), radix: 16)
        try Keyring.store(bytes, item: item, home: home)
        return .keyring(item: item, bytes: bytes)
    }
}
