import ShoalCRDT
import ShoalProtocol

/// What of the audit is asked for. Entries come newest first.
public struct AuditQuery: Codable, Sendable, Equatable {
    /// Only about this record, 13 characters.
    public var record: String?
    /// Only what this account did; a name.
    public var account: String?
    /// Only what happened at or after this time, in milliseconds since 1970.
    public var since: Int64?
    /// Only entries with smaller numbers.
    public var before: Int64?
    /// How many at most, 1 to 200.
    public var limit: Int?

    public static let limits = 1...200
    static let usualLimit = 50

    public init(
        record: String? = nil, account: String? = nil, since: Int64? = nil, before: Int64? = nil, limit: Int? = nil
    ) {
        self.record = record
        self.account = account
        self.since = since
        self.before = before
        self.limit = limit
    }
}

/// Some entries of the audit, newest first.
public struct AuditPage: Codable, Sendable, Equatable {
    public var entries: [AuditLine] = []
    /// Where to go on: `before` of the next query; nil at the end.
    public var next: Int64?
}

/// An entry of the audit as people and programs read it.
public struct AuditLine: Codable, Sendable, Equatable {
    public struct Change: Codable, Sendable, Equatable {
        /// A field's name; `made`, `deleted`; or the name of what is no field.
        public var field: String
        /// 13 characters, a free field's name, or a replica's 8 hexadecimal digits.
        public var element: String?
        /// The values that were replaced.
        public var from: [String]
        /// The value that came instead; nil for none.
        public var to: String?
    }

    public var number: Int64
    /// ISO 8601.
    public var at: String
    /// The account that did it, 13 characters; nil for the server and whoever administers it.
    public var account: String?
    /// Its name.
    public var by: String?
    /// The log or device, 8 hexadecimal digits.
    public var replica: String?
    /// The device's name.
    public var device: String?
    public var action: AuditAction
    /// What it was about, 13 characters.
    public var record: String?
    public var changes: [Change]
    /// Whether the changes were erased.
    public var erased: Bool
}

extension AuditLine.Change {
    init(_ change: AuditChange) {
        switch change {
        case .made(let kind): self.init(field: "made", from: [], to: Schema.name(of: kind))
        case .deleted: self.init(field: "deleted", from: [], to: nil)
        case .named(let name, let from, let to): self.init(field: name, from: from.map { [$0] } ?? [], to: to)
        case .cell(let field, let element, let from, let to):
            self.init(
                field: Schema.name(of: field), element: Self.text(element, of: field), from: from.compactMap(\.text),
                to: to.text)
        }
    }

    private static func text(_ element: AuditChange.Element, of field: Field) -> String? {
        switch element {
        case .none: nil
        case .text(let name): name
        case .id(let id):
            field == .accountReplica
                ? ReplicaID(rawValue: UInt32(truncatingIfNeeded: id.rawValue)).text : id.description
        }
    }
}

extension AuditValue {
    /// As people read it; nil for an absence.
    var text: String? {
        switch self {
        case .present: "yes"
        case .absent: nil
        case .text(let text), .json(let text): text
        case .integer(let number), .count(let number): String(number)
        }
    }
}
