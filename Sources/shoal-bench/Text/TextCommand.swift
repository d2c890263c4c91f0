import ArgumentParser
import Crypto
import Foundation
import ShoalCRDT
import ShoalProtocol

/// Replays editing traces on the text type of the programs.
struct TextCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "text", abstract: "Replays an editing trace and checks the text it ends with.",
        discussion: """
            FILE holds a trace (a header and a transaction a line) or a case a line, {"txns":[…],"end":"…"}; it may be
            compressed with gzip. Transactions are applied to the text as their parents leave it. A wrong end exits 1.

            milliseconds: for all transactions, one after the other. bytes, zlibBytes: the text with its history, as
            stored. mergeMilliseconds: to read those bytes and merge them into an empty text. memoryBytes: of the open text.
            """)

    @Argument(help: "The trace.") var file: String
    @Option(help: "How often to measure; the medians are printed.") var rounds = 5

    func validate() throws {
        if rounds < 1 { throw ValidationError("--rounds takes a number from 1") }
    }

    func run() throws {
        let traces = try TextTrace.read(file)
        var total = Figures()
        for (index, trace) in traces.enumerated() {
            let name = traces.count > 1 ? "case \(index + 1)" : "the trace"
            total.add(try measure(trace, name))
        }
        let name = (file as NSString).lastPathComponent.split(separator: ".").first ?? ""
        print(total.json(trace: String(name)))
    }

    private func measure(_ trace: TextTrace, _ name: String) throws -> Figures {
        var figures = Figures()
        var times: [Double] = []
        var merges: [Double] = []
        for _ in 0..<rounds {
            var replay = TextReplay(trace)
            let (text, seconds) = try Measure.seconds { try replay.run() }
            times.append(seconds)
            try check(text, trace.end, name)
            var bytes: [UInt8] = []
            text.state.encode(into: &bytes)
            let (merged, mergeSeconds) = try Measure.seconds {
                var merged = TextSequence()
                merged.merge(try bytes.withUnsafeBytes { try TextDelta(json: $0) })
                return merged
            }
            merges.append(mergeSeconds)
            try check(merged, trace.end, "\(name), merged at once,")
            figures = Figures(
                transactions: trace.transactions.count, scalars: text.count, text: text.text, bytes: bytes.count,
                zlibBytes: try Deflate.compress(bytes).count, memory: merged.memory)
        }
        figures.milliseconds = Measure.median(times) * 1e3
        figures.mergeMilliseconds = Measure.median(merges) * 1e3
        return figures
    }

    private func check(_ text: TextSequence, _ end: TextTrace.End, _ name: String) throws {
        let content = text.text
        switch end {
        case .unknown: return
        case .text(let expected):
            if Array(content.utf8) == Array(expected.utf8) { return }
            throw TextTrace.Failure(description: "\(name) ends with \"\(content)\", not with \"\(expected)\"")
        case .digest(let expected):
            let digest = Figures.digest(content)
            if digest == expected { return }
            throw TextTrace.Failure(description: "\(name) ends with sha256 \(digest), not \(expected)")
        }
    }
}

private struct Figures {
    var transactions = 0
    var scalars = 0
    /// All ends in a row.
    var text = ""
    var bytes = 0
    var zlibBytes = 0
    var memory = 0
    var milliseconds = 0.0
    var mergeMilliseconds = 0.0

    mutating func add(_ other: Figures) {
        transactions += other.transactions
        scalars += other.scalars
        text += other.text
        bytes += other.bytes
        zlibBytes += other.zlibBytes
        memory += other.memory
        milliseconds += other.milliseconds
        mergeMilliseconds += other.mergeMilliseconds
    }

    static func digest(_ text: String) -> String {
        SHA256.hash(data: Data(text.utf8)).map { String(format: "%02x", $0) }.joined()
    }

    func json(trace: String) -> String {
        let name = trace.debugDescription
        return "{\"trace\":\(name),\"transactions\":\(transactions),\"milliseconds\":\(Self.rounded(milliseconds)),"
            + "\"scalars\":\(scalars),\"sha256\":\"\(Self.digest(text))\",\"bytes\":\(bytes),\"zlibBytes\":\(zlibBytes),"
            + "\"mergeMilliseconds\":\(Self.rounded(mergeMilliseconds)),\"memoryBytes\":\(memory)}"
    }

    private static func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }
}
