import ArgumentParser
import ShoalClient
import ShoalCRDT
import ShoalProtocol

struct Conflicts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conflicts",
        abstract: "Show and settle what several people changed without having seen each other.",
        discussion: """
            One value is shown everywhere; the others are kept until somebody settles it, and the choice is synced.

            EXAMPLES:
              shoal conflicts
              shoal conflicts show 0D4K
              shoal conflicts settle 0D4K --field stage --take 1
            """,
        subcommands: [ConflictsList.self, ConflictsShow.self, ConflictsSettle.self],
        defaultSubcommand: ConflictsList.self)
}

struct ConflictsList: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List all conflicts.",
        discussion: """
            EXAMPLES:
              shoal conflicts
              shoal conflicts list --json
            """)

    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws { screen.conflicts(try replica.conflicts()) }
}

struct ConflictsShow: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the conflicts of one customer, note or tag.",
        discussion: """
            EXAMPLES:
              shoal conflicts show 0D4K
            """)

    @Argument(help: "The customer, note or tag.")
    var id: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        screen.conflicts(try replica.conflicts(of: replica.resolve(id)))
    }
}

struct ConflictsSettle: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "settle",
        abstract: "Keep one of the values.",
        discussion: """
            N is the number that the list shows before the value; 0 is the value that is shown already. If the values \
            changed since you listed them, nothing is settled.

            EXAMPLES:
              shoal conflicts settle 0D4K --take 1
              shoal conflicts settle 0D4K --field stage --take 0
            """)

    @Argument(help: "The customer, note or tag.")
    var id: String
    @Option(help: ArgumentHelp("The field, if several are in conflict.", valueName: "name"))
    var field: String?
    @Option(help: ArgumentHelp("The number of the value to keep.", valueName: "n"))
    var take: Int
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        try replica.settle(replica.resolve(id), field: field, choice: take)
        screen.done()
    }
}

extension Screen {
    fileprivate mutating func conflicts(_ conflicts: [Conflict]) {
        if isJSON { return json { $0.array(conflicts) { $0.conflict($1) } } }
        for (index, conflict) in conflicts.enumerated() {
            if index > 0 { line() }
            line(.plain("\(conflict.record)  \(conflict.kind)  "), .bold(conflict.field))
            value(0, conflict.shown)
            for (index, other) in conflict.others.enumerated() { value(index + 1, other) }
        }
    }

    private mutating func value(_ number: Int, _ value: Conflict.Value) {
        line(
            .bold("  \(number)  "), .plain(value.value.isEmpty ? "(empty)" : value.value),
            .dim("  \(Format.time(value.at))  \(value.by)\(number == 0 ? ", shown" : "")"))
    }
}

extension JSONWriter {
    fileprivate mutating func conflict(_ conflict: Conflict) {
        object { json in
            json.member("record", conflict.record)
            json.member("kind", conflict.kind)
            json.member("field", conflict.field)
            json.key("shown")
            json.object { $0.valueMembers(conflict.shown) }
            json.member("others", Array(conflict.others.enumerated())) { json, other in
                json.object { json in
                    json.member("n", other.offset + 1)
                    json.valueMembers(other.element)
                }
            }
        }
    }

    private mutating func valueMembers(_ value: Conflict.Value) {
        member("value", value.value)
        member("by", value.by)
        member("at", time: value.at)
    }
}
