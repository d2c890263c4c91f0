import ArgumentParser
import Glibc

/// How the words after a command's name are to be read.
enum WordStyle {
    /// Options and arguments as usual.
    case plain
    /// `-X` is a tag once an id has come.
    case tags
    /// `-tag:X` is part of a QUERY.
    case query
}

/// A command whose words need arranging before they are parsed.
protocol StyledCommand {
    static var style: WordStyle { get }
}

/// Puts the words of the command line into the order that the parser understands: global options come before or after
/// the command, and some commands take words that begin with a dash. What follows a bare `--` is never touched.
enum Arguments {
    /// The words as typed.
    ///
    /// - Throws: `Failure.usage` for words that are not UTF-8: they would be stored as something else than was typed.
    static func fromSystem() throws -> [String] {
        var words: [String] = []
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let word = CommandLine.unsafeArgv[index] else { break }
            guard let text = String(validatingCString: word) else {
                throw Failure.usage("argument \(index) is not UTF-8: set the terminal to UTF-8 and type it again")
            }
            words.append(text)
        }
        return words
    }

    static func arranged(_ words: [String]) throws -> [String] {
        let end = words.firstIndex(of: "--") ?? words.count
        var head = Array(words[..<end])
        let tail = Array(words[end...])
        if let first = head.first, first == "--generate-completion-script" || first == "---completion" { return words }

        let global = try takeGlobalOptions(from: &head)
        let place = try CommandPath(head)
        let rest = Array(head[place.length...])
        guard let leaf = place.leaf else { return place.words + rest + tail }
        return place.words + global + (try arrange(rest, tail, (leaf as? StyledCommand.Type)?.style ?? .plain))
    }

    /// Global options with a value, and what that is.
    private static let valued = [(name: "--home", what: "a directory"), (name: "--passphrase-file", what: "a file")]

    private static func takeGlobalOptions(from head: inout [String]) throws -> [String] {
        var rest: [String] = []
        var isJSON = false
        var values: [String: String] = [:]
        var index = 0
        while index < head.count {
            let word = head[index]
            if word == "--json" {
                isJSON = true
            } else if let (name, what) = valued.first(where: { $0.name == word }) {
                index += 1
                guard index < head.count else { throw Failure.usage("\(name) needs \(what)") }
                values[name] = head[index]
            } else if let (name, _) = valued.first(where: { word.hasPrefix($0.name + "=") }) {
                values[name] = String(word.dropFirst(name.count + 1))
            } else {
                rest.append(word)
            }
            index += 1
        }
        if let (name, what) = valued.first(where: { values[$0.name] == "" }) {
            throw Failure.usage("\(name) needs \(what)")
        }
        head = rest
        return valued.compactMap { option in values[option.name].map { "\(option.name)=\($0)" } }
            + (isJSON ? ["--json"] : [])
    }

    /// - Parameters:
    ///   - tail: the bare `--` and what follows it, or nothing.
    private static func arrange(_ rest: [String], _ tail: [String], _ style: WordStyle) throws -> [String] {
        switch style {
        case .plain: return rest + tail
        case .tags:
            // The second `--` reaches the command, which has to know what came after it.
            let ids = rest.first.map { !$0.hasPrefix("-") } ?? false
            guard ids else { return rest + tail }
            let isOption = { (word: String) in word.hasPrefix("--") }
            if let option = rest.first(where: { isOption($0) && $0 != "--help" && $0 != "--version" }) {
                throw Failure.usage("unknown option '\(option)'; write a tag that begins with -- after a bare --")
            }
            return rest.filter(isOption) + ["--"] + rest.filter { !isOption($0) } + tail
        case .query:
            let isTerm = { (word: String) in word.hasPrefix("-") && !word.hasPrefix("--") && word.contains(":") }
            guard rest.contains(where: isTerm) else { return rest + tail }
            return rest.filter { !isTerm($0) } + ["--"] + rest.filter(isTerm) + tail.dropFirst()
        }
    }
}
