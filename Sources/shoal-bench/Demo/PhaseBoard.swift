import Foundation
import Synchronization

/// Shows how far the demo is: a bar on a terminal, a plain line a phase otherwise.
final class PhaseBoard: Sendable {
    private struct State {
        var name = ""
        var total = 0
        var done = 0
        var note = ""
        var start = 0.0
        var shown = 0.0
        var ended: [(name: String, seconds: Double)] = []
    }
    private let state = Mutex(State())
    private let isTerminal = isatty(1) == 1
    private static let nameWidth = 22
    private static let barWidth = 24

    /// The phases that have ended.
    var phases: [(name: String, seconds: Double)] { state.withLock { $0.ended } }

    /// Runs a phase of `total` steps.
    func phase<T>(_ name: String, total: Int, _ body: () async throws -> T) async throws -> T {
        state.withLock { state in
            state.name = name
            state.total = total
            state.done = 0
            state.note = ""
            state.start = Measure.now()
            state.shown = 0
            show(&state)
        }
        let result = try await body()
        state.withLock { state in
            let seconds = Measure.now() - state.start
            state.ended.append((name, seconds))
            let name = name.padding(toLength: Self.nameWidth, withPad: " ", startingAt: 0)
            let line = name + Self.seconds(seconds) + (state.note.isEmpty ? "" : "   " + state.note)
            Self.print((isTerminal ? "\r\u{1B}[K" : "") + line + "\n")
            state.name = ""
        }
        return result
    }

    func advance(_ count: Int = 1, note: String? = nil) {
        state.withLock { state in
            state.done += count
            if let note { state.note = note }
            show(&state)
        }
    }

    private func show(_ state: inout State) {
        guard isTerminal, !state.name.isEmpty else { return }
        let now = Measure.now()
        guard now - state.shown > 0.1 else { return }
        state.shown = now
        let share = state.total > 0 ? min(1, Double(state.done) / Double(state.total)) : 0
        let full = Int(share * Double(Self.barWidth))
        let bar = String(repeating: "█", count: full) + String(repeating: "░", count: Self.barWidth - full)
        let name = state.name.padding(toLength: Self.nameWidth, withPad: " ", startingAt: 0)
        var line = "\(name)\(Self.seconds(now - state.start))   \(bar) \(state.done)/\(state.total)"
        if !state.note.isEmpty { line += "  " + state.note }
        Self.print("\r\u{1B}[K" + String(line.prefix(Self.columns - 1)))
    }

    private static var columns: Int {
        var size = winsize()
        return ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    private static func seconds(_ value: Double) -> String { String(format: "%6.1f s", value) }

    private static func print(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}
