import ArgumentParser
import ShoalClient
import ShoalProtocol

struct NoteShow: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show one note.",
        discussion: """
            EXAMPLES:
              shoal note show 0D5X
            """)

    @Argument(help: "The note.")
    var note: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let note = try replica.note(replica.resolve(note, kind: .note))
        if screen.isJSON {
            screen.json { $0.noteWithCustomer(note) }
        } else {
            screen.note(note)
        }
    }
}

struct NoteList: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show a customer's notes, oldest first.",
        discussion: """
            EXAMPLES:
              shoal note list 0D4K
              shoal note list 0D4K --json
            """)

    @Argument(help: "The customer.")
    var id: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let notes = try replica.notes(of: replica.resolve(id, kind: .customer))
        if screen.isJSON { return screen.json { $0.array(notes) { $0.note($1) } } }
        for (index, note) in notes.enumerated() {
            if index > 0 { screen.line() }
            screen.note(note)
        }
    }
}
