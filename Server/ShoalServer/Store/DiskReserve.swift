import Glibc

/// Room on the disk that only an administrator's changes get: whoever fills a server's disk cannot prevent that he is
/// locked out.
///
/// It is a file beside the database. Where a change of accounts or devices finds the disk full the file goes, and the
/// change is tried once more; it comes back when the database is opened while there is room.
public struct DiskReserve: Sendable {
    /// Bytes: room for some hundred changes.
    public static let size: off_t = 1 << 20

    public let path: String

    public init(path: String) { self.path = path }

    /// Takes the room, unless little more would be left to everybody else.
    public func keep() {
        var status = stat()
        if stat(path, &status) == 0, status.st_size >= Self.size { return }
        var disk = statvfs()
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        guard statvfs(folder, &disk) == 0, UInt64(disk.f_bavail) * UInt64(disk.f_frsize) >= 16 * UInt64(Self.size)
        else { return }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        if posix_fallocate(descriptor, 0, Self.size) != 0 { unlink(path) }
    }

    /// Gives the room back; false if there is none.
    public func release() -> Bool { unlink(path) == 0 }
}
