import ArgumentParser
import ShoalClient

struct Dump: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Print every record in its canonical form, a line each.",
        discussion: """
            Replicas that see the same and have nothing unsent print the same bytes, and so does shoald dump --account. \
            With --json the lines are one array.

            EXAMPLES:
              shoal dump | sha256sum
            """)

    @OptionGroup(title: "Global options") var global: GlobalOptions

    /// Lines are written when so many bytes are kept back, so that memory does not follow the size of the data.
    private static let portion = 1 << 20

    func run(on replica: Replica, _ screen: inout Screen) throws {
        if screen.isJSON {
            var document = Array("[".utf8)
            try replica.dump { line in
                if document.count > 1 { document.append(UInt8(ascii: ",")) }
                document.append(contentsOf: line)
            }
            screen.json(bytes: document + Array("]".utf8))
        } else {
            var output = screen
            try replica.dump { line in
                output.raw(line: line)
                if output.count > Self.portion { try output.finish() }
            }
            screen = output
        }
    }
}
