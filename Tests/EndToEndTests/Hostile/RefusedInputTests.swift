import Foundation
import ShoalCRDT
import ShoalProtocol
import Testing

/// Every input of the corpus is refused by the real server, and what comes after it works.
@Suite(.timeLimit(.minutes(10)))
struct RefusedInputTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Protocol/Fixtures/Inputs")

    private struct Figures {
        var inputs = 0
        var failures = 0
        var crashes = 0
    }

    private func inputs(_ kind: String) throws -> [(name: String, bytes: [UInt8])] {
        let folder = Self.folder.appending(path: kind)
        return try FileManager.default.contentsOfDirectory(atPath: folder.path()).sorted().map {
            ("\(kind)/\($0)", [UInt8](try Data(contentsOf: folder.appending(path: $0))))
        }
    }

    /// What of the server's answer to an input is wrong, or nil.
    private func fault(_ kind: String, _ input: [UInt8], _ pusher: inout BarePusher) async throws -> String? {
        let answer: RawExchange.Answer
        switch kind {
        case "http":
            let text = Data(input)
            let key = Data("{KEY}".utf8)
            var filled = Data()
            var rest = text[...]
            while let range = rest.range(of: key) {
                filled += rest[..<range.lowerBound] + Data(pusher.key.utf8)
                rest = rest[range.upperBound...]
            }
            answer = try await RawExchange.run(port: pusher.port, [UInt8](filled + rest))
        case "inflate":
            answer = try await RawExchange.run(port: pusher.port, RawExchange.post("/v1/sync", input, key: pusher.key))
        case "enroll":
            answer = try await RawExchange.run(port: pusher.port, RawExchange.post("/v1/enroll", input, key: nil))
        case "operations":
            let operations = try SyncRequest(json: input).operations
            let answer = try await pusher.send(operations)
            if answer.statuses != [200] { return "answered with \(answer.statuses)" }
            let refused = Set(try pusher.take(answer, operations).map(\.number)).count
            return refused == operations.count ? nil : "\(refused) of \(operations.count) operations refused"
        default:
            let path = kind == "spelling" ? "/v1/sync" : "/v1/\(kind)"
            answer = try await RawExchange.run(
                port: pusher.port, RawExchange.post(path, try Deflate.compress(input), key: pusher.key))
        }
        if !answer.isComplete { return "no end within ten seconds" }
        // A request that breaks off may go without an answer.
        if kind != "http", answer.statuses.count != 1 { return "answered with \(answer.statuses)" }
        return answer.statuses.allSatisfy { (400..<500).contains($0) } ? nil : "answered with \(answer.statuses)"
    }

    @Test func everyInputIsRefusedAndAPushWorksAfterIt() async throws {
        try await Scene.run { scene in
            let port = try #require(scene.url.split(separator: ":").last.flatMap { Int($0) })
            let process = try #require(scene.serverProcess)
            var figures = Figures()
            let kinds = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path()).sorted()
            for kind in kinds {
                let inputs = try inputs(kind)
                // An account sends so many requests at once and no more.
                for start in stride(from: 0, to: inputs.count, by: 200) {
                    let part = inputs[start..<min(start + 200, inputs.count)]
                    let code = try await scene.code("\(kind) \(start)")
                    var pusher = try await BarePusher(
                        port: port, code: code, seed: UInt8(truncatingIfNeeded: figures.inputs / 50 + 1))
                    for (name, bytes) in part {
                        figures.inputs += 1
                        do {
                            if let fault = try await fault(kind, bytes, &pusher) {
                                Issue.record("\(name): \(fault)")
                                figures.failures += 1
                            }
                            guard try await pusher.pushes() else {
                                Issue.record("after \(name) a push is refused")
                                figures.failures += 1
                                continue
                            }
                        } catch {
                            figures.crashes += 1
                            throw RawExchange.Trouble(description: "\(name): \(error)")
                        }
                    }
                }
            }
            let peak = try Self.peak(process)
            print("inputs=\(figures.inputs) 5xx=\(figures.failures) crash=\(figures.crashes) peak=\(peak >> 10)MiB")
            #expect(figures.inputs >= 2_000)
            #expect(peak <= 256 << 10)
            #expect(!scene.serverLog.contains("level=error") && !scene.serverLog.contains("level=critical"))
            #expect(try await scene.stopServer() == 0)
        }
    }

    /// The most memory that a process ever had, in KiB.
    private static func peak(_ process: pid_t) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return try #require(Int(line.filter(\.isNumber)))
    }
}
