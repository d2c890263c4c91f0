import Glibc
import ShoalStore

/// An advisory lock (flock) on a file in the home.
///
/// Two locks exclude each other also within one process, because each opens the file for itself. The holder writes its
/// process number into the file, so that whoever waits in vain can name it.
final class FileLock: HomeLock {
    private let descriptor: Int32

    /// - Throws: `StoreError.readOnly`, `ReplicaError.home` when the file cannot be opened.
    init(home: String, name: String) throws {
        descriptor = open("\(home)/\(name)", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if descriptor < 0, errno == EROFS { throw StoreError.readOnly(path: home) }
        if descriptor < 0 { throw ReplicaError.home(home, reason: String(cString: strerror(errno))) }
    }

    deinit { close(descriptor) }

    /// Takes the lock if it is free.
    func tryAcquire() -> Bool {
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return false }
        var pid = getpid().littleEndian
        // Only whoever waits in vain reads this; without it they name nobody.
        _ = pwrite(descriptor, &pid, MemoryLayout<Int32>.size, 0)
        return true
    }

    /// Waits for the lock, at most `nanoseconds`; false in vain.
    func acquire(waiting nanoseconds: UInt64, ticks: () -> UInt64) -> Bool {
        if tryAcquire() { return true }
        let start = ticks()
        var pause: UInt32 = 500
        while ticks() &- start < nanoseconds {
            usleep(pause)
            if tryAcquire() { return true }
            pause = min(pause * 2, 20_000)
        }
        return false
    }

    func release() { flock(descriptor, LOCK_UN) }

    /// The process that took the lock last.
    var holder: Int32? {
        var pid: Int32 = 0
        guard pread(descriptor, &pid, MemoryLayout<Int32>.size, 0) == MemoryLayout<Int32>.size else { return nil }
        return Int32(littleEndian: pid)
    }
}
