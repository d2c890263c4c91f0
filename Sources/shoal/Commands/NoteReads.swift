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
              shoal note show 0D5X --history
            """)

    @Argument(help: "The note.")
    var note: String
    @Flag(help: "Tell who wrote which part of the text, and when.")
    var history = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let note = try replica.note(replica.resolve(note, kind: .note))
        let parts = history ? try replica.history(ofNote: note.id) : nil
        if screen.isJSON { return screen.json { $0.noteWithCustomer(note, history: parts) } }
        guard let parts else { return screen.note(note) }
        for part in parts {
            screen.line(.dim("\(Format.time(part.at))  \(part.by)"))
            let text = part.text.trimmingPrefix(while: \.isNewline)
            screen.block(text.isEmpty ? "(new line)" : String(text), indent: 2)
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
