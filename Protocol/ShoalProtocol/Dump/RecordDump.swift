import ShoalCRDT

/// The canonical dump: one line of JSON a present record, the same bytes on every replica with the same view.
///
///     {"id":"…","kind":"customer","scope":["customer","…"],"cells":[
///       {"field":"name","entries":[{"value":"…","at":…,"dot":"65537:12"}]},
///       {"field":"tag","element":"…","entries":[{"value":true,…,"covered":true}]}]}
///
/// Cells are in the order of their keys, entries in the order of their dots. A present element is `true`; an integer is a
/// number, a count `{"count":n}`, a value of a newer version stands as it came, with the number of its cell type as `type`
/// if it has one. A text stands before its `entries`, which are its changes and the values beside it. Absences, which have no value and are
/// collected in time, empty cells and sequences are not part of it.
public enum RecordDump {
    /// The line of a record without its line feed, or nil if the record is not present.
    public static func line(_ record: borrowing Record) -> [UInt8]? {
        guard record.isPresent else { return nil }
        var json = JSONWriter()
        json.beginObject()
        json.key("id")
        json.string(record.id.description)
        json.key("kind")
        json.string(Schema.name(of: record.envelope.kind))
        json.key("scope")
        write(record.envelope.scope, to: &json)
        json.key("cells")
        json.beginArray()
        let entries = record.entries
        let arena = record.arena
        var start = 0
        while start < entries.count {
            var end = start + 1
            while end < entries.count, entries[end].key.isEqual(to: entries[start].key, in: arena) { end += 1 }
            write(
                entries[start..<end], arena,
                text: record.isText(start..<end) ? record.openText(in: start..<end).text : nil, to: &json)
            start = end
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    private static func write(_ scope: Scope, to json: inout JSONWriter) {
        json.beginArray()
        switch scope {
        case .workspace: json.string("workspace")
        case .account(let id):
            json.string("account")
            json.string(id.description)
        case .customer(let id):
            json.string("customer")
            json.string(id.description)
        case .pair(let a, let b):
            json.string("pair")
            json.string(a.description)
            json.string(b.description)
        }
        json.endArray()
    }

    private static func write(
        _ cell: ArraySlice<Entry>, _ arena: [UInt8], text: String?, to json: inout JSONWriter
    ) {
        guard let first = cell.first, cell.contains(where: \.hasValue) else { return }
        json.beginObject()
        json.key("field")
        json.string(Schema.name(of: first.key.field))
        switch first.key.elementKind {
        case .none: break
        case .id:
            json.key("element")
            json.string(first.key.elementID.description)
        case .text:
            json.key("element")
            json.string(bytes: arena[first.key.elementSlice.range])
        }
        if let text {
            json.key("text")
            json.string(text)
        }
        json.key("entries")
        json.beginArray()
        for entry in cell where entry.hasValue { write(entry, arena, to: &json) }
        json.endArray()
        json.endObject()
    }

    private static func write(_ entry: Entry, _ arena: [UInt8], to json: inout JSONWriter) {
        json.beginObject()
        json.key(entry.kind == .textChange ? "change" : "value")
        switch entry.kind {
        case .text: json.string(bytes: arena[entry.slice.range])
        case _ where entry.kind.isJSON: json.raw(arena[entry.slice.range])
        case .integer: json.integer(entry.integer)
        case .count:
            json.beginObject()
            json.key("count")
            json.integer(entry.integer)
            json.endObject()
        default: json.bool(true)
        }
        if entry.kind.isForeign {
            json.key("type")
            json.integer(Int64(entry.kind.rawValue))
        }
        json.key("at")
        json.integer(entry.time)
        json.key("dot")
        json.string("\(entry.dot.replica.rawValue):\(entry.dot.number)")
        if entry.isCovered {
            json.key("covered")
            json.bool(true)
        }
        json.endObject()
    }
}

extension Entry {
    fileprivate var hasValue: Bool { !kind.isMarker && kind != .absent }
}
