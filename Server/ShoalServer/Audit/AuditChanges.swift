import ShoalCRDT

import struct ShoalCRDT.Record

/// The bytes of the changes of one entry, as they are written: behind the room for their salt, without which the digest that
/// stays after an erasure would tell a value to whoever guesses it.
///
/// A cell is a byte (`AuditCoding.cell`, the kind of element, whether values were replaced, the kind of the new value), its
/// field, its element, the values replaced and the new one. An element that is an identifier is written as difference to the
/// one before it in the entry, the first as difference to the record.
struct AuditChanges {
    private(set) var bytes: [UInt8] = []
    /// The identifier written last.
    private var near: Int64 = 0
    /// Where the last operation's changes begin, and which identifier came before them.
    private var last = (count: 0, near: Int64(0))

    var isEmpty: Bool { bytes.count <= AuditSalt.length }

    /// Begins the changes of an entry about a record.
    mutating func begin(_ record: RecordID) {
        bytes.removeAll(keepingCapacity: true)
        bytes.append(contentsOf: repeatElement(0, count: AuditSalt.length))
        near = record.rawValue
    }

    mutating func fillSalt(_ salt: UnsafeRawBufferPointer) {
        for (index, byte) in salt.prefix(AuditSalt.length).enumerated() { bytes[index] = byte }
    }

    /// Appends what operation `index` changes of a record as it stands before.
    mutating func append(_ index: Int, of batch: borrowing Operations, before record: borrowing Record) {
        last = (bytes.count, near)
        let operation = batch.operations[index]
        if let envelope = operation.creates {
            bytes.append(AuditCoding.Tag.made.rawValue)
            bytes.appendVarint(UInt64(envelope.kind.rawValue))
        }
        for edit in batch.edits[operation.edits] { append(edit, of: batch, before: record) }
        if !operation.covers.isEmpty { bytes.append(AuditCoding.Tag.deleted.rawValue) }
    }

    /// Takes back what was appended last.
    mutating func forgetLast() {
        bytes.removeSubrange(last.count...)
        near = last.near
    }

    private mutating func append(
        _ edit: Operations.Edit, of batch: borrowing Operations, before record: borrowing Record
    ) {
        let head = bytes.count
        bytes.append(AuditCoding.cell | edit.key.elementKind.rawValue << 5)
        bytes.appendVarint(UInt64(edit.key.field.rawValue))
        switch edit.key.elementKind {
        case .none: break
        case .id:
            bytes.appendSigned(edit.key.elementID.rawValue &- near)
            near = edit.key.elementID.rawValue
        case .text: append(batch.arena, edit.key.elementSlice)
        }
        if appendSuperseded(by: edit, of: batch, in: record) { bytes[head] |= AuditCoding.replaces }
        bytes[head] |= append(edit.kind, edit.integer, edit.slice, batch.arena).rawValue
    }

    /// - Returns: whether there are any.
    private mutating func appendSuperseded(
        by edit: Operations.Edit, of batch: borrowing Operations, in record: borrowing Record
    ) -> Bool {
        if edit.supersedes.isEmpty { return false }
        let cell = record.range(of: edit.key, in: batch.arena)
        func isReplaced(_ entry: Entry, _ dots: ArraySlice<Dot>) -> Bool {
            !entry.kind.isMarker && dots.contains(entry.dot)
        }
        let dots = batch.dots[edit.supersedes]
        var count = 0
        for place in cell where isReplaced(record.entries[place], dots) { count += 1 }
        if count == 0 { return false }
        bytes.appendVarint(count)
        for place in cell where isReplaced(record.entries[place], dots) {
            let entry = record.entries[place]
            let head = bytes.count
            bytes.append(0)
            bytes[head] = append(entry.kind, entry.integer, entry.slice, record.arena).rawValue
        }
        return true
    }

    /// - Returns: what kind of value was written.
    private mutating func append(
        _ kind: ValueKind, _ integer: Int64, _ slice: Slice, _ arena: borrowing [UInt8]
    ) -> AuditCoding.ValueTag {
        switch kind {
        case .present: return .present
        case .integer, .count:
            bytes.appendSigned(integer)
            return kind == .count ? .count : .integer
        case .text:
            if bytes.appendWide(arena[slice.range]) { return .wideText }
            append(arena, slice)
            return .text
        case _ where kind.isJSON:
            append(arena, slice)
            return .json
        default: return .absent
        }
    }

    private mutating func append(_ arena: borrowing [UInt8], _ slice: Slice) {
        bytes.appendVarint(Int(slice.count))
        bytes.append(contentsOf: arena[slice.range])
    }

    /// Appends a change of what is no cell.
    mutating func append(named name: String, from: String?, to: String?) {
        bytes.append(AuditCoding.Tag.named.rawValue)
        append(name)
        for value in [from, to] {
            guard let value else {
                bytes.append(AuditCoding.nothing)
                continue
            }
            bytes.append(AuditCoding.ValueTag.text.rawValue)
            append(value)
        }
    }

    private mutating func append(_ text: String) {
        bytes.appendVarint(text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }
}
