import Glibc

/// A file that appears under its name whole and durable, or not at all; for its owner only.
final class NewFile {
    private let path: String
    private let replaces: Bool
    private let draft: String
    private let descriptor: Int32
    private var isPublished = false

    /// - Parameter replaces: whether it takes the place of what is there.
    init(_ path: String, replaces: Bool) throws {
        self.path = path
        self.replaces = replaces
        if !replaces, Self.isThere(path) { throw Self.taken(path) }
        var template = Array("\(path).XXXXXX".utf8CString)
        // Made with mode 0600.
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw Failure.failed("\(path) cannot be made: \(System.reason())") }
        draft = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        close(descriptor)
        if !isPublished { unlink(draft) }
    }

    func write(_ bytes: [UInt8]) throws { try File.write(bytes, to: descriptor, name: path) }

    /// Gives the file its name.
    func publish() throws {
        guard fsync(descriptor) == 0 else { throw Failure.failed("\(path) cannot be written: \(System.reason())") }
        if !replaces, link(draft, path) == 0 {
            unlink(draft)
        } else if !replaces, errno == EEXIST || Self.isThere(path) {
            throw Self.taken(path)
        } else if rename(draft, path) != 0 {
            // Also where a file system knows no second names.
            throw Failure.failed("\(path) cannot be made: \(System.reason())")
        }
        isPublished = true
    }

    private static func isThere(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    private static func taken(_ path: String) -> Failure {
        .failed("\(path) is there already: nothing was written; --force replaces it")
    }
}
