import Glibc

/// A file that appears under its name whole and durable, or not at all; for its owner only.
///
/// Until then it has no name, so that nothing is left of it when the program is killed. Where a file system has no files
/// without a name, and while one takes the place of another, it is a draft of a fixed name, which the next one removes.
final class NewFile {
    private let path: String
    private let replaces: Bool
    private let directory: String
    private let draft: String
    private let descriptor: Int32
    /// Whether the draft's name is this file's.
    private var hasDraft = false

    /// - Parameter replaces: whether it takes the place of what is there.
    init(_ path: String, replaces: Bool) throws {
        self.path = path
        self.replaces = replaces
        if !replaces, Self.isThere(path) { throw Self.taken(path) }
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let start = slash.map { path.utf8.index(after: $0) } ?? path.startIndex
        directory = slash == nil ? "." : String(path[..<start])
        draft = "\(path[..<start]).\(path[start...]).shoal-draft"
        try Self.removeDraft(draft)
        if let unnamed = Self.unnamed(in: directory) {
            descriptor = unnamed
        } else {
            descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw Failure.failed("\(path) cannot be made: \(System.reason())") }
            hasDraft = true
        }
        // Tells others that somebody is still at work on it.
        flock(descriptor, LOCK_EX | LOCK_NB)
    }

    deinit {
        if hasDraft { unlink(draft) }
        close(descriptor)
    }

    func write(_ bytes: [UInt8]) throws { try File.write(bytes, to: descriptor, name: path) }

    /// Gives the file its name.
    func publish() throws {
        guard fsync(descriptor) == 0 else { throw Failure.failed("\(path) cannot be written: \(System.reason())") }
        if replaces {
            if !hasDraft {
                try Self.removeDraft(draft)
                guard link(to: draft) else { throw failure() }
                hasDraft = true
            }
            guard rename(draft, path) == 0 else { throw failure() }
            hasDraft = false
        } else if !link(to: path) {
            if errno == EEXIST || Self.isThere(path) { throw Self.taken(path) }
            // A file system that knows no second names has files with a name only.
            guard hasDraft, rename(draft, path) == 0 else { throw failure() }
            hasDraft = false
        }
        try synchronizeNames()
    }

    private func link(to name: String) -> Bool {
        hasDraft
            ? Glibc.link(draft, name) == 0
            : linkat(AT_FDCWD, Self.handle(descriptor), AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0
    }

    private func synchronizeNames() throws {
        let names = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        // One may be allowed to make files where one may not read, and some file systems have nothing to sync there.
        guard names >= 0 else { return }
        defer { close(names) }
        if fsync(names) != 0, errno == EIO { throw failure() }
    }

    private func failure() -> Failure { .failed("\(path) cannot be made: \(System.reason())") }

    // MARK: Names

    private static func handle(_ descriptor: Int32) -> String { "/proc/self/fd/\(descriptor)" }

    /// A file that has no name yet and can get one; nil where there are none.
    private static func unnamed(in directory: String) -> Int32? {
        // O_TMPFILE, which is not imported.
        let descriptor = open(directory, 0o20000000 | O_DIRECTORY | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return nil }
        if access(handle(descriptor), F_OK) == 0 { return descriptor }
        close(descriptor)
        return nil
    }

    /// Removes what a program that was killed has left, unless it is somebody else's or another program is still at work.
    private static func removeDraft(_ draft: String) throws {
        let descriptor = open(draft, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        // What else is wrong with the place is found when the file is made.
        if descriptor < 0, [ENOENT, ENOTDIR, EACCES, ENAMETOOLONG].contains(errno) { return }
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            status.st_uid == geteuid()
        else { throw Failure.failed("\(draft) is in the way: remove it") }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw Failure.failed("another command is writing \(draft): try again when it has finished")
        }
        guard unlink(draft) == 0 || errno == ENOENT else {
            throw Failure.failed("\(draft) cannot be removed: \(System.reason())")
        }
    }

    private static func isThere(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    private static func taken(_ path: String) -> Failure {
        .failed("\(path) is there already: nothing was written; --force replaces it")
    }
}
