import CSQLite

/// A file of a running machine: its content, and the locks and the shared memory that SQLite's connections have on it.
///
/// `@unchecked Sendable`: everything but `id` and `name` is touched only while the disk's state is locked.
final class FileNode: @unchecked Sendable {
    let id: Int
    let name: String
    var content: FileContent

    // The lock of the database file (SQLITE_LOCK_…), by connection.
    private var shared = 0
    private var isReserved = false
    private var isPending = false
    private var isExclusive = false

    // The write-ahead log's index: regions of memory and eight locks.
    private var regions: [UnsafeMutableRawPointer] = []
    private var regionSize = 0
    private var users = 0
    /// How many share each lock; -1 for one that holds it alone.
    private var memoryLocks = [Int](repeating: 0, count: Int(SQLITE_SHM_NLOCK))

    init(id: Int, name: String, content: FileContent) {
        self.id = id
        self.name = name
        self.content = content
    }

    deinit { freeRegions() }

    // MARK: Locks

    /// Raises a connection's lock; SQLITE_BUSY if another's excludes it.
    func lock(_ level: inout Int32, to wanted: Int32) -> Int32 {
        if level >= wanted { return SQLITE_OK }
        if level == SQLITE_LOCK_NONE {
            if isPending || isExclusive { return SQLITE_BUSY }
            shared += 1
            level = SQLITE_LOCK_SHARED
        }
        if wanted == SQLITE_LOCK_SHARED { return SQLITE_OK }
        if level < SQLITE_LOCK_RESERVED, wanted == SQLITE_LOCK_RESERVED {
            if isReserved || isPending { return SQLITE_BUSY }
            isReserved = true
            level = SQLITE_LOCK_RESERVED
            return SQLITE_OK
        }
        if level < SQLITE_LOCK_PENDING {
            if isPending || level < SQLITE_LOCK_RESERVED && isReserved { return SQLITE_BUSY }
            isPending = true
            if level == SQLITE_LOCK_RESERVED { isReserved = false }
            level = SQLITE_LOCK_PENDING
        }
        if shared > 1 { return SQLITE_BUSY }
        isPending = false
        isExclusive = true
        level = SQLITE_LOCK_EXCLUSIVE
        return SQLITE_OK
    }

    /// Lowers a connection's lock.
    func unlock(_ level: inout Int32, to wanted: Int32) {
        if level <= wanted { return }
        if level == SQLITE_LOCK_RESERVED { isReserved = false }
        if level == SQLITE_LOCK_PENDING { isPending = false }
        if level == SQLITE_LOCK_EXCLUSIVE { isExclusive = false }
        if wanted == SQLITE_LOCK_NONE { shared -= 1 }
        level = wanted
    }

    var hasWriter: Bool { isReserved || isPending || isExclusive }

    // MARK: Shared memory

    /// The region of the shared memory; nil where there is none yet and `extends` is false.
    func region(_ index: Int, size: Int, extends: Bool) -> UnsafeMutableRawPointer? {
        if regionSize == 0 { regionSize = size }
        guard size == regionSize else { return nil }
        while regions.count <= index {
            guard extends else { return nil }
            let region = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
            region.initializeMemory(as: UInt8.self, repeating: 0, count: size)
            regions.append(region)
        }
        return regions[index]
    }

    func join() { users += 1 }

    /// A connection no longer uses the memory; with the last one it goes, and the next one finds it empty.
    func leave() {
        users -= 1
        if users == 0 { freeRegions() }
    }

    private func freeRegions() {
        for region in regions { region.deallocate() }
        regions = []
        regionSize = 0
    }

    /// Takes locks of the shared memory, or none of them.
    ///
    /// - Parameters:
    ///   - held: the connection's own, as bits.
    func lockMemory(_ range: Range<Int>, alone: Bool, _ held: inout HeldMemoryLocks) -> Int32 {
        let mask = Self.mask(range)
        if alone {
            for index in range where memoryLocks[index] != 0 && held.alone & 1 << UInt8(index) == 0 {
                return SQLITE_BUSY
            }
            for index in range { memoryLocks[index] = -1 }
            held.alone |= mask
        } else {
            if held.shared & mask == mask { return SQLITE_OK }
            for index in range where memoryLocks[index] < 0 { return SQLITE_BUSY }
            for index in range where held.shared & 1 << UInt8(index) == 0 { memoryLocks[index] += 1 }
            held.shared |= mask
        }
        return SQLITE_OK
    }

    func unlockMemory(_ range: Range<Int>, _ held: inout HeldMemoryLocks) {
        for index in range {
            let bit = UInt8(1) << UInt8(index)
            if held.alone & bit != 0 {
                memoryLocks[index] = 0
            } else if held.shared & bit != 0 {
                memoryLocks[index] -= 1
            }
        }
        held.alone &= ~Self.mask(range)
        held.shared &= ~Self.mask(range)
    }

    private static func mask(_ range: Range<Int>) -> UInt8 {
        range.reduce(0) { $0 | 1 << UInt8($1) }
    }
}

/// The locks of the shared memory that one connection holds, a bit each.
struct HeldMemoryLocks {
    var shared: UInt8 = 0
    var alone: UInt8 = 0
}
