import CSQLite
import Synchronization

/// Which disk stands for which directory. SQLite knows files by their path only, so this is the one thing that the process
/// has once.
enum DiskRegistry {
    static let prefix = "/simdisk/"

    private struct WeakDisk {
        weak var disk: SimulatedDisk?
    }

    private struct State {
        var disks: [Int: WeakDisk] = [:]
        var last = 0
        var isRegistered = false
    }

    private static let state = Mutex(State())

    static func nextNumber() -> Int {
        state.withLock { state in
            if !state.isRegistered { state.isRegistered = SimulatedFileSystem.register() }
            state.last += 1
            return state.last
        }
    }

    static func add(_ disk: SimulatedDisk) {
        let entry = WeakDisk(disk: disk)
        state.withLock { $0.disks[disk.number] = entry }
    }

    static func remove(_ number: Int) { state.withLock { $0.disks[number] = nil } }

    /// The disk that a path lies on, and the file's name there.
    static func find(_ path: UnsafePointer<CChar>) -> (disk: SimulatedDisk, name: String)? {
        let text = String(cString: path).dropFirst(prefix.count)
        let parts = text.split(separator: "/", maxSplits: 1)
        guard parts.count == 2, let number = Int(parts[0]) else { return nil }
        guard let disk = state.withLock({ $0.disks[number]?.disk }) else { return nil }
        return (disk, String(parts[1]))
    }
}
