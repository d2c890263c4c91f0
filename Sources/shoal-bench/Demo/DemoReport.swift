import Foundation

/// What the demo found out, as a table.
struct DemoReport {
    var accounts = 0
    var operations = 0
    var changes = 0
    var daySeconds = 0.0
    var mergeSeconds = 0.0
    /// Of the sync after the offline day.
    var traffic = Traffic()
    var pulled = 0
    var refused = 0
    /// How many conflicts each operator sees, and how many the workload says that it must see, and there are in all.
    var conflicts: [Int] = []
    var expectedConflicts: [Int] = []
    var allConflicts = 0
    var customers = 0
    var shared = 0
    /// Syncs that gave up and were begun again.
    var interrupted = 0
    /// Replicas whose immediate second sync moved something.
    var unsettled = 0
    /// That of the first replica.
    var dump = DumpDigest()
    var equal = 0
    var memory = 0.0
    var example: ConflictExample?

    var isEqual: Bool {
        equal == accounts && unsettled == 0 && refused == 0 && conflicts == expectedConflicts
    }

    var text: String {
        let each = operations / max(accounts, 1)
        let (least, most) = (conflicts.min() ?? 0, conflicts.max() ?? 0)
        let kept = conflicts == expectedConflicts ? number(allConflicts) : "WRONG"
        let cut = traffic.requestsCut + traffic.answersCut
        var rows = [
            ("operations", number(operations), "\(accounts) accounts × \(each), offline, each durable by itself"),
            ("changes", number(changes), "the rest wrote what was so already"),
            ("arrivals", number(pulled), "changed cells, all replicas together"),
            (
                "customers", number(customers),
                "each account has those that it follows; \(number(shared)) are shared by several"
            ),
            (
                "conflicts kept", kept,
                "each operator sees those of its own customers, \(least) to \(most), as the workload says"
            ),
            ("bytes a change, up", ratio(traffic.bytesUp, changes), "\(megabytes(traffic.bytesUp)) in all"),
            ("bytes an arrival, down", ratio(traffic.bytesDown, pulled), "\(megabytes(traffic.bytesDown)) in all"),
            ("changes/s, local", rate(operations, daySeconds), "durable transactions on all replicas together"),
            ("changes/s, merged", rate(changes, mergeSeconds), "until everybody had everything"),
            ("arrivals/s", rate(pulled, mergeSeconds), "taken over by all replicas together"),
            (
                "requests cut", number(cut),
                "of \(number(traffic.requests)): \(traffic.requestsCut) before they were sent, "
                    + "\(traffic.answersCut) after the commit"
            ),
            ("syncs begun again", number(interrupted), "after the second cut in a row"),
            (
                "second sync", unsettled == 0 ? "0 / 0" : "\(unsettled) moved",
                "pushed and pulled, at once after the first"
            ),
        ]
        if refused > 0 { rows.append(("REFUSED", number(refused), "operations were set aside")) }
        rows.append(("memory of an operator", String(format: "%.0f MiB", memory), "at most"))
        rows.append(
            ("dump", megabytes(dump.bytes), "\(number(dump.lines)) records, SHA-256 \(dump.digest.prefix(16))…"))
        rows.append(("dumps equal", "\(equal) of \(accounts)", "shoal dump and shoald dump --account, the same bytes"))
        let lines = rows.map { name, value, remark in
            "  " + name.padding(toLength: 23, withPad: " ", startingAt: 0) + padded(value, 11) + "   " + remark
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
    private func number(_ value: Int) -> String {
        var digits = String(value)
        var end = digits.count - 3
        while end > 0 {
            digits.insert(",", at: digits.index(digits.startIndex, offsetBy: end))
            end -= 3
        }
        return digits
    }
    private func megabytes(_ bytes: Int) -> String { String(format: "%.1f MB", Double(bytes) / 1e6) }
    private func ratio(_ a: Int, _ b: Int) -> String { b > 0 ? String(format: "%.1f", Double(a) / Double(b)) : "–" }
    private func rate(_ count: Int, _ seconds: Double) -> String {
        seconds > 0 ? number(Int(Double(count) / seconds)) : "–"
    }
}
