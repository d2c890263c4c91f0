import ShoalClient
import ShoalCRDT
import ShoalProtocol

extension Export {
    /// Writes everything about one customer.
    func write(_ id: RecordID, of replica: Replica, _ screen: inout Screen) throws {
        let export = try replica.exported(id)
        var writer = JSONWriter()
        writer.export(export)
        let output = try NewFile(file, replaces: force)
        try output.write(writer.bytes + [UInt8(ascii: "\n")])
        try replica.noteExport("person", customers: 1, person: id)
        try output.publish()
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
