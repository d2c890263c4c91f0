import Testing

@testable import ShoalCRDT
@testable import ShoalProtocol

import struct Foundation.Data

/// SPEC.md says what the code does.
@Suite struct SpecificationTests {
    private var lines: [String] {
        get throws {
            let file = Fixtures.protocolFolder.appending(path: "SPEC.md")
            return String(decoding: try Data(contentsOf: file), as: UTF8.self)
                .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        }
    }

    private func rows(after heading: String) throws -> [String] {
        let lines = try lines
        let start = try #require(lines.firstIndex { $0.hasPrefix(heading) })
        return Array(lines[start...].drop { !$0.hasPrefix("|") }.dropFirst(2).prefix { $0.hasPrefix("|") })
    }

    @Test func theSchemaTablesListEveryKindAndField() throws {
        let kinds = Schema.kindNames.map { "| \($0.0.rawValue) | \($0.1) |" }
        #expect(try rows(after: "| kind | name |") == kinds)
        let fields = Schema.fields.map {
            "| \($0.field.rawValue) | \($0.name) | \(Schema.name(of: $0.kind)) | \($0.shape) | \($0.element) "
                + "| \($0.writer) |"
        }
        #expect(try rows(after: "| field | name | kind |") == fields)
    }

    @Test func theMembersStandInTheOrderOfTheText() throws {
        let lines = try lines
        for members in [OperationsCodec.members, PageCodec.members] {
            #expect(lines.contains("`{" + members.map { "\"\($0)\"" }.joined(separator: ",") + "}`"))
        }
    }

    @Test func theLimitsAreTheOnesOfTheText() throws {
        let rows = try rows(after: "| what | at most |")
        func number(_ value: Int) -> String {
            var digits = Array(String(value))
            for place in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: place) }
            return String(digits)
        }
        let limits = [
            "body of a request": Limits.body, "body expanded": Limits.inflated, "header": Limits.header,
            "levels of JSON": Limits.depth, "operations in a request": Limits.operations,
            "edits in a request": OperationsCodec.mostParts, "text, name": Limits.text,
            "records, entries": PageCodec.mostEntries,
            "scalars in an alphabet": Alphabet.most,
        ]
        for (what, limit) in limits {
            let row = try #require(rows.first { $0.hasPrefix("| \(what)") }, "\(what)")
            #expect(row.contains("| \(number(limit)) "), "\(row)")
        }
    }

    @Test func everyReasonAndRoleIsNamed() throws {
        let text = try lines.joined(separator: "\n")
        for reason in RefusalReason.allCases { #expect(text.contains("| `\(reason.rawValue)` |"), "\(reason)") }
        for role in Role.allCases { #expect(text.contains("\"\(role.rawValue)\""), "\(role)") }
    }

    @Test func theExampleIsTheGoldenFrames() throws {
        let lines = try lines
        let start = try #require(lines.firstIndex(of: "```json"))
        let frame = try Fixtures.text("v1/response-conflict.json")
        #expect(frame.hasSuffix("\"page\":" + lines[start + 1] + "}"))
        let request = try SyncRequest(json: try Fixtures.read("v1/request.json"))
        var bytes: [UInt8] = []
        request.operations.encode(2, into: &bytes)
        let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
        #expect(lines.contains("    " + digits), "\(digits)")
    }
}
