import ArgumentParser
import Foundation
import ShoalTerminal

/// The sync server of Shoal.
@main
struct Shoald: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shoald",
        abstract: "The sync server of Shoal.",
        discussion: """
            Replicas (shoal) keep working without it and exchange changes through it. Begin with an account and its
            enrolment code, then serve:

              shoald account add 小美 --role expert
              shoald serve --listen 0.0.0.0:7420 --tls-certificate chain.pem --tls-key key.pem
              shoal enroll https://HOST:7420 CODE         on the operator's machine

            Everything lies in one data directory: --data, else $SHOALD_DATA, else $XDG_DATA_HOME/shoald
            (~/.local/share/shoald). Commands work whether or not the server runs there. --data and --json may stand
            before or after the command. Exit status: 0 done, 1 refused or failed, 2 wrong usage.
            """,
        version: "shoald 0.1.0",
        subcommands: [
            Serve.self, AccountCommand.self, DeviceCommand.self, SettingCommand.self, AuditCommand.self, Dump.self,
            Recover.self, Erase.self,
            Check.self, Backup.self, Restore.self,
        ])

    static func main() async {
        // Files and the socket are this user's alone.
        umask(0o077)
        do {
            var command = try parseAsRoot(globalOptionsLast(Array(CommandLine.arguments.dropFirst())))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            end(with: error)
        }
    }

    /// Moves the global options that stand before the command behind it.
    static func globalOptionsLast(_ arguments: [String]) -> [String] {
        var leading: [String] = []
        var rest = arguments[...]
        while let first = rest.first {
            if first == "--json" || first.hasPrefix("--data=") {
                leading.append(rest.removeFirst())
            } else if first == "--data", rest.count > 1 {
                leading += [rest.removeFirst(), rest.removeFirst()]
            } else {
                break
            }
        }
        let end = rest.firstIndex(of: "--") ?? rest.endIndex
        return Array(rest[..<end]) + leading + Array(rest[end...])
    }

    private static func end(with error: any Error) -> Never {
        let code = exitCode(for: error)
        if code == .success {
            print(lines: fullMessage(for: error))
            Foundation.exit(0)
        }
        if code == .validationFailure {
            let sentence = message(for: error).split(separator: "\n").first ?? "wrong usage"
            printError("\(sentence) (see shoald --help)")
            Foundation.exit(2)
        }
        printError("\(error)")
        Foundation.exit(1)
    }

    private static func printError(_ sentence: String) {
        FileHandle.standardError.write(Data("shoald: \(TerminalText.line(sentence))\n".utf8))
    }
}

/// Why a command failed, in a sentence.
struct Failure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// The options that every command has.
struct GlobalOptions: ParsableArguments {
    @Option(name: .customLong("data"), help: ArgumentHelp("The data directory.", valueName: "dir"))
    var dataPath: String?

    @Flag(help: "Print one JSON document.")
    var json = false

    func validate() throws {
        if dataPath == "" { throw ValidationError("--data needs a directory") }
    }

    var directory: DataDirectory {
        get throws {
            let environment = ProcessInfo.processInfo.environment
            if let path = dataPath ?? environment["SHOALD_DATA"], !path.isEmpty { return DataDirectory(path: path) }
            if let path = environment["XDG_DATA_HOME"], path.hasPrefix("/") {
                return DataDirectory(path: path + "/shoald")
            }
            guard let home = environment["HOME"], !home.isEmpty else {
                throw Failure("there is no home directory; name the data directory with --data")
            }
            return DataDirectory(path: home + "/.local/share/shoald")
        }
    }

    func printJSON(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        Swift.print(String(decoding: TerminalText.json(Array(try encoder.encode(value))), as: UTF8.self))
    }
}
