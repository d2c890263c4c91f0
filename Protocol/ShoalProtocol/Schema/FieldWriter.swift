import ShoalCRDT

/// Who may write a field of a record that is there. A supervisor may whatever a person may, and whoever makes a record writes its
/// first values, but for other accounts' cells (SPEC.md §7).
public enum FieldWriter: String, Sendable, CaseIterable {
    /// Only the server itself.
    case server
    /// Whoever sees the record.
    case viewer
    /// The account that the element names; others that follow the customer may make it a follower, but not remove it.
    case follower
    /// The account that the element names, no other.
    case element
    /// Whom the setting `tag-editors` names.
    case tagEditor
    /// Whoever makes the record, with that and never again.
    case maker
}

extension Kind {
    /// Who deletes records of this kind, and writes fields of theirs that this version does not know.
    public var writer: FieldWriter {
        if isServers { return .server }
        switch self {
        case .tag, .tagGroup: return .tagEditor
        case .export: return .maker
        default: return .viewer
        }
    }
}

extension Schema {
    /// Who writes a field, in a record of a kind that may not be the field's own.
    public static func writer(of field: Field, in kind: Kind) -> FieldWriter {
        guard let known = Schema.field(field), known.kind == kind else { return kind.writer }
        return known.writer
    }
}
