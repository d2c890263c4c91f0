import Glibc
import ShoalTerminal
import Synchronization

/// A line on the terminal that says how far work has come, once it has taken longer than a second.
final class Progress: Sendable {
    private let text: Mutex<String>
    /// The columns of the line that is shown.
    private let shown = Mutex(0)
    private let isTerminal = isatty(STDERR_FILENO) == 1 && System.variable("TERM") != "dumb"

    init(_ text: String) { self.text = Mutex(text) }

    /// Says how far the work is; shown with the next tick.
    func show(_ text: @autoclosure () -> String) {
        guard isTerminal else { return }
        self.text.withLock { $0 = text() }
    }

    /// Runs `body` and keeps the line up to date meanwhile.
    func during<T>(_ body: () async throws -> T) async throws -> T {
        guard isTerminal else { return try await body() }
        let ticking = Task { await tick() }
        defer {
            ticking.cancel()
            clear()
        }
        return try await body()
    }

    private func tick() async {
        do {
            try await System.environment.sleep(.seconds(1))
            var seconds = 10
            while true {
                draw("\(text.withLock { $0 }) … \(seconds / 10) s")
                try await System.environment.sleep(.milliseconds(200))
                seconds += 2
            }
        } catch {
            // Cancelled: the work is done.
        }
    }

    private func draw(_ text: String) {
        shown.withLock { shown in
            guard !Task.isCancelled else { return }
            let line = TextWidth.cut(TerminalText.line(text), to: Screen.terminalColumns(STDERR_FILENO) - 1)
            Self.write("\r" + TextWidth.padded(line, to: shown))
            shown = TextWidth.of(line)
        }
    }

    private func clear() {
        shown.withLock { shown in
            if shown > 0 { Self.write("\r" + TextWidth.padded("", to: shown) + "\r") }
            shown = 0
        }
    }

    private static func write(_ text: String) {
        do { try File.write(Array(text.utf8), to: STDERR_FILENO, name: "standard error") } catch {}
    }
}
