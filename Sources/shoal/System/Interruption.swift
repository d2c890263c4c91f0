import Dispatch
import Glibc

/// SIGINT and SIGTERM as an event instead of an end.
struct Interruption {
    private let sources: [any DispatchSourceSignal]

    /// Calls `body` at the first signal; a second one ends the process as usual.
    init(_ body: @escaping @Sendable () -> Void) {
        sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                signal(number, SIG_DFL)
                body()
            }
            source.resume()
            return source
        }
    }

    func stop() {
        for source in sources { source.cancel() }
    }
}
