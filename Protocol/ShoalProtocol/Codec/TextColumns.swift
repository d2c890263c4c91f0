import ShoalCRDT

/// The texts of a frame, by field, so that like stands beside like: `{"<field>": ["…", …], …}`.
struct TextColumns {
    private var writing: [UInt16: [Slice]] = [:]
    private var ranges: [UInt16: [Range<Int>]] = [:]
    private var next: [UInt16: Int] = [:]
    private var arena: [UInt8] = []

    mutating func add(_ slice: Slice, of field: Field) { writing[field.rawValue, default: []].append(slice) }

    var isEmpty: Bool { writing.isEmpty }

    func write(from source: borrowing [UInt8], _ alphabet: Alphabet, to frame: inout FrameWriter) {
        frame.json.key("text")
        frame.json.beginObject()
        var encoded: [UInt8] = []
        for field in writing.keys.sorted() {
            frame.endBlock()
            frame.json.key(bytes: Array(String(field).utf8)[...])
            frame.json.beginArray()
            source.withUnsafeBytes { source in
                for slice in writing[field] ?? [] {
                    let text = UnsafeRawBufferPointer(rebasing: source[slice.range])
                    if alphabet.isEmpty {
                        frame.json.string(bytes: text)
                    } else {
                        encoded.removeAll(keepingCapacity: true)
                        alphabet.encode(text, into: &encoded)
                        frame.json.string(bytes: encoded[...])
                    }
                }
            }
            frame.json.endArray()
        }
        frame.json.endObject()
    }

    /// - Parameters:
    ///   - counts: how many texts each field has.
    mutating func read(counts: [UInt16: Int], from reader: inout JSONReader) throws {
        var arena: [UInt8] = []
        var ranges: [UInt16: [Range<Int>]] = [:]
        try reader.readObject { reader, key in
            guard let field = UInt16(key.string), "\(field)" == key.string, let count = counts[field] else {
                throw reader.error(.unknownKey)
            }
            var list: [Range<Int>] = []
            list.reserveCapacity(count)
            try reader.readStrings(into: &arena, ranges: &list, limit: count)
            ranges[field] = list
        }
        self.arena = arena
        self.ranges = ranges
    }

    func fits(_ counts: [UInt16: Int]) -> Bool { counts.allSatisfy { ranges[$0.key]?.count ?? 0 == $0.value } }

    /// Appends the next text of `field` to `output`.
    mutating func take(_ field: Field, _ alphabet: Alphabet, into output: inout [UInt8]) -> Slice? {
        let index = next[field.rawValue, default: 0]
        guard let list = ranges[field.rawValue], index < list.count else { return nil }
        next[field.rawValue] = index + 1
        let range = arena.withUnsafeBytes { arena in
            alphabet.decode(UnsafeRawBufferPointer(rebasing: arena[list[index]]), into: &output)
        }
        return range.map { Slice($0) }
    }
}
