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
              shoal tags merge 油性 肤质/油皮
            """,
        subcommands: [
            TagsList.self, TagsAdd.self, TagsRename.self, TagsMerge.self, TagsSplit.self, TagsDelete.self,
        ])
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
            let merged = tag.merged.isEmpty ? "" : "also \(tag.merged.joined(separator: ", "))"
            let remarks = [tag.isSingle ? "one of its group" : "", tag.isArchived ? "archived" : "", merged].filter {
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
            A tag that is there already is left as it is, and its id printed; one that was deleted comes back. With \
            --single a customer has at most one tag of the group.

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

struct TagsRename: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename",
        abstract: "Give a tag another name.",
        discussion: """
            NAME keeps the tag in its group, GROUP/NAME moves it there. A name that another tag has is refused: merge the \
            two instead.

            EXAMPLES:
              shoal tags rename 老客 复购
              shoal tags rename 油皮 肤质/油皮
            """)

    @Argument(help: ArgumentHelp("NAME or GROUP/NAME.", valueName: "tag"))
    var tag: String
    @Argument(help: ArgumentHelp("NAME or GROUP/NAME.", valueName: "new"))
    var name: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws { try replica.renameTag(tag, to: name) }
}

struct TagsMerge: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Make two tags one, under the name of the second.",
        discussion: """
            Customers with the first have the second from now on, also those to whom somebody without network still gives \
            the first. "shoal tags split" takes them apart again.

            EXAMPLES:
              shoal tags merge 油性 肤质/油皮
            """)

    @Argument(help: ArgumentHelp("The tag that goes.", valueName: "from"))
    var tag: String
    @Argument(help: ArgumentHelp("The tag that stays.", valueName: "into"))
    var other: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws { try replica.mergeTag(tag, into: other) }
}

struct TagsSplit: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "split",
        abstract: "Take a tag out of the one that it was merged into.",
        discussion: """
            Customers that were given it under its own name have it again; "shoal tags list" shows what was merged.

            EXAMPLES:
              shoal tags split 油性
            """)

    @Argument(help: ArgumentHelp("The tag that was merged into another.", valueName: "tag"))
    var tag: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws { try replica.splitTag(tag) }
}

struct TagsDelete: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete a tag: nobody is given it any more.",
        discussion: """
            Customers that have it keep it, shown as archived. "shoal tags add" brings it back.

            EXAMPLES:
              shoal tags delete 老客
            """)

    @Argument(help: ArgumentHelp("NAME or GROUP/NAME.", valueName: "tag"))
    var tag: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws { try replica.deleteTag(tag) }
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
            json.member("merged", tag.merged) { $0.string($1) }
        }
    }
}
