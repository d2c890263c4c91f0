import ArgumentParser
import Foundation
import ShoalServer
import ShoalTerminal

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Who changed what, when, on which device, newest first.",
        discussion: """
            The audit is only ever added to, and each entry is chained to the one before by its hash: shoald check verifies \
            that nothing of it was changed, and prints the last hash, which you may keep elsewhere.

              shoald audit --record 0D4KQ7M2Z9XA1
              shoald audit --account 小美 --since 2026-05-01
              shoald audit --json
            """)

    @Option(help: ArgumentHelp("Only about this record: 13 characters.", valueName: "id")) var record: String?
    @Option(help: ArgumentHelp("Only what this account did.", valueName: "name")) var account: String?
    @Option(help: ArgumentHelp("Only from this day or time on, UTC.", valueName: "time"), transform: AuditCommand.time)
    var since: Int64?
    @Option(help: ArgumentHelp("How many entries at most.", valueName: "n")) var limit: Int?
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit is a positive number") }
    }

    /// Milliseconds since 1970 of a day or a time in ISO 8601.
    static func time(_ text: String) throws -> Int64 {
        let text = text.contains("T") ? text : text + "T00:00:00Z"
        for hasFractions in [false, true] {
            if let date = try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: hasFractions)) {
                return Int64((date.timeIntervalSince1970 * 1_000).rounded())
            }
        }
        throw ValidationError("--since is a day or a time as in 2026-05-01 or 2026-05-01T08:30:00Z")
    }

    func run() async throws {
        var query = AuditQuery(record: record, account: account, since: since)
        var lines: [AuditLine] = []
        var count = 0
        try await Administration.with(global) { administration in
            while true {
                let left = (limit ?? .max) - count
                query.limit = min(left, AuditQuery.limits.upperBound)
                let page = try await administration.audit(query)
                count += page.entries.count
                if global.json { lines += page.entries } else { page.entries.forEach(show) }
                guard let next = page.next, count < limit ?? .max else { return }
                query.before = next
            }
        }
        if global.json { try global.printJSON(lines) }
    }

    private func show(_ line: AuditLine) {
        let author = [line.by ?? "(server)", line.device ?? line.replica].compactMap { $0 }.joined(separator: ", ")
        let words = [String(line.number), line.at, author, line.action.rawValue, line.record].compactMap { $0 }
        print(TerminalText.line(words.joined(separator: "  ")))
        if line.erased { print("    (erased)") }
        for change in line.changes { print("    " + TerminalText.line(change.text)) }
    }
}

extension AuditLine.Change {
    fileprivate var text: String {
        let place = [field, element].compactMap { $0 }.joined(separator: " ")
        let former = from.isEmpty ? "" : from.joined(separator: " | ") + " → "
        return "\(place): \(former)\(to ?? "(nothing)")"
    }
}
