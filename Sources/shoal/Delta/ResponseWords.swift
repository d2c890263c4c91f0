import ShoalCRDT
import ShoalProtocol

extension SyncResponse {
    /// Prints the answer in words.
    func print(to screen: inout Screen) {
        push.print(to: &screen)
        if let log { screen.line(.plain("of log          \(Spell.replica(log))")) }
        screen.line(.plain("server time     \(Format.time(time))"))
        if let lease { screen.line(.plain("lease           \(Format.count(lease, "day", "days"))")) }
        screen.line(.plain("page from       \(Spell.opaque(from))"))
        screen.line(.plain("page to         \(Spell.opaque(cursor))"))
        let kind = isFill ? "whole records" : "changes"
        screen.line(
            .plain("page            \(Format.count(page.heads.count, "record", "records")), \(kind), "),
            .plain(more ? "more follows" : "the last one"))
        if !positions.isEmpty { screen.line(.plain("logs now at     \(Spell.dots(positions))")) }
        page.print(to: &screen)
    }
}

extension PushAnswer {
    fileprivate func print(to screen: inout Screen) {
        switch self {
        case .taken(let upTo, let acknowledgement, let verdicts):
            screen.line(.plain("taken up to     \(upTo)"))
            print(acknowledgement, verdicts, to: &screen)
        case .identifierTaken(let number, let upTo, let acknowledgement, let verdicts):
            screen.line(.warning("operation \(number) makes a record whose id is taken; taken up to \(upTo)"))
            print(acknowledgement, verdicts, to: &screen)
        case .fork(let fork): print(fork, to: &screen)
        case .rollback(let rollback): print(rollback, to: &screen)
        }
    }

    private func print(_ fork: Fork, to screen: inout Screen) {
        screen.line(.warning("fork: the log does not continue what the server has"))
        screen.line(
            .plain("of log          \(Spell.replica(fork.of.replica)) from \(fork.of.position) to \(fork.of.end)"))
        if fork.skipped > 0 { screen.line(.plain("after           \(fork.skipped) of the tail")) }
        if !fork.acknowledgement.isEmpty {
            screen.line(.plain("acknowledgement \(Spell.opaque(fork.acknowledgement))"))
        }
        if let replica = fork.replica { screen.line(.plain("new replica     \(Spell.replica(replica))")) }
        for one in fork.known {
            let reason = one.reason.map { " refused: \($0.rawValue)" } ?? ""
            screen.line(.plain("known           \(Spell.dot(one.dot))\(reason)"))
        }
    }

    private func print(_ rollback: Rollback, to screen: inout Screen) {
        screen.line(.warning("rollback: the server goes on in epoch \(String(rollback.epoch, radix: 16))"))
        screen.line(.plain("new replica     \(Spell.replica(rollback.replica))"))
        screen.line(.plain("acknowledgement \(Spell.opaque(rollback.acknowledgement))"))
        for log in rollback.logs {
            screen.line(.plain("it has the log  \(Spell.replica(log.replica)) up to \(log.position)"))
        }
    }

    private func print(_ acknowledgement: String, _ verdicts: [Verdict], to screen: inout Screen) {
        screen.line(.plain("acknowledgement \(Spell.opaque(acknowledgement))"))
        for verdict in verdicts {
            screen.line(.warning("refused         \(verdict.number): \(verdict.reason.rawValue)"))
        }
    }
}

extension RecordPage {
    /// Prints the records in words.
    func print(to screen: inout Screen) {
        for head in heads { print(head, to: &screen) }
    }

    private func print(_ head: Head, to screen: inout Screen) {
        screen.line(.bold(Spell.record(head.id, head.envelope)))
        for position in head.entries {
            let entry = entries[position]
            let value =
                own.contains(position)
                ? "as the receiver wrote it"
                : Spell.value(entry.kind, of: entry.key.field, integer: entry.integer, slice: entry.slice, arena)
            screen.line(
                .plain("    \(Spell.key(entry.key, arena)) \(value)"),
                .dim("  \(Spell.dot(entry.dot)) \(Format.time(entry.time))\(entry.isCovered ? ", deleted" : "")"))
        }
    }
}
