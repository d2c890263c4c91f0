import ShoalCRDT

import struct ShoalCRDT.Record

/// Orders the keys of cells that lie in two records, as records order theirs.
enum CellOrder {
    @inline(__always)
    static func compare(_ a: CellKey, in aArena: borrowing [UInt8], _ b: CellKey, in bArena: borrowing [UInt8]) -> Int {
        if a.field != b.field { return a.field < b.field ? -1 : 1 }
        if a.elementKind != b.elementKind { return a.elementKind.rawValue < b.elementKind.rawValue ? -1 : 1 }
        switch a.elementKind {
        case .none: return 0
        case .id: return a.elementID == b.elementID ? 0 : a.elementID < b.elementID ? -1 : 1
        case .text: return bytes(a.elementSlice, aArena, b.elementSlice, bArena)
        }
    }

    static func bytes(_ a: Slice, _ aArena: borrowing [UInt8], _ b: Slice, _ bArena: borrowing [UInt8]) -> Int {
        let shared = min(Int(a.count), Int(b.count))
        for index in 0..<shared {
            let x = aArena[Int(a.offset) + index]
            let y = bArena[Int(b.offset) + index]
            if x != y { return x < y ? -1 : 1 }
        }
        return a.count == b.count ? 0 : a.count < b.count ? -1 : 1
    }

    /// Where the cell that begins at `start` ends.
    @inline(__always)
    static func endOfCell(_ entries: [Entry], _ arena: borrowing [UInt8], from start: Int) -> Int {
        var end = start + 1
        while end < entries.count, compare(entries[start].key, in: arena, entries[end].key, in: arena) == 0 { end += 1 }
        return end
    }
}

/// Walks the cells of two records of the same identifier side by side and reports those that differ.
struct CellDifference {
    /// - Parameter body: gets the ranges in old and new; one of them is empty for a cell that only one record has.
    static func forEach(_ old: Record?, _ new: Record?, _ body: (Range<Int>, Range<Int>) throws -> Void) rethrows {
        let oldEntries = old?.entries ?? []
        let newEntries = new?.entries ?? []
        let oldArena = old?.arena ?? []
        let newArena = new?.arena ?? []
        var i = 0
        var j = 0
        while i < oldEntries.count || j < newEntries.count {
            let order: Int
            if i == oldEntries.count {
                order = 1
            } else if j == newEntries.count {
                order = -1
            } else {
                order = CellOrder.compare(oldEntries[i].key, in: oldArena, newEntries[j].key, in: newArena)
            }
            let oldEnd = order <= 0 ? CellOrder.endOfCell(oldEntries, oldArena, from: i) : i
            let newEnd = order >= 0 ? CellOrder.endOfCell(newEntries, newArena, from: j) : j
            if order != 0 || !isSame(oldEntries, i..<oldEnd, newEntries, j..<newEnd) {
                try body(i..<oldEnd, j..<newEnd)
            }
            i = oldEnd
            j = newEnd
        }
    }

    /// A dot has one value and one time at most lowered, so equal dots are equal cells to everybody but the clock.
    private static func isSame(_ a: [Entry], _ aCell: Range<Int>, _ b: [Entry], _ bCell: Range<Int>) -> Bool {
        guard aCell.count == bCell.count else { return false }
        for (i, j) in zip(aCell, bCell)
        where a[i].dot != b[j].dot || a[i].kind != b[j].kind || a[i].isCovered != b[j].isCovered
            || a[i].time != b[j].time
        {
            return false
        }
        return true
    }
}
