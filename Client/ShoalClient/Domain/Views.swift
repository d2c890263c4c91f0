import ShoalCRDT
import ShoalProtocol

/// A field's name and its value as typed.
public struct FieldValue: Hashable, Sendable {
    public var name: String
    public var value: String
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A tag on a customer.
public struct AssignedTag: Hashable, Sendable {
    public var id: RecordID
    /// The group's name; empty for the ungrouped group.
    public var group: String
    public var name: String
    /// The account that put it there.
    public var by: String
    /// Milliseconds since 1970.
    public var at: Int64
    public var isArchived: Bool
}

public struct NoteView: Hashable, Sendable {
    public var id: RecordID
    public var customer: RecordID
    public var body: String
    public var by: String
    public var at: Int64
    /// Other values that were written without seeing the body shown.
    public var hasConflict: Bool
}

/// A part of a note that one account wrote at one time.
public struct NotePart: Hashable, Sendable {
    public var text: String
    public var by: String
    public var at: Int64
}

/// A customer as `customer show` prints it.
public struct CustomerView: Hashable, Sendable {
    public var id: RecordID
    /// Only fields that are set, in the order of the schema; own follow fields and free fields included.
    public var fields: [FieldValue]
    public var tags: [AssignedTag]
    /// Oldest first.
    public var notes: [NoteView]
    /// Account names, sorted.
    public var followers: [String]
    /// Names of fields in conflict.
    public var conflicts: [String]
}

/// A customer in a list.
public struct CustomerRow: Hashable, Sendable {
    public var id: RecordID
    public var name: String
    public var stage: String
    public var source: String
    public var birthMonth: String
    /// Milliseconds since 1970 at which the customer was added.
    public var added: Int64
}

/// A tag of the book: one for all live tags that are equal in group and folded name.
public struct TagView: Hashable, Sendable {
    /// The smallest of the identifiers of those that are equal.
    public var id: RecordID
    public var members: [RecordID]
    public var group: String
    public var name: String
    /// Of the group's tags a customer has at most one.
    public var isSingle: Bool
    public var isArchived: Bool
    /// How many customers have it.
    public var customers: Int
    /// What was merged into it, as it was called.
    public var merged: [String]
}

/// What is to happen to a tag on some customers.
public enum TagChange: Hashable, Sendable {
    /// NAME or GROUP/NAME; made if it is not in the book.
    case add(String)
    /// NAME or GROUP/NAME; must be in the book.
    case remove(String)
}

/// A tag that an edit had to make.
public struct CreatedTag: Hashable, Sendable {
    public var id: RecordID
    public var name: String
    /// Names in the book that look like it: perhaps it was mistyped.
    public var near: [String]
}

public struct SearchHit: Hashable, Sendable {
    /// `customer` or `note`.
    public var kind: String
    public var id: RecordID
    public var customer: RecordID
    /// The text around the first match, or the customer's name.
    public var text: String
}

/// A field of a record that was written by several operators who had not seen each other.
public struct Conflict: Hashable, Sendable {
    public struct Value: Hashable, Sendable {
        public var value: String
        public var by: String
        public var at: Int64
    }
    public var record: RecordID
    public var kind: String
    /// As commands name it; `field@account` for another account's follow fields, `tag:GROUP` for a single-choice group.
    public var field: String
    public var shown: Value
    /// What one may choose instead of the shown value; the newest dot first.
    public var others: [Value]
    /// Stands for exactly these values, and what else there is to decide on this field.
    public var token: UInt64
    /// Why the server refused the other values, when they are nowhere but here; the protocol's word. The field is
    /// `created` or `deleted` where the record was to be made or deleted.
    public var refused: String?
    /// The number by which `settle` knows `others[0]`; 0 is the shown value. Not 1 where the field has both a conflict and
    /// refused values.
    public var firstNumber = 1
}

extension Conflict.Value {
    /// Of a cell that shows nothing.
    static let nothing = Conflict.Value(value: "", by: "", at: 0)

    /// Whether it stands for a cell that shows nothing: then nobody wrote it, at no time.
    public var isNothing: Bool { by.isEmpty }
}

extension Conflict {
    static func token(_ parts: [UInt64]) -> UInt64 {
        parts.map(\.littleEndian).withUnsafeBytes { SipHash.hash($0, key: (0, 0)) }
    }
}

/// An operation that the server refused, with what it would have written.
public struct Refused: Hashable, Sendable {
    public var record: RecordID
    public var kind: String
    /// The protocol's word for it.
    public var reason: String
    public var values: [FieldValue]
    public var at: Int64
    /// Whether it stands for an operation that could not be read here: nothing of it is known, and the server has refused
    /// nothing that anybody wrote.
    public var isUnreadable = false

    /// The reason given for such an operation.
    public static let unreadable = RefusalReason.unreadable.rawValue
}

public struct Status: Hashable, Sendable {
    public var account: String
    public var role: String
    /// 8 hexadecimal digits.
    public var replica: String
    public var server: String
    /// Unsent changes.
    public var pending: Int
    /// Opaque; empty before the first sync.
    public var cursor: String
    /// Milliseconds since 1970; nil before the first sync.
    public var lastSync: Int64?
    /// (record, field) pairs in conflict, or with something that was refused.
    public var conflicts: Int
    /// Operations that the server refused and nobody has decided on.
    public var refused: Int
    /// Operations of one's own that could not be read when the home was damaged, and did not reach the server.
    public var lost: Int
    /// What was last done so that this home's logs continue the server's; nil if nothing ever had to be.
    public var healed: HealingNote?
    /// Persons of whom everything was erased here, and own changes about them that no server had taken.
    public var erased = 0
    public var erasedChanges = 0
    /// Whether the server must be asked before anything is shown or changed.
    public var needsContact = false
}

/// What was done to a home whose logs did not continue the server's. Nothing was lost by it.
public struct HealingNote: Hashable, Sendable {
    public enum Kind: String, Sendable {
        /// The home is a copy of another one, or was restored from a backup.
        case fork
        /// The server was set back, and got this home's work again.
        case rollback
        /// A record's identifier was taken, and it got another.
        case renamed
        /// The server got back what this home held of others' work.
        case relayed
    }
    public var kind: Kind
    /// Milliseconds since 1970.
    public var at: Int64
    /// 8 hexadecimal digits: the replica whose log is written since.
    public var replica: String
    /// How many operations went on under it, or were sent again.
    public var changes: Int
}

/// What a commit changed, for whoever observes the replica.
public struct ReplicaChange: Sendable {
    /// The records that look different now, at most `limit`; beyond that `isMany`.
    public var records: [RecordID]
    public var isMany: Bool
    /// Whether it came from the server rather than from a local command.
    public var isRemote: Bool
    public static let limit = 1_000
}
