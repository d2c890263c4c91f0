import ShoalClient
import ShoalCRDT
import ShoalProtocol

/// What operators do, drawn from a seed: the commands that programs give, on records that the operator may or may not see.
///
/// Every value is written once in a run, so that it says who wrote it.
struct Operator {
    enum Action: CaseIterable {
        case addCustomer, set, clear, setMany, repeatValue, tag, untag, choose, addNote, editNote, deleteNote, follow
        case unfollow, delete, settle, count, bulk, failedBulk, forbidden

        /// How often, out of the sum.
        var weight: Int {
            switch self {
            case .set: 24
            case .tag: 14
            case .addCustomer, .choose, .addNote, .count: 8
            case .untag, .editNote, .settle: 7
            case .setMany, .bulk: 5
            case .clear, .deleteNote, .follow, .delete: 3
            case .repeatValue, .unfollow: 2
            case .failedBulk, .forbidden: 1
            }
        }
    }

    let cluster: Cluster
    let machine: ClientMachine
    private static let fields = ["name", "phone", "stage", "source", "x-size", "description", "remark"]
    private static let tags = ["a", "b", "c", "d"]
    private static let choices = ["g", "h", "i"]
    static let counter = Field(rawValue: 3_000)

    /// Does one thing and takes note of it.
    ///
    /// - Returns: whether it was done: an operator may point at what is not there.
    /// - Throws: what the command throws, other than that something is not there; after a crash in it, whether it was done
    ///   is known when the machine is up again.
    func act() throws -> Bool {
        // Only programs of a later version draw here, so that a seed without them stays what it is.
        let isLater = machine.isAhead && cluster.random.below(3) == 0
        // Where it matters who follows whom, that changes often.
        let isFollowing = cluster.settings.visibility && !isLater && cluster.random.below(7) == 0
        let action = isLater ? .set : isFollowing ? followingAction : draw()
        machine.views = [:]
        do {
            if isLater {
                try performLater()
            } else if drawsRare, cluster.random.below(8) == 0 {
                try performRare()
            } else {
                try perform(action)
            }
        } catch let error as ReplicaError {
            switch error {
            // Nothing was done, which is checked: the log has gained nothing.
            case .unknownID, .wrongKind, .unknownTag, .noConflict, .mayNotFollow, .mayNotUnfollow, .unknownAccount,
                .noSuchChoice,
                .severalConflicts, .ambiguousTag:
                if try !cluster.oracle.witness(machine).isEmpty {
                    cluster.oracle.fail("machine \(machine.number) refused a command and stored it")
                }
                return false
            default: throw error
            }
        } catch is Abandoned {
            if try !cluster.oracle.witness(machine).isEmpty {
                cluster.oracle.fail("machine \(machine.number) kept a part of a transaction that failed")
            }
            return false
        }
        return true
    }

    private var followingAction: Action { cluster.random.below(3) > 0 ? .follow : .unfollow }

    /// In every fourth seed, so that the traces of the others do not depend on it.
    private var drawsRare: Bool { cluster.settings.visibility && cluster.settings.seed % 4 == 3 }

    /// Makes a record in one of the scopes that few records have: that of an account, and that of a pair of customers.
    private func performRare() throws {
        let replica = try machine.opened()
        if cluster.random.below(3) == 0 {
            try replica.noteExport("csv", customers: cluster.random.below(9))
            return try witness(surely: true)
        }
        let (one, other) = (try customer(), try customer())
        if one == other { throw ReplicaError.unknownID("") }
        try see(one, other)
        let text = value()
        _ = try replica.write {
            try $0.make(
                LaterVersion.visit, scope: .pair(min(one, other), max(one, other)), [(LaterVersion.budget, text)])
        }
        try witness(surely: true)
    }

    private struct Abandoned: Error {}

    private func draw() -> Action {
        var left = cluster.random.below(Action.allCases.reduce(0) { $0 + $1.weight })
        for action in Action.allCases {
            left -= action.weight
            if left < 0 { return action }
        }
        return .set
    }

    func pick<T>(_ list: [T]) throws -> T {
        if list.isEmpty { throw ReplicaError.unknownID("") }
        return list[cluster.random.below(list.count)]
    }

    func value() -> String {
        cluster.nextValue += 1
        return "v\(cluster.nextValue)"
    }

    /// A customer, rather a recent one: they are the ones that several operators work on.
    func customer() throws -> RecordID {
        if machine.known == nil || cluster.random.below(20) == 0 {
            machine.known = try machine.opened().customers().map(\.id)
        }
        let known = machine.known ?? []
        return try cluster.random.below(3) == 0 ? pick(known) : pick(Array(known.suffix(6)))
    }

    /// A note of some customer that has any.
    func note() throws -> RecordID {
        var notes: [RecordID] = []
        for _ in 0..<4 where notes.isEmpty { notes = cluster.oracle.notes[try customer()] ?? [] }
        return try pick(notes)
    }

    func see(_ ids: RecordID...) throws {
        for id in ids where machine.views[id] == nil {
            machine.views[id] = try cluster.oracle.view(of: id, on: machine)
        }
    }

    private func seeAll(of customer: RecordID) throws {
        try see(customer)
        for note in cluster.oracle.notes[customer] ?? [] { try see(note) }
    }

    private func perform(_ action: Action) throws {
        let replica = try machine.opened()
        switch action {
        case .addCustomer:
            let id = try replica.addCustomer(name: value(), fields: [FieldValue("stage", value())])
            machine.known?.append(id)
            try witness(surely: true)
        case .set: try set([try pick(Self.fields)])
        case .setMany: try set(Self.fields)
        case .clear:
            let id = try customer()
            try see(id)
            try replica.setFields(of: id, [FieldValue(try pick(Self.fields), "")])
            try witness()
        case .repeatValue: try repeatValue()
        case .tag: try editTags([.add(try pick(Self.tags))])
        case .untag: try editTags([.remove(try pick(Self.tags + Self.choices.map { "skin/\($0)" }))])
        case .choose:
            let path = "skin/\(try pick(Self.choices))"
            for id in cluster.oracle.book { try see(id) }
            _ = try replica.addTag(path, single: true)
            try witness()
            try editTags([.add(path)])
        case .addNote:
            let id = try customer()
            try see(id)
            _ = try replica.addNote(to: id, value())
            try witness(surely: true)
        case .editNote: try editNote()
        case .deleteNote:
            let id = try note()
            try see(id)
            try replica.deleteNote(id)
            try witness()
            try expectAbsent(id)
        case .follow, .unfollow:
            let id = try customer()
            try see(id)
            let account = try pick(cluster.machines).account.name
            if action == .follow {
                try replica.follow(id, account: account)
            } else {
                try replica.unfollow(id, account: account)
            }
            try witness()
        case .delete:
            let id = try customer()
            try seeAll(of: id)
            try replica.deleteCustomer(id)
            try witness()
            try expectAbsent(id)
        case .settle: try settle()
        case .count:
            let id = try customer()
            try see(id)
            try replica.write { try $0.add(Int64(1 + cluster.random.below(9)), to: id, Self.counter) }
            try witness(surely: true)
        case .bulk, .failedBulk: try bulk(fails: action == .failedBulk)
        case .forbidden:
            try replica.write { try $0.set(machine.account.id, .accountName, value()) }
            try witness(surely: true)
        }
    }

    /// The command has returned.
    ///
    /// - Parameter surely: whether it must have written something.
    func witness(surely: Bool = false) throws {
        machine.isPromised = surely
        let found = try cluster.oracle.witness(machine)
        machine.isPromised = false
        if surely, found.isEmpty {
            cluster.oracle.fail("machine \(machine.number) stored nothing of a command that returned")
        }
    }

    private func set(_ names: [String]) throws {
        let id = try customer()
        try see(id)
        let fields = names.map { FieldValue($0, value()) }
        try machine.opened().setFields(of: id, fields)
        try witness(surely: true)
        try expect(id, fields)
    }

    /// What is so already is not written again.
    private func repeatValue() throws {
        let id = try customer()
        let shown = try machine.opened().customer(id)
        guard let field = shown.fields.first(where: { $0.name == "stage" }), !shown.conflicts.contains("stage") else {
            return
        }
        try machine.opened().setFields(of: id, [field])
        if try !cluster.oracle.witness(machine).isEmpty {
            cluster.oracle.fail("machine \(machine.number) wrote what was so already")
        }
    }

    private func editTags(_ changes: [TagChange]) throws {
        var ids = [try customer()]
        if cluster.random.below(6) == 0 { ids.append(try customer()) }
        for id in ids { try see(id) }
        for id in cluster.oracle.book { try see(id) }
        try machine.opened().editTags(of: ids, changes)
        try witness()
        for id in Set(ids).sorted() { try expect(id, changes) }
    }

    /// Somebody edits a note for a while, and what arrives meanwhile stands too; or, with a program of version 1, writes it
    /// whole.
    private func editNote() throws {
        let replica = try machine.opened()
        let id = try note()
        // Nobody edits what they cannot see.
        _ = try replica.note(id)
        try see(id)
        if cluster.random.below(8) == 0 {
            try replica.write { try $0.set(id, .body, value()) }
            return try witness(surely: true)
        }
        let draft = try replica.draft(of: id)
        let typed = edited(draft.text)
        // Another window of the same operator writes in between.
        let isAlone = cluster.random.below(3) > 0
        if !isAlone {
            let other = edited(draft.text)
            try replica.editNote(id, other)
            try witness(surely: true)
            try expect(id, says: other)
        }
        try replica.editNote(draft, typed)
        try witness(surely: true)
        if isAlone { try expect(id, says: typed) }
    }

    /// A text with a part gone and a value typed somewhere.
    private func edited(_ text: String) -> String {
        var text = text
        let places = text.indices + [text.endIndex]
        if !text.isEmpty, cluster.random.below(3) == 0 {
            let start = cluster.random.below(text.count)
            let count = min(text.count - start, 1 + cluster.random.below(4))
            text.removeSubrange(places[start]..<places[start + count])
        }
        let value = "[\(value())]"
        let place = cluster.random.below(text.count + 1)
        text.insert(contentsOf: value, at: text.index(text.startIndex, offsetBy: place))
        return text
    }

    private func expect(_ note: RecordID, says text: String) throws {
        let body = try machine.opened().note(note).body
        if body != text {
            cluster.oracle.fail("machine \(machine.number) edited \(note) to \(text) and shows \(body)")
        }
    }

    private func settle() throws {
        let replica = try machine.opened()
        let conflict = try pick(try replica.conflicts().filter { $0.refused == nil })
        if cluster.oracle.accounts.contains(conflict.record) { return }
        try see(conflict.record)
        let choice = cluster.random.below(conflict.others.count + 1)
        let before = try refusedValues()
        try replica.settle(conflict.record, field: conflict.field, choice: choice, token: conflict.token)
        try witness()
        // Who keeps what is shown dismisses what was refused of the field; any other choice leaves it listed.
        let dismissed = before.subtracting(try refusedValues())
        if choice == 0 {
            cluster.oracle.dismissed.formUnion(dismissed)
        } else if !dismissed.isEmpty {
            cluster.oracle.fail("machine \(machine.number) dismissed \(dismissed.sorted()), which nobody decided on")
        }
        let left = try replica.conflicts(of: conflict.record).contains {
            $0.field == conflict.field && $0.refused == nil
        }
        if left {
            cluster.oracle.fail("machine \(machine.number) settled \(conflict.field) and it is still in conflict")
        }
    }

    private func refusedValues() throws -> Set<String> {
        Set(try machine.opened().refused().flatMap { $0.values.map(\.value) })
    }

    /// Several commands in one transaction: all of them or, if it fails, none.
    private func bulk(fails: Bool) throws {
        let count = cluster.random.below(5) == 0 ? 20 + cluster.random.below(60) : 2 + cluster.random.below(8)
        let ids = try (0..<count).map { _ in try customer() }
        for id in ids { try see(id) }
        try machine.opened().write { commands in
            for id in ids {
                switch cluster.random.below(4) {
                case 0: _ = try commands.addNote(to: id, value())
                case 1: _ = try commands.addCustomer(name: value())
                case 2: try commands.add(1, to: id, Self.counter)
                default: try commands.setFields(of: id, [FieldValue("phone", value()), FieldValue("x-size", value())])
                }
            }
            if fails { throw Abandoned() }
        }
        try witness(surely: true)
    }

    // MARK: What must be so at once

    private func expect(_ id: RecordID, _ fields: [FieldValue]) throws {
        let shown = try machine.opened().customer(id)
        for field in fields {
            let values = shown.fields.filter { $0.name == field.name }.map(\.value)
            if values != [field.value] || shown.conflicts.contains(field.name) {
                cluster.oracle.fail(
                    "machine \(machine.number) set \(field.name) of \(id) to \(field.value) and shows \(values)")
            }
        }
    }

    private func expect(_ id: RecordID, _ changes: [TagChange]) throws {
        let replica = try machine.opened()
        // Two tags or groups that drew one identifier show as one until the server tells them apart.
        let areMixed = try cluster.oracle.book.contains { id in
            let record = try replica.effectiveRecord(id)
            return record.entries.count { $0.key.field == .created } > 1
        }
        if areMixed { return }
        let tags = try replica.customer(id).tags
        for change in changes {
            switch change {
            case .add(let path):
                let name = path.split(separator: "/").last.map(String.init)
                let group = path.contains("/") ? "skin" : ""
                if !tags.contains(where: { $0.name == name && $0.group == group })
                    || (group == "skin" && tags.count(where: { $0.group == group }) > 1)
                {
                    cluster.oracle.fail(
                        "machine \(machine.number) added \(path) to \(id) and shows \(tags.map(\.name))")
                }
            case .remove(let path):
                let name = path.split(separator: "/").last.map(String.init)
                // One whose group has not come yet shows without it, and is another.
                let group = path.contains("/") ? "skin" : ""
                if tags.contains(where: { $0.name == name && $0.group == group }) {
                    cluster.oracle.fail("machine \(machine.number) removed \(path) from \(id) and still shows it")
                }
            }
        }
    }

    private func expectAbsent(_ id: RecordID) throws {
        if try machine.opened().effectiveRecord(id).isPresent {
            cluster.oracle.fail("machine \(machine.number) deleted \(id) and still shows it")
        }
    }
}
