/// What is in a simulated file: what programs read, and of each page written since the last sync what the medium may hold
/// instead.
///
/// A value: a copy shares all pages with the original and costs nothing until one of them is written.
struct FileContent: Sendable {
    struct Slot: Sendable {
        /// nil for zeros.
        var page: DiskPage?
        /// The place in `unsynced`; -1 for a page that is as the medium has it.
        var unsynced: Int32 = -1
    }

    /// A page that was written since the last sync.
    struct Unsynced: Sendable {
        var index: Int
        /// What the medium surely has.
        var durable: DiskPage?
        /// What was overwritten since, oldest first; the newest is in the slot.
        var overwritten: [DiskPage?] = []
        /// The bytes written since the last version: appending to them makes no new version.
        var written: Range<Int>
    }

    private(set) var slots: ContiguousArray<Slot> = []
    private(set) var size = 0
    /// As of the last sync.
    private(set) var durableSize = 0
    private(set) var unsynced: [Unsynced] = []
    /// Pages that were cut off since the last sync and are not there again: their places in `unsynced`.
    private var cut: [Int: Int32] = [:]
    /// Pages whose sync failed: programs go on reading what they wrote, the medium has this, and a later sync of them
    /// reports success without writing anything. (What Linux does after EIO.)
    private(set) var stuck: [Int: DiskPage?] = [:]

    init() {}

    /// A synced file with these pages.
    init(pages: ContiguousArray<DiskPage?>, size: Int) {
        slots = ContiguousArray(pages.map { Slot(page: $0) })
        self.size = size
        durableSize = size
    }

    /// The file's bytes.
    var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            let target = UnsafeMutableRawBufferPointer(buffer)
            _ = read(into: target, at: 0)
            count = size
        }
    }

    /// Fills `target` with what is at `offset`, and with zeros beyond the end.
    ///
    /// - Returns: how many bytes were there.
    func read(into target: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let available = max(0, min(target.count, size - offset))
        var done = 0
        while done < available {
            let position = offset + done
            let start = position % DiskPage.size
            let count = min(DiskPage.size - start, available - done)
            let part = UnsafeMutableRawBufferPointer(rebasing: target[done..<done + count])
            if let page = slots[position / DiskPage.size].page {
                page.withBytes { part.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<start + count])) }
            } else {
                _ = part.initializeMemory(as: UInt8.self, repeating: 0)
            }
            done += count
        }
        if available < target.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[available...])
            _ = rest.initializeMemory(as: UInt8.self, repeating: 0)
        }
        return available
    }

    mutating func write(_ source: UnsafeRawBufferPointer, at offset: Int) {
        var done = 0
        while done < source.count {
            let position = offset + done
            let start = position % DiskPage.size
            let count = min(DiskPage.size - start, source.count - done)
            let index = position / DiskPage.size
            extend(toHold: index)
            note(index, start..<start + count)
            if slots[index].page == nil {
                slots[index].page = .zeros()
            } else if !isKnownUniquelyReferenced(&slots[index].page) {
                slots[index].page = .copy(of: slots[index].page)
            }
            let part = UnsafeRawBufferPointer(rebasing: source[done..<done + count])
            slots[index].page?.withBytes {
                UnsafeMutableRawBufferPointer(rebasing: $0[start..<start + count]).copyMemory(from: part)
            }
            done += count
        }
        size = max(size, offset + source.count)
    }

    private mutating func extend(toHold index: Int) {
        while slots.count <= index {
            var slot = Slot(page: nil)
            if let place = cut.removeValue(forKey: slots.count) { slot.unsynced = place }
            slots.append(slot)
        }
    }

    /// Notes that `bytes` of a page are about to be written.
    private mutating func note(_ index: Int, _ bytes: Range<Int>) {
        let place = Int(slots[index].unsynced)
        guard place >= 0 else {
            let durable = stuck.isEmpty ? slots[index].page : stuck[index] ?? slots[index].page
            slots[index].unsynced = Int32(unsynced.count)
            unsynced.append(Unsynced(index: index, durable: durable, written: bytes))
            return
        }
        let written = unsynced[place].written
        if written.overlaps(bytes) {
            unsynced[place].overwritten.append(slots[index].page)
            unsynced[place].written = bytes
        } else {
            unsynced[place].written =
                min(written.lowerBound, bytes.lowerBound)..<max(written.upperBound, bytes.upperBound)
        }
    }

    mutating func truncate(to length: Int) {
        if length == size { return }
        guard length < size else {
            extend(toHold: (length - 1) / DiskPage.size)
            size = length
            return
        }
        let pages = (length + DiskPage.size - 1) / DiskPage.size
        for index in pages..<max(pages, slots.count) {
            if slots[index].unsynced < 0, slots[index].page != nil { note(index, 0..<DiskPage.size) }
            if slots[index].unsynced >= 0 {
                let place = slots[index].unsynced
                if let page = slots[index].page { unsynced[Int(place)].overwritten.append(page) }
                cut[index] = place
            }
        }
        slots.removeLast(max(0, slots.count - pages))
        let rest = length % DiskPage.size
        if rest > 0, slots[pages - 1].page != nil {
            note(pages - 1, rest..<DiskPage.size)
            slots[pages - 1].page = .copy(of: slots[pages - 1].page)
            slots[pages - 1].page?.withBytes {
                _ = UnsafeMutableRawBufferPointer(rebasing: $0[rest...])
                    .initializeMemory(as: UInt8.self, repeating: 0)
            }
        }
        size = length
    }

    /// All that was written is on the medium.
    mutating func sync() {
        for page in unsynced {
            if page.index < slots.count { slots[page.index].unsynced = -1 }
            if !stuck.isEmpty { stuck[page.index] = nil }
        }
        forgetUnsynced()
        durableSize = size
    }

    /// The medium took nothing, and nobody will try again.
    mutating func failSync() {
        for page in unsynced {
            if page.index < slots.count { slots[page.index].unsynced = -1 }
            if stuck[page.index] == nil { stuck[page.index] = .some(page.durable) }
        }
        forgetUnsynced()
    }

    private mutating func forgetUnsynced() {
        unsynced.removeAll(keepingCapacity: true)
        if !cut.isEmpty { cut.removeAll() }
    }
}
