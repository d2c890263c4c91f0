import Foundation
import Glibc

/// One connection to a server on loopback: what was sent as it is, and what came back until the end.
enum RawExchange {
    struct Trouble: Error, CustomStringConvertible { var description: String }

    /// What came back: the status of each answer, and the body of the first.
    struct Answer: Sendable {
        var statuses: [Int] = []
        var body: [UInt8] = []
        var isComplete = false
    }

    /// Sends `bytes`, says that nothing more comes, and reads until the other side closes, for at most ten seconds.
    ///
    /// It waits on a thread of its own: those of tasks are few.
    static func run(port: Int, _ bytes: [UInt8]) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try exchange(port: port, bytes) }) }
        }
    }

    private static func exchange(port: Int, _ bytes: [UInt8]) throws -> Answer {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Trouble(description: "no socket: \(errno)") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw Trouble(description: "the server takes no connection: \(errno)") }
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress.map { $0 + start }, $0.count - start, Int32(MSG_NOSIGNAL))
            }
            // The server may have answered and closed already.
            if count <= 0 { break }
            start += count
        }
        shutdown(descriptor, Int32(SHUT_WR))
        var answer = Answer()
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&poller, 1, 10_000) > 0 else { break }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 {
                answer.isComplete = true
                break
            }
            received += buffer[..<count]
        }
        read(received, into: &answer)
        return answer
    }

    private static func read(_ bytes: [UInt8], into answer: inout Answer) {
        let mark = Data("HTTP/1.".utf8)
        let data = Data(bytes)
        var place = data.startIndex
        while let range = data[place...].range(of: mark) {
            let digits = data[range.upperBound...].dropFirst(2).prefix(3)
            if let status = Int(String(decoding: digits, as: UTF8.self)) { answer.statuses.append(status) }
            place = range.upperBound
        }
        if let end = data.range(of: Data("\r\n\r\n".utf8)) { answer.body = Array(data[end.upperBound...]) }
    }

    /// A request with a body.
    static func post(_ path: String, _ body: [UInt8], key: String?, type: String = "application/vnd.shoal.v1+json")
        -> [UInt8]
    {
        var head = "POST \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: \(type)\r\n"
        head += "Content-Length: \(body.count)\r\n"
        if let key { head += "Authorization: Bearer \(key)\r\nContent-Encoding: deflate\r\n" }
        return Array("\(head)\r\n".utf8) + body
    }
}
