import ArgumentParser
import ShoalClient
import ShoalProtocol
import ShoalTerminal

struct Export: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write all customers that you have, or everything about one, into a file.",
        discussion: """
            FILE.csv is for spreadsheets: a line a customer, UTF-8 with a byte order mark, fields that could be a formula \
            marked with ' in front, and control characters shown as symbols (␊ for a new line). FILE.jsonl is for programs: \
            a JSON document a customer, exactly as stored. Only you may read the file; it appears whole or not at all.

            EXAMPLES:
              shoal export customers.csv
              shoal export --force customers.jsonl
              shoal export --person 0D4K 王小明.json

            With --person the file is JSON: fields, tags, followers and notes with authors and times, what is in conflict or \
            was removed or refused, and what is not sent yet. It says what this machine knows: sync first.

            That something was exported, not what, goes to the server with the next sync and into its audit.
            """)

    @Argument(
        help: "A file whose name ends with .csv or .jsonl; with --person any.",
        completion: .file(extensions: ["csv", "jsonl", "json"]))
    var file: String
    @Option(help: ArgumentHelp("Everything about this customer alone.", valueName: "id"))
    var person: String?
    @Flag(help: "Replace the file if it is there.")
    var force = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    /// The file is written when so many bytes have come together.
    private static let portion = 1 << 18

    func validate() throws {
        if person == nil, ExportFormat(file: file) == nil {
            throw ValidationError("FILE ends with .csv or .jsonl, not so: \(file)")
        }
    }

    func run(on replica: Replica, _ screen: inout Screen) throws {
        if let person { return try write(replica.resolve(person, kind: .customer), of: replica, &screen) }
        guard let format = ExportFormat(file: file) else { return }
        let output = try NewFile(file, replaces: force)
        var bytes: [UInt8] = []
        var names: [String] = []
        var count = 0
        try replica.export(
            begin: {
                names = $0
                bytes += format.head(names)
            },
            each: {
                bytes += format.line($0, names)
                count += 1
                if bytes.count > Self.portion {
                    try output.write(bytes)
                    bytes.removeAll(keepingCapacity: true)
                }
            })
        try output.write(bytes)
        try replica.noteExport(format.rawValue, customers: count)
        try output.publish()
        if screen.isJSON { return screen.json { $0.object { $0.member("customers", count) } } }
        screen.line(.plain("\(Format.count(count, "customer", "customers")) in \(file)"))
    }
}

/// What a file of customers looks like, by the ending of its name.
enum ExportFormat: String {
    case csv
    case jsonLines = "jsonl"

    init?(file: String) {
        let name = file.lowercased()
        if name.hasSuffix(".csv") {
            self = .csv
        } else if name.hasSuffix(".jsonl") {
            self = .jsonLines
        } else {
            return nil
        }
    }

    /// - Parameter names: of all fields.
    func head(_ names: [String]) -> [UInt8] {
        switch self {
        case .csv: CSVText.byteOrderMark + CSVText.record(["id", "added"] + names + ["tags", "followers", "notes"])
        case .jsonLines: []
        }
    }

    func line(_ customer: ExportedCustomer, _ names: [String]) -> [UInt8] {
        switch self {
        case .csv:
            var values: [String: String] = [:]
            for field in customer.fields { values[field.name] = field.value }
            let own = [customer.id.description, Format.time(customer.added)] + names.map { values[$0] ?? "" }
            let tags = customer.tags.map(\.path).joined(separator: ", ")
            return CSVText.record(own + [tags, customer.followers.joined(separator: ", "), "\(customer.notes)"])
        case .jsonLines:
            var writer = JSONWriter()
            writer.exported(customer)
            return TerminalText.json(writer.bytes) + [UInt8(ascii: "\n")]
        }
    }
}

extension AssignedTag {
    /// GROUP/NAME, or NAME in the ungrouped group.
    var path: String { group.isEmpty ? name : "\(group)/\(name)" }
}

extension JSONWriter {
    fileprivate mutating func exported(_ customer: ExportedCustomer) {
        object { json in
            json.member("id", customer.id)
            json.member("added", time: customer.added)
            json.key("fields")
            json.object { json in
                for field in customer.fields {
                    json.key(bytes: Array(field.name.utf8)[...])
                    json.string(field.value)
                }
            }
            json.member("tags", customer.tags) { $0.string($1.path) }
            json.member("followers", customer.followers) { $0.string($1) }
            json.member("notes", customer.notes)
        }
    }
}
