import ArgumentParser
import Glibc
import ShoalClient

/// What every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The directory of your data (default: $SHOAL_HOME, else shoal in the XDG data directory).", valueName: "dir"
        ),
        completion: .directory)
    var home: String?

    @Flag(help: "Print one JSON document.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "The passphrase of encrypted data is the first line of this file (default: $SHOAL_PASSPHRASE, else asked for).",
            valueName: "file"),
        completion: .file())
    var passphraseFile: String?

    /// `--home`, else `$SHOAL_HOME`, else `$XDG_DATA_HOME/shoal`, else `~/.local/share/shoal`. Variables that are empty
    /// count as unset, and so does an XDG directory that is not absolute, as its specification says.
    func directory() throws -> String {
        if let home { return home }
        if let home = System.variable("SHOAL_HOME") { return home }
        if let data = System.variable("XDG_DATA_HOME"), data.hasPrefix("/") { return data + "/shoal" }
        if let user = System.variable("HOME") { return user + "/.local/share/shoal" }
        throw Failure.failed("no directory is known for the data: set HOME, or give --home DIR")
    }

    /// - Parameter mayHandOver: whether a locked home that still has to hand over its unsent work is opened too.
    func replica(mayHandOver: Bool = false) throws -> Replica {
        try Replica(home: directory(), environment: environment, mayHandOver: mayHandOver)
    }

    /// The machine's, which knows where the secret of an encrypted home is.
    var environment: ShoalClient.Environment {
        var environment = System.environment
        let file = passphraseFile
        environment.secret = { home, lock in
            switch lock {
            case .passphrase: return Array(try Passphrase.known(for: home, file: file).utf8)
            case .keyring(let item):
                guard let secret = try Keyring.load(item: item) else {
                    throw Failure.failed("\(home) is encrypted, and the keyring does not have its key: unlock it first")
                }
                return secret
            }
        }
        return environment
    }
}
