import Glibc

/// Whole files, bounded.
enum File {
    /// - Parameters:
    ///   - path: a file, or `-` for standard input.
    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        if path == "-" { return try read(STDIN_FILENO, name: "standard input", limit: limit) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure.failed("\(path) cannot be read: \(System.reason())") }
        defer { close(descriptor) }
        return try read(descriptor, name: path, limit: limit)
    }

    private static func read(_ descriptor: Int32, name: String, limit: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw Failure.failed("\(name) cannot be read: \(System.reason())")
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: buffer[..<count])
            if bytes.count > limit { throw Failure.failed("\(name) is longer than \(limit) bytes") }
        }
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32, name: String) throws {
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + start }, $0.count - start)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw Failure.failed("\(name) cannot be written: \(System.reason())")
            }
            start += count
        }
    }
}
