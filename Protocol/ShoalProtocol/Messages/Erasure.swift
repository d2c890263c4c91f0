import ShoalCRDT

/// The word of a server that everything about a customer is erased for good; SPEC.md §4.4.
public struct Erasure: Hashable, Sendable {
    /// The customer.
    public var person: RecordID
    /// Opaque: proves to the server that it said so, also when it was set back and has forgotten it.
    public var proof: String

    public init(person: RecordID, proof: String) {
        self.person = person
        self.proof = proof
    }
}

extension Erasure {
    /// The longest proof, in bytes.
    static let proofLength = 128

    /// The member that names erasures; nothing when there are none.
    static func write(_ erasures: [Erasure], to json: inout JSONWriter) {
        if erasures.isEmpty { return }
        json.key("erased")
        json.beginArray()
        for erasure in erasures {
            json.beginArray()
            json.string(erasure.person.description)
            json.string(erasure.proof)
            json.endArray()
        }
        json.endArray()
    }

    static func read(from reader: inout JSONReader) throws -> [Erasure] {
        var erasures: [Erasure] = []
        try reader.readArray { reader in
            guard erasures.count < Limits.erasures else { throw reader.error(.tooMany(limit: Limits.erasures)) }
            var words: [String] = []
            try reader.readArray { reader in
                guard words.count < 2 else { throw reader.error(.tooMany(limit: 2)) }
                words.append(try reader.readString())
            }
            guard words.count == 2, let person = RecordID(text: words[0]), person.isValid,
                words[1].utf8.count <= proofLength
            else { throw reader.error(.invalid("not an erasure")) }
            erasures.append(Erasure(person: person, proof: words[1]))
        }
        return erasures
    }
}
