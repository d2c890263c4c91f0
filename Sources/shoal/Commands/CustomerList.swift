import ArgumentParser
import ShoalClient
import ShoalProtocol

/// What a QUERY is, for the help of the commands that take one.
enum QueryHelp {
    static let text = """
        QUERY is words, of which each must occur somewhere in a name, a field or a note (one character is enough), and \
        terms, all of which must hold: tag:油皮  -tag:新客  birth:05  source:抖音  stage:老客  account:NAME  \
        added:>2026-01-01. Quotes keep spaces together.
        """
}

struct CustomerList: ReplicaCommand, StyledCommand {
    static let style = WordStyle.query
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List customers: all, or those that a query names.",
        discussion: """
            \(QueryHelp.text)

            EXAMPLES:
              shoal customer list
              shoal customer list 小明 tag:油皮 -tag:新客
              shoal customer list 'birth:05 added:>2026-01-01' --json
            """)

    @Argument(help: "Words and terms; all customers without them.")
    var query: [String] = []
    @Option(help: ArgumentHelp("Print at most so many.", valueName: "count"))
    var limit: Int?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if let limit, limit < 0 { throw ValidationError("--limit takes a number from 0 on") }
    }

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let rows = try replica.customers(query.joined(separator: " "), limit: limit)
        if screen.isJSON { return screen.json { $0.array(rows) { $0.customer($1) } } }
        var table = Table("id", "name", "stage", "source", "birth", "added")
        for row in rows {
            table.add(
                row.id.description, row.name, row.stage, row.source, row.birthMonth,
                String(Format.time(row.added).prefix(10)))
        }
        table.print(to: &screen)
    }
}

extension JSONWriter {
    fileprivate mutating func customer(_ row: CustomerRow) {
        object { json in
            json.member("id", row.id)
            json.member("name", row.name)
            if !row.stage.isEmpty { json.member("stage", row.stage) }
            if !row.source.isEmpty { json.member("source", row.source) }
            if !row.birthMonth.isEmpty { json.member("birth_month", row.birthMonth) }
            json.member("added", time: row.added)
        }
    }
}
