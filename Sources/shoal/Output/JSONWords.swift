import ShoalCRDT
import ShoalProtocol

extension JSONWriter {
    mutating func member(_ key: StaticString, _ value: String) {
        self.key(key)
        string(value)
    }

    mutating func member(_ key: StaticString, _ value: Int) {
        self.key(key)
        integer(Int64(value))
    }

    mutating func member(_ key: StaticString, _ value: Bool) {
        self.key(key)
        bool(value)
    }

    mutating func member(_ key: StaticString, _ id: RecordID) { member(key, id.description) }

    mutating func member(_ key: StaticString, time: Int64) { member(key, Format.time(time)) }

    mutating func object(_ body: (inout JSONWriter) -> Void) {
        beginObject()
        body(&self)
        endObject()
    }

    mutating func array<T>(_ values: [T], _ body: (inout JSONWriter, T) -> Void) {
        beginArray()
        for value in values { body(&self, value) }
        endArray()
    }

    mutating func member<T>(_ key: StaticString, _ values: [T], _ body: (inout JSONWriter, T) -> Void) {
        self.key(key)
        array(values, body)
    }
}

extension Screen {
    /// What a write that made a record prints: its id.
    mutating func made(_ id: RecordID) {
        if isJSON {
            json { $0.object { $0.member("id", id) } }
        } else {
            line(.plain(id.description))
        }
    }

    /// What any other write prints: nothing to a person.
    mutating func done() {
        if isJSON { json { $0.object { _ in } } }
    }
}
