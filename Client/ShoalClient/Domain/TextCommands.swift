import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// A text as somebody saw it when they began to edit it.
public struct TextDraft: Sendable {
    public let record: RecordID
    public let text: String
    /// To which customer it belongs, if to one.
    public let customer: RecordID?
    let field: Field
    let seen: TextSequence
    /// The register's value that the text is, while nobody has changed it as a text; empty for an empty one.
    fileprivate let base: TextDelta?
}

extension Commands {
    /// The body of a note, to be edited.
    public func draft(of id: RecordID) throws -> TextDraft { draft(of: try note(id), .body) }

    func draft(of record: Record, _ field: Field) -> TextDraft {
        let cell = record.range(of: CellKey(field))
        let seen = record.openText(in: cell)
        return TextDraft(
            record: record.id, text: seen.text, customer: record.envelope.scope.customer, field: field, seen: seen,
            base: record.isText(cell) ? nil : record.textBase(in: cell)?.delta ?? TextDelta())
    }

    /// Changes a text: what differs from the text that was seen. What others changed meanwhile stands too.
    ///
    /// - Parameter settled: dots of values beside the text that this settles.
    func edit(_ draft: TextDraft, to text: String, settling settled: [Dot] = []) throws {
        let record = try store.effective(draft.record)
        let key = CellKey(draft.field)
        let cell = record.range(of: key)
        var delta = TextDelta()
        var superseded = settled
        if let base = draft.base, !record.isText(cell) || !record.openText(in: cell).holds(base) {
            delta = base
            superseded += record.dots(of: base, in: cell)
        }
        let runs = delta.runs.count
        var seen = draft.seen
        let name = TextName(drawn: store.environment.random())
        var offset: UInt32 = 0
        let new = Array(text.unicodeScalars)
        for hunk in TextDiff.hunks(from: seen.content, to: new).reversed() {
            seen.delete(at: hunk.old.lowerBound, count: hunk.old.count, into: &delta)
            seen.insert(new[hunk.new], at: hunk.old.lowerBound, as: name, from: offset, into: &delta)
            offset += UInt32(hunk.new.count)
        }
        if settled.isEmpty, delta.runs.count == runs, delta.deletions.isEmpty { return }
        try write(delta, key, superseded, to: draft.record)
    }

    /// Writes a change, in as many operations as its length needs.
    private func write(_ delta: TextDelta, _ key: CellKey, _ superseded: [Dot], to id: RecordID) throws {
        for (index, part) in delta.parts(upTo: Limits.text / 2).enumerated() {
            var bytes: [UInt8] = []
            part.encode(into: &bytes)
            try writeEdit(to: try store.effective(id)) { batch in
                batch.edit(
                    key, .textChange, slice: batch.store(bytes), supersedes: index == 0 ? superseded.sorted() : [])
            }
        }
    }
}

extension Record {
    /// The values of a register that a base stands for.
    fileprivate func dots(of base: TextDelta, in cell: Range<Int>) -> [Dot] {
        var text: [UInt8] = []
        for piece in base.pieces {
            for scalar in base.text(of: piece) ?? [] { text += Array(String(scalar).utf8) }
        }
        return cell.filter { entries[$0].kind == .text && arena[entries[$0].slice.range].elementsEqual(text) }
            .map { entries[$0].dot }
    }
}

extension TextSequence {
    /// Whether the characters of a base are here.
    fileprivate func holds(_ base: TextDelta) -> Bool {
        base.names.first.map { contains(TextPlace($0, 0)) } ?? true
    }
}

extension TextDelta {
    /// What the author typed: one stretch a line, in the order of the text.
    var typed: String {
        let own = runs.reversed().filter { $0.origin == nil }
        return own.map { run in
            var text = String.UnicodeScalarView()
            for piece in pieces[run.pieces] { text.append(contentsOf: self.text(of: piece) ?? []) }
            return String(text)
        }.joined(separator: "\n")
    }
}
