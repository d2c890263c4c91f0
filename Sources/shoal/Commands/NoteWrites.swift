import ArgumentParser
import ShoalClient
import ShoalCRDT
import ShoalProtocol

struct NoteAdd: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Write a note on a customer; prints its id.",
        discussion: """
            With - the text is read from standard input, less one final newline. Text that begins with a dash follows --.

            EXAMPLES:
              shoal note add 0D4K 敏感肌,换季会过敏
              shoal note add 0D4K - < note.txt
              shoal note add 0D4K -- -20% 优惠已用
            """)

    @Argument(help: "The customer.")
    var id: String
    @Argument(help: "The text, or - for standard input.")
    var text: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let customer = try replica.resolve(id, kind: .customer)
        screen.made(try replica.addNote(to: customer, TypedText.read(text)))
    }
}

struct NoteEdit: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit",
        abstract: "Change a note; without a text in your editor.",
        discussion: """
            What differs from the text you saw is changed; what others change meanwhile stands too. "" clears the note. \
            The editor is $VISUAL, else $EDITOR. With - the text is read from standard input, less one final newline. \
            Text that begins with a dash follows --.

            EXAMPLES:
              shoal note edit 0D5X
              shoal note edit 0D5X 敏感肌,春天会过敏
            """)

    @Argument(help: "The note.")
    var note: String
    @Argument(help: "The text, or - for standard input.")
    var text: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let id = try replica.resolve(note, kind: .note)
        if let text {
            try replica.editNote(id, TypedText.read(text))
        } else {
            try edit(id, of: replica, in: Editor.directory(of: replica))
        }
        screen.done()
    }

    private func edit(_ id: RecordID, of replica: Replica, in directory: String) throws {
        let seen = try replica.draft(of: id)
        let name = HomeDirectory.draftName(replica.home, of: seen.customer)
        let typed = try Editor.edit(seen.text, in: directory, name)
        if typed.text != seen.text {
            guard !typed.text.isEmpty else {
                typed.discard()
                throw Failure.failed("the text is empty: the note was left as it is")
            }
            // What arrived meanwhile stands beside it.
            do { try replica.editNote(seen, typed.text) } catch {
                throw Failure.failed("\(Failure(error).sentence): your text is kept in \(typed.path)")
            }
        }
        typed.discard()
    }
}

struct NoteDelete: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete a note.",
        discussion: """
            EXAMPLES:
              shoal note delete 0D5X
            """)

    @Argument(help: "The note.")
    var note: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        try replica.deleteNote(replica.resolve(note, kind: .note))
        screen.done()
    }
}
