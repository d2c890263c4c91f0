/// A replica: one writer of one log.
///
/// 32 bits: the upper 16 are drawn at random for each server epoch, the lower 16 are counted by the server, which hands
/// the identifier out at enrolment. No two replicas of one server ever hold the same identifier.
public struct ReplicaID: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(epoch: UInt16, count: UInt16) { rawValue = UInt32(epoch) << 16 | UInt32(count) }
    /// The half that is drawn at each start of the server.
    @inlinable public var epoch: UInt16 { UInt16(truncatingIfNeeded: rawValue >> 16) }
    /// The counted half; it goes into the record identifiers that the replica makes.
    @inlinable public var count: UInt16 { UInt16(truncatingIfNeeded: rawValue) }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// The place of an operation: the replica that wrote it and its number in that replica's log, dense from 1.
///
/// Dots are ordered by replica, then by number. Number 0 is no place: it marks entries that are not operations.
public struct Dot: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: UInt64
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    @inlinable public init(_ replica: ReplicaID, _ number: UInt32) {
        rawValue = UInt64(replica.rawValue) << 32 | UInt64(number)
    }
    @inlinable public var replica: ReplicaID { ReplicaID(rawValue: UInt32(truncatingIfNeeded: rawValue >> 32)) }
    @inlinable public var number: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// What a record is (customer, note, tag…). The kernel knows no kind; 0 stands for a record that was not made yet.
public struct Kind: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    public static let none = Kind(rawValue: 0)
}

/// A field of a record. Field numbers are unique over all kinds; the kernel reserves the two below and knows no other.
public struct Field: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    /// The entry that making the record leaves: who made it, and when.
    public static let created = Field(rawValue: 0)
    /// Operations of a kind that this version does not know, each whole under its dot; the element is the kind's number.
    public static let unknownOperation = Field(rawValue: .max)
}

/// To whom a record belongs. Immutable; visibility, backfill and collection use nothing else.
public enum Scope: Hashable, Sendable {
    case workspace
    case account(RecordID)
    case customer(RecordID)
    /// A link between two customers, the smaller identifier first.
    case pair(RecordID, RecordID)

    /// The customer to whom a record belongs, if to one.
    public var customer: RecordID? {
        if case .customer(let id) = self { id } else { nil }
    }

    /// The identifiers that it names.
    public var identifiers: [RecordID] {
        switch self {
        case .workspace: []
        case .account(let id), .customer(let id): [id]
        case .pair(let a, let b): [a, b]
        }
    }
}

/// What never changes of a record.
public struct Envelope: Hashable, Sendable {
    public var kind: Kind
    public var scope: Scope
    @inlinable public init(kind: Kind, scope: Scope) {
        self.kind = kind
        self.scope = scope
    }
}
