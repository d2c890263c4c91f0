import Testing

@testable import ShoalCRDT
@testable import ShoalProtocol

@Suite struct SchemaTests {
    /// All that both sides must agree on, a line a thing.
    private var agreement: [String] {
        var lines = ["protocol \(ProtocolVersion.current)"]
        for (kind, name) in Schema.kindNames { lines.append("kind \(kind.rawValue) \(name)") }
        for field in Schema.fields {
            lines.append(
                "field \(field.field.rawValue) \(field.name) \(field.kind.rawValue) \(field.shape) \(field.element)")
        }
        lines.append("reserved \(Field.created.rawValue) \(Field.unknownOperation.rawValue)")
        for kind in (0...15).compactMap({ ValueKind(rawValue: $0) }) { lines.append("value \(kind.rawValue) \(kind)") }
        for kind in (0...3).compactMap({ CellKey.ElementKind(rawValue: $0) }) {
            lines.append("element \(kind.rawValue) \(kind)")
        }
        for tag in (0...7).compactMap({ ScopeTag(rawValue: $0) }) { lines.append("scope \(tag.rawValue) \(tag)") }
        typealias Flags = OperationsCodec.Flags
        lines.append(
            "operation flags \([Flags.creates, Flags.salted, Flags.continues, Flags.keptHash, Flags.derived, Flags.covers])"
        )
        typealias Code = PageCodec.Code
        lines.append("entry code \([Code.covered, Code.sameCell, Code.own, Code.derivedScope])")
        lines.append("operations \(OperationsCodec.members.map(\.description))")
        lines.append("page \(PageCodec.members.map(\.description))")
        lines.append("reasons \(RefusalReason.allCases.map(\.rawValue))")
        lines.append("roles \(Role.allCases.map(\.rawValue))")
        lines.append("digits \(String(decoding: Column.alphabet, as: UTF8.self)) \(Column.mostPlanes)")
        lines.append("alphabet \(Alphabet.first) \(Alphabet.most)")
        lines.append("limits \([Limits.body, Limits.inflated, Limits.depth, Limits.operations, Limits.text])")
        lines.append("dictionary \(String(decoding: FrameDictionary.bytes, as: UTF8.self))")
        return lines
    }

    /// Numbers that were given out are never used again, and a program of version 1 must read what another one wrote: a
    /// new kind or field is added here with its line; whatever else changes asks for a new version of the protocol.
    @Test func theSchemaIsTheOneOfThisVersion() {
        let hash = Array(agreement.joined(separator: "\n").utf8).withUnsafeBytes { SipHash.hash($0, key: (0, 0)) }
        #expect(
            hash == 0x4b56_aae5_dfa1_3209,
            "the schema's hash is \(hash.hexadecimal)\n\(agreement.joined(separator: "\n"))")
    }

    @Test func numbersAreUniqueAndKindsKnown() {
        let numbers = Schema.fields.map(\.field.rawValue)
        #expect(Set(numbers).count == numbers.count)
        #expect(!numbers.contains(Field.created.rawValue) && !numbers.contains(Field.unknownOperation.rawValue))
        let kinds = Schema.kindNames.map(\.0)
        #expect(Schema.fields.allSatisfy { kinds.contains($0.kind) })
        // A name stands for one field of a kind.
        #expect(Set(Schema.fields.map { "\($0.kind.rawValue) \($0.name)" }).count == numbers.count)
    }

    @Test func whatIsNotKnownHasAName() {
        #expect(Schema.name(of: Kind(rawValue: 300)) == "kind-300")
        #expect(Schema.name(of: Field(rawValue: 4_000)) == "field-4000")
        #expect(Schema.name(of: Field.created) == "created")
        #expect(Schema.field(Field(rawValue: 4_000)) == nil)
    }
}
