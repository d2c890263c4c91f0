import ShoalCRDT

/// The version of the protocol that this code speaks; SPEC.md §9.
public enum ProtocolVersion {
    public static let current = 3
    /// The version of the form of frames: of paths and media type. Versions of one form differ in what an older reader bears.
    public static let form = 1
    /// The first version whose readers keep the changes of a text that a page does not bring again.
    static let ofTexts = 2
    /// The first version whose readers know that scopes leave an account's view.
    static let ofVisibility = 3
    /// The media type of bodies.
    public static let mediaType = "application/vnd.shoal.v\(form)+json"
}

/// Where a log that this replica ever wrote stands, as the replica knows it.
public struct LogPosition: Hashable, Sendable {
    public var replica: ReplicaID
    /// The last number that the server acknowledged.
    public var position: UInt32
    /// The hash of that operation; `OperationHash.start` at position 0.
    public var hash: OperationHash
    /// The last number in the log.
    public var end: UInt32

    public init(replica: ReplicaID, position: UInt32, hash: OperationHash, end: UInt32) {
        self.replica = replica
        self.position = position
        self.hash = hash
        self.end = end
    }
}

/// What a replica says to the server.
public struct SyncRequest: Sendable {
    public var epoch: UInt64
    /// Opaque; empty before the first pull.
    public var cursor: String
    /// The newest acknowledgement, opaque; empty before the first push.
    public var acknowledgement: String
    /// Every log that this replica ever wrote; the last one is the log that it writes now.
    public var logs: [LogPosition]
    /// The operations after the position of the last log.
    public var operations: Operations
    /// After a fork, instead of operations: the hashes of those after the position of the last log, in order.
    public var tail: [OperationHash]
    /// How many operations before those of `tail` were asked about already.
    public var skipped: UInt32
    /// Which of the operations an earlier epoch refused, and why: they are not to be taken now.
    public var refused: [Verdict]
    /// How many of the operations, from the first on, were written over what an earlier epoch had sent: they name others
    /// by their places then.
    public var earlier: Int
    /// Up to where an earlier epoch acknowledged logs: what stands there stood there then.
    public var proven: [Dot]
    /// Where operations of this replica stood in earlier epochs that stand elsewhere now.
    public var former: [FormerPlace]
    /// Erasures that the server may have forgotten, because it was set back.
    public var erased: [Erasure] = []
    /// Whether the answer shall carry a page; not while there are more frames to push.
    public var wantsPage: Bool
    /// The version of the protocol that the writer speaks; what this program writes says its own.
    public var version = ProtocolVersion.current

    public init(
        epoch: UInt64, cursor: String, acknowledgement: String, logs: [LogPosition], operations: Operations,
        tail: [OperationHash] = [], skipped: UInt32 = 0, refused: [Verdict] = [], earlier: Int = 0,
        proven: [Dot] = [], former: [FormerPlace] = [], wantsPage: Bool = true
    ) {
        self.epoch = epoch
        self.cursor = cursor
        self.acknowledgement = acknowledgement
        self.logs = logs
        self.operations = operations
        self.tail = tail
        self.skipped = skipped
        self.refused = refused
        self.earlier = earlier
        self.proven = proven
        self.former = former
        self.wantsPage = wantsPage
    }
}

/// Why the server refused an operation. A refused operation consumes its number.
///
/// Later versions have more reasons, which are kept by name; all are refusals.
public struct RefusalReason: RawRepresentable, Hashable, Sendable, CaseIterable {
    public let rawValue: String

    /// - Returns: nil for what is no name: 1 to 64 lower-case letters of ASCII, digits and hyphens.
    public init?(rawValue: String) {
        let isName = rawValue.utf8.allSatisfy { 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || $0 == 0x2D }
        guard isName, 1...64 ~= rawValue.utf8.count else { return nil }
        self.rawValue = rawValue
    }

    private init(_ name: StaticString) { rawValue = name.description }

    /// It supersedes or covers a dot that the server never saw or refused.
    public static let unknownDot = RefusalReason("unknown-dot")
    /// Its record was never made.
    public static let unknownRecord = RefusalReason("unknown-record")
    /// Its record was erased or collected.
    public static let deletedRecord = RefusalReason("deleted-record")
    /// It makes a record whose derived identifier stands for another key.
    public static let keyMismatch = RefusalReason("key-mismatch")
    /// Another operation of its command was refused.
    public static let command = RefusalReason("command")
    /// The account may not do this.
    public static let forbidden = RefusalReason("forbidden")
    /// Its record would outgrow what a page can carry.
    public static let tooLarge = RefusalReason("too-large")
    /// It was written by a copy of a replica before the lease, and the server cannot tell any more whether it was taken.
    public static let tooOld = RefusalReason("too-old")
    /// It changes a text by characters that are not there, or says others of some that are.
    public static let unknownText = RefusalReason("unknown-text")
    /// It is not in the form that the specification asks for.
    public static let malformed = RefusalReason("malformed")

    /// Those of this version.
    public static let allCases: [RefusalReason] = [
        .unknownDot, .unknownRecord, .deletedRecord, .keyMismatch, .command, .forbidden, .tooLarge, .tooOld,
        .unknownText,
        .malformed,
    ]
}

/// The server's verdict on an operation that it refused; stored, and repeated with every answer that covers it.
public struct Verdict: Hashable, Sendable {
    public var number: UInt32
    public var reason: RefusalReason
    public init(number: UInt32, reason: RefusalReason) {
        self.number = number
        self.reason = reason
    }
}

/// What the server made of the pushed operations.
public enum PushAnswer: Sendable {
    /// Everything up to `upTo` is taken and durable.
    case taken(upTo: UInt32, acknowledgement: String, verdicts: [Verdict])
    /// The identifier of a record that the operation `number` makes is another record's. Everything before it is taken.
    case identifierTaken(number: UInt32, upTo: UInt32, acknowledgement: String, verdicts: [Verdict])
    /// The log does not continue what the server has; nothing was changed.
    case fork(Fork)
    /// The server is not, or no longer, where the replica believes it is; nothing was taken.
    case rollback(Rollback)

    /// A log that is a copy of another one, or restored from a backup.
    public struct Fork: Hashable, Sendable {
        /// The log as the request named it.
        public var of: LogPosition
        /// The identifier under which what is not known goes on; nil until the request named the hashes of the tail.
        public var replica: ReplicaID?
        /// The places and verdicts of the longest known prefix of the hashes that the request named.
        public var known: [KnownOperation]
        /// With a replica: proves that this server handed it out. Otherwise empty.
        public var acknowledgement: String
        /// How many operations before the hashes that this answers were asked about already.
        public var skipped: UInt32
        public init(
            of: LogPosition, replica: ReplicaID?, known: [KnownOperation], acknowledgement: String = "",
            skipped: UInt32 = 0
        ) {
            self.of = of
            self.skipped = skipped
            self.replica = replica
            self.known = known
            self.acknowledgement = acknowledgement
        }
    }

    /// From where the logs go on in the server's epoch.
    public struct Rollback: Hashable, Sendable {
        /// The epoch that the request named.
        public var of: UInt64
        public var epoch: UInt64
        /// The identifier for operations that were never sent.
        public var replica: ReplicaID
        /// Proves the beginning of the epoch, or a later commit.
        public var acknowledgement: String
        /// What the server has of each log that the request named.
        public var logs: [Standing]
        public init(of: UInt64, epoch: UInt64, replica: ReplicaID, acknowledgement: String, logs: [Standing]) {
            self.of = of
            self.epoch = epoch
            self.replica = replica
            self.acknowledgement = acknowledgement
            self.logs = logs
        }
    }

    /// What the server has of a log.
    public struct Standing: Hashable, Sendable {
        public var replica: ReplicaID
        /// The last number that it has.
        public var position: UInt32
        /// The hash at that number, or at the end that the request named if that is lower.
        public var hash: OperationHash
        public init(replica: ReplicaID, position: UInt32, hash: OperationHash) {
            self.replica = replica
            self.position = position
            self.hash = hash
        }
    }
}

public struct KnownOperation: Hashable, Sendable {
    public var dot: Dot
    public var reason: RefusalReason?
    /// The record that it made, when it was pushed with another identifier than it was written with.
    public var record: RecordID?
    public init(dot: Dot, reason: RefusalReason?, record: RecordID? = nil) {
        self.dot = dot
        self.reason = reason
        self.record = record
    }
}

/// What the server says to a replica.
public struct SyncResponse: Sendable {
    public var push: PushAnswer
    /// The log that the push was about, where the request named several.
    public var log: ReplicaID?
    /// The epoch that such a request named, where it had no cursor, which would tell: a log may stand at the same place again.
    public var epoch: UInt64?
    /// The page begins at this cursor and applies only if it is the one held.
    public var from: String
    public var page: RecordPage
    public var cursor: String
    public var more: Bool
    /// Whether `page` belongs to a fill: whole records instead of changes.
    public var isFill: Bool
    /// Whether `page` is the first of a fill: what an earlier one named that did not finish does not count.
    public var beginsFill = false
    /// The positions of logs that changed since the cursor; with the last page only.
    public var positions: [Dot]
    /// What tells whose logs those are: one for each position, or none.
    public var checks: [LogCheck] = []
    /// Milliseconds since 1970 by the server's clock.
    public var time: Int64
    /// Whether the server wants what replicas held before it lost something; §3.6.
    public var recovery: Bool
    /// What left the account's view, or came into it again.
    public var moves = ScopeMoves()
    /// What the replica has to remove for good, wherever it has it.
    public var erased: [Erasure] = []
    /// For how many days a replica may go on without the server's word; nil when the server does not say.
    public var lease: Int?

    public init(
        push: PushAnswer, from: String, page: RecordPage, cursor: String, more: Bool, isFill: Bool, positions: [Dot],
        time: Int64, recovery: Bool = false
    ) {
        self.push = push
        self.from = from
        self.page = page
        self.cursor = cursor
        self.more = more
        self.isFill = isFill
        self.positions = positions
        self.time = time
        self.recovery = recovery
    }
}

public enum Role: String, Sendable, CaseIterable {
    case expert, sales, supervisor

    /// What a role of a later version counts as here: one that may no more than everybody.
    public static let least = Role.sales
}

public struct EnrollRequest: Sendable, Equatable {
    public var code: String
    /// 32 random bytes drawn by the client: the credential of the new replica, in base64url.
    public var key: String
    /// The account that this home had with a server that does not know it any more; a server that recovers gives it the
    /// same identifier again.
    public var former: RecordID?
    /// The name of that account. Only a code for an account of that name enrols the home.
    public var name: String?
    /// What people call the machine; nil leaves the device without a name.
    public var device: String?
    public init(code: String, key: String, former: RecordID? = nil, name: String? = nil, device: String? = nil) {
        self.code = code
        self.key = key
        self.former = former
        self.name = name
        self.device = device
    }
}

public struct EnrollResponse: Sendable, Equatable {
    public var replica: ReplicaID
    public var account: RecordID
    public var name: String
    public var role: Role
    public var epoch: UInt64
    public var time: Int64
    /// For how many days the replica may go on without the server's word; nil when the server does not say.
    public var lease: Int?
    public init(
        replica: ReplicaID, account: RecordID, name: String, role: Role, epoch: UInt64, time: Int64, lease: Int? = nil
    ) {
        self.lease = lease
        self.replica = replica
        self.account = account
        self.name = name
        self.role = role
        self.epoch = epoch
        self.time = time
    }
}

/// The limits of the protocol; part of the specification.
public enum Limits {
    public static let body = 1 << 20
    public static let inflated = 16 << 20
    public static let depth = 32
    public static let operations = 5_000
    /// The most runs of former places that a request names.
    public static let formerPlaces = 4_096
    /// How often a revoked device, each time another copy of it, may hand over what it had not sent.
    public static let handovers = 8
    /// How often it may begin to: forks and servers that were set back make a copy begin anew.
    public static let handoversBegun = 32
    public static let header = 16 << 10
    public static let headerFields = 100
    /// A page is closed when its weight reaches this many bytes.
    public static let page = 2 << 20
    /// The longest text of one value, in bytes of UTF-8.
    public static let text = 64 << 10
    /// The most runs, pieces and deletions of one change of a text.
    public static let changeParts = 4_096
    /// The most pieces that a text may be in for a change to be taken.
    public static let textPieces = 32_768
    /// The most bytes of the canonical form of one operation, so that it surely fits a body.
    public static let operation = 512 << 10
    /// The bytes of a record above which nothing may be written into it; taking away is always possible.
    public static let record = 2 << 20
    /// The bytes of a record above which nothing at all is taken about it. A page must be able to carry any record.
    public static let recordAtMost = 4 << 20
    /// The most scopes that a page says left or entered, each.
    public static let moves = 65_536
    /// The most erasures that a request or an answer names.
    public static let erasures = 65_536
    /// The days that a lease may have.
    public static let lease: ClosedRange<Int64> = 1...3_650
}
