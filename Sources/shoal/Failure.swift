import ArgumentParser
import ShoalClient
import ShoalProtocol

/// Why a command did not do what it was asked: one sentence and the exit status.
enum Failure: Error, Equatable {
    /// The command was written wrongly: status 2.
    case usage(String)
    /// It was refused or failed: status 1.
    case failed(String)

    /// Sorts whatever a command threw.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as ReplicaError where error.isUsage: self = .usage(error.description)
        case let error as SyncError:
            self = .failed([error.description, error.advice].compactMap { $0 }.joined(separator: "; "))
        case is CancellationError: self = .failed("interrupted; nothing was lost")
        default:
            if Shoal.exitCode(for: error) == .validationFailure {
                self = .usage(Self.explain(Shoal.message(for: error)))
            } else {
                self = .failed("\(error)")
            }
        }
    }

    var status: Int32 {
        switch self {
        case .usage: 2
        case .failed: 1
        }
    }

    var sentence: String {
        switch self {
        case .usage(let text), .failed(let text): text
        }
    }

    /// The parser's message as one sentence in our spelling.
    private static func explain(_ message: String) -> String {
        let sentence = message.split(separator: "\n").joined(separator: " ").replacing(". ", with: "; ")
        // The name of an argument, as in FILE, is no beginning of a sentence.
        if sentence.dropFirst().first?.isUppercase == true { return sentence }
        return sentence.prefix(1).lowercased() + sentence.dropFirst()
    }

    /// Adds what helps most people whose words cannot be understood.
    func explained(for words: [String]) -> Failure {
        guard case .usage(let text) = self, !words.contains("--") else { return self }
        let hasDash = words.contains { $0.count > 1 && $0.hasPrefix("-") && !$0.hasPrefix("--") && $0 != "-h" }
        return hasDash ? .usage(text + "; write text that begins with - after --") : self
    }
}
