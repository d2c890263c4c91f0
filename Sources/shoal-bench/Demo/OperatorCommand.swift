import ArgumentParser
import Foundation
import ShoalClient

/// One account of the demo: does what it is told on standard input, until that ends.
struct OperatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operator", abstract: "One account of the demo.", shouldDisplay: false)

    @Option(help: "The replica's home.") var home: String
    @Option(help: "Decides which requests are cut.") var seed: UInt64

    func run() async throws {
        let worker = try Operator(home: home, seed: seed) { Self.tell($0) }
        while let line = readLine() {
            do {
                let order = try JSONDecoder().decode(OperatorOrder.self, from: Data(line.utf8))
                let outcome = try await worker.carryOut(order)
                Self.tell(.done(outcome))
                if case .close = order { return }
            } catch {
                Self.tell(.failed("\(error)"))
                throw ExitCode.failure
            }
        }
    }

    private static func tell(_ event: OperatorEvent) {
        // Neither of these can be encoded wrongly; a driver that is gone ends this process with SIGPIPE.
        guard var line = try? JSONEncoder().encode(event) else { return }
        line.append(UInt8(ascii: "\n"))
        FileHandle.standardOutput.write(line)
    }
}

extension Environment {
    /// The machine's clock and randomness.
    static let machine = Environment(
        now: { Int64(Date().timeIntervalSince1970 * 1000) }, ticks: { DispatchTime.now().uptimeNanoseconds },
        random: { UInt64.random(in: .min ... .max) }, sleep: { try await Task.sleep(for: $0) })
}
