import ShoalCRDT
import ShoalProtocol

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
        /// The tags that it was merged into.
        var merged: [RecordID] = []
    }

    /// Tags that are equal in group and folded name, and those that were merged into one of them: shown as one and acted
    /// on as one.
    struct View {
        /// The equal ones, ascending; the first stands for all.
        var tags: [RecordID]
        /// Those that were merged into them, which keep their names.
        var merged: [Former] = []
        var name: String
        var folded: String
        var group: String
        var groupFolded: String
        var isSingle: Bool
        var isArchived: Bool
        var id: RecordID { tags[0] }
        var members: [RecordID] { tags + merged.map(\.id) }
        var path: String { group.isEmpty ? name : "\(group)/\(name)" }
    }

    /// A tag that was merged into another, and what it was called.
    struct Former {
        var id: RecordID
        var key: Key
        var path: String
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
                views[index].tags.append(tag.id)
                views[index].isArchived = views[index].isArchived && tag.isArchived
                viewOfTag[tag.id] = index
                continue
            }
            viewOfKey[key] = views.count
            viewOfTag[tag.id] = views.count
            views.append(
                View(
                    tags: [tag.id], name: tag.name, folded: tag.folded, group: group?.name ?? "",
                    groupFolded: key.group, isSingle: group?.isSingle ?? false, isArchived: tag.isArchived))
        }
        followMerges(tags)
    }

    /// Puts views that were merged away under the one where their links end.
    ///
    /// Of several links of one view that to the smallest identifier counts, so that tags which nobody merged do not become
    /// one because a third was merged into both; of a cycle the view with the smallest identifier stays.
    private mutating func followMerges(_ tags: [Tag]) {
        var next: [Int: Int] = [:]
        for tag in tags where !tag.merged.isEmpty {
            guard let index = viewOfTag[tag.id] else { continue }
            let targets = tag.merged.compactMap { viewOfTag[$0] } + (next[index].map { [$0] } ?? [])
            next[index] = targets.filter { $0 != index }.min { views[$0].id < views[$1].id }
        }
        if next.isEmpty { return }
        func end(of index: Int) -> Int {
            var path = [index]
            while let following = next[path[path.count - 1]] {
                if let start = path.firstIndex(of: following) {
                    return path[start...].min { views[$0].id < views[$1].id } ?? following
                }
                path.append(following)
            }
            return path[path.count - 1]
        }
        let ends = views.indices.map(end)
        for (index, end) in ends.enumerated() where index != end {
            let view = views[index]
            let key = Key(group: view.groupFolded, tag: view.folded)
            views[end].merged += view.tags.map { Former(id: $0, key: key, path: view.path) }
            viewOfKey[key] = end
            for tag in view.tags { viewOfTag[tag] = end }
        }
        // Only those that were not merged away stay, in their order.
        var place: [Int: Int] = [:]
        var staying: [View] = []
        for index in views.indices where ends[index] == index {
            place[index] = staying.count
            staying.append(views[index])
        }
        views = staying
        viewOfTag = viewOfTag.compactMapValues { place[$0] }
        viewOfKey = viewOfKey.compactMapValues { place[$0] }
    }

    func view(_ key: Key) -> View? { viewOfKey[key].map { views[$0] } }

    /// The view that a tag belongs to; nil for a tag that is not in the book.
    func view(of tag: RecordID) -> View? { viewOfTag[tag].map { views[$0] } }

    /// What NAME or GROUP/NAME stands for; empty when nothing does. The name of a tag that was merged away stands for the
    /// one that stayed.
    func find(_ text: String) -> [View] {
        let whole = Folding.fold(text)
        var found = views.filter { $0.folded == whole }
        if found.isEmpty { found = views.filter { $0.merged.contains { $0.key.tag == whole } } }
        if found.isEmpty, let key = Self.split(text) {
            found = view(Key(group: Folding.fold(key.group), tag: Folding.fold(key.tag))).map { [$0] } ?? []
        }
        return found
    }

    /// The tags called NAME or GROUP/NAME that were merged into another.
    func former(_ text: String) -> [Former] {
        let whole = Folding.fold(text)
        let key = Self.split(text).map { Key(group: Folding.fold($0.group), tag: Folding.fold($0.tag)) }
        return views.flatMap(\.merged).filter { $0.key.tag == whole || $0.key == key }
    }

    /// The parts of GROUP/NAME; nil without a slash.
    static func split(_ text: String) -> Key? {
        guard let slash = text.firstIndex(of: "/") else { return nil }
        return Key(group: String(text[..<slash]), tag: String(text[text.index(after: slash)...]))
    }

    /// The account that is called so, or else the only one that is when both names are folded; nil for none.
    ///
    /// - Throws: `ReplicaError.ambiguousAccount`.
    func account(named name: String) throws -> Account? {
        if let account = accounts.first(where: { $0.name == name }) { return account }
        let folded = Folding.fold(name)
        let equal = accounts.filter { Folding.fold($0.name) == folded }
        if equal.count > 1 { throw ReplicaError.ambiguousAccount(name, names: equal.map(\.name)) }
        return equal.first
    }

    func name(ofAccount id: RecordID) -> String? { accounts.first { $0.id == id }?.name }

    /// The account that a replica writes for.
    func author(_ replica: ReplicaID) -> RecordID? { authors[replica.rawValue] }
}
