import Foundation
import Synchronization

/// A process that this one started, with a pipe to its standard input and one from its standard output.
///
/// It is in a process group of its own, so that Ctrl-C reaches only this program, which then ends it.
final class ChildProcess: Sendable {
    let pid: pid_t
    let name: String
    /// The reading end of its standard output.
    let output: Int32
    private let input: Mutex<Int32>
    private let status = Mutex<Int32?>(nil)
    private let children: Children

    /// - Parameter errors: the file that its standard error is appended to.
    init(_ name: String, _ program: String, _ arguments: [String], errors: String, children: Children) throws {
        self.name = name
        self.children = children
        // The registry is locked meanwhile: a signal cannot come between the start and the entry in it, and no other
        // process inherits the pipes.
        let started = try children.starting { () throws(BenchError) -> (pid: pid_t, input: Int32, output: Int32) in
            let pipes = (try Self.pipe(name), try Self.pipe(name))
            defer {
                Glibc.close(pipes.0.read)
                Glibc.close(pipes.1.write)
            }
            let (pid, code) = Self.spawn(program, arguments, pipes.0.read, pipes.1.write, errors)
            guard code == 0 else {
                Glibc.close(pipes.0.write)
                Glibc.close(pipes.1.read)
                throw BenchError("\(program) cannot be started: \(String(cString: strerror(code)))")
            }
            return (pid, pipes.0.write, pipes.1.read)
        }
        pid = started.pid
        input = Mutex(started.input)
        output = started.output
    }

    private static func pipe(_ name: String) throws(BenchError) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else {
            throw BenchError("no pipe to \(name): \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    private static func spawn(
        _ program: String, _ arguments: [String], _ input: Int32, _ output: Int32, _ errors: String
    ) -> (pid_t, Int32) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF))
        posix_spawnattr_setpgroup(&attributes, 0)
        // What this program ignores, its children take as usual.
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, program, &actions, &attributes, words, environ)
        return (pid, code)
    }

    deinit {
        closeInput()
        Glibc.close(output)
    }

    /// Writes to its standard input; a process that is gone shows when its output ends.
    func write(_ bytes: [UInt8]) {
        input.withLock { input in
            guard input >= 0 else { return }
            bytes.withUnsafeBytes { buffer in
                var rest = buffer[...]
                while !rest.isEmpty {
                    let count = Glibc.write(input, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                    if count < 0, errno == EINTR { continue }
                    if count <= 0 { return }
                    rest = rest.dropFirst(count)
                }
            }
        }
    }

    func closeInput() {
        input.withLock { input in
            if input >= 0 { Glibc.close(input) }
            input = -1
        }
    }

    /// Hands its output to `take` on a thread of its own, then calls `finish`.
    func read(_ take: @escaping @Sendable (UnsafeRawBufferPointer) -> Void, finish: @escaping @Sendable () -> Void) {
        Thread.detachNewThread { [self] in
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
            defer { buffer.deallocate() }
            while true {
                let count = Glibc.read(output, buffer.baseAddress, buffer.count)
                if count < 0, errno == EINTR { continue }
                if count <= 0 { break }
                take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
            finish()
        }
    }

    /// Its lines, as they come.
    func lines() -> AsyncStream<[UInt8]> {
        let (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        let partial = Mutex<[UInt8]>([])
        read { bytes in
            partial.withLock { partial in
                partial.append(contentsOf: bytes)
                guard var end = partial.firstIndex(of: UInt8(ascii: "\n")) else { return }
                var start = 0
                while true {
                    continuation.yield(Array(partial[start..<end]))
                    start = end + 1
                    guard let next = partial[start...].firstIndex(of: UInt8(ascii: "\n")) else { break }
                    end = next
                }
                partial.removeFirst(start)
            }
        } finish: {
            continuation.finish()
        }
        return stream
    }

    func signal(_ number: Int32) { children.signal(pid, number) }

    /// Waits until it has ended; ends it when it takes longer.
    ///
    /// - Returns: its exit status; 128 and the signal when one ended it.
    func wait(seconds: Double) async throws -> Int32 {
        let start = Measure.now()
        while true {
            if let status = reap() { return status }
            let passed = Measure.now() - start
            if passed > seconds {
                signal(passed > seconds + 10 ? SIGKILL : SIGTERM)
            }
            try await Task.sleep(for: .milliseconds(passed < 0.1 ? 5 : 20))
        }
    }

    /// Its status if it has ended.
    private func reap() -> Int32? {
        status.withLock { status in
            if let status { return status }
            guard let code = children.reap(pid) else { return nil }
            status = code & 0x7F == 0 ? code >> 8 & 0xFF : 128 + (code & 0x7F)
            return status
        }
    }
}
