import Foundation
import Synchronization

/// An operator's process, as the demo sees it.
final class OperatorProcess: Sendable {
    let number: Int
    private let process: ChildProcess
    private let lines: AsyncStream<[UInt8]>
    private let heard = Mutex(Measure.now())
    private static let patience = 120.0

    init(_ number: Int, program: String, directory: DemoDirectory, seed: UInt64, children: Children) throws {
        self.number = number
        let name = "operator \(Generator.name(of: number))"
        process = try ChildProcess(
            name, program, ["operator", "--home", directory.home(number), "--seed", "\(seed)"],
            errors: directory.operatorLog, children: children)
        lines = process.lines()
    }

    /// Gives an order and waits until it is carried out, as long as the process shows now and then that it lives.
    func perform(_ order: OperatorOrder, progress: @escaping @Sendable (Int) -> Void) async throws -> OperatorOutcome {
        var line = try JSONEncoder().encode(order)
        line.append(UInt8(ascii: "\n"))
        heard.withLock { $0 = Measure.now() }
        let bytes = Array(line)
        return try await withThrowingTaskGroup(of: OperatorOutcome.self) { group in
            defer { group.cancelAll() }
            group.addTask { [self] in
                process.write(bytes)
                return try await outcome(progress)
            }
            group.addTask { [self] in
                while Measure.now() - heard.withLock({ $0 }) < Self.patience { try await Task.sleep(for: .seconds(1)) }
                throw BenchError("\(process.name) has shown no progress for \(Int(Self.patience)) seconds")
            }
            guard let first = try await group.next() else { throw CancellationError() }
            return first
        }
    }

    private func outcome(_ progress: (Int) -> Void) async throws -> OperatorOutcome {
        for await line in lines {
            heard.withLock { $0 = Measure.now() }
            switch try JSONDecoder().decode(OperatorEvent.self, from: Data(line)) {
            case .progress(let count): progress(count)
            case .done(let outcome): return outcome
            case .failed(let reason): throw BenchError("\(process.name): \(reason)")
            }
        }
        try Task.checkCancellation()
        throw BenchError("\(process.name) ended unexpectedly")
    }

    /// Waits until the process has ended, after `.close`.
    func finish() async throws {
        process.closeInput()
        let status = try await process.wait(seconds: 30)
        if status != 0 { throw BenchError("\(process.name) ended with status \(status)") }
    }
}
