import ArgumentParser

/// The command that a command line names.
struct CommandPath {
    /// The names of the commands, a default one spelled out.
    private(set) var words: [String] = []
    /// How many words of the line it takes.
    private(set) var length = 0
    /// The command, unless the line asks for help or names none.
    private(set) var leaf: ParsableCommand.Type?

    /// - Throws: `Failure.usage` for a name that is no command.
    init(_ line: [String]) throws {
        var node: ParsableCommand.Type = Shoal.self
        if line.first == "help" {
            (words, length) = (["help"], 1)
        }
        while !node.configuration.subcommands.isEmpty, length < line.count, !line[length].hasPrefix("-") {
            node = try Self.child(of: node, named: line[length], path: words)
            words.append(line[length])
            length += 1
        }
        if words.first == "help" { return }
        if node.configuration.subcommands.isEmpty {
            leaf = node
        } else if !line[length...].contains(where: { ["-h", "--help", "--version"].contains($0) }) {
            try choose(in: node)
        }
    }

    private mutating func choose(in group: ParsableCommand.Type) throws {
        if let standard = group.configuration.defaultSubcommand {
            words.append(Self.name(standard))
            leaf = standard
        } else if !words.isEmpty {
            let names = group.configuration.subcommands.map(Self.name)
            throw Failure.usage("shoal \(words.joined(separator: " ")) needs one of: \(names.joined(separator: ", "))")
        }
    }

    private static func name(_ command: ParsableCommand.Type) -> String { command.configuration.commandName ?? "" }

    private static func child(
        of node: ParsableCommand.Type, named word: String, path: [String]
    ) throws -> ParsableCommand.Type {
        let children = node.configuration.subcommands
        if let child = children.first(where: { name($0) == word }) { return child }
        let near = NearNames.of(word, among: children.map(name))
        let prefix = path.first == "help" ? Array(path.dropFirst()) : path
        let place = (["shoal"] + prefix).joined(separator: " ")
        if near.isEmpty { throw Failure.usage("there is no command \"\(place) \(word)\": see \(place) --help") }
        let guesses = near.map { "\"\(place) \($0)\"" }.joined(separator: " or ")
        throw Failure.usage("there is no command \"\(place) \(word)\"; did you mean \(guesses)?")
    }
}
