import ArgumentParser
import Foundation
import ShoalTerminal

/// The benchmarks. They run the store, codec and session that the programs run.
@main
struct ShoalBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shoal-bench",
        abstract: "Measures Shoal on a workload of many accounts.",
        discussion: """
            shoal-bench generate WORKLOAD --customers 20000
            shoal-bench matrix WORKLOAD SCRATCH
            shoal-bench refill WORKLOAD SCRATCH
            shoal-bench digest SCRATCH --customers 100000 --differing 10
            shoal-bench demo DIRECTORY
            shoal-bench attack
            shoal-bench text FILE
            shoal-bench note
            shoal-bench encryption SCRATCH
            shoal-bench visibility SCRATCH

            Each figure is a line {"peer":"shoal","m":METRIC,"v":NUMBER}.
            """,
        subcommands: [
            MatrixCommand.self, RefillCommand.self, DigestCommand.self, GenerateCommand.self, DemoCommand.self,
            OperatorCommand.self, AttackCommand.self, SimulateCommand.self, TextCommand.self, NoteCommand.self,
            EncryptionCommand.self, VisibilityCommand.self,
        ])

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let code as ExitCode {
            Foundation.exit(code.rawValue)
        } catch {
            end(with: error)
        }
    }

    /// Prints the help that was asked for, or one sentence; status 2 for wrong usage, else 1.
    private static func end(with error: any Error) -> Never {
        let code = exitCode(for: error)
        if code == .success {
            print(fullMessage(for: error))
            Foundation.exit(0)
        }
        if code == .validationFailure {
            let sentence = message(for: error).split(separator: "\n").first ?? "wrong usage"
            say("\(sentence) (see shoal-bench --help)")
            Foundation.exit(2)
        }
        say(sentence(error))
        Foundation.exit(1)
    }

    static func say(_ sentence: String) {
        FileHandle.standardError.write(Data("shoal-bench: \(TerminalText.line(sentence))\n".utf8))
    }

    private static func sentence(_ error: any Error) -> String {
        guard let error = error as? CocoaError else { return "\(error)" }
        let reason = (error.underlying ?? error).localizedDescription
        return error.filePath.map { "\($0): \(reason)" } ?? reason
    }
}
