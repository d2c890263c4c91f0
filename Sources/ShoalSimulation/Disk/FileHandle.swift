import CSQLite

/// A file that SQLite has open on a simulated disk.
///
/// `@unchecked Sendable`: SQLite uses a handle on one thread at a time; the rest is touched only while the disk's state is
/// locked.
final class FileHandle: @unchecked Sendable {
    private let disk: SimulatedDisk
    private let node: FileNode
    private let life: Int
    /// The first sync also makes the names of the directory durable, as SQLite does for journals on Unix.
    private var syncsDirectory: Bool
    private let deletesOnClose: Bool
    private var level = SQLITE_LOCK_NONE
    private var held = HeldMemoryLocks()
    private var usesMemory = false
    private var keepsLog = false

    init(_ disk: SimulatedDisk, _ node: FileNode, life: Int, syncsDirectory: Bool, deletesOnClose: Bool) {
        self.disk = disk
        self.node = node
        self.life = life
        self.syncsDirectory = syncsDirectory
        self.deletesOnClose = deletesOnClose
    }

    func close() {
        disk.state.withLock { state in
            guard state.life == life else { return }
            node.unlock(&level, to: SQLITE_LOCK_NONE)
            if usesMemory {
                node.unlockMemory(0..<Int(SQLITE_SHM_NLOCK), &held)
                node.leave()
                usesMemory = false
            }
            if deletesOnClose, !state.isHalted { state.remove(node.name) }
        }
    }

    private func isAlive(_ state: borrowing SimulatedDisk.State) -> Bool { state.life == life && !state.isHalted }

    // MARK: Content

    func read(_ target: UnsafeMutableRawBufferPointer, at offset: Int) -> Int32 {
        let problem = disk.announce(.read, node.name, life, offset: offset, count: target.count)
        if problem != nil { return IOFailure.read }
        return disk.state.withLock { state in
            guard isAlive(state) else { return IOFailure.read }
            return node.content.read(into: target, at: offset) == target.count ? SQLITE_OK : IOFailure.shortRead
        }
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: Int) -> Int32 {
        let problem = disk.announce(.write, node.name, life, offset: offset, count: source.count)
        return disk.state.withLock { state in
            guard isAlive(state) else { return IOFailure.write }
            var fits = source.count
            switch problem {
            case .inputOutput: return IOFailure.write
            case .full: return SQLITE_FULL
            case .short(let count): fits = min(fits, count)
            case nil: break
            }
            if let capacity = state.capacity {
                let room = max(0, capacity - state.used) + max(0, node.content.size - offset)
                if room < fits {
                    state.counters.failures += 1
                    fits = room
                }
            }
            let before = node.content.size
            if fits > 0 { node.content.write(UnsafeRawBufferPointer(rebasing: source[..<fits]), at: offset) }
            state.used += node.content.size - before
            state.counters.bytesWritten += fits
            return fits == source.count ? SQLITE_OK : SQLITE_FULL
        }
    }

    func truncate(to size: Int) -> Int32 {
        let problem = disk.announce(.truncate, node.name, life, offset: size, count: 0)
        if problem != nil { return IOFailure.truncate }
        return disk.state.withLock { state in
            guard isAlive(state) else { return IOFailure.truncate }
            state.used += size - node.content.size
            node.content.truncate(to: size)
            return SQLITE_OK
        }
    }

    func sync() -> Int32 {
        let problem = disk.announce(.sync, node.name, life, offset: 0, count: 0)
        return disk.state.withLock { state in
            guard isAlive(state) else { return IOFailure.sync }
            if problem != nil {
                node.content.failSync()
                return IOFailure.sync
            }
            node.content.sync()
            if syncsDirectory { state.syncDirectory() }
            syncsDirectory = false
            return SQLITE_OK
        }
    }

    func size() -> Int? { disk.state.withLock { isAlive($0) ? node.content.size : nil } }

    // MARK: Locks

    func lock(_ wanted: Int32) -> Int32 {
        disk.state.withLock { isAlive($0) ? node.lock(&level, to: wanted) : IOFailure.lock }
    }

    func unlock(_ wanted: Int32) -> Int32 {
        disk.state.withLock { state in
            if state.life == life { node.unlock(&level, to: wanted) }
            return SQLITE_OK
        }
    }

    func hasWriter() -> Bool? { disk.state.withLock { isAlive($0) ? node.hasWriter : nil } }

    /// SQLITE_FCNTL_PERSIST_WAL: whether the last connection leaves the write-ahead log there.
    func persistLog(_ wish: Int32) -> Int32 {
        if wish >= 0 { keepsLog = wish != 0 }
        return keepsLog ? 1 : 0
    }

    // MARK: Shared memory

    func region(_ index: Int, size: Int, extends: Bool, _ region: inout UnsafeMutableRawPointer?) -> Int32 {
        let (found, code): (UInt, Int32) = disk.state.withLock { state in
            guard isAlive(state) else { return (0, IOFailure.memoryMap) }
            if !usesMemory { node.join() }
            usesMemory = true
            return (UInt(bitPattern: node.region(index, size: size, extends: extends)), SQLITE_OK)
        }
        region = UnsafeMutableRawPointer(bitPattern: found)
        return code
    }

    func lockMemory(_ range: Range<Int>, flags: Int32) -> Int32 {
        disk.state.withLock { state in
            guard isAlive(state) else {
                return flags & SQLITE_SHM_UNLOCK != 0 ? SQLITE_OK : IOFailure.memoryLock
            }
            if flags & SQLITE_SHM_UNLOCK != 0 {
                node.unlockMemory(range, &held)
                return SQLITE_OK
            }
            return node.lockMemory(range, alone: flags & SQLITE_SHM_EXCLUSIVE != 0, &held)
        }
    }

    /// Orders memory between the threads that use it.
    func barrier() { disk.state.withLock { _ in } }

    func unmap() {
        disk.state.withLock { state in
            guard usesMemory, state.life == life else { return }
            node.unlockMemory(0..<Int(SQLITE_SHM_NLOCK), &held)
            node.leave()
            usesMemory = false
        }
    }
}

extension SimulatedDisk {
    /// Counts a call, and asks plan and hook what becomes of it.
    ///
    /// - Returns: how it fails; nil when it goes on, unless the machine has stopped.
    func announce(
        _ kind: DiskEffect.Kind, _ file: String, _ life: Int, offset: Int = 0, count: Int = 0
    ) -> DiskFailure? {
        let (planned, number, hook) = state.withLock {
            state -> (DiskFailure?, Int, (@Sendable (DiskEffect) -> DiskDecision)?) in
            guard state.life == life, !state.isHalted else { return (nil, 0, nil) }
            state.counters.calls[Int(kind.rawValue)] += 1
            if kind.changes { state.counters.effects += 1 }
            return (state.planned(kind), state.counters.effects, state.hook)
        }
        if let planned { return planned }
        guard let hook else { return nil }
        switch hook(DiskEffect(kind: kind, file: file, number: number, offset: offset, count: count)) {
        case .proceed: return nil
        case .fail(let failure):
            state.withLock { $0.counters.failures += 1 }
            return failure
        case .halt:
            halt()
            return nil
        }
    }
}

extension SimulatedDisk.State {
    fileprivate mutating func planned(_ kind: DiskEffect.Kind) -> DiskFailure? {
        guard let plan, plan.kinds.contains(kind) else { return nil }
        planCalls += 1
        guard planCalls >= plan.first, planCalls - plan.first < plan.count else { return nil }
        counters.failures += 1
        return plan.failure
    }

    mutating func remove(_ name: String) {
        guard let node = entries.removeValue(forKey: name) else { return }
        used -= node.content.size
    }
}
