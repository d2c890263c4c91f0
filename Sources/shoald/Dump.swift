import ArgumentParser
import Foundation
import ShoalServer

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
        try await Administration.with(global) {
            try await $0.dump(DumpRequest(account: account)) { lines in
                try FileHandle.standardOutput.write(contentsOf: Data(lines))
            }
        }
    }
}
