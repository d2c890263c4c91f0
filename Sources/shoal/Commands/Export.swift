import ArgumentParser
import ShoalClient
import ShoalCRDT
import ShoalProtocol

struct Export: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write everything about one customer into a new file.",
        discussion: """
            The file is JSON, for you alone (mode 0600), and nothing is overwritten: fields, tags, followers and notes with
            authors and times, what is in conflict or was removed or refused, and what is not sent yet. It says what this
            machine knows: sync first.

            EXAMPLES:
              shoal export --person 0D4K 王小明.json
            """)

    @Option(help: ArgumentHelp("The customer.", valueName: "id"))
    var person: String
    @Argument(help: "Where nothing is yet.", completion: .file())
    var file: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        let id = try replica.resolve(person, kind: .customer)
        let export = try replica.exported(id)
        var writer = JSONWriter()
        writer.export(export)
        try File.create(file, writer.bytes + [UInt8(ascii: "\n")])
        if screen.isJSON { return screen.json { $0.object { $0.member("id", id) } } }
        screen.line(.plain("\(Format.count(export.records.count, "record", "records")) written"))
    }
}

extension JSONWriter {
    fileprivate mutating func export(_ export: PersonExport) {
        object { json in
            json.member("id", export.person)
            json.member("records", export.records) { json, record in
                json.object { json in
                    json.member("id", record.id)
                    json.member("kind", record.kind)
                    json.member("fields", record.fields) { $0.field($1) }
                    if record.text.isEmpty { return }
                    json.member("text", record.text) { json, part in
                        json.object { json in
                            json.member("text", part.text)
                            json.member("by", part.by)
                            json.member("at", time: part.at)
                        }
                    }
                }
            }
            json.member("conflicts", export.conflicts) { $0.conflict($1) }
        }
    }

    private mutating func field(_ field: PersonExport.Field) {
        object { json in
            json.member("name", field.name)
            json.member("values", field.values) { json, value in
                json.object { json in
                    json.member("value", value.value)
                    json.member("by", value.by)
                    json.member("at", time: value.at)
                    json.member("state", value.state)
                }
            }
        }
    }
}
