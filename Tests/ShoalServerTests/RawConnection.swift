import Foundation

/// A connection to a server on loopback that says whatever a test wants, HTTP or not.
final class RawConnection: @unchecked Sendable {
    // Written only by init; the system serialises what threads do with a descriptor.
    private let descriptor: Int32

    struct Trouble: Error { var code: Int32 }

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Trouble(code: errno) }
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if connected != 0 {
            close(descriptor)
            throw Trouble(code: errno)
        }
    }

    deinit { close(descriptor) }

    /// - Returns: whether all of it was taken before the other side closed.
    /// - Throws: when it is neither taken nor refused for ten seconds.
    @discardableResult
    func send(_ bytes: some Collection<UInt8>) throws -> Bool {
        let bytes = Array(bytes)
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress.map { $0 + start }, $0.count - start, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EAGAIN { throw Trouble(code: EAGAIN) }
            if count <= 0 { return false }
            start += count
        }
        return true
    }

    /// Says that nothing more comes.
    func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// What comes until the other side closes, and whether it did within the time.
    func rest(milliseconds: Int32) -> (bytes: [UInt8], isClosed: Bool) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let end = Self.milliseconds() + Int64(milliseconds)
        while true {
            let left = end - Self.milliseconds()
            var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            if left <= 0 || poll(&poller, 1, Int32(left)) <= 0 { return (bytes, false) }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 { return (bytes, true) }
            bytes += buffer[..<count]
        }
    }

    /// Whether the other side has closed.
    var isClosed: Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK))
        return count == 0 || count < 0 && errno != EAGAIN
    }

    private static func milliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}

/// Runs what waits for a peer on a thread of its own: those of tasks are few, and the server needs them too.
func waiting<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}
