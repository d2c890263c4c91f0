import ArgumentParser
import ShoalClient
import ShoalProtocol

struct Tags: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tags",
        abstract: "The tag book that all accounts share.",
        discussion: """
            EXAMPLES:
              shoal tags list
              shoal tags add 肤质/油皮 --single
            """,
        subcommands: [TagsList.self, TagsAdd.self])
}

struct TagsList: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the tags and how many customers have them.",
        discussion: """
            Tags that differ only in case, width or spaces are one.

            EXAMPLES:
              shoal tags list
              shoal tags list --json
            """)

    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let tags = try replica.tags()
        if screen.isJSON { return screen.json { $0.array(tags) { $0.tag($1) } } }
        var table = Table("group", "tag", "customers", "id", "")
        for tag in tags {
            let remarks = [tag.isSingle ? "one of its group" : "", tag.isArchived ? "archived" : ""].filter {
                !$0.isEmpty
            }
            table.add(
                tag.group, tag.name, Format.number(tag.customers), tag.id.description, remarks.joined(separator: ", "))
        }
        table.print(to: &screen)
    }
}

struct TagsAdd: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a tag to the book; prints its id.",
        discussion: """
            A tag that is there already is left as it is, and its id printed. With --single a customer has at most one \
            tag of the group.

            EXAMPLES:
              shoal tags add 老客
              shoal tags add 肤质/油皮 --single
            """)

    @Argument(help: ArgumentHelp("NAME or GROUP/NAME.", valueName: "tag"))
    var tag: String
    @Flag(help: "Of this group a customer has at most one tag.")
    var single = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        screen.made(try replica.addTag(tag, single: single))
    }
}

extension JSONWriter {
    fileprivate mutating func tag(_ tag: TagView) {
        object { json in
            json.member("id", tag.id)
            json.member("group", tag.group)
            json.member("name", tag.name)
            json.member("single", tag.isSingle)
            json.member("archived", tag.isArchived)
            json.member("customers", tag.customers)
        }
    }
}
