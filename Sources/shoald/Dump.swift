import ArgumentParser
import Foundation
import Glibc
import ShoalServer
import ShoalTerminal

struct Dump: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print every present record, a line of canonical JSON each.",
        discussion: """
            With an account, the same bytes as shoal dump on a replica of that account that has synced.

              shoald dump --account 小美 > dump.jsonl
            """)

    @Option(help: ArgumentHelp("Only what this account sees.", valueName: "name"))
    var account: String?

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let isTerminal = isatty(STDOUT_FILENO) == 1
        // A portion may end within a line, even within a character.
        var kept: [UInt8] = []
        try await Administration.with(global) {
            try await $0.dump(DumpRequest(account: account)) { portion in
                guard isTerminal else { return try FileHandle.standardOutput.write(contentsOf: Data(portion)) }
                kept += portion
                let end = kept.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
                try FileHandle.standardOutput.write(contentsOf: Data(TerminalText.json(Array(kept[..<end]))))
                kept.removeFirst(end)
            }
        }
    }
}
