import ArgumentParser
import ShoalClient
import ShoalCRDT
import ShoalProtocol

struct Tag: ReplicaCommand, StyledCommand {
    static let style = WordStyle.tags
    static let configuration = CommandConfiguration(
        commandName: "tag",
        abstract: "Put tags on customers and take them off: all of it or nothing.",
        usage: "shoal tag <id> ... [+TAG ...] [-TAG ...] [-- ±TAG ...] [--home <dir>] [--json]",
        discussion: """
            A tag is NAME or GROUP/NAME. A tag to add that is not in the book is made; near ones are named, in case it \
            was mistyped. After -- everything is a tag, also one whose name begins with a dash.

            EXAMPLES:
              shoal tag 0D4K +肤质/油皮 -新客
              shoal tag 0D4K 0D4M 0D4N +老客
            """)

    @Argument(help: ArgumentHelp("Customers, then tags with + or -.", valueName: "id-or-tag"))
    var words: [String]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        do { _ = try read() } catch let failure as Failure { throw ValidationError(failure.sentence) }
    }

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let (ids, changes) = try read()
        let customers = try ids.map { try replica.resolve($0, kind: .customer) }
        let made = try replica.editTags(of: customers, changes)
        screen.done()
        for tag in made {
            let near = tag.near.map { "\"\($0)\"" }.joined(separator: ", ")
            Screen.say("made the tag \"\(tag.name)\"" + (near.isEmpty ? "" : "; the book has also \(near)"))
        }
    }

    private func read() throws -> (ids: [String], changes: [TagChange]) {
        var ids: [String] = []
        var changes: [TagChange] = []
        var onlyTags = false
        for word in words {
            let name = String(word.dropFirst())
            switch word.first {
            case "-" where word == "--" && !onlyTags: onlyTags = true
            case "+" where !name.isEmpty: changes.append(.add(name))
            case "-" where !name.isEmpty: changes.append(.remove(name))
            default:
                guard !onlyTags, changes.isEmpty, word != "+", word != "-", word != "" else {
                    throw Failure.usage("\"\(word)\" is not a tag to add or remove: write +TAG or -TAG")
                }
                ids.append(word)
            }
        }
        guard !ids.isEmpty else { throw Failure.usage("no customer is named: write shoal tag ID +TAG -TAG") }
        guard !changes.isEmpty else { throw Failure.usage("no tag is named: write shoal tag ID +TAG -TAG") }
        return (ids, changes)
    }
}
