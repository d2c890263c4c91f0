import Foundation
import Glibc
import Synchronization

/// A server on the loopback that answers every request with the same problem document, a bounded number of times.
final class ProblemServer: Sendable {
    let port: UInt16
    private let listener: Int32
    private let isOpen = OpenState()

    /// - Parameters:
    ///   - port: 0 for a free one.
    ///   - retryAfter: in seconds.
    init(status: Int, title: String, detail: String, port: UInt16 = 0, retryAfter: Int? = nil) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var yes: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 16) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard bound else { throw Child.Trouble.cannotStart("a listener", errno) }
        self.listener = listener
        self.port = UInt16(bigEndian: address.sin_port)
        let document = ["type": "about:blank", "title": title, "detail": detail]
        let body = try JSONSerialization.data(withJSONObject: document)
        let head =
            "HTTP/1.1 \(status) Problem\r\nContent-Type: application/problem+json\r\nContent-Length: \(body.count)\r\n"
            + (retryAfter.map { "Retry-After: \($0)\r\n" } ?? "") + "Connection: close\r\n\r\n"
        let answer = Data(head.utf8) + body
        let isOpen = isOpen
        Thread.detachNewThread {
            Self.serve(listener, answer)
            isOpen.close(listener)
        }
    }

    deinit { stop() }

    /// Once it is closed its number is another socket's, of whatever else runs here.
    func stop() { isOpen.whileOpen { _ = shutdown(listener, Int32(SHUT_RDWR)) } }

    /// Whether the listener still has its number.
    private final class OpenState: Sendable {
        private let isOpen = Mutex(true)

        func whileOpen(_ body: () -> Void) { isOpen.withLock { if $0 { body() } } }

        func close(_ descriptor: Int32) {
            isOpen.withLock { isOpen in
                isOpen = false
                _ = Glibc.close(descriptor)
            }
        }
    }

    private static func serve(_ listener: Int32, _ answer: Data) {
        for _ in 0..<200 {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return }
            defer { close(connection) }
            var limit = timeval(tv_sec: 5, tv_usec: 0)
            setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            guard readRequest(connection) else { continue }
            _ = answer.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        }
    }

    /// Reads the head and as much of a body as it announces.
    private static func readRequest(_ connection: Int32) -> Bool {
        var request = Data()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while request.count < 4 << 20 {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return false }
            request.append(contentsOf: buffer[..<count])
            guard let end = request.range(of: Data("\r\n\r\n".utf8)) else { continue }
            let head = String(decoding: request[..<end.lowerBound], as: UTF8.self).lowercased()
            let length = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
            let announced = length.flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0
            if request.count - end.upperBound >= announced { return true }
        }
        return false
    }
}
