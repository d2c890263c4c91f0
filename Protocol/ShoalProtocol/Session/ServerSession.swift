import ShoalCRDT

/// The server's half of one exchange, without I/O.
///
/// An acknowledgement can only be made from a `Receipt`, and only a store that has committed durably hands one out.
public struct ServerSession: Sendable {
    public enum Action: Sendable {
        /// Commit this push (in a group with others, if the store likes), then call `committed`.
        case commit(Push)
        /// Read a page that begins at this cursor, then call `read`. Reads come after the commit of their own request.
        case readPage(cursor: String, own: Holdings)
        case respond(SyncResponse)
    }

    /// What a replica pushes.
    public struct Push: Sendable {
        public var account: RecordID
        public var epoch: UInt64
        public var acknowledgement: String
        public var cursor: String
        public var logs: [LogPosition]
        public var operations: Operations
        public var tail: [OperationHash]
        /// How many operations before those of `tail` were asked about already.
        public var skipped: UInt32
        /// What an earlier epoch refused of the operations.
        public var refused: [Verdict]
        /// How many of the operations name others by their places in an earlier epoch.
        public var earlier: Int
        /// Up to where an earlier epoch acknowledged logs.
        public var proven: [Dot]
        /// Where operations stood in earlier epochs that stand elsewhere now.
        public var former: [FormerPlace]
        /// Erasures that the replica was told of before.
        public var erased: [Erasure] = []
        /// The replica that the credential was given to; nil where there is none.
        public var device: ReplicaID?
        /// Whether a revoked device hands over what it had not sent.
        public var isHandover = false
        /// Milliseconds since 1970 by the server's clock: the latest time that an operation may carry.
        public var time: Int64

        public init(
            account: RecordID, epoch: UInt64, acknowledgement: String, cursor: String, logs: [LogPosition],
            operations: Operations, tail: [OperationHash], skipped: UInt32 = 0,
            refused: [Verdict] = [], earlier: Int = 0, proven: [Dot] = [], former: [FormerPlace] = [],
            device: ReplicaID? = nil, time: Int64
        ) {
            self.account = account
            self.epoch = epoch
            self.acknowledgement = acknowledgement
            self.cursor = cursor
            self.logs = logs
            self.operations = operations
            self.tail = tail
            self.skipped = skipped
            self.refused = refused
            self.earlier = earlier
            self.proven = proven
            self.former = former
            self.device = device
            self.time = time
        }
    }

    /// What the client holds and need not be sent again.
    public struct Holdings: Sendable {
        public var replica: ReplicaID
        /// Of its own log, whose values are still in its tail: from the first number after the client's position to the
        /// last of the request.
        public var numbers: ClosedRange<UInt32>?
        /// Whether it keeps the changes of a text that a page does not bring again.
        public var keepsChanges: Bool
        public init(replica: ReplicaID, numbers: ClosedRange<UInt32>?, keepsChanges: Bool = true) {
            self.replica = replica
            self.numbers = numbers
            self.keepsChanges = keepsChanges
        }
        /// Nothing is left out for it.
        public static let nothing = Holdings(replica: ReplicaID(rawValue: 0), numbers: nil, keepsChanges: false)

        public func contains(_ dot: Dot) -> Bool {
            guard let numbers else { return false }
            return dot.replica == replica && numbers.contains(dot.number)
        }
    }

    /// Proof of a durable commit.
    public struct Receipt: Sendable {
        public var answer: PushAnswer
        public init(answer: PushAnswer) { self.answer = answer }
    }

    /// A page that the store read.
    public struct Page: Sendable {
        public var page: RecordPage
        public var cursor: String
        public var more: Bool
        public var isFill: Bool
        /// Whether it is the first page of a fill.
        public var beginsFill = false
        /// Whether it is the first that tells everything to an account that became a supervisor's; nothing says so on the wire.
        public var beginsEverything = false
        public var positions: [Dot]
        /// What tells whose logs those are, one for each.
        public var checks: [LogCheck] = []
        /// What left the account's view or came into it again.
        public var moves = ScopeMoves()
        /// What the replica has to remove for good.
        public var erased: [Erasure] = []
        public init(
            page: RecordPage, cursor: String, more: Bool, isFill: Bool, beginsFill: Bool = false, positions: [Dot]
        ) {
            self.page = page
            self.cursor = cursor
            self.more = more
            self.isFill = isFill
            self.beginsFill = beginsFill
            self.positions = positions
        }
    }

    private let request: SyncRequest
    private let account: RecordID
    private let device: ReplicaID?
    private let time: Int64
    private var answer: PushAnswer?

    /// The epoch that the request names.
    public var epoch: UInt64 { request.epoch }

    /// - Parameter device: the replica that the request's credential was given to; nil where there is none.
    public init(_ request: SyncRequest, account: RecordID, device: ReplicaID? = nil, time: Int64) {
        self.device = device
        self.request = request
        self.account = account
        self.time = time
    }

    public func start() -> Action {
        var push = Push(
            account: account, epoch: request.epoch, acknowledgement: request.acknowledgement,
            cursor: request.cursor,
            logs: request.logs, operations: request.operations, tail: request.tail,
            skipped: request.skipped, refused: request.refused, earlier: request.earlier,
            proven: request.proven, former: request.former, device: device, time: time)
        push.erased = request.erased
        return .commit(push)
    }

    /// The push is durable, or was found to be a fork or a rollback and changed nothing.
    public mutating func committed(_ receipt: Receipt) -> Action {
        answer = receipt.answer
        switch receipt.answer {
        case .fork, .rollback: return .respond(withoutPage(receipt.answer, more: false))
        case .taken where !request.wantsPage, .identifierTaken where !request.wantsPage:
            return .respond(withoutPage(receipt.answer, more: true))
        case .taken(let upTo, _, _), .identifierTaken(_, let upTo, _, _):
            guard let log = request.logs.last else { return .readPage(cursor: request.cursor, own: .nothing) }
            let numbers = log.position < upTo ? log.position + 1...upTo : nil
            return .readPage(
                cursor: request.cursor,
                own: Holdings(
                    replica: log.replica, numbers: numbers,
                    keepsChanges: request.version >= ProtocolVersion.ofTexts))
        }
    }

    private func withoutPage(_ answer: PushAnswer, more: Bool) -> SyncResponse {
        var response = SyncResponse(
            push: answer, from: request.cursor, page: RecordPage(), cursor: request.cursor, more: more, isFill: false,
            positions: [], time: time)
        response.log = pushedLog
        response.epoch = namedEpoch
        return response
    }

    /// Answers of several logs look alike; of one log they differ by their numbers.
    private var pushedLog: ReplicaID? { request.logs.count > 1 ? request.logs.last?.replica : nil }

    private var namedEpoch: UInt64? { request.logs.count > 1 && request.cursor.isEmpty ? request.epoch : nil }

    public func read(_ page: Page) -> Action {
        let answer = answer ?? .taken(upTo: 0, acknowledgement: "", verdicts: [])
        var response = SyncResponse(
            push: answer, from: request.cursor, page: page.page, cursor: page.cursor, more: page.more,
            isFill: page.isFill, positions: page.positions, time: time)
        response.log = pushedLog
        response.epoch = namedEpoch
        response.checks = page.checks
        response.beginsFill = page.beginsFill
        response.moves = page.moves
        response.erased = page.erased
        return .respond(response)
    }
}
