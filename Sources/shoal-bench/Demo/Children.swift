import Dispatch
import Foundation
import Synchronization

/// The processes that this one started and that have not been waited for: all that may be signalled.
final class Children: Sendable {
    private let living = Mutex<Set<pid_t>>([])

    /// Starts a process, and enters it.
    func starting(
        _ body: () throws(BenchError) -> (pid: pid_t, input: Int32, output: Int32)
    ) throws(BenchError) -> (pid: pid_t, input: Int32, output: Int32) {
        try living.withLock { living throws(BenchError) in
            let started = try body()
            living.insert(started.pid)
            return started
        }
    }

    /// The wait status of a child that has ended, nil while it runs. Its number is free for others afterwards.
    func reap(_ pid: pid_t) -> Int32? {
        living.withLock { living in
            guard living.contains(pid) else { return 0 }
            var status: Int32 = 0
            let found = waitpid(pid, &status, WNOHANG)
            if found == 0 { return nil }
            living.remove(pid)
            return found == pid ? status : 0
        }
    }

    /// Signals a child, if it has not been waited for.
    func signal(_ pid: pid_t, _ number: Int32) {
        living.withLock { living in
            if living.contains(pid) { kill(pid, number) }
        }
    }

    /// Asks all to end, and makes them after five seconds.
    func endAll() {
        let pids = living.withLock { Array($0) }
        for pid in pids { signal(pid, SIGTERM) }
        for attempt in 0..<500 {
            var isAnyLeft = false
            for pid in pids where reap(pid) == nil {
                isAnyLeft = true
                if attempt == 400 { signal(pid, SIGKILL) }
            }
            if !isAnyLeft { return }
            usleep(10_000)
        }
    }

    /// On SIGINT, SIGTERM and SIGHUP, ends all of them and then this process, as long as the answer is kept.
    func endAllOnSignals() -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM, SIGHUP].map { number in
            Glibc.signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global(qos: .userInteractive))
            source.setEventHandler { [self] in
                endAll()
                FileHandle.standardError.write(Data("\nshoal-bench: stopped; all processes were ended.\n".utf8))
                _exit(128 + number)
            }
            source.resume()
            return source
        }
    }
}
