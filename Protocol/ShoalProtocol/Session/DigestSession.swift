import ShoalCRDT

/// The client's half of anti-entropy, without I/O: events in, one action out.
///
/// It compares the replica's rows, as of its cursor, with the server's records as of the same commit. What changed on the
/// server since is left out on both sides, and a difference is only ever concluded from an answer that names everything
/// left out up to its own state: writers that go on meanwhile cannot make a false alarm.
public struct DigestSession: Sendable {
    /// What a driver does next.
    public enum Action: Sendable {
        case send(DigestRequest)
        /// Store all of this in one transaction, then call `committed`.
        case commit(Repair)
        case finish(Report)
        case stop(Problem)
    }

    /// What one answer changes in the replica's rows.
    public struct Repair: Sendable {
        /// Whole records that replace rows.
        public var page: RecordPage
        /// Rows to remove.
        public var gone: [RecordID]
        public init(page: RecordPage, gone: [RecordID]) {
            self.page = page
            self.gone = gone
        }
    }

    public struct Report: Sendable, Equatable {
        /// Requests and answers.
        public var messages = 0
        /// Records that the server changed meanwhile or cannot read: they were not compared.
        public var omitted = 0
        public init(messages: Int = 0, omitted: Int = 0) {
            self.messages = messages
            self.omitted = omitted
        }
    }

    public enum Problem: Error, Sendable, Equatable {
        /// The replica must sync first.
        case behind
        case protocolError(String)
    }

    /// More exchanges than any comparison takes.
    private static let mostMessages = 20_000

    private let epoch: UInt64
    private let cursor: String
    private var seen: Int64 = 0
    private var omitted: Set<RecordID> = []
    /// What is still to be said, in order and disjoint.
    private var pending: [DigestRange] = []
    private var wanted: Set<RecordID> = []
    /// Wanted in the request under way.
    private var asked: [RecordID] = []
    private var messages = 0
    private var isWaiting = false

    /// - Parameter cursor: the end of a whole pull; what the rows are as of.
    public init(epoch: UInt64, cursor: String) {
        self.epoch = epoch
        self.cursor = cursor
    }

    /// Begins with the print of everything.
    ///
    /// - Parameter rows: the replica's rows, without its tail.
    public mutating func start(_ rows: some DigestSource) throws -> Action {
        let all = try Reconciliation.Division(.all, rows)
        pending = [DigestRange(.all, .print(all.sum.short))]
        return next()
    }

    /// The server's answer to the request sent last.
    public mutating func receive(_ response: DigestResponse, _ rows: some DigestSource) throws -> Action {
        guard isWaiting else { return .stop(.protocolError("an answer came that nobody waited for")) }
        isWaiting = false
        messages += 1
        if response.isBehind { return .stop(.behind) }
        guard response.seen >= seen else { return .stop(.protocolError("the server's changes go back")) }
        seen = response.seen
        omitted.formUnion(response.omitted)
        let rows = Remaining(rows: rows, omitted: omitted)
        var gone = Set(response.gone)
        let sent = Set(response.page.heads.map(\.id))
        for said in response.ranges {
            switch said.content {
            case .print(let print):
                let own = try Reconciliation.Division(said.range, rows)
                if own.sum.short != print { pending += own.said }
            case .list(let theirs): try compare(said.range, theirs, rows, sent, &gone)
            }
        }
        let open = asked.filter { !sent.contains($0) && !gone.contains($0) && !omitted.contains($0) }
        guard asked.isEmpty || open.count < asked.count else {
            return .stop(.protocolError("the server sends none of the records that were asked for"))
        }
        asked = []
        wanted.formUnion(open)
        wanted.subtract(omitted)
        guard sent.isDisjoint(with: gone) else {
            return .stop(.protocolError("a record is sent and gone at once"))
        }
        gone.subtract(omitted)
        if response.page.isEmpty, gone.isEmpty { return next() }
        return .commit(Repair(page: response.page, gone: gone.sorted()))
    }

    /// The repair is stored.
    public mutating func committed() -> Action { next() }

    /// Compares what the server has of a small range with the rows in it.
    private mutating func compare(
        _ range: IdentifierRange, _ theirs: [RecordPrint], _ rows: some DigestSource, _ sent: Set<RecordID>,
        _ gone: inout Set<RecordID>
    ) throws {
        var prints: [RecordID: UInt64] = [:]
        for record in theirs where !omitted.contains(record.id) { prints[record.id] = record.print }
        try rows.forEachFingerprint(in: range) { id, fingerprint in
            guard let print = prints[id] else {
                gone.insert(id)
                return
            }
            if print == fingerprint.short { prints[id] = nil }
        }
        wanted.formUnion(prints.keys.filter { !sent.contains($0) })
    }

    private mutating func next() -> Action {
        if pending.isEmpty, wanted.isEmpty {
            return .finish(Report(messages: messages, omitted: omitted.count))
        }
        guard messages < Self.mostMessages else {
            return .stop(.protocolError("the comparison comes to no end"))
        }
        pending.sort { $0.range.lower < $1.range.lower }
        let ranges = Array(pending.prefix(Limits.digestRanges))
        pending.removeFirst(ranges.count)
        asked = Array(wanted.sorted().prefix(Limits.digestWanted))
        wanted.subtract(asked)
        messages += 1
        isWaiting = true
        return .send(DigestRequest(epoch: epoch, cursor: cursor, seen: seen, ranges: ranges, wanted: asked))
    }

    /// The rows less those that are left out.
    private struct Remaining<Rows: DigestSource>: DigestSource {
        var rows: Rows
        var omitted: Set<RecordID>
        func forEachFingerprint(
            in range: IdentifierRange, _ body: (RecordID, RecordFingerprint) throws -> Void
        ) throws {
            try rows.forEachFingerprint(in: range) { id, fingerprint in
                if !omitted.contains(id) { try body(id, fingerprint) }
            }
        }
    }
}
