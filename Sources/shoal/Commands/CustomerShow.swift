import ArgumentParser
import ShoalClient
import ShoalProtocol
import ShoalTerminal

struct CustomerShow: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show all about one customer.",
        discussion: """
            EXAMPLES:
              shoal customer show 0D4K
              shoal customer show 0D4K --json
            """)

    @Argument(help: "The customer.")
    var id: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let customer = try replica.customer(replica.resolve(id, kind: .customer))
        if screen.isJSON {
            screen.json { $0.customer(customer) }
        } else {
            screen.customer(customer)
        }
    }
}

extension Screen {
    fileprivate mutating func customer(_ customer: CustomerView) {
        let names = customer.fields.map(\.name) + ["id", "tags", "followers", "conflicts"]
        let width = (names.map { TextWidth.of($0) }.max() ?? 0) + 2
        let label = { (name: String) in Part.dim(TextWidth.padded(TerminalText.line(name), to: width)) }
        line(label("id"), .plain(customer.id.description))
        for field in customer.fields {
            line(label(field.name), field.name == "name" ? .bold(field.value) : .plain(field.value))
        }
        if !customer.tags.isEmpty { line(label("tags"), .plain(customer.tags.map(\.title).joined(separator: ", "))) }
        if !customer.followers.isEmpty { line(label("followers"), .plain(customer.followers.joined(separator: ", "))) }
        if !customer.conflicts.isEmpty {
            line(
                label("conflicts"), .warning(customer.conflicts.joined(separator: ", ")),
                .plain(": see shoal conflicts show \(customer.id)"))
        }
        for note in customer.notes {
            line()
            self.note(note)
        }
    }
}

extension AssignedTag {
    fileprivate var title: String {
        path + (isArchived ? " (archived)" : "")
    }
}

extension JSONWriter {
    fileprivate mutating func customer(_ customer: CustomerView) {
        object { json in
            json.member("id", customer.id)
            json.key("fields")
            json.object { json in
                for field in customer.fields {
                    json.key(bytes: Array(field.name.utf8)[...])
                    json.string(field.value)
                }
            }
            json.member("tags", customer.tags) { json, tag in
                json.object { json in
                    json.member("id", tag.id)
                    json.member("group", tag.group)
                    json.member("name", tag.name)
                    json.member("by", tag.by)
                    json.member("at", time: tag.at)
                }
            }
            json.member("notes", customer.notes) { $0.note($1) }
            json.member("followers", customer.followers) { $0.string($1) }
            json.member("conflicts", customer.conflicts) { $0.string($1) }
        }
    }
}
