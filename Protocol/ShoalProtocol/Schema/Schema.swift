import ShoalCRDT

/// What the programs know of a field. The server's fold needs none of it.
public struct FieldSchema: Sendable {
    /// How a field's cells merge, and so how edits of them are written.
    public enum Shape: Sendable {
        /// One value shown, concurrent ones kept as a conflict.
        case register
        /// A text that several people edit; a register until its first change.
        case text
        /// Add-wins elements: a cell an element, present or absent.
        case elements
        /// An add-wins flag.
        case flag
    }

    /// What the element of a cell's key is.
    public enum Element: Sendable { case none, account, tag, name, replica }

    public var field: Field
    /// The name in commands, JSON and dumps.
    public var name: String
    public var kind: Kind
    public var shape: Shape
    public var element: Element
    /// Who may write it.
    public var writer: FieldWriter
    /// Whether search looks into the value.
    public var isSearched: Bool

    init(
        _ field: Field, _ name: String, _ kind: Kind, _ shape: Shape = .register, element: Element = .none,
        writer: FieldWriter? = nil, searched: Bool = false
    ) {
        self.field = field
        self.name = name
        self.kind = kind
        self.shape = shape
        self.element = element
        self.writer = writer ?? (element == .account ? .element : kind.writer)
        isSearched = searched
    }
}

/// The schema of this version: which field of which kind is what.
public enum Schema {
    public static let fields: [FieldSchema] = [
        FieldSchema(.accountName, "name", .account),
        FieldSchema(.accountRole, "role", .account),
        FieldSchema(.accountReplica, "replica", .account, .elements, element: .replica),

        FieldSchema(.name, "name", .customer, searched: true),
        FieldSchema(.gender, "gender", .customer),
        FieldSchema(.type, "type", .customer),
        FieldSchema(.phone, "phone", .customer, searched: true),
        FieldSchema(.birthYear, "birth_year", .customer),
        FieldSchema(.birthMonth, "birth_month", .customer),
        FieldSchema(.skin, "skin", .customer),
        FieldSchema(.occupation, "occupation", .customer, searched: true),
        FieldSchema(.unionID, "unionid", .customer, searched: true),
        FieldSchema(.externalUserID, "external_userid", .customer, searched: true),
        FieldSchema(.avatar, "avatar", .customer),
        FieldSchema(.wangwang, "wangwang", .customer, searched: true),
        FieldSchema(.source, "source", .customer, searched: true),
        FieldSchema(.stage, "stage", .customer, searched: true),
        FieldSchema(.free, "x", .customer, element: .name, searched: true),

        FieldSchema(.follow, "follow", .customer, .elements, element: .account, writer: .follower),
        FieldSchema(.remarkGroup, "remark_group", .customer, element: .account, searched: true),
        FieldSchema(.remarkSource, "remark_source", .customer, element: .account, searched: true),
        FieldSchema(.remarkWangwang, "remark_wangwang", .customer, element: .account, searched: true),
        FieldSchema(.remarkRecipient, "remark_recipient", .customer, element: .account, searched: true),
        FieldSchema(.remarkUnparsed, "remark_unparsed", .customer, element: .account, searched: true),
        FieldSchema(.description, "description", .customer, element: .account, searched: true),
        FieldSchema(.remarkMobiles, "remark_mobiles", .customer, element: .account, searched: true),
        FieldSchema(.addWay, "add_way", .customer, element: .account),
        FieldSchema(.state, "state", .customer, element: .account),
        FieldSchema(.createTime, "createtime", .customer, element: .account),

        FieldSchema(.tagged, "tag", .customer, .elements, element: .tag),

        FieldSchema(.groupName, "name", .tagGroup),
        FieldSchema(.groupFolded, "folded", .tagGroup),
        FieldSchema(.groupSingle, "single", .tagGroup, .flag),
        FieldSchema(.groupArchived, "archived", .tagGroup, .flag),

        FieldSchema(.tagName, "name", .tag),
        FieldSchema(.tagFolded, "folded", .tag),
        FieldSchema(.tagGroup, "group", .tag),
        FieldSchema(.tagArchived, "archived", .tag, .flag),
        FieldSchema(.tagMerged, "merged_into", .tag, .elements, element: .tag),

        FieldSchema(.body, "body", .note, .text, searched: true),

        FieldSchema(.settingKey, "key", .setting),
        FieldSchema(.settingValue, "value", .setting),

        FieldSchema(.exportForm, "form", .export),
        FieldSchema(.exportCount, "customers", .export),
        FieldSchema(.exportPerson, "person", .export),
    ]

    private static let byNumber: [UInt16: FieldSchema] = Dictionary(
        uniqueKeysWithValues: fields.map { ($0.field.rawValue, $0) })

    /// What is known of a field; nil for one of a newer version.
    public static func field(_ field: Field) -> FieldSchema? { byNumber[field.rawValue] }

    public static let kindNames: [(Kind, String)] = [
        (.account, "account"), (.customer, "customer"), (.tagGroup, "tag_group"), (.tag, "tag"), (.note, "note"),
        (.setting, "setting"), (.export, "export"),
    ]

    /// The name of a kind; `kind-N` for one of a newer version.
    public static func name(of kind: Kind) -> String {
        kindNames.first { $0.0 == kind }?.1 ?? "kind-\(kind.rawValue)"
    }

    /// The name of a field as dumps and listings print it; `field-N` for one of a newer version.
    public static func name(of field: Field) -> String {
        if field == .created { return "created" }
        if field == .unknownOperation { return "unknown_operation" }
        return Schema.field(field)?.name ?? "field-\(field.rawValue)"
    }
}
