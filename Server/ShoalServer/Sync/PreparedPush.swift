import ShoalCRDT
import ShoalProtocol

/// Why a request is refused as a whole; nothing of it was applied.
public enum SyncProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// The body is not in the form of the specification.
    case malformed(String)
    /// The replica belongs to another server, or to an earlier epoch of this one.
    case otherEpoch
    /// The request names a log that is not this account's.
    case foreignLog(ReplicaID)
    /// The cursor or the acknowledgement was not made by this server for this account.
    case foreignToken(String)
    case tooManyOperations(Int)
    /// A relay that names another epoch: its replica has to sync first.
    case relayOfOtherEpoch
    /// A relay while nobody asked for any.
    case noRecovery
    /// The account relayed too many vectors that logs have not reached.
    case tooManyVectors
    /// The account has too many replicas under which nothing was written.
    case tooManyReplicas
    /// The request writes into a record whose row on the server is damaged; it can be sent again once that is mended.
    case damagedRecord(RecordID)

    public var description: String {
        switch self {
        case .malformed(let reason): reason
        case .otherEpoch:
            "this replica belongs to another workspace, or to an earlier epoch of this one that this server has lost; "
                + "enroll it with this server, or let its operator run shoald recover"
        case .foreignLog(let replica): "the log \(replica.rawValue) does not belong to this account"
        case .foreignToken(let name): "the \(name) was not made by this server for this account"
        case .relayOfOtherEpoch: "the server is in another epoch; sync before relaying"
        case .noRecovery: "this server does not ask for what replicas held; its operator runs shoald recover first"
        case .tooManyVectors:
            "this account's homes have relayed what they held after \(StoreWriter.mostSources) losses; no more is taken until "
                + "their work has been pushed again"
        case .tooManyReplicas:
            "this account has \(StoreWriter.mostEmptyLogs) replicas that nothing was written under; sync its homes first"
        case .tooManyOperations(let count):
            "the request has \(count) operations; send at most \(Limits.operations) at a time"
        case .damagedRecord(let id):
            "the record \(id) is damaged on the server; nothing of the request was stored, and it can be sent again once "
                + "the record is mended there"
        }
    }
}

/// A push with everything worked out that needs no database, so that callers do it side by side.
///
/// A class, because the fold looks at it once an operation and a structure of so many arrays would be retained piece by
/// piece.
public final class PreparedPush: Sendable {
    let account: RecordID
    /// The device that pushes; nil where there is none.
    let device: ReplicaID?
    /// The epoch that the replica believes to be in.
    let epoch: UInt64
    let logs: [LogPosition]
    let operations: Operations
    let tail: [OperationHash]
    let skipped: UInt32
    /// What an earlier epoch refused, by number.
    let refused: [UInt32: RefusalReason]
    /// The operations before this index name others by their places in an earlier epoch.
    let earlier: Int
    let proven: [Dot]
    let former: [FormerPlace]
    /// Persons of whom this server is proven to have erased everything.
    let erased: [RecordID]
    /// Milliseconds since 1970: the latest time that an operation may carry.
    let time: Int64
    /// The link of the hash chain after each operation.
    let hashes: [OperationHash]
    /// Whether operations of it were renumbered, so that another copy may have pushed them in another log.
    var isRenumbered: Bool { operations.operations.contains { $0.keptHash != nil } }
    /// Whether a place is in a log of the replica itself, which knows where its own operations stand now.
    func isOwn(_ dot: Dot) -> Bool { logs.contains { $0.replica == dot.replica && dot.number <= $0.end } }
    /// The operations that are not in form, by their index.
    let malformed: Set<Int>
    /// The commits that the cursor and the acknowledgement name, of the epoch that the push names.
    let marks: [CommitMark]
    /// The floor of the cursor; nil without one and before the first pull has ended, which the replica makes durable.
    let floor: Int64?
    /// Up to where its replica has heard what changed; nil without a cursor.
    let sequence: Int64?
    /// Whether the server itself writes this, which alone may write accounts.
    let isServer: Bool
    /// Whether a revoked device hands over what it had not sent.
    let isHandover: Bool

    /// - Parameters:
    ///   - seal: of any epoch of this server: tokens are opened under the epoch that the push names.
    init(_ push: ServerSession.Push, seal: Seal, isServer: Bool = false) throws(SyncProblem) {
        account = push.account
        device = push.device
        epoch = push.epoch
        logs = push.logs
        operations = push.operations
        tail = push.tail
        skipped = push.skipped
        refused = Dictionary(push.refused.map { ($0.number, $0.reason) }, uniquingKeysWith: { first, _ in first })
        earlier = push.earlier
        proven = push.proven
        former = push.former
        erased = push.erased.filter { seal.proves($0) }.map(\.person)
        time = push.time
        self.isServer = isServer
        isHandover = push.isHandover
        guard let log = logs.last else { throw .malformed("the request names no log") }
        guard Set(logs.map(\.replica)).count == logs.count else { throw .malformed("the request names a log twice") }
        for log in logs where log.end < log.position {
            throw .malformed("the log \(log.replica.rawValue) ends before its position")
        }
        guard operations.count <= Int(log.end - log.position) else {
            throw .malformed("the request has more operations than its log")
        }
        guard tail.isEmpty || (operations.isEmpty && Int(skipped) + tail.count <= Int(log.end - log.position))
        else {
            throw .malformed("the request asks about more than its tail")
        }
        let cursor = try Self.cursor(push, seal.of(epoch: push.epoch))
        marks = try Self.marks(push, cursor, seal.of(epoch: push.epoch))
        floor = cursor?.fill == nil && cursor?.hasPositions == true ? cursor?.floor : nil
        sequence = cursor?.sequence
        hashes = Self.chain(operations, after: log.hash)
        malformed = Self.malformed(operations)
    }

    private static func cursor(_ push: ServerSession.Push, _ seal: Seal) throws(SyncProblem) -> Cursor? {
        if push.cursor.isEmpty { return nil }
        guard let cursor = seal.cursor(push.cursor, for: push.account) else { throw .foreignToken("cursor") }
        return cursor
    }

    private static func marks(
        _ push: ServerSession.Push, _ cursor: Cursor?, _ seal: Seal
    ) throws(SyncProblem) -> [CommitMark] {
        var marks = cursor.map { [$0.commit] } ?? []
        if !push.acknowledgement.isEmpty {
            guard let mark = seal.acknowledgement(push.acknowledgement, for: push.account) else {
                throw .foreignToken("acknowledgement")
            }
            marks.append(mark)
        }
        return marks
    }

    private static func chain(_ operations: Operations, after start: OperationHash) -> [OperationHash] {
        var hashes: [OperationHash] = []
        hashes.reserveCapacity(operations.count)
        var scratch: [UInt8] = []
        var last = start
        for index in 0..<operations.count {
            last = operations.hash(of: index, after: last, scratch: &scratch)
            hashes.append(last)
        }
        return hashes
    }

    private static func isChange(_ edit: Operations.Edit, of operations: Operations) -> Bool {
        guard let change = operations.textChange(edit) else { return false }
        return change.partCount <= Limits.changeParts
    }

    private static func malformed(_ operations: Operations) -> Set<Int> {
        var found: Set<Int> = []
        for (index, operation) in operations.operations.enumerated() {
            let isWellFormed =
                operation.record.isValid && operation.creates.map { Schema.admits($0, for: operation.record) } ?? true
                && operations.firstMisplacedEdit(of: index) == nil
                && operations.edits[operation.edits].allSatisfy { edit in
                    edit.key.field != .created && !(edit.kind.isSlice && edit.slice.count > Limits.text)
                        && !(edit.key.elementKind == .text && edit.key.elementSlice.count > Limits.text)
                        && (edit.kind != .textChange || Self.isChange(edit, of: operations))
                }
            if !isWellFormed { found.insert(index) }
        }
        return found
    }
}
