import ShoalCRDT

/// The tag book and the accounts in memory: a few hundred names.
struct TagBook {
    struct Group {
        var id: RecordID
        var name: String
        var folded: String
        var isSingle: Bool
        var isArchived: Bool
    }

    struct Tag {
        var id: RecordID
        var name: String
        var folded: String
        var group: RecordID
        var isArchived: Bool
    }

    /// Live tags that are equal in group and folded name: shown as one and acted on as one.
    struct View {
        /// Ascending; the first stands for all.
        var members: [RecordID]
        var name: String
        var folded: String
        var group: String
        var groupFolded: String
        var isSingle: Bool
        var isArchived: Bool
        var id: RecordID { members[0] }
        var path: String { group.isEmpty ? name : "\(group)/\(name)" }
    }

    struct Key: Hashable {
        var group: String
        var tag: String
    }

    struct Account {
        var id: RecordID
        var name: String
        var role: String
    }

    private(set) var views: [View] = []
    /// The view of each tag.
    private(set) var viewOfTag: [RecordID: Int] = [:]
    private var viewOfKey: [Key: Int] = [:]
    /// Groups that are not archived, by folded name; the smallest identifier of those that are equal.
    private(set) var groups: [String: Group] = [:]
    private(set) var accounts: [Account]
    private var authors: [UInt32: RecordID]

    init(groups: [Group], tags: [Tag], accounts: [Account], authors: [UInt32: RecordID]) {
        self.accounts = accounts
        self.authors = authors
        var groupOfID: [RecordID: Group] = [:]
        for group in groups.sorted(by: { $0.id < $1.id }) {
            groupOfID[group.id] = group
            if var first = self.groups[group.folded] {
                // Equal groups are one: single choice as soon as one of them is.
                first.isSingle = first.isSingle || group.isSingle
                first.isArchived = first.isArchived && group.isArchived
                self.groups[group.folded] = first
            } else {
                self.groups[group.folded] = group
            }
        }
        for tag in tags.sorted(by: { $0.id < $1.id }) {
            let group = groupOfID[tag.group].flatMap { self.groups[$0.folded] }
            let key = Key(group: group?.folded ?? "", tag: tag.folded)
            if let index = viewOfKey[key] {
                views[index].members.append(tag.id)
                views[index].isArchived = views[index].isArchived && tag.isArchived
                viewOfTag[tag.id] = index
                continue
            }
            viewOfKey[key] = views.count
            viewOfTag[tag.id] = views.count
            views.append(
                View(
                    members: [tag.id], name: tag.name, folded: tag.folded, group: group?.name ?? "",
                    groupFolded: key.group, isSingle: group?.isSingle ?? false, isArchived: tag.isArchived))
        }
    }

    func view(_ key: Key) -> View? { viewOfKey[key].map { views[$0] } }

    /// The view that a tag belongs to; nil for a tag that is not in the book.
    func view(of tag: RecordID) -> View? { viewOfTag[tag].map { views[$0] } }

    /// What NAME or GROUP/NAME stands for; empty when nothing does.
    func find(_ text: String) -> [View] {
        let whole = Folding.fold(text)
        var found = views.filter { $0.folded == whole }
        if found.isEmpty, let key = Self.split(text) {
            found = view(Key(group: Folding.fold(key.group), tag: Folding.fold(key.tag))).map { [$0] } ?? []
        }
        return found
    }

    /// The parts of GROUP/NAME; nil without a slash.
    static func split(_ text: String) -> Key? {
        guard let slash = text.firstIndex(of: "/") else { return nil }
        return Key(group: String(text[..<slash]), tag: String(text[text.index(after: slash)...]))
    }

    func account(named name: String) -> Account? {
        accounts.first { $0.name == name } ?? accounts.first { Folding.fold($0.name) == Folding.fold(name) }
    }

    func name(ofAccount id: RecordID) -> String? { accounts.first { $0.id == id }?.name }

    /// The account that a replica writes for.
    func author(_ replica: ReplicaID) -> RecordID? { authors[replica.rawValue] }
}
