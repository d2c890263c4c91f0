import Crypto
import Foundation
import Synchronization

/// The SHA-256 of what a program prints.
struct DumpDigest: Codable, Sendable {
    var digest: String
    var bytes: Int

    init(digest: String, bytes: Int) {
        self.digest = digest
        self.bytes = bytes
    }

    init(_ hash: SHA256, _ bytes: Int) {
        self.init(digest: hash.finalize().map { String(format: "%02x", $0) }.joined(), bytes: bytes)
    }

    static func of(
        _ name: String, _ program: String, _ arguments: [String], errors: String, children: Children
    ) async throws -> DumpDigest {
        let process = try ChildProcess(name, program, arguments, errors: errors, children: children)
        process.closeInput()
        let state = Mutex((hash: SHA256(), bytes: 0))
        let timer = Task {
            try await Task.sleep(for: .seconds(120))
            kill(process.pid, SIGTERM)
        }
        await withCheckedContinuation { continuation in
            process.read { buffer in
                state.withLock { state in
                    state.hash.update(bufferPointer: buffer)
                    state.bytes += buffer.count
                }
            } finish: {
                continuation.resume()
            }
        }
        timer.cancel()
        let status = try await process.wait(seconds: 10)
        guard status == 0 else { throw BenchError("\(name) ended with status \(status); see \(errors)") }
        return state.withLock { DumpDigest($0.hash, $0.bytes) }
    }
}
