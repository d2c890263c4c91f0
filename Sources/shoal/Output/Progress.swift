import Glibc
import Synchronization

/// A line on the terminal that says how far work has come, once it has taken longer than a second.
final class Progress: Sendable {
    private struct State {
        var shown: UInt64?
        var isVisible = false
    }

    private static let patience: UInt64 = 1_000_000_000
    private static let interval: UInt64 = 100_000_000

    private let start = System.ticks()
    private let isTerminal = isatty(STDERR_FILENO) == 1 && System.variable("TERM") != "dumb"
    private let state = Mutex(State())

    func show(_ text: @autoclosure () -> String) {
        guard isTerminal else { return }
        let now = System.ticks()
        guard now - start > Self.patience else { return }
        state.withLock { state in
            if let shown = state.shown, now - shown < Self.interval { return }
            state.shown = now
            state.isVisible = true
            let line = TextWidth.cut(TerminalText.line(text()), to: Screen.terminalColumns(STDERR_FILENO) - 1)
            Self.write("\r\u{1B}[K\(line)")
        }
    }

    /// Takes the line away.
    func finish() {
        state.withLock { state in
            if state.isVisible { Self.write("\r\u{1B}[K") }
            state.isVisible = false
        }
    }

    private static func write(_ text: String) {
        do { try File.write(Array(text.utf8), to: STDERR_FILENO, name: "standard error") } catch {}
    }
}
