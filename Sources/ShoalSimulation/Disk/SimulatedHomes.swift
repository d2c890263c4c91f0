import CSQLite
import ShoalClient
import ShoalStore

/// Homes on simulated disks: their directories need not be made, and their locks are the disk's and end with its process.
public struct SimulatedHomes: HomeFiles {
    public let disk: SimulatedDisk
    private let key: [UInt8]?

    /// - Parameter key: the key file of encrypted homes, which a machine keeps elsewhere than on its disk.
    public init(_ disk: SimulatedDisk, key: [UInt8]? = nil) {
        self.disk = disk
        self.key = key
    }

    public func keyFile(_ home: String) throws -> [UInt8]? { key }

    public func hasDatabase(_ home: String) throws -> Bool {
        (disk.size(of: try disk.name(of: HomeDirectory.databasePath(home))) ?? 0) > 0
    }

    public func removeDatabase(_ home: String) throws {
        let path = HomeDirectory.databasePath(home)
        for suffix in ["", "-wal"] {
            let code = disk.delete(try disk.name(of: path + suffix), syncsDirectory: true)
            if code != SQLITE_OK, code != IOFailure.deleteNothing {
                throw StoreError(code: code, message: "it cannot be deleted", path: path)
            }
        }
    }

    public func create(_ home: String) throws { _ = try disk.name(of: home) }

    public func lock(_ home: String, name: String) throws -> any HomeLock {
        SimulatedLock(disk, try disk.name(of: home + "/" + name))
    }
}

extension SimulatedDisk {
    /// The name on this disk of a path below its directory.
    ///
    /// - Throws: `ReplicaError.home` for another path, which would be a real file.
    fileprivate func name(of path: String) throws -> String {
        guard path.hasPrefix(directory + "/") else { throw ReplicaError.home(path, reason: "it is on another disk") }
        return String(path.dropFirst(directory.utf8.count + 1))
    }
}

/// A lock among the connections of one machine. Nobody waits: whoever holds it runs on the same thread.
final class SimulatedLock: HomeLock {
    private let disk: SimulatedDisk
    private let name: String
    private let life: Int

    init(_ disk: SimulatedDisk, _ name: String) {
        self.disk = disk
        self.name = name
        life = disk.state.withLock { $0.life }
    }

    /// A process that has ended excludes nobody, and whatever it does fails.
    func tryAcquire() -> Bool {
        disk.state.withLock { $0.life != life || $0.locks.insert(name).inserted }
    }

    func acquire(waiting nanoseconds: UInt64, ticks: () -> UInt64) -> Bool { tryAcquire() }

    func release() {
        disk.state.withLock { state in
            if state.life == life { state.locks.remove(name) }
        }
    }

    var holder: Int32? { nil }
}
