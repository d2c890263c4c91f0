import Crypto
import ShoalCRDT

import struct ShoalCRDT.Record

/// The bytes of the changes of one entry. They begin with 16 bytes of salt, without which the digest that stays after an
/// erasure would tell a value to whoever guesses it.
enum AuditCoding {
    static let saltLength = 16
    static let digestLength = SHA256.byteCount

    private enum Tag: UInt8 { case made = 1, deleted, cell, named }
    private enum ValueTag: UInt8 { case present = 0, absent, text, integer, count, json }
    private static let nothing: UInt8 = 255

    // MARK: Writing

    /// Appends what operation `index` changes of a record as it stands before.
    static func append(
        _ index: Int, of batch: borrowing Operations, before record: borrowing Record, to bytes: inout [UInt8]
    ) {
        let operation = batch.operations[index]
        if let envelope = operation.creates {
            bytes.append(Tag.made.rawValue)
            bytes.appendVarint(UInt64(envelope.kind.rawValue))
        }
        for edit in batch.edits[operation.edits] {
            bytes.append(Tag.cell.rawValue)
            bytes.appendVarint(UInt64(edit.key.field.rawValue))
            bytes.append(edit.key.elementKind.rawValue)
            switch edit.key.elementKind {
            case .none: break
            case .id: bytes.appendVarint(UInt64(bitPattern: edit.key.elementID.rawValue))
            case .text: append(batch.arena, edit.key.elementSlice, to: &bytes)
            }
            appendSuperseded(by: edit, of: batch, in: record, to: &bytes)
            append(edit.kind, edit.integer, edit.slice, batch.arena, to: &bytes)
        }
        if !operation.covers.isEmpty { bytes.append(Tag.deleted.rawValue) }
    }

    private static func appendSuperseded(
        by edit: Operations.Edit, of batch: borrowing Operations, in record: borrowing Record, to bytes: inout [UInt8]
    ) {
        if edit.supersedes.isEmpty { return bytes.append(0) }
        let cell = record.range(of: edit.key, in: batch.arena)
        func isReplaced(_ entry: Entry, _ dots: ArraySlice<Dot>) -> Bool {
            !entry.kind.isMarker && dots.contains(entry.dot)
        }
        let dots = batch.dots[edit.supersedes]
        var count = 0
        for place in cell where isReplaced(record.entries[place], dots) { count += 1 }
        bytes.appendVarint(count)
        for place in cell where isReplaced(record.entries[place], dots) {
            let entry = record.entries[place]
            append(entry.kind, entry.integer, entry.slice, record.arena, to: &bytes)
        }
    }

    private static func append(
        _ kind: ValueKind, _ integer: Int64, _ slice: Slice, _ arena: borrowing [UInt8], to bytes: inout [UInt8]
    ) {
        switch kind {
        case .present: bytes.append(ValueTag.present.rawValue)
        case .text:
            bytes.append(ValueTag.text.rawValue)
            append(arena, slice, to: &bytes)
        case .integer, .count:
            bytes.append(kind == .count ? ValueTag.count.rawValue : ValueTag.integer.rawValue)
            bytes.appendSigned(integer)
        case _ where kind.isJSON:
            bytes.append(ValueTag.json.rawValue)
            append(arena, slice, to: &bytes)
        default: bytes.append(ValueTag.absent.rawValue)
        }
    }

    private static func append(_ arena: borrowing [UInt8], _ slice: Slice, to bytes: inout [UInt8]) {
        bytes.appendVarint(Int(slice.count))
        bytes.append(contentsOf: arena[slice.range])
    }

    /// Appends a change of what is no cell.
    static func append(named name: String, from: String?, to: String?, to bytes: inout [UInt8]) {
        bytes.append(Tag.named.rawValue)
        append(name, to: &bytes)
        for value in [from, to] {
            guard let value else {
                bytes.append(nothing)
                continue
            }
            bytes.append(ValueTag.text.rawValue)
            append(value, to: &bytes)
        }
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.appendVarint(text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }

    // MARK: Reading

    /// - Parameter bytes: with their salt.
    static func changes(_ bytes: UnsafeRawBufferPointer) throws(DecodingFailure) -> [AuditChange] {
        var reader = ByteReader(bytes)
        _ = try reader.run(saltLength)
        var changes: [AuditChange] = []
        while !reader.isAtEnd { changes.append(try change(&reader)) }
        return changes
    }

    private static func change(_ reader: inout ByteReader) throws(DecodingFailure) -> AuditChange {
        switch Tag(rawValue: try reader.byte()) {
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

    private static func value(_ reader: inout ByteReader) throws(DecodingFailure) -> AuditValue {
        switch ValueTag(rawValue: try reader.byte()) {
        case .present: .present
        case .absent: .absent
        case .text: .text(try text(&reader))
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

    private static func text(_ reader: inout ByteReader) throws(DecodingFailure) -> String {
        String(decoding: try reader.run(try reader.varint(as: Int.self)), as: UTF8.self)
    }
}
