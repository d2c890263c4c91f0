@testable import ShoalCRDT
@testable import ShoalProtocol

/// Messages in words, one line a thing: what two messages are compared by, whatever their arenas look like, and what
/// stands beside the golden frames. Different messages have different words.
enum Words {
    static func of(_ request: SyncRequest) -> [String] {
        var lines = [
            "epoch \(request.epoch.hexadecimal)", "cursor \(quoted(request.cursor))",
            "acknowledgement \(quoted(request.acknowledgement))",
        ]
        for log in request.logs {
            lines.append("log \(log.replica.rawValue): \(log.position) \(log.hash.hexadecimal), ends at \(log.end)")
        }
        if !request.wantsPage { lines.append("no page yet") }
        if request.skipped > 0 { lines.append("after \(request.skipped) asked about already") }
        lines += request.refused.map(name)
        for hash in request.tail { lines.append("tail \(hash.hexadecimal)") }
        return lines + of(request.operations, after: request.logs.last)
    }

    private static func moves(_ moves: ScopeMoves) -> [String] {
        moves.left.map { "left \($0)" } + moves.entered.map { "entered \($0)" }
    }

    static func of(_ response: SyncResponse) -> [String] {
        of(response.push) + [
            "from \(quoted(response.from))", "cursor \(quoted(response.cursor))",
            response.more ? "more follows" : "nothing follows",
            response.isFill ? response.beginsFill ? "the beginning of a fill" : "a fill" : "changes",
        ] + response.positions.map { "position \(name($0))" }
            + response.checks.map { "check \($0.rawValue)" } + ["time \(response.time)"] + of(response.page)
            + response.page.open.sorted().map { "open \($0)" } + (response.recovery ? ["relays are wanted"] : [])
            + moves(response.moves) + (response.log.map { ["of log \($0.rawValue)"] } ?? [])
            + (response.lease.map { ["lease \($0)"] } ?? [])
    }

    static func of(_ request: RelayRequest) -> [String] {
        let positions = request.vector.positions.sorted { $0.key < $1.key }
        return ["epoch \(request.epoch.hexadecimal)"]
            + positions.map {
                "position \($0.rawValue):\($1)" + (request.checks[$0].map { " check \($0.rawValue)" } ?? "")
            } + of(request.page)
    }

    static func of(_ response: RelayResponse) -> [String] {
        ["\(response.taken) joined", response.more ? "more are wanted" : "no more are wanted"]
    }

    static func of(_ request: EnrollRequest) -> [String] {
        ["code \(quoted(request.code))", "key \(quoted(request.key))"]
            + (request.former.map { ["formerly \($0)"] } ?? []) + (request.name.map { ["of \(quoted($0))"] } ?? [])
            + (request.device.map { ["device \(quoted($0))"] } ?? [])
    }

    static func of(_ response: EnrollResponse) -> [String] {
        [
            "replica \(response.replica.rawValue)", "account \(response.account) \(quoted(response.name))",
            "role \(response.role.rawValue)", "epoch \(response.epoch.hexadecimal)", "time \(response.time)",
        ] + (response.lease.map { ["lease \($0)"] } ?? [])
    }

    static func of(_ request: DigestRequest) -> [String] {
        ["epoch \(request.epoch.hexadecimal)", "cursor \(quoted(request.cursor))", "seen \(request.seen)"]
            + request.ranges.flatMap(of) + request.wanted.map { "wants \($0)" }
    }

    static func of(_ response: DigestResponse) -> [String] {
        [response.isBehind ? "behind" : "compared", "seen \(response.seen)"]
            + response.omitted.map { "leaves out \($0)" } + response.ranges.flatMap(of)
            + response.gone.map { "has no \($0)" } + of(response.page)
    }

    static func of(_ said: DigestRange) -> [String] {
        let range = "from \(said.range.lower.hexadecimal) to \(said.range.upper.hexadecimal)"
        switch said.content {
        case .print(let print): return ["\(range): \(print.hexadecimal)"]
        case .list(let records):
            return ["\(range): \(records.count) records"] + records.map { "  \($0.id): \($0.print.hexadecimal)" }
        }
    }

    // MARK: Operations

    /// - Parameters:
    ///   - log: where the operations begin, for their numbers and hashes.
    static func of(_ batch: Operations, after log: LogPosition? = nil) -> [String] {
        var lines: [String] = []
        var hash = log?.hash ?? .start
        var scratch: [UInt8] = []
        for index in 0..<batch.count {
            let operation = batch.operations[index]
            hash = batch.hash(of: index, after: hash, scratch: &scratch)
            var line = "operation \(Int(log?.position ?? 0) + index + 1) on \(operation.record) at \(operation.time)"
            if let envelope = operation.creates { line += " makes \(name(envelope, of: operation.record))" }
            if let salt = operation.salt { line += " salt \(salt)" }
            if operation.continuesCommand { line += " same command" }
            if operation.keptHash != nil { line += " kept" }
            lines.append(line + " hash \(hash.hexadecimal)")
            for edit in batch.edits[operation.edits] {
                var line =
                    "  \(name(edit.key, batch.arena)) = \(value(edit.kind, edit.integer, edit.slice, batch.arena))"
                if !edit.supersedes.isEmpty { line += " over \(names(batch.dots[edit.supersedes]))" }
                lines.append(line)
            }
            if !operation.covers.isEmpty { lines.append("  covers \(names(batch.dots[operation.covers]))") }
        }
        return lines
    }

    // MARK: Pages

    /// The records ascending by identifier, as they travel.
    static func of(_ page: RecordPage) -> [String] {
        var lines: [String] = []
        for head in page.heads.sorted(by: { $0.id < $1.id }) {
            lines.append("record \(head.id) \(name(head.envelope, of: head.id))")
            for index in head.entries {
                let entry = page.entries[index]
                var line = "  \(name(entry.key, page.arena)) = "
                if page.own.contains(index) {
                    line += "own \(entry.kind == .textChange ? "type 6" : "\(entry.kind)")"
                } else {
                    line += value(entry.kind, entry.integer, entry.slice, page.arena)
                }
                line += " by \(name(entry.dot)) at \(entry.time)"
                lines.append(entry.isCovered ? line + " covered" : line)
            }
        }
        return lines
    }

    // MARK: Answers

    private static func of(_ answer: PushAnswer) -> [String] {
        switch answer {
        case .taken(let upTo, let acknowledgement, let verdicts):
            return ["taken up to \(upTo)", "acknowledgement \(quoted(acknowledgement))"] + verdicts.map(name)
        case .identifierTaken(let number, let upTo, let acknowledgement, let verdicts):
            return ["taken up to \(upTo)", "acknowledgement \(quoted(acknowledgement))"] + verdicts.map(name)
                + ["the identifier of operation \(number) is taken"]
        case .fork(let fork):
            return ["fork of \(name(fork.of)), the rest under \(fork.replica.map { "\($0.rawValue)" } ?? "no replica")"]
                + fork.known.map {
                    "known \(name($0.dot)) \($0.reason?.rawValue ?? "taken")\($0.record.map { " made \($0)" } ?? "")"
                }
        case .rollback(let rollback):
            return [
                "rollback from epoch \(rollback.of.hexadecimal) to \(rollback.epoch.hexadecimal)",
                "what was never sent under \(rollback.replica.rawValue)",
                "acknowledgement \(quoted(rollback.acknowledgement))",
            ] + rollback.logs.map { "log \($0.replica.rawValue) at \($0.position) \($0.hash.rawValue.hexadecimal)" }
        }
    }

    private static func name(_ log: LogPosition) -> String {
        "\(log.replica.rawValue) from \(log.position) \(log.hash.rawValue.hexadecimal) to \(log.end)"
    }

    private static func name(_ verdict: Verdict) -> String { "refused \(verdict.number) \(verdict.reason.rawValue)" }

    // MARK: Parts

    private static func name(_ dot: Dot) -> String { "\(dot.replica.rawValue):\(dot.number)" }
    private static func names(_ dots: ArraySlice<Dot>) -> String { dots.map(name).joined(separator: " ") }

    private static func name(_ envelope: Envelope, of record: RecordID) -> String {
        let kind = Schema.name(of: envelope.kind)
        return switch envelope.scope {
        case .workspace: "\(kind) of the workspace"
        case .account(let id): "\(kind) of account \(id)"
        case .customer(let id): id == record ? "\(kind) of itself" : "\(kind) of customer \(id)"
        case .pair(let a, let b): "\(kind) of \(a) and \(b)"
        }
    }

    private static func name(_ key: CellKey, _ arena: [UInt8]) -> String {
        let field = "\(key.field.rawValue) \(Schema.name(of: key.field))"
        return switch key.elementKind {
        case .none: field
        case .id: "\(field)[\(key.elementID)]"
        case .text: "\(field)[\(quoted(arena[key.elementSlice.range]))]"
        }
    }

    private static func value(_ kind: ValueKind, _ integer: Int64, _ slice: Slice, _ arena: [UInt8]) -> String {
        switch kind {
        case .text: quoted(arena[slice.range])
        case _ where kind.isForeign || kind == .textChange:
            "type \(kind.rawValue) \(String(decoding: arena[slice.range], as: UTF8.self))"
        case .json: "json \(String(decoding: arena[slice.range], as: UTF8.self))"
        case .integer: "\(integer)"
        case .count: "count \(integer)"
        default: "\(kind)"
        }
    }

    private static func quoted(_ text: String) -> String { quoted(Array(text.utf8)[...]) }

    private static func quoted(_ text: ArraySlice<UInt8>) -> String {
        var json = JSONWriter()
        json.string(bytes: text)
        return String(decoding: json.bytes, as: UTF8.self)
    }
}

/// The first line in which two messages differ.
func difference(_ a: [String], _ b: [String]) -> String? {
    if a == b { return nil }
    let place = zip(a, b).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(a.count, b.count)
    let (x, y) = (place < a.count ? a[place] : "nothing", place < b.count ? b[place] : "nothing")
    return "line \(place + 1) is\n  \(x)\nand after the round trip\n  \(y)"
}
