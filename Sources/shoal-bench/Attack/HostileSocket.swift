import Foundation
import Synchronization

/// Connections to loopback on which anything may be said.
enum HostileSocket {
    /// - Returns: its descriptor, or nil when the server takes none.
    static func connect(_ port: UInt16) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if code == 0 { return descriptor }
        close(descriptor)
        return nil
    }

    /// Sends a request and reads the status of its answer; nil when there is none.
    static func exchange(_ port: UInt16, _ bytes: [UInt8]) -> Int? {
        guard let descriptor = connect(port) else { return nil }
        defer { close(descriptor) }
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress.map { $0 + start }, $0.count - start, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { break }
            start += count
        }
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&poller, 1, 10_000) > 0 else { return nil }
        var head = [UInt8](repeating: 0, count: 12)
        guard recv(descriptor, &head, head.count, Int32(MSG_WAITALL)) == head.count else { return nil }
        return Int(String(decoding: head.suffix(3), as: UTF8.self))
    }
}

/// Connections that are held open, with a byte of a header now and then, and opened again when they are closed.
final class SlowSockets: Sendable {
    private let port: UInt16
    private let count: Int
    private let tally = Mutex(0)

    /// - Throws: `BenchError` when this process may not have so many.
    init(port: UInt16, count: Int) throws {
        self.port = port
        self.count = count
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, max(limit.rlim_cur, rlim_t(count + 1_024)))
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        if limit.rlim_cur < rlim_t(count + 512) {
            throw BenchError(
                "this process may have \(limit.rlim_cur) files open, which is too few for \(count) connections")
        }
    }

    /// How many were opened, again and again included.
    var opened: Int { tally.withLock { $0 } }

    /// Goes round them, once in two seconds at most.
    func hold(until end: Double) {
        let start = Array("POST /v1/sync HTTP/1.1\r\nHost: x\r\nX: ".utf8)
        var sockets = [Int32](repeating: -1, count: count)
        defer { for socket in sockets where socket >= 0 { close(socket) } }
        while Measure.now() < end {
            let round = Measure.now()
            for index in sockets.indices where Measure.now() < end {
                var byte = UInt8(ascii: "a")
                if sockets[index] >= 0, send(sockets[index], &byte, 1, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) == 1 {
                    continue
                }
                if sockets[index] >= 0 { close(sockets[index]) }
                sockets[index] = HostileSocket.connect(port) ?? -1
                if sockets[index] >= 0 {
                    tally.withLock { $0 += 1 }
                    _ = send(sockets[index], start, start.count, Int32(MSG_NOSIGNAL))
                }
            }
            let left = min(round + 2, end) - Measure.now()
            if left > 0 { usleep(useconds_t(left * 1_000_000)) }
        }
    }
}
