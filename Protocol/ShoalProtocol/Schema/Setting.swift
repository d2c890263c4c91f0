import ShoalCRDT

/// A setting of the workspace: the server writes it, replicas read it in a record of kind `setting`.
public enum Setting: String, Sendable, CaseIterable {
    /// Who may rename, merge, archive and delete tags and groups, and say that a group is a single choice.
    case tagEditors = "tag-editors"

    /// What it may be; the first is what it is until somebody sets it.
    public var values: [String] {
        switch self {
        case .tagEditors: TagEditors.allCases.map(\.rawValue)
        }
    }

    /// The identifier of its record, derived from its name.
    public var id: RecordID {
        let hash = Array("setting:\(rawValue)".utf8).withUnsafeBytes { SipHash.hash($0, key: Self.key) }
        return RecordID(derivedFrom: hash)
    }

    /// "shoal-se", "tting-id", read as numbers.
    private static let key: (UInt64, UInt64) = (0x7368_6F61_6C2D_7365, 0x7474_696E_672D_6964)

    /// Whether the identifier is a setting's: nobody but the server makes a record under it.
    public static func isReserved(_ id: RecordID) -> Bool { allCases.contains { $0.id == id } }
}

/// Who may edit the tag book beyond adding to it.
public enum TagEditors: String, Sendable, CaseIterable {
    case everyone, experts, supervisors

    /// Whether an account with this role is one of them. Each includes those after it: a supervisor always may.
    public func includes(_ role: Role) -> Bool {
        switch self {
        case .everyone: true
        case .experts: role != .sales
        case .supervisors: role == .supervisor
        }
    }
}
