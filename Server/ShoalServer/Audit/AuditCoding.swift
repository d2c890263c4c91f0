import ShoalCRDT

/// The bytes of the changes of one entry, of both forms: the first wrote a cell with its tag and the kinds in bytes of their
/// own, and a salt before all.
enum AuditCoding {
    enum Tag: UInt8 { case made = 1, deleted, cell, named }
    enum ValueTag: UInt8 {
        case present = 0, absent, text, integer, count, json
        /// In UTF-16, little-endian, after half its length.
        case wideText
    }
    static let nothing: UInt8 = 255
    /// In the first byte of a cell.
    static let cell: UInt8 = 0x80
    static let replaces: UInt8 = 0x10

    // MARK: Reading

    /// The changes of a section that is not erased.
    static func changes(
        of section: AuditSection, in row: UnsafeRawBufferPointer, _ form: AuditForm
    ) throws(DecodingFailure) -> [AuditChange] {
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: row[section.body]))
        if form.holdsSalts { _ = try reader.run(AuditSalt.length) }
        var changes: [AuditChange] = []
        var near = section.record.rawValue
        while !reader.isAtEnd { changes.append(try change(&reader, near: &near)) }
        return changes
    }

    private static func change(
        _ reader: inout ByteReader, near: inout Int64
    ) throws(DecodingFailure) -> AuditChange {
        let tag = try reader.byte()
        if tag & cell != 0 { return try cell(tag, &reader, near: &near) }
        switch Tag(rawValue: tag) {
        case .made: return .made(Kind(rawValue: try reader.varint(as: UInt16.self)))
        case .deleted: return .deleted
        case .cell:
            let field = Field(rawValue: try reader.varint(as: UInt16.self))
            let element: AuditChange.Element
            switch CellKey.ElementKind(rawValue: try reader.byte()) {
            case .some(.none): element = .none
            case .id: element = .id(RecordID(rawValue: Int64(bitPattern: try reader.varint())))
            case .text: element = .text(try text(&reader))
            case nil: throw reader.failure(.outOfRange)
            }
            var from: [AuditValue] = []
            for _ in 0..<(try reader.varint(as: UInt32.self)) {
                from.append(try value(&reader))
            }
            return .cell(field, element, from: from, to: try value(&reader))
        case .named:
            let name = try text(&reader)
            let from = try named(&reader)
            return .named(name, from: from, to: try named(&reader))
        case nil: throw reader.failure(.outOfRange)
        }
    }

    private static func cell(
        _ head: UInt8, _ reader: inout ByteReader, near: inout Int64
    ) throws(DecodingFailure) -> AuditChange {
        let field = Field(rawValue: try reader.varint(as: UInt16.self))
        let element: AuditChange.Element
        switch CellKey.ElementKind(rawValue: head >> 5 & 3) {
        case .some(.none): element = .none
        case .id:
            near = near &+ (try reader.signed())
            element = .id(RecordID(rawValue: near))
        case .text: element = .text(try text(&reader))
        case nil: throw reader.failure(.outOfRange)
        }
        var from: [AuditValue] = []
        if head & replaces != 0 {
            for _ in 0..<(try reader.varint(as: UInt32.self)) { from.append(try value(&reader)) }
        }
        return .cell(field, element, from: from, to: try value(head & 15, &reader))
    }

    private static func value(_ reader: inout ByteReader) throws(DecodingFailure) -> AuditValue {
        try value(try reader.byte(), &reader)
    }

    private static func value(_ tag: UInt8, _ reader: inout ByteReader) throws(DecodingFailure) -> AuditValue {
        switch ValueTag(rawValue: tag) {
        case .present: .present
        case .absent: .absent
        case .text: .text(try text(&reader))
        case .wideText: .text(try wideText(&reader))
        case .integer: .integer(try reader.signed())
        case .count: .count(try reader.signed())
        case .json: .json(try text(&reader))
        case nil: throw reader.failure(.outOfRange)
        }
    }

    private static func named(_ reader: inout ByteReader) throws(DecodingFailure) -> String? {
        switch try reader.byte() {
        case nothing: return nil
        case ValueTag.text.rawValue: return try text(&reader)
        default: throw reader.failure(.outOfRange)
        }
    }

    private static func wideText(_ reader: inout ByteReader) throws(DecodingFailure) -> String {
        let count = try reader.varint(as: UInt32.self)
        let bytes = try reader.run(Int(count) * 2)
        let units = stride(from: 0, to: bytes.count, by: 2).lazy.map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
        return String(decoding: Array(units), as: UTF16.self)
    }

    private static func text(_ reader: inout ByteReader) throws(DecodingFailure) -> String {
        String(decoding: try reader.run(try reader.varint(as: Int.self)), as: UTF8.self)
    }
}
