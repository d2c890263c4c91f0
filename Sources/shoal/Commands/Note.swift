import ArgumentParser
import ShoalClient
import ShoalProtocol

struct Note: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "note",
        abstract: "Write, change, show and delete notes on customers.",
        discussion: """
            EXAMPLES:
              shoal note add 0D4K 敏感肌,换季会过敏
              shoal note list 0D4K
              shoal note edit 0D5X
            """,
        subcommands: [NoteAdd.self, NoteEdit.self, NoteShow.self, NoteList.self, NoteDelete.self])
}

extension Screen {
    /// A note with who wrote it and when.
    mutating func note(_ note: NoteView) {
        line(
            .plain(note.id.description), .dim("  \(Format.time(note.at))  \(note.by)"),
            note.hasConflict ? .warning("  in conflict: see shoal conflicts show \(note.id)") : .plain(""))
        block(note.body, indent: 2)
    }
}

extension JSONWriter {
    /// A note of a customer who is named elsewhere.
    mutating func note(_ note: NoteView) { object { $0.noteMembers(note) } }

    /// A note by itself, with who wrote which part if that was asked for.
    mutating func noteWithCustomer(_ note: NoteView, history: [NotePart]? = nil) {
        object { json in
            json.member("customer", note.customer)
            json.noteMembers(note)
            guard let history else { return }
            json.member("history", history) { json, part in
                json.object { json in
                    json.member("text", part.text)
                    json.member("by", part.by)
                    json.member("at", time: part.at)
                }
            }
        }
    }

    private mutating func noteMembers(_ note: NoteView) {
        member("id", note.id)
        member("body", note.body)
        member("by", note.by)
        member("at", time: note.at)
    }
}
