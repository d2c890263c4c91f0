import Glibc
import ShoalClient
import ShoalTerminal
import Synchronization

/// Passphrases: from a file, from `$SHOAL_PASSPHRASE`, or typed by a person whose terminal does not show them.
enum Passphrase {
    /// The fewest characters that a new one has.
    private static let fewest = 8
    private static let limit = 4_096

    /// What was given in this process: a command may open its home more than once.
    private static let given = Mutex<[String: String]>([:])

    /// The passphrase of an encrypted home.
    ///
    /// - Parameter file: its first line is the passphrase.
    static func known(for home: String, file: String?) throws -> String {
        if let known = given.withLock({ $0[home] }) { return known }
        let passphrase =
            try stored(file) ?? typed("Passphrase of \(home): ", orElse: "\(home) is encrypted: ")
        given.withLock { $0[home] = passphrase }
        return passphrase
    }

    /// A passphrase that is to be used from now on, typed twice.
    ///
    /// - Parameter replaces: whether the home has another one, which the variable holds and which is still needed.
    static func new(for home: String, file: String?, replaces: Bool = false) throws -> String {
        let passphrase: String
        if let stored = try stored(file, variable: replaces ? nil : "SHOAL_PASSPHRASE") {
            passphrase = stored
        } else {
            passphrase = try typed("New passphrase of \(home): ", orElse: "a passphrase is needed: ")
            guard passphrase == (try typed("The same again: ", orElse: "")) else {
                throw Failure.failed("the two passphrases differ: nothing was changed")
            }
        }
        guard passphrase.unicodeScalars.count >= fewest else {
            throw Failure.failed("a passphrase has at least \(fewest) characters: nothing was changed")
        }
        if !replaces { given.withLock { $0[home] = passphrase } }
        return passphrase
    }

    private static func stored(_ file: String?, variable: String? = "SHOAL_PASSPHRASE") throws -> String? {
        guard let file else { return variable.flatMap(System.variable) }
        warn(of: file)
        return try line(File.read(file, limit: limit), from: file)
    }

    /// What lies on a disk may be read by whoever its mode lets; a pipe or a terminal has nobody else.
    private static func warn(of file: String) {
        var status = stat()
        guard file != "-", stat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o077 != 0
        else { return }
        Screen.say("others than you may read the passphrase file \(file): chmod 600 keeps them out")
    }

    private static func line(_ bytes: [UInt8], from name: String) throws -> String {
        let first = bytes.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        guard let text = String(validating: first, as: UTF8.self), !text.isEmpty else {
            throw Failure.failed("\(name) has no passphrase in its first line, in UTF-8")
        }
        return text
    }

    /// - Parameter reason: how the sentence begins that says that nobody can be asked.
    private static func typed(_ prompt: String, orElse reason: String) throws -> String {
        let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
        guard terminal >= 0 else {
            throw Failure.failed(
                reason + "set SHOAL_PASSPHRASE, give --passphrase-file FILE, or run the command on a terminal")
        }
        defer { close(terminal) }
        let bytes = try withoutEcho(terminal) {
            // Not before: what is typed at once would be seen.
            try File.write(Array(TerminalText.line(prompt).utf8), to: terminal, name: "the terminal")
            return try readLine(terminal)
        }
        try File.write([UInt8(ascii: "\n")], to: terminal, name: "the terminal")
        return try line(bytes, from: "what you typed")
    }

    /// The terminal's keys for signals are off as well: a program that they ended would leave the echo off.
    private static func withoutEcho<T>(_ terminal: Int32, _ body: () throws -> T) throws -> T {
        var before = termios()
        guard tcgetattr(terminal, &before) == 0 else {
            throw Failure.failed("the terminal cannot be set: \(System.reason())")
        }
        var quiet = before
        quiet.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
        guard tcsetattr(terminal, TCSAFLUSH, &quiet) == 0 else {
            throw Failure.failed("the terminal cannot be set: \(System.reason())")
        }
        defer { tcsetattr(terminal, TCSAFLUSH, &before) }
        return try body()
    }

    private static func readLine(_ terminal: Int32) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while bytes.count < limit {
            let count = read(terminal, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { throw Failure.failed("interrupted; nothing was changed") }
            switch byte {
            case 0x0A, 0x0D: return bytes
            case 0x03, 0x04, 0x1A, 0x1C: throw Failure.failed("interrupted; nothing was changed")
            case 0x15: bytes.removeAll()
            case 0x08, 0x7F:
                // A character may be several bytes.
                while let last = bytes.popLast(), last & 0xC0 == 0x80 {}
            default: bytes.append(byte)
            }
        }
        return bytes
    }
}
