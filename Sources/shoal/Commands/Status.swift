import ArgumentParser
import ShoalClient
import ShoalProtocol

struct StatusCommand: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show who you are, what is not sent yet and what needs a decision.",
        discussion: """
            Reads only this machine: it works and answers at once without a network.

            EXAMPLES:
              shoal status
              shoal status --json
            """)

    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let status = try replica.status()
        if screen.isJSON { return screen.json { $0.status(status) } }
        let row = { (screen: inout Screen, name: String, parts: [Screen.Part]) in
            screen.line([.dim(TextWidth.padded(name, to: 11))] + parts)
        }
        row(&screen, "account", [.bold(status.account), .plain(" (\(status.role))")])
        row(&screen, "replica", [.plain(status.replica)])
        row(&screen, "server", [.plain(status.server)])
        row(&screen, "last sync", [.plain(status.lastSync.map(Format.time) ?? "never")])
        row(&screen, "pending", [.plain("\(Format.count(status.pending, "change", "changes")) not sent yet")])
        if status.conflicts > 0 {
            row(
                &screen, "conflicts",
                [.warning("\(Format.number(status.conflicts)) to settle"), .plain(": see shoal conflicts")])
        } else {
            row(&screen, "conflicts", [.plain("none")])
        }
        if let sentence = status.erasure { row(&screen, "erased", [.plain(sentence)]) }
        if let healed = status.healed { row(&screen, "history", [.plain(Self.sentence(healed))]) }
        if status.needsContact {
            return row(&screen, "contact", [.warning("needed before anything is shown: run shoal sync")])
        }
        if status.refused > 0 {
            let what = Format.count(status.refused, "change of yours was", "changes of yours were")
            row(&screen, "set aside", [.warning("\(what) refused by the server"), .plain(": see shoal conflicts")])
        }
        if status.lost > 0 {
            let what = Format.count(status.lost, "change", "changes")
            let fate = "of yours could not be read when this home was damaged, and did not reach the server"
            row(&screen, "lost", [.warning("\(what) \(fate)")])
        }
    }

    private static func sentence(_ note: HealingNote) -> String {
        let changes = Format.count(note.changes, "unsent change", "unsent changes")
        let at = Format.time(note.at)
        return switch note.kind {
        case .fork:
            "at \(at) this home was found to be a copy, or restored from a backup; \(changes) went on as replica "
                + "\(note.replica), none was lost"
        case .rollback:
            "at \(at) the server was found to have been set back; it gets this home's work again "
                + "(\(Format.count(note.changes, "change", "changes")))"
        case .relayed:
            "at \(at) the server, which had lost something, got back what this home held "
                + "(\(Format.count(note.changes, "record", "records")))"
        case .renamed: "at \(at) a record of yours got another id, because another copy of this home had drawn the same"
        }
    }
}

extension Status {
    /// What became of work about persons of whom everything was erased; nil if there was none.
    var erasure: String? {
        if erased == 0 { return nil }
        let persons = "everything about \(Format.count(erased, "person", "persons")) was erased for good"
        if erasedChanges == 0 { return persons }
        let changes = Format.count(erasedChanges, "change of yours that", "changes of yours that")
        return "\(persons), with \(changes) the server had not taken"
    }
}

extension JSONWriter {
    fileprivate mutating func status(_ status: Status) {
        object { json in
            json.member("account", status.account)
            json.member("role", status.role)
            json.member("replica", status.replica)
            json.member("server", status.server)
            json.member("pending", status.pending)
            json.member("cursor", status.cursor)
            if let last = status.lastSync {
                json.member("lastSync", time: last)
            } else {
                json.key("lastSync")
                json.null()
            }
            json.member("conflicts", status.conflicts)
        }
    }
}
