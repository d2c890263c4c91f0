import ShoalCRDT
import ShoalProtocol

extension SyncRequest {
    /// Prints the request in words.
    func print(to screen: inout Screen) {
        screen.line(.plain("epoch           \(String(epoch, radix: 16))"))
        screen.line(.plain("cursor          \(Spell.opaque(cursor))"))
        screen.line(.plain("acknowledgement \(Spell.opaque(acknowledgement))"))
        for log in logs {
            screen.line(
                .plain("log             \(Spell.replica(log.replica)) acknowledged up to \(log.position), "),
                .plain("ends at \(log.end)"))
        }
        for dot in proven { screen.line(.plain("proven          \(Spell.dot(dot))")) }
        for place in former {
            screen.line(
                .plain(
                    "once            \(place.count) from \(Spell.dot(place.was)) on, now from \(Spell.dot(place.now)) on"
                ),
                .dim(place.isProven ? "  acknowledged there" : ""))
        }
        if earlier > 0 { screen.line(.plain("in places of an earlier epoch: the first \(earlier)")) }
        if !tail.isEmpty { screen.line(.plain("hashes of the tail: \(tail.count)")) }
        screen.line(.plain(Format.count(operations.count, "operation", "operations")))
        let first = logs.last.map { Int($0.position) + 1 } ?? 1
        for index in operations.operations.indices { operations.print(index, number: first + index, to: &screen) }
    }
}

extension Operations {
    fileprivate func print(_ index: Int, number: Int, to screen: inout Screen) {
        let operation = operations[index]
        let act =
            operation.creates.map { "makes \(Spell.record(operation.record, $0))" } ?? "changes \(operation.record)"
        screen.line(
            .bold("\(number)"), .plain("  \(Format.time(operation.time))  \(act)"),
            .dim(operation.continuesCommand ? "  with the one before" : ""))
        for edit in edits[operation.edits] {
            let value = Spell.value(edit.kind, of: edit.key.field, integer: edit.integer, slice: edit.slice, arena)
            let seen = dots[edit.supersedes]
            screen.line(
                .plain("    \(Spell.key(edit.key, arena)) \(value)"),
                .dim(seen.isEmpty ? "" : "  instead of \(Spell.dots(seen))"))
        }
        if let hash = operation.keptHash {
            screen.line(.plain("    keeps the hash \(String(hash.rawValue, radix: 16))"))
        }
        let covered = dots[operation.covers]
        if !covered.isEmpty { screen.line(.plain("    deletes what it has seen: \(Spell.dots(covered))")) }
    }
}
