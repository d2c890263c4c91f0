import ArgumentParser
import ShoalClient
import ShoalCRDT
import ShoalProtocol

struct Log: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Show who changed what, when, and from what to what, newest first.",
        discussion: """
            Asks the server, which keeps what everybody did to what you see. Without a server it shows what is known here: what \
            was written on this device, and who wrote what stands there now. What the server has not got yet is marked.

            EXAMPLES:
              shoal log 0D4K
              shoal log
              shoal log 0D4K --offline
              shoal log 0D4K --json          {"whole","entries":[{"at","by","replica","device","action","record","changes":
                                             [{"field","element","from","to"}],"erased","sent"}]}
            """)

    @Argument(help: "The customer, note or tag; without one, everything.")
    var id: String?
    @Option(help: ArgumentHelp("How many changes at most.", valueName: "n"))
    var limit = 50
    @Flag(help: "Do not ask the server.")
    var offline = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if !(1...10_000).contains(limit) { throw ValidationError("--limit is from 1 to 10000") }
    }

    func run() async throws {
        let replica = try global.replica()
        let record = try id.map { try Self.resolve($0, in: replica) }
        let log = try await changeLog(replica, record)
        var screen = Screen(isJSON: global.json)
        if screen.isJSON { screen.json { $0.changeLog(log) } } else { screen.changeLog(log) }
        try screen.finish()
        replica.leave()
    }

    /// A whole identifier may be that of what is deleted or was never here.
    private static func resolve(_ text: String, in replica: Replica) throws -> RecordID {
        do { return try replica.resolve(text) } catch ReplicaError.unknownID(let unknown) {
            guard let id = RecordID(text: text) else { throw ReplicaError.unknownID(unknown) }
            return id
        }
    }

    private func changeLog(_ replica: Replica, _ record: RecordID?) async throws -> ChangeLog {
        if !offline {
            do {
                var entries: [LogEntry] = []
                try await Network.use(replica.trust()) { transport in
                    entries = try await Progress("waiting for the server").during {
                        try await SyncDriver(replica: replica, transport: transport).audit(of: record, limit: limit)
                    }
                }
                let unsent = try replica.changeLog(of: record, limit: limit, unsentOnly: true, Format.time)
                return ChangeLog(entries: Array((unsent + entries).prefix(limit)), isWhole: true)
            } catch let error as SyncError where error.helpsToRetry {
                // Nobody is there to ask: what is here is shown.
            }
        }
        return ChangeLog(entries: try replica.changeLog(of: record, limit: limit, Format.time), isWhole: false)
    }
}

extension Screen {
    fileprivate mutating func changeLog(_ log: ChangeLog) {
        if !log.isWhole { Screen.say("without the server, only what is known here is shown") }
        for entry in log.entries {
            let author = [entry.by.isEmpty ? "(server)" : entry.by, entry.device ?? entry.replica ?? ""]
            line(
                .dim(entry.at), .plain("  " + author.filter { !$0.isEmpty }.joined(separator: ", ") + "  "),
                .bold(entry.action), .plain(entry.record.map { "  \($0)" } ?? ""),
                .warning(entry.isSent ? "" : "  not sent yet"))
            if entry.isErased { line(.dim("  (erased)")) }
            for change in entry.changes {
                let place = [change.field, change.element ?? ""].filter { !$0.isEmpty }.joined(separator: " ")
                let former = change.from.isEmpty ? "" : change.from.joined(separator: " | ") + " → "
                line(.plain("  \(place): \(former)\(change.to ?? "(nothing)")"))
            }
        }
    }
}

extension JSONWriter {
    fileprivate mutating func changeLog(_ log: ChangeLog) {
        object { json in
            json.member("whole", log.isWhole)
            json.member("entries", log.entries) { $0.logEntry($1) }
        }
    }

    private mutating func logEntry(_ entry: LogEntry) {
        object { json in
            json.member("at", entry.at)
            json.member("by", entry.by)
            if let replica = entry.replica { json.member("replica", replica) }
            if let device = entry.device { json.member("device", device) }
            json.member("action", entry.action)
            if let record = entry.record { json.member("record", record) }
            json.member("changes", entry.changes) { json, change in
                json.object { json in
                    json.member("field", change.field)
                    if let element = change.element { json.member("element", element) }
                    json.member("from", change.from) { $0.string($1) }
                    if let to = change.to { json.member("to", to) }
                }
            }
            if entry.isErased { json.member("erased", true) }
            json.member("sent", entry.isSent)
        }
    }
}
