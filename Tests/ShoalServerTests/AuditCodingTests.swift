import Foundation
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// The bytes of changes.
struct AuditCodingTests {
    private static let texts = [
        "", "短", "a short text of letters alone", String(repeating: "顾客说下周再来。", count: 40),
        "Привет, это сообщение на русском языке", "一二三四五六七八九𠀀十😀e\u{301}é\r\n", "好" + String(repeating: "x", count: 40),
        "\u{FFFF}\u{FFFD}\u{E000}\u{D7FF}漢字漢字漢字漢字", String(repeating: "\u{10FFFF}", count: 9),
        String(repeating: "好", count: 8),
    ]

    private func change(_ value: (inout Operations) -> Void, before: Record? = nil, id: RecordID) throws
        -> [AuditChange]
    {
        var operations = Operations()
        operations.begin(record: id, time: 1, salt: 1)
        value(&operations)
        var changes = AuditChanges()
        changes.begin(id)
        changes.append(0, of: operations, before: before ?? Record(id: id))
        var sections = AuditSections(try #require(AuditSalt(Array(repeating: 1, count: 16))))
        sections.append(id, link: 0, &changes)
        let form = AuditForm.linked(sections.salt)
        return try sections.bytes.withUnsafeBytes { bytes in
            let read = try AuditSection.read(bytes, form)
            return try AuditCoding.changes(of: #require(read.first), in: bytes, form)
        }
    }

    @Test(arguments: texts) func textsComeBackByteByByte(_ text: String) throws {
        let id = RecordID(rawValue: 1 << 61 | 5)
        let read = try change({ $0.edit(CellKey(.name), text: text) }, id: id)
        guard case .cell(.name, .none, let from, .text(let found)) = read.first else {
            Issue.record("\(read)")
            return
        }
        #expect(from.isEmpty && Array(found.utf8) == Array(text.utf8))
    }

    @Test func chineseTextTakesTwoBytesACharacter() {
        var bytes: [UInt8] = []
        let isWide = bytes.appendWide(Array(String(repeating: "好", count: 100).utf8)[...])
        #expect(isWide && bytes.count == 201)
        bytes = []
        let isWider = bytes.appendWide(Array(String(repeating: "x", count: 100).utf8)[...])
        #expect(!isWider && bytes.isEmpty)
    }

    @Test(arguments: [
        [0xE5, 0xA5], [0xFF], [0x80], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE0, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80],
    ])
    func whatIsNoUTF8StaysAsItIs(_ broken: [UInt8]) {
        var bytes: [UInt8] = [9]
        let isWide = bytes.appendWide((Array(String(repeating: "好", count: 30).utf8) + broken)[...])
        #expect(!isWide && bytes == [9])
    }

    @Test func elementsComeBackHoweverFarApart() throws {
        let ids = [RecordID(rawValue: 1), RecordID(rawValue: .max), RecordID(rawValue: 1 << 40), RecordID(rawValue: 1)]
        let read = try change(
            { operations in
                for id in ids { operations.edit(CellKey(.tagged, id: id), .present) }
                operations.edit(CellKey(.name), text: "名")
                operations.edit(CellKey(.follow, id: ids[2]), .absent)
            }, id: RecordID(rawValue: 1 << 61))
        #expect(
            read == ids.map { .cell(.tagged, .id($0), from: [], to: .present) } + [
                .cell(.name, .none, from: [], to: .text("名")), .cell(.follow, .id(ids[2]), from: [], to: .absent),
            ])
    }

    /// What changed nothing is forgotten, also as the neighbour of what follows.
    @Test func whatIsForgottenLeavesNoTrace() throws {
        let id = RecordID(rawValue: 1 << 61)
        var operations = Operations()
        for (salt, element) in [(1, 7), (2, 1 << 50), (3, 8)] as [(UInt32, Int64)] {
            operations.begin(record: id, time: 1, salt: salt)
            operations.edit(CellKey(.tagged, id: RecordID(rawValue: element)), .present)
        }
        var (all, some) = (AuditChanges(), AuditChanges())
        all.begin(id)
        some.begin(id)
        for index in 0..<3 {
            all.append(index, of: operations, before: Record(id: id))
            if index == 1 { all.forgetLast() } else { some.append(index, of: operations, before: Record(id: id)) }
        }
        #expect(all.bytes == some.bytes)
    }
}
