import ArgumentParser
import ShoalProtocol

struct Debug: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "debug",
        abstract: "Look at what the programs say to each other.",
        discussion: """
            EXAMPLES:
              shoal debug delta request.bin
            """,
        subcommands: [DebugDelta.self])
}

struct DebugDelta: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delta",
        abstract: "Print what client and server say to each other in words.",
        discussion: """
            The file holds the body of a request or of an answer of POST /v1/sync, /v1/relay or /v1/digest, compressed or \
            as plain JSON. With \
            --json the plain JSON is printed.

            EXAMPLES:
              shoal debug delta request.bin
              shoal debug delta answer.json
            """)

    @Argument(help: "The file, or - for standard input.", completion: .file())
    var file: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() throws {
        let bytes = try File.read(file, limit: Limits.inflated)
        let frame = try DeltaFrame(bytes, name: file)
        var screen = Screen(isJSON: global.json)
        if screen.isJSON {
            screen.json(bytes: frame.json)
        } else {
            frame.print(to: &screen, stored: bytes.count)
        }
        try screen.finish()
    }
}
