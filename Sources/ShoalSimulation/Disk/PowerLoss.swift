/// How a loss of power treats what was not synced. Drawn from a seed, so that an image can be made again.
///
/// Sectors are written whole or torn at any byte, in any order. What was not written again is never changed
/// (SQLITE_IOCAP_POWERSAFE_OVERWRITE, which SQLite assumes of every disk).
struct PowerLoss {
    private var random: SplitMix64
    private let sector: Int

    init(seed: UInt64, sector: Int) {
        random = SplitMix64(seed: seed)
        self.sector = sector
    }

    /// How one file fares: with all sectors equal, long transactions would hardly ever survive whole.
    private enum Fate {
        case kept
        case dropped
        /// Pages up to a moment, in the order of their first write.
        case inOrder(Int)
        /// Each sector by itself, with this chance out of 256 to be kept.
        case scattered(UInt64)
    }

    private mutating func fate(_ pages: Int) -> Fate {
        switch random.below(8) {
        case 0: .kept
        case 1: .dropped
        case 2, 3: .inOrder(random.below(pages + 1))
        case 4: .scattered(248)
        case 5: .scattered(192)
        default: .scattered(128)
        }
    }

    /// What may be found of the file.
    mutating func image(of file: FileContent) -> FileContent {
        if file.unsynced.isEmpty, file.stuck.isEmpty, file.size == file.durableSize { return file }
        var pages = ContiguousArray(file.slots.map(\.page))
        for (index, page) in file.stuck.sorted(by: { $0.key < $1.key }) where index < pages.count {
            if file.slots[index].unsynced < 0 { pages[index] = page }
        }
        let fate = fate(file.unsynced.count)
        for (order, page) in file.unsynced.enumerated() {
            var versions = [page.durable] + page.overwritten
            if page.index < file.slots.count { versions.append(file.slots[page.index].page) }
            while pages.count <= page.index { pages.append(nil) }
            switch fate {
            case .kept: pages[page.index] = versions[versions.count - 1]
            case .dropped: pages[page.index] = page.durable
            case .inOrder(let last):
                if order < last {
                    pages[page.index] = versions[versions.count - 1]
                } else if order == last {
                    pages[page.index] = mixed(versions, chance: 128)
                } else {
                    pages[page.index] = page.durable
                }
            case .scattered(let chance): pages[page.index] = mixed(versions, chance: chance)
            }
        }
        return cut(pages, to: size(of: file, fate))
    }

    private mutating func size(of file: FileContent, _ fate: Fate) -> Int {
        if case .kept = fate { return file.size }
        if case .dropped = fate { return file.durableSize }
        let growth = file.size - file.durableSize
        switch random.below(4) {
        case 0: return file.durableSize
        // File systems cut a file off at once or not at all.
        case 1 where growth > 0: return file.durableSize + random.below(growth)
        default: return file.size
        }
    }

    private func cut(_ pages: ContiguousArray<DiskPage?>, to size: Int) -> FileContent {
        var pages = pages
        let count = (size + DiskPage.size - 1) / DiskPage.size
        while pages.count < count { pages.append(nil) }
        pages.removeLast(pages.count - count)
        let rest = size % DiskPage.size
        if rest > 0, let last = pages.last {
            let copy = DiskPage.copy(of: last)
            copy.withBytes {
                _ = UnsafeMutableRawBufferPointer(rebasing: $0[rest...]).initializeMemory(as: UInt8.self, repeating: 0)
            }
            pages[count - 1] = copy
        }
        return FileContent(pages: pages, size: size)
    }

    /// A page each of whose sectors is of any version, or torn between two.
    private mutating func mixed(_ versions: [DiskPage?], chance: UInt64) -> DiskPage {
        let page = DiskPage.copy(of: versions[0])
        for start in stride(from: 0, to: DiskPage.size, by: sector) {
            let isKept = random.next() & 0xFF < chance
            let older = random.below(versions.count)
            guard !isKept else {
                copy(versions[versions.count - 1], start..<start + sector, into: page)
                continue
            }
            copy(versions[older], start..<start + sector, into: page)
            guard random.below(4) == 0 else { continue }
            // Torn: one side of it is of another version.
            let newer = versions[older + random.below(versions.count - older)]
            let tear = start + random.below(sector + 1)
            copy(newer, random.below(2) == 0 ? start..<tear : tear..<start + sector, into: page)
        }
        return page
    }

    private func copy(_ source: DiskPage?, _ bytes: Range<Int>, into page: DiskPage) {
        page.withBytes { target in
            let part = UnsafeMutableRawBufferPointer(rebasing: target[bytes])
            guard let source else {
                _ = part.initializeMemory(as: UInt8.self, repeating: 0)
                return
            }
            source.withBytes { part.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[bytes])) }
        }
    }

    /// Which file a name stands for: as the directory was last synced, or as it is now.
    mutating func entries(durable: [String: Int], current: [String: Int]) -> [String: Int] {
        var found: [String: Int] = [:]
        for name in Set(durable.keys).union(current.keys).sorted() {
            let (old, new) = (durable[name], current[name])
            found[name] = old == new || random.below(2) == 0 ? new : old
        }
        return found
    }
}
