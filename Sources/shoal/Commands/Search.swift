import ArgumentParser
import ShoalClient
import ShoalProtocol

struct Search: ReplicaCommand, StyledCommand {
    static let style = WordStyle.query
    static let configuration = CommandConfiguration(
        commandName: "search",
        abstract: "Find customers and notes.",
        discussion: """
            \(QueryHelp.text)

            EXAMPLES:
              shoal search 过敏
              shoal search 过敏 tag:油皮 --json
            """)

    @Argument(help: "Words and terms.")
    var query: [String]
    @Option(help: ArgumentHelp("Print at most so many.", valueName: "count"))
    var limit: Int?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if let limit, limit < 0 { throw ValidationError("--limit takes a number from 0 on") }
    }

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let hits = try replica.search(query.joined(separator: " "), limit: limit)
        if screen.isJSON { return screen.json { $0.array(hits) { $0.hit($1) } } }
        var table = Table("kind", "id", "customer", "text")
        for hit in hits { table.add(hit.kind, hit.id.description, hit.customer.description, hit.text) }
        table.print(to: &screen)
    }
}

extension JSONWriter {
    fileprivate mutating func hit(_ hit: SearchHit) {
        object { json in
            json.member("kind", hit.kind)
            json.member("id", hit.id)
            json.member("customer", hit.customer)
            json.member("text", hit.text)
        }
    }
}
