import Foundation
import Glibc
import ShoalServer
import ShoalStore

/// The directory in which a server keeps everything: `shoald.db`, `shoald.db.reserve`, `erasures`, `revocations`, `lock` and, while it runs, `shoald.sock`.
struct DataDirectory {
    let path: String

    var database: String { path + "/shoald.db" }

    // Not called as the database is: they stay when that is moved away.
    var ledger: ErasureLedger { ErasureLedger(path: path + "/erasures") }
    var revocations: RevocationLedger { RevocationLedger(path: path + "/revocations") }

    /// Whether something was ever kept here.
    var hasDatabase: Bool { access(database, F_OK) == 0 }

    /// Refuses a write-ahead log whose database is gone or empty: opened so, SQLite would remove it, and with it what had not been
    /// written into the database yet.
    func refuseLogAlone() throws {
        func size(_ path: String) -> Int64 {
            var status = stat()
            return stat(path, &status) == 0 ? Int64(status.st_size) : 0
        }
        guard size(database) == 0, size(database + "-wal") > 0 else { return }
        throw Failure(
            "there is \(database)-wal, but \(hasDatabase ? "its database is empty" : "no database beside it"): put the database back beside "
                + "it, or move it away")
    }

    /// Makes the directory, for this user alone.
    func make() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch { throw Failure("the data directory \(path) cannot be made: \(error.localizedDescription)") }
        guard access(path, W_OK) == 0 else { throw Failure("the data directory \(path) cannot be written") }
        syncName()
    }

    /// SQLite syncs the names in the directory, but not the directory's own, which may be new.
    private func syncName() {
        let descriptor = Glibc.open(path + "/..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    /// Held while this process has the database open; no other process opens it meanwhile.
    final class Lock {
        private let descriptor: Int32
        fileprivate init(_ descriptor: Int32) { self.descriptor = descriptor }
        deinit { close(descriptor) }
    }

    /// The lock, or nil while another process holds it.
    func lock() throws -> Lock? {
        let descriptor = Glibc.open(path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Failure("the data directory \(path) cannot be used: \(String(cString: strerror(errno)))")
        }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return Lock(descriptor) }
        let code = errno
        close(descriptor)
        guard code == EWOULDBLOCK else {
            throw Failure("the data directory \(path) cannot be locked: \(String(cString: strerror(code)))")
        }
        return nil
    }

    /// What `attempt` gives as soon as it gives something; nil if it does not within ten seconds.
    ///
    /// An administrative command holds the lock for a moment and a server that starts does not answer yet, so that
    /// neither is a reason to give up.
    static func waiting<T>(_ attempt: () async throws -> T?) async throws -> T? {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            if let result = try await attempt() { return result }
            if ContinuousClock.now >= deadline { return nil }
            try await ServerEnvironment.system.sleep(50)
        }
    }

    /// The socket on which a running server takes administrative commands.
    ///
    /// An address has room for 107 bytes; a longer path goes by way of an open descriptor of the directory.
    func socket() throws -> String {
        let socket = path + "/shoald.sock"
        if socket.utf8.count <= 100 { return socket }
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Failure("the data directory \(path) cannot be opened: \(String(cString: strerror(errno)))")
        }
        return "/proc/self/fd/\(descriptor)/shoald.sock"
    }

    func removeSocket() { unlink(path + "/shoald.sock") }

    /// Waits for the lock, unless a server runs there.
    func exclusively(_ what: String) async throws -> Lock {
        let running = RemoteServer(socket: try socket())
        let lock = try await Self.waiting { () -> Lock? in
            if let lock = try self.lock() { return lock }
            if await running.answers() {
                throw Failure("a server runs on the data directory \(path); stop it to \(what)")
            }
            return nil
        }
        guard let lock else { throw Failure("another process uses the data directory \(path)") }
        return lock
    }

    /// The store; the lock is held.
    ///
    /// - Parameter lease: for how many milliseconds collection waits for a silent replica.
    func open(lease: Int64 = ServerStore.defaultLease) throws -> ServerStore {
        try refuseLogAlone()
        ServerStore.removeLeftovers(of: database)
        func opened() throws -> ServerStore {
            try ServerStore(
                path: database, environment: .system, lease: lease, ledger: ledger, revocations: revocations)
        }
        let reserve = DiskReserve(path: ServerStore.reserve(of: database))
        let store: ServerStore
        do { store = try opened() } catch let error as StoreError {
            switch error {
            // The index of the log may not fit either, which looks like a failure.
            case .full, .inputOutput:
                guard reserve.release() else { throw error }
                store = try opened()
            default: throw error
            }
        }
        reserve.keep()
        return store
    }
}

extension ServerEnvironment {
    /// The machine's clock and randomness.
    static let system = ServerEnvironment(
        now: {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME, &time)
            return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
        },
        random: { count in
            var generator = SystemRandomNumberGenerator()
            var bytes: [UInt8] = []
            while bytes.count < count { withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) } }
            return Array(bytes.prefix(count))
        },
        sleep: { try await Task.sleep(for: .milliseconds($0)) })
}
