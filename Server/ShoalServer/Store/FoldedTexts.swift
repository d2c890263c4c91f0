import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// The texts that a group of pushes changes, as its commands find them one after the other.
struct FoldedTexts {
    private struct Cell: Hashable {
        var record: RecordID
        var field: Field
        var element: [UInt8]

        init(_ record: RecordID, _ key: CellKey, _ arena: [UInt8]) {
            self.record = record
            field = key.field
            switch key.elementKind {
            case .none: element = []
            case .id: element = Array("\(key.elementID.rawValue)".utf8)
            case .text: element = [0] + arena[key.elementSlice.range]
            }
        }
    }

    private var texts: [Cell: TextSequence] = [:]
    /// What the running command found.
    private var before: [(cell: Cell, text: TextSequence?)] = []

    /// Another command begins.
    mutating func begin() { before.removeAll() }

    /// The running command is refused: its changes count for nothing.
    mutating func undo() {
        while let (cell, text) = before.popLast() { texts[cell] = text }
    }

    /// Takes a change if it fits the text as it is now.
    ///
    /// - Parameter stored: reads the record without what this group does to it.
    /// - Returns: why the change is refused, if it is: see `TextSequence.fits`.
    mutating func take(
        _ edit: Operations.Edit, of batch: Operations, _ record: RecordID,
        stored: () throws(StoreError) -> Record?
    ) throws(StoreError) -> RefusalReason? {
        guard let change = batch.textChange(edit) else { return .malformed }
        let cell = Cell(record, edit.key, batch.arena)
        var text: TextSequence
        if let known = texts[cell] {
            text = known
        } else if let record = try stored() {
            text = record.openText(in: record.range(of: edit.key, in: batch.arena))
            // What is stored is read once, whatever becomes of the change.
            texts[cell] = text
        } else {
            text = TextSequence()
        }
        guard text.pieceCount + change.partCount <= Limits.textPieces else { return .tooLarge }
        guard text.fits(change) else { return .unknownText }
        before.append((cell, texts[cell]))
        text.merge(change)
        texts[cell] = text
        return nil
    }
}
