import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

extension Commands {
    /// Adds and removes tags on all these customers: all or nothing.
    ///
    /// Equal tags are one: adding one that is there under another identifier does nothing, removing takes all of them
    /// away. In a single-choice group the new tag replaces the others that are seen.
    ///
    /// - Throws: `unknownTag` for a removal of a tag that is not in the book, `ambiguousTag`, `invalidTag`.
    public func editTags(of customers: [RecordID], _ changes: [TagChange]) throws -> [CreatedTag] {
        let records = try customers.map { try self.customer($0).id }
        return try command {
            var created: [CreatedTag] = []
            var added: [TagBook.View] = []
            var removed: [TagBook.View] = []
            for change in changes {
                switch change {
                case .add(let text):
                    if let view = try find(text) {
                        added.append(view)
                    } else {
                        let near =
                            store.daysOutOfContact == nil
                            ? NearNames.of(text, among: try store.readBook().views) : []
                        let view = try createTag(text)
                        created.append(CreatedTag(id: view.id, name: view.path, near: near))
                        added.append(view)
                    }
                case .remove(let text):
                    let book = try store.readBook()
                    guard let view = try find(text) else {
                        throw ReplicaError.unknownTag(text, near: NearNames.meant(by: text, among: book.views))
                    }
                    removed.append(view)
                }
            }
            try refuseContradiction(added, removed)
            var seen: Set<RecordID> = []
            for id in records where seen.insert(id).inserted {
                let record = try store.effective(id)
                try write(edits(added: added, removed: removed, of: record), to: record)
            }
            return created
        }
    }

    private func refuseContradiction(_ added: [TagBook.View], _ removed: [TagBook.View]) throws {
        var singles: [String: RecordID] = [:]
        for view in added {
            if removed.contains(where: { $0.id == view.id }) {
                throw ReplicaError.invalidTag(view.path, reason: "it is added and removed at once")
            }
            guard view.isSingle else { continue }
            if let other = singles.updateValue(view.id, forKey: view.groupFolded), other != view.id {
                throw ReplicaError.invalidTag(
                    view.path, reason: "a customer has only one tag of the group \(view.group)")
            }
        }
    }

    func edits(added: [TagBook.View], removed: [TagBook.View], of record: Record) throws -> [CellEdit] {
        var edits: [RecordID: CellEdit] = [:]
        func set(_ tag: RecordID, _ isPresent: Bool) {
            let edit = CellEdit(.tagged, .id(tag), isPresent ? .present : .absent)
            if !edit.isShown(in: record) { edits[tag] = edit }
        }
        let book = try store.readBook()
        for view in removed { for member in view.members { set(member, false) } }
        for view in added {
            if !view.members.contains(where: { record.hasElement(CellKey(.tagged, id: $0)) }) {
                if view.isArchived { throw ReplicaError.archivedTag(view.path) }
                set(view.id, true)
            }
            guard view.isSingle else { continue }
            var replaces = false
            record.forEachCell(in: record.range(of: Field.tagged)) { cell in
                guard let first = cell.first, record.entries[cell].contains(where: { $0.kind == .present }) else {
                    return
                }
                let tag = record.entries[first].key.elementID
                guard let other = book.view(of: tag), other.groupFolded == view.groupFolded, other.id != view.id else {
                    return
                }
                set(tag, false)
                replaces = true
            }
            if replaces {
                let edit = view.choosing(in: record)
                if case .id(let tag) = edit.element { edits[tag] = edit }
            }
        }
        return Array(edits.values)
    }

    /// What a name stands for in the book; nil for nothing.
    private func find(_ text: String) throws -> TagBook.View? {
        let found = try store.readBook().find(text)
        if found.count > 1 { throw ReplicaError.ambiguousTag(text, groups: found.map(\.group)) }
        return found.first
    }

    private func known(_ text: String) throws -> TagBook.View {
        if let view = try find(text) { return view }
        throw ReplicaError.unknownTag(text, near: NearNames.meant(by: text, among: try store.readBook().views))
    }

    /// Makes a tag, NAME or GROUP/NAME, and its group; one that is there already (when folded) is returned.
    ///
    /// - Parameter single: makes the group a single-choice one.
    public func addTag(_ text: String, single: Bool = false) throws -> RecordID {
        try command {
            let path = TagBook.split(text) ?? TagBook.Key(group: "", tag: text)
            let key = TagBook.Key(group: Folding.fold(path.group), tag: Folding.fold(path.tag))
            if single, key.group.isEmpty {
                throw ReplicaError.invalidTag(text, reason: "only tags of a group can be a single choice")
            }
            let known = try store.readBook().view(key)
            let view = try known ?? createTag(text, single: single)
            if single, known != nil { _ = try group(path.group, single: true) }
            if view.isArchived {
                for tag in view.tags { try change([CellEdit(.tagArchived, .none, .absent)], of: tag) }
            }
            return view.id
        }
    }

    /// Writes those of the edits that change what the tag shows.
    private func change(_ edits: [CellEdit], of tag: RecordID) throws {
        let record = try store.effective(tag)
        try write(edits.filter { !$0.isShown(in: record) }, to: record)
    }

    /// Gives a tag another name, NAME or GROUP/NAME; without a group it stays where it is.
    ///
    /// - Throws: `unknownTag`, `ambiguousTag`, `invalidTag` for a name that another tag has, `mayNotEditTags`.
    public func renameTag(_ text: String, to name: String) throws {
        try command {
            let view = try known(text)
            let path = TagBook.split(name) ?? TagBook.Key(group: view.group, tag: name)
            try FieldNames.check(name, field: "the tag")
            let key = TagBook.Key(group: Folding.fold(path.group), tag: Folding.fold(path.tag))
            if key.tag.isEmpty { throw ReplicaError.invalidTag(name, reason: "it has no name") }
            if key.group.isEmpty, !view.groupFolded.isEmpty {
                throw ReplicaError.invalidTag(name, reason: "a tag of a group stays in one")
            }
            if let other = try store.readBook().view(key), other.id != view.id {
                throw ReplicaError.invalidTag(name, reason: "it is there already; merging makes the two one")
            }
            var edits = [CellEdit(.tagName, .none, .text(path.tag)), CellEdit(.tagFolded, .none, .text(key.tag))]
            if key.group != view.groupFolded {
                edits.append(CellEdit(.tagGroup, .none, .integer(try group(path.group, single: false).rawValue)))
            }
            for tag in view.tags { try change(edits, of: tag) }
        }
    }

    /// Makes two tags one: customers that have `text`, or get it from somebody who does not know yet, have `other`. What
    /// was assigned stays as it was, so that `splitTag` takes nothing with it.
    public func mergeTag(_ text: String, into other: String) throws {
        try command {
            let (view, target) = (try known(text), try known(other))
            if view.id == target.id { return }
            for tag in view.tags {
                let record = try store.effective(tag)
                // A link that a cycle had left without effect would stand beside this one.
                var edits = [CellEdit(.tagMerged, .id(target.id), .present)]
                record.forEachCell(in: record.range(of: Field.tagMerged)) { cell in
                    guard ProjectionStore.hasElement(record, cell), let first = cell.first else { return }
                    let link = record.entries[first].key.elementID
                    if link != target.id { edits.append(CellEdit(.tagMerged, .id(link), .absent)) }
                }
                try write(edits, to: record)
            }
        }
    }

    /// Takes a tag out of the one that it was merged into: all that was assigned under its name is its own again.
    public func splitTag(_ text: String) throws {
        try command {
            let former = try store.readBook().former(text)
            if former.isEmpty {
                throw ReplicaError.notMerged(try known(text).path)
            }
            let paths = Set(former.map(\.path)).sorted()
            if paths.count > 1 {
                throw ReplicaError.ambiguousTag(text, groups: paths.map { TagBook.split($0)?.group ?? "" })
            }
            for tag in former.map(\.id) {
                let record = try store.effective(tag)
                var edits: [CellEdit] = []
                record.forEachCell(in: record.range(of: Field.tagMerged)) { cell in
                    guard ProjectionStore.hasElement(record, cell), let first = cell.first else { return }
                    edits.append(CellEdit(.tagMerged, .id(record.entries[first].key.elementID), .absent))
                }
                try write(edits, to: record)
            }
        }
    }

    /// Archives a tag: nobody gets it any more, and where it is it is shown as such. `addTag` brings it back.
    public func deleteTag(_ text: String) throws {
        try command {
            for tag in try known(text).members { try change([CellEdit(.tagArchived, .none, .present)], of: tag) }
        }
    }

    private func createTag(_ text: String, single: Bool = false) throws -> TagBook.View {
        let path = TagBook.split(text) ?? TagBook.Key(group: "", tag: text)
        try FieldNames.check(text, field: "the tag")
        let folded = Folding.fold(path.tag)
        if folded.isEmpty { throw ReplicaError.invalidTag(text, reason: "it has no name") }
        var edits = [
            CellEdit(.tagName, .none, .text(path.tag)), CellEdit(.tagFolded, .none, .text(folded)),
        ]
        let groupFolded = Folding.fold(path.group)
        if !groupFolded.isEmpty {
            edits.append(CellEdit(.tagGroup, .none, .integer(try group(path.group, single: single).rawValue)))
        }
        let id = try makeRecord(.tag, scope: .workspace, edits)
        let made = try store.readBook().view(of: id)
        return made
            ?? TagBook.View(
                tags: [id], name: path.tag, folded: folded, group: path.group, groupFolded: groupFolded,
                isSingle: single, isArchived: false)
    }

    /// Refuses to change what is in the tag book unless this account may.
    func requireTagEditor() throws {
        let record = try store.effective(Setting.tagEditors.id)
        guard let shown = record.shown(in: record.range(of: CellKey(.settingValue))), shown.kind == .text else {
            return
        }
        // One that a later version knows includes supervisors at least.
        let editors = TagEditors(rawValue: record.text(shown.slice)) ?? .supervisors
        guard editors.includes(store.standing.role) else { throw ReplicaError.mayNotEditTags(editors) }
    }

    /// The group of that name, made if it is not there.
    private func group(_ name: String, single: Bool) throws -> RecordID {
        let folded = Folding.fold(name)
        if let group = try store.readBook().groups[folded] {
            if single, !group.isSingle {
                try write([CellEdit(.groupSingle, .none, .present)], to: try store.effective(group.id))
            }
            return group.id
        }
        var edits = [CellEdit(.groupName, .none, .text(name)), CellEdit(.groupFolded, .none, .text(folded))]
        if single { edits.append(CellEdit(.groupSingle, .none, .present)) }
        return try makeRecord(.tagGroup, scope: .workspace, edits)
    }
}

extension TagBook.View {
    /// Chooses this tag of a single-choice group: written anew even where it is there already. Without a dot of its own
    /// the choice would fall to another operator who chooses differently at the same time, and so would the other's:
    /// both values would be gone, and no conflict left to tell.
    func choosing(in record: Record) -> CellEdit {
        let tag = members.first { record.hasElement(CellKey(.tagged, id: $0)) } ?? id
        return CellEdit(.tagged, .id(tag), .present)
    }
}
