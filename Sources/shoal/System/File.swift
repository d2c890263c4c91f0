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

    /// Makes a file that only its owner may read, where nothing is, whole and durable or not at all.
    static func create(_ path: String, _ bytes: [UInt8]) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            if errno == EEXIST { throw Failure.failed("there is a file at \(path) already; nothing was overwritten") }
            throw Failure.failed("\(path) cannot be written: \(System.reason())")
        }
        defer { close(descriptor) }
        do {
            try write(bytes, to: descriptor, name: path)
            guard fsync(descriptor) == 0 else { throw Failure.failed("\(path) cannot be written: \(System.reason())") }
        } catch {
            unlink(path)
            throw error
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
