import Foundation
import Glibc
import Synchronization

/// A pseudo-terminal on which a program runs that a test started: what the program sends is what a person's terminal would
/// get, not changed by the system on the way.
final class Terminal: Sendable {
    struct Outcome {
        var status: Int32
        var output: Data
        var text: String { String(decoding: output, as: UTF8.self) }
    }

    enum Trouble: Error { case noTerminal(Int32) }

    let pid: pid_t
    private let command: [String]
    private let master: Int32
    private let received = Mutex(Data())

    /// - Parameter columns: so wide that nothing is cut, unless a test says otherwise.
    init(_ command: [String], environment: [String: String], columns: UInt16 = 60_000) throws {
        self.command = command
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // TIOCSPTLCK and TIOCGPTN, which Glibc's module leaves out.
        var (locked, number): (Int32, Int32) = (0, 0)
        guard master >= 0, ioctl(master, 0x4004_5431, &locked) == 0, ioctl(master, 0x8004_5430, &number) == 0 else {
            throw Trouble.noTerminal(errno)
        }
        let path = "/dev/pts/\(number)"
        var size = winsize(ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(master, UInt(TIOCSWINSZ), &size)
        // The master's settings are the terminal's: no carriage return is put before a line feed.
        var settings = termios()
        guard tcgetattr(master, &settings) == 0 else { throw Trouble.noTerminal(errno) }
        settings.c_oflag &= ~tcflag_t(OPOST)
        guard tcsetattr(master, TCSANOW, &settings) == 0 else { throw Trouble.noTerminal(errno) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, path, O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A session of its own, whose terminal is the first one that it opens.
        posix_spawnattr_setflags(&attributes, Int16(0x80))
        var arguments = command.map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var pid = pid_t()
        let code = posix_spawn(&pid, command[0], &actions, &attributes, &arguments, &variables)
        guard code == 0 else {
            close(master)
            throw Child.Trouble.cannotStart(command[0], code)
        }
        self.pid = pid
        _ = fcntl(master, F_SETFL, O_NONBLOCK)
    }

    deinit { close(master) }

    /// Types something.
    func type(_ text: String) { _ = text.withCString { write(master, $0, strlen($0)) } }

    /// What has come so far.
    var soFar: String {
        drain()
        return received.withLock { String(decoding: $0, as: UTF8.self) }
    }

    private func drain() {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = read(master, &buffer, buffer.count), count > 0 {
            received.withLock { $0.append(contentsOf: buffer[..<count]) }
        }
    }

    /// Waits until `text` has come.
    func expect(_ text: String, within limit: Duration = .seconds(20)) async throws {
        let deadline = ContinuousClock.now + limit
        while !soFar.contains(text) {
            if ContinuousClock.now > deadline { throw Child.Trouble.tooSlow(command, output: soFar) }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Waits for the end; a process that takes longer is killed.
    func end(within limit: Duration = .seconds(30)) async throws -> Outcome {
        let deadline = ContinuousClock.now + limit
        var status: Int32 = 0
        while waitpid(pid, &status, WNOHANG) == 0 {
            drain()
            if ContinuousClock.now > deadline {
                kill(pid, SIGKILL)
                waitpid(pid, &status, 0)
                throw Child.Trouble.tooSlow(command, output: soFar)
            }
            try await Task.sleep(for: .milliseconds(2))
        }
        drain()
        let code = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
        return Outcome(status: code, output: received.withLock { $0 })
    }
}
