import Crypto
import Foundation
import Synchronization

/// What a program prints, in short.
struct DumpDigest: Sendable {
    /// SHA-256 in hexadecimal digits.
    var digest = ""
    var bytes = 0
    var lines = 0

    private struct State {
        var hash = SHA256()
        var bytes = 0
        var lines = 0
    }

    static func of(
        _ name: String, _ program: String, _ arguments: [String], errors: String, children: Children
    ) async throws -> DumpDigest {
        let process = try ChildProcess(name, program, arguments, errors: errors, children: children)
        process.closeInput()
        let state = Mutex(State())
        let timer = Task {
            try await Task.sleep(for: .seconds(120))
            process.signal(SIGTERM)
        }
        await withCheckedContinuation { continuation in
            process.read { buffer in
                state.withLock { state in
                    state.hash.update(bufferPointer: buffer)
                    state.bytes += buffer.count
                    for byte in buffer where byte == UInt8(ascii: "\n") { state.lines += 1 }
                }
            } finish: {
                continuation.resume()
            }
        }
        timer.cancel()
        let status = try await process.wait(seconds: 10)
        guard status == 0 else { throw BenchError("\(name) ended with status \(status); see \(errors)") }
        return state.withLock { state in
            let hexadecimal = state.hash.finalize().map { String(format: "%02x", $0) }.joined()
            return DumpDigest(digest: hexadecimal, bytes: state.bytes, lines: state.lines)
        }
    }
}
