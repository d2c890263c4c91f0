import ShoalCRDT

/// The kinds of record that this version knows.
extension Kind {
    public static let account = Kind(rawValue: 1)
    public static let customer = Kind(rawValue: 2)
    public static let tagGroup = Kind(rawValue: 3)
    public static let tag = Kind(rawValue: 4)
    public static let note = Kind(rawValue: 5)
    /// A setting of the workspace.
    public static let setting = Kind(rawValue: 6)
    /// That somebody wrote customers into a file; in the scope of their account.
    public static let export = Kind(rawValue: 7)

    /// Whether only the server itself writes records of this kind.
    public var isServers: Bool { self == .account || self == .setting }

    /// Whether records of this kind stay even when they are deleted: others name them for good, or may, when only a later
    /// version knows the kind.
    public var isKept: Bool { self != .customer && self != .note }
}

extension Schema {
    /// Whether a record may be made with this envelope: of the kinds that this version knows each has one scope. What nobody
    /// could see or erase as what it is, nobody makes.
    public static func admits(_ envelope: Envelope, for id: RecordID) -> Bool {
        switch (envelope.kind, envelope.scope) {
        case (.none, _): false
        case (.customer, .customer(let customer)): customer == id
        case (.note, .customer(let customer)): customer != id
        case (.account, .workspace), (.tagGroup, .workspace), (.tag, .workspace), (.setting, .workspace),
            (.export, .account):
            true
        case (.account, _), (.customer, _), (.tagGroup, _), (.tag, _), (.note, _), (.setting, _), (.export, _): false
        default: true
        }
    }
}

/// The fields that this version knows; numbers are unique over all kinds and never used again.
extension Field {
    // Account 账号
    public static let accountName = Field(rawValue: 10)
    public static let accountRole = Field(rawValue: 11)
    /// The replicas that write for the account, so that authors can be named; the element is the replica's number.
    public static let accountReplica = Field(rawValue: 12)

    // Customer 客户
    public static let name = Field(rawValue: 20)
    public static let gender = Field(rawValue: 21)
    public static let type = Field(rawValue: 22)
    public static let phone = Field(rawValue: 23)
    public static let birthYear = Field(rawValue: 24)
    public static let birthMonth = Field(rawValue: 25)
    public static let skin = Field(rawValue: 26)
    public static let occupation = Field(rawValue: 27)
    public static let unionID = Field(rawValue: 28)
    public static let externalUserID = Field(rawValue: 29)
    public static let avatar = Field(rawValue: 30)
    public static let wangwang = Field(rawValue: 31)
    public static let source = Field(rawValue: 32)
    public static let stage = Field(rawValue: 33)
    /// Free fields, by name; the element is the name and begins with `x-`.
    public static let free = Field(rawValue: 49)

    // Follow relation 跟进关系: cells of the customer, the element is the account
    public static let follow = Field(rawValue: 50)
    public static let remarkGroup = Field(rawValue: 51)
    public static let remarkSource = Field(rawValue: 52)
    public static let remarkWangwang = Field(rawValue: 53)
    public static let remarkRecipient = Field(rawValue: 54)
    /// A remark that does not have the four parts, as it was typed.
    public static let remarkUnparsed = Field(rawValue: 55)
    public static let description = Field(rawValue: 56)
    public static let remarkMobiles = Field(rawValue: 57)
    public static let addWay = Field(rawValue: 58)
    public static let state = Field(rawValue: 59)
    public static let createTime = Field(rawValue: 60)

    // Tag assignment 标签: cells of the customer, the element is the tag
    public static let tagged = Field(rawValue: 70)

    // Tag group
    public static let groupName = Field(rawValue: 80)
    public static let groupFolded = Field(rawValue: 81)
    /// A flag: of the group's tags a customer has at most one.
    public static let groupSingle = Field(rawValue: 82)
    public static let groupArchived = Field(rawValue: 83)

    // Tag
    public static let tagName = Field(rawValue: 90)
    public static let tagFolded = Field(rawValue: 91)
    /// The group's identifier, an integer; absent or 0 for the ungrouped group.
    public static let tagGroup = Field(rawValue: 92)
    public static let tagArchived = Field(rawValue: 93)
    /// Directed links to the tags that this one was merged into.
    public static let tagMerged = Field(rawValue: 94)

    // Note
    public static let body = Field(rawValue: 100)

    // Setting
    /// The setting's name, of which its identifier is derived.
    public static let settingKey = Field(rawValue: 110)
    public static let settingValue = Field(rawValue: 111)

    // Export
    /// `csv`, `jsonl`, or `person` for everything about one customer.
    public static let exportForm = Field(rawValue: 120)
    /// How many customers, in decimal.
    public static let exportCount = Field(rawValue: 121)
    /// The customer of a `person`, 13 characters.
    public static let exportPerson = Field(rawValue: 122)
}
