import ArgumentParser
import ShoalClient
import ShoalCRDT
import ShoalProtocol

struct Conflicts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conflicts",
        abstract: "Show and settle what several people changed without having seen each other, and what was refused.",
        discussion: """
            One value is shown everywhere; the others are kept until somebody settles it, and the choice is synced. \
            What the server refused is kept here alone, until you write it again or dismiss it.

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

    func run(on replica: Replica, _ screen: inout Screen) throws {
        screen.conflicts(try replica.conflicts())
        if !screen.isJSON, let erasure = try replica.status().erasure { screen.line(.dim(erasure)) }
    }
}

struct ConflictsShow: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the conflicts of one customer, note or tag, and what was refused of it.",
        discussion: """
            EXAMPLES:
              shoal conflicts show 0D4K
            """)

    @Argument(help: "The customer, note or tag.")
    var id: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        screen.conflicts(try replica.conflicts(of: replica.resolveConflict(id)))
    }
}

struct ConflictsSettle: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "settle",
        abstract: "Keep one of the values, or write again what was refused.",
        discussion: """
            N is the number that the list shows before the value; 0 is the value that is shown already. A refused value \
            is written again by its number and dismissed by 0. If the values changed since you listed them, nothing is \
            settled.

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
        try replica.settle(replica.resolveConflict(id), field: field, choice: take)
        screen.done()
    }
}

extension Screen {
    fileprivate mutating func conflicts(_ conflicts: [Conflict]) {
        if isJSON { return json { $0.array(conflicts) { $0.conflict($1) } } }
        for (index, conflict) in conflicts.enumerated() {
            if index > 0 { line() }
            line(
                .plain("\(conflict.record)  \(conflict.kind)  "), .bold(conflict.field),
                .warning(conflict.refused.map { "  refused: \($0)" } ?? ""))
            value(0, conflict.shown)
            for (index, other) in conflict.others.enumerated() { value(conflict.firstNumber + index, other) }
        }
    }

    private mutating func value(_ number: Int, _ value: Conflict.Value) {
        if value.isNothing { return line(.bold("  \(number)  "), .dim("(nothing)  shown")) }
        line(
            .bold("  \(number)  "), .plain(value.value.isEmpty ? "(empty)" : value.value),
            .dim("  \(Format.time(value.at))  \(value.by)\(number == 0 ? ", shown" : "")"))
    }
}

extension JSONWriter {
    mutating func conflict(_ conflict: Conflict) {
        object { json in
            json.member("record", conflict.record)
            json.member("kind", conflict.kind)
            json.member("field", conflict.field)
            json.key("shown")
            json.object { $0.valueMembers(conflict.shown) }
            json.member("others", Array(conflict.others.enumerated())) { json, other in
                json.object { json in
                    json.member("n", conflict.firstNumber + other.offset)
                    json.valueMembers(other.element)
                }
            }
            if let refused = conflict.refused { json.member("refused", refused) }
        }
    }

    private mutating func valueMembers(_ value: Conflict.Value) {
        member("value", value.value)
        member("by", value.by)
        if value.isNothing {
            key("at")
            null()
        } else {
            member("at", time: value.at)
        }
    }
}
