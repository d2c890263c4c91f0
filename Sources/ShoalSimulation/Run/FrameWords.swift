import ShoalCRDT
import ShoalProtocol

// What a trace says of the frames on the way, for people who look for the cause of a failed run.
enum FrameWords {
    static func of(_ request: [UInt8], _ answer: [UInt8], _ machine: ClientMachine) -> String {
        var text = "machine \(machine.number)"
        do { text += " \(try SyncRequest(decoding: request).words)" } catch { text += " \(error)" }
        do { text += "\n    \(try SyncResponse(decoding: answer).words)" } catch { text += "\n    \(error)" }
        return text
    }

    static func of(relay: [UInt8], _ machine: ClientMachine) -> String {
        do { return "machine \(machine.number) \(try RelayRequest(decoding: relay).words)" } catch { return "\(error)" }
    }
}

extension RelayRequest {
    /// The vector, and what stands in each cell of each record.
    var words: String {
        let positions = vector.positions.sorted { $0.key < $1.key }
        var text = "relays up to" + positions.map { " \($0.key.rawValue):\($0.value)" }.joined()
        for head in page.heads {
            text += "\n    \(head.id)"
            for index in head.entries {
                let entry = page.entries[index]
                text += " \(Schema.name(of: entry.key.field)) \(entry.dot.text)\(entry.isCovered ? " covered" : "")"
            }
        }
        return text
    }
}

extension SyncRequest {
    /// The epoch, each log with its standing, and each operation with its place, hash and what it replaces.
    var words: String {
        var text = "epoch \(epoch.brief)"
        for log in logs { text += ", \(log.replica.rawValue) at \(log.position) \(log.hash.text) of \(log.end)" }
        if earlier > 0 { text += ", \(earlier) in earlier terms" }
        for dot in proven { text += ", proven \(dot.text)" }
        for place in former {
            text += ", \(place.count) from \(place.was.text) to \(place.now.text)\(place.isProven ? " proven" : "")"
        }
        if !tail.isEmpty { text += ", tail after \(skipped): " + tail.map(\.text).joined(separator: " ") }
        guard let log = logs.last else { return text }
        var hash = log.hash
        var scratch: [UInt8] = []
        for (index, operation) in operations.operations.enumerated() {
            hash = operations.hash(of: index, after: hash, scratch: &scratch)
            let dot = Dot(log.replica, log.position &+ UInt32(truncatingIfNeeded: index &+ 1))
            text += "\n    \(dot.text) \(hash.text)\(operation.keptHash == nil ? "" : " kept") on \(operation.record)"
            if operation.creates != nil { text += " creates" }
            for edit in operations.edits[operation.edits] {
                text += " \(Schema.name(of: edit.key.field)) over \(operations.dots[edit.supersedes].map(\.text))"
            }
            if !operation.covers.isEmpty { text += " covers \(operations.dots[operation.covers].map(\.text))" }
        }
        return text
    }
}

extension SyncResponse {
    /// What became of the push, and what the page says.
    var words: String {
        switch push {
        case .taken(let upTo, _, let verdicts):
            "taken up to \(upTo), \(verdicts.count) refused, "
                + verdicts.map { "\($0.number) as \($0.reason), " }.joined() + pageWords
        case .identifierTaken(let number, let upTo, _, _): "identifier of \(number) taken, taken up to \(upTo)"
        case .fork(let fork):
            "fork of \(fork.of.replica.rawValue) at \(fork.of.position), new replica "
                + "\(fork.replica.map { String($0.rawValue) } ?? "none"), known \(fork.known.map(\.dot.text))"
        case .rollback(let rollback):
            "rollback to epoch \(rollback.epoch.brief), new replica \(rollback.replica.rawValue)"
                + rollback.logs.map { ", \($0.replica.rawValue) at \($0.position) \($0.hash.text)" }.joined()
        }
    }

    private var pageWords: String {
        "\(isFill ? beginsFill ? "begins a fill" : "fill" : "changes")\(more ? " with more" : ""): "
            + page.heads.map(\.id.description).joined(separator: " ") + words("left", moves.left)
            + words("entered", moves.entered)
    }

    private func words(_ move: String, _ scopes: [RecordID]) -> String {
        scopes.isEmpty ? "" : ", \(move) \(scopes.map(\.description).joined(separator: " "))"
    }
}

extension OperationHash {
    /// As findings name it.
    var text: String { String(rawValue, radix: 36) }
}

extension UInt64 {
    fileprivate var brief: String { String(self >> 48, radix: 16) }
}
