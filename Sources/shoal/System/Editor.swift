import Glibc
import ShoalClient

/// A person's own editor on a private file.
enum Editor {
    /// What a person made of a text, in a file that stays until it is discarded, so that no text is lost.
    struct Draft {
        var text: String
        var path: String

        func discard() { unlink(path) }
    }

    /// Directories that lie in memory.
    static let inMemory = [System.variable("XDG_RUNTIME_DIR"), "/dev/shm"].compactMap { $0 }.filter {
        $0.hasPrefix("/")
    }

    /// Where texts are edited: beside the data; of encrypted data in a directory that lies in memory.
    static func directory(of replica: Replica) throws -> String {
        let lock = try HomeEncryption(home: replica.home, environment: replica.environment).lock()
        guard lock != nil else { return replica.home }
        guard let directory = inMemory.first(where: { access($0, W_OK | X_OK) == 0 }) else {
            throw Failure.failed(
                "there is no directory in memory to edit an encrypted note in: give the text as an argument")
        }
        return directory
    }

    /// Lets a person edit `text` in a file that nobody else may read.
    ///
    /// - Parameter name: what the file's name begins with, by which it is found when its customer is erased.
    static func edit(_ text: String, in directory: String, _ name: String) throws -> Draft {
        guard let editor = System.variable("VISUAL") ?? System.variable("EDITOR") else {
            throw Failure.failed("no editor is set: set VISUAL or EDITOR, or give the text as an argument")
        }
        let original = Array("\(text)\n".utf8)
        let path = try makeFile(in: directory, name, original)
        let status = try run(editor, path)
        guard status == 0 else {
            let words = "the editor \(editor) ended with an error: nothing was changed"
            // What was saved before it may be all that there is of it.
            if let bytes = try? File.read(path, limit: 16 << 20), bytes != original, !bytes.isEmpty {
                throw Failure.failed("\(words): your text is kept in \(path)")
            }
            unlink(path)
            throw Failure.failed(words)
        }
        let bytes = try File.read(path, limit: 16 << 20)
        // A text may end with what looks like part of the newline.
        return Draft(text: bytes == original ? text : try TypedText.decode(bytes, from: path), path: path)
    }

    private static func makeFile(in directory: String, _ name: String, _ bytes: [UInt8]) throws -> String {
        var template = Array("\(directory)/\(name)XXXXXX.txt".utf8CString)
        let descriptor = mkstemps(&template, Int32(".txt".utf8.count))
        guard descriptor >= 0 else { throw Failure.failed("no file can be made in \(directory): \(System.reason())") }
        defer { close(descriptor) }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        do { try File.write(bytes, to: descriptor, name: path) } catch {
            unlink(path)
            throw error
        }
        return path
    }

    /// The variable may hold arguments too, so a shell takes it apart.
    ///
    /// - Returns: how the editor ended; 0 if all went well.
    private static func run(_ editor: String, _ path: String) throws -> Int32 {
        let words = ["sh", "-c", "\(editor) \"$1\"", "sh", path]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        // An interrupt is meant for the editor.
        let before = signal(SIGINT, SIG_IGN)
        defer { signal(SIGINT, before) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var defaults = sigset_t()
        sigemptyset(&defaults)
        sigaddset(&defaults, SIGINT)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        let code = posix_spawn(&process, "/bin/sh", nil, &attributes, arguments, environ)
        guard code == 0 else {
            unlink(path)
            throw Failure.failed("the editor cannot be started: \(System.reason(code))")
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status
    }
}
