import Glibc

/// The system's keyring (Secret Service), through the program `secret-tool`.
enum Keyring {
    private static let missing =
        "there is no keyring: install secret-tool (package libsecret-tools) and log in to a desktop that has one"

    /// Stores 32 bytes under a name.
    static func store(_ secret: [UInt8], item: String, home: String) throws {
        let (status, _) = try run(
            ["store", "--label", "shoal: \(home)", "service", "shoal", "item", item],
            input: Array(hexadecimal(secret).utf8))
        guard status == 0 else { throw Failure.failed("the keyring did not take the key: nothing was changed") }
        guard try load(item: item) == secret else {
            throw Failure.failed("the keyring does not give back what it took: nothing was changed")
        }
    }

    /// The 32 bytes under a name; nil if the keyring has none.
    static func load(item: String) throws -> [UInt8]? {
        let (status, output) = try run(["lookup", "service", "shoal", "item", item], input: [])
        guard status == 0 else { return nil }
        let digits = output.filter { $0 > 0x20 }
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        return bytes
    }

    static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Runs the program; what goes in and out is much less than a pipe holds.
    private static func run(_ words: [String], input: [UInt8]) throws -> (status: Int32, output: [UInt8]) {
        var (inward, outward): ([Int32], [Int32]) = ([0, 0], [0, 0])
        guard pipe(&inward) == 0, pipe(&outward) == 0 else {
            throw Failure.failed("no pipe can be made: \(System.reason())")
        }
        defer { close(outward[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, inward[0], 0)
        posix_spawn_file_actions_adddup2(&actions, outward[1], 1)
        // What is wrong is said here, in one sentence.
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        for descriptor in inward + outward { posix_spawn_file_actions_addclose(&actions, descriptor) }
        var arguments: [UnsafeMutablePointer<CChar>?] = (["secret-tool"] + words).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        let code = posix_spawnp(&process, "secret-tool", &actions, nil, &arguments, environ)
        close(inward[0])
        close(outward[1])
        guard code == 0 else {
            close(inward[1])
            throw Failure.failed(code == ENOENT ? missing : "secret-tool cannot be started: \(System.reason(code))")
        }
        // One that does not read is one that failed, not the end of this program.
        let before = signal(SIGPIPE, SIG_IGN)
        defer { signal(SIGPIPE, before) }
        do { try File.write(input, to: inward[1], name: "secret-tool") } catch {}
        close(inward[1])
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while case let count = read(outward[0], &buffer, buffer.count), count > 0 { output += buffer[..<count] }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return (status, output)
    }
}
