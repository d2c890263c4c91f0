import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// What accounts may see, as the operations of a group change it; asked of the database once an account and scope.
struct Rights {
    private struct Place: Hashable {
        var account: RecordID
        var scope: RecordID
    }
    private let writer: StoreWriter
    private var queries: VisibilityQueries { writer.visibility }
    private var supervisors: [RecordID: Bool] = [:]
    private var sights: [Place: Sight] = [:]

    init(_ writer: StoreWriter) { self.writer = writer }

    mutating func isSupervisor(_ account: RecordID) throws(StoreError) -> Bool {
        if let known = supervisors[account] { return known }
        let isSupervisor = try queries.isSupervisor(account)
        supervisors[account] = isSupervisor
        return isSupervisor
    }

    mutating func sight(_ account: RecordID, _ scope: RecordID) throws(StoreError) -> Sight {
        let place = Place(account: account, scope: scope)
        if let known = sights[place] { return known }
        var sight = try queries.sight(account, scope)
        // Whoever was a supervisor saw until then what was there.
        if sight != .sees, case .left(let all) = try queries.sight(account, VisibilityQueries.everything),
            try wasThere(scope, at: all)
        {
            if case .left(let one) = sight { sight = .left(max(one, all)) } else { sight = .left(all) }
        }
        sights[place] = sight
        return sight
    }

    /// Whether a customer was made before the change with this sequence.
    private func wasThere(_ scope: RecordID, at sequence: Int64) throws(StoreError) -> Bool {
        guard let record = try writer.stored(scope) else { return true }
        let made = record.entries[record.range(of: CellKey(.created))].map(\.sequence).min()
        return made.map { $0 <= sequence } ?? true
    }

    /// An operation of the group made the account a follower.
    mutating func noteFollower(_ account: RecordID, _ customer: RecordID) {
        sights[Place(account: account, scope: customer)] = .sees
    }
}

/// Whether the account of a push may do what an operation says (SPEC.md §4.3).
extension GroupFold {
    /// Why an operation may not be done; nil if it may.
    ///
    /// - Parameters:
    ///   - slot: that of its record.
    ///   - made: the slots of the records that its command makes.
    mutating func forbidden(
        _ index: Int, of push: PreparedPush, _ slot: Slot, _ made: [Int]
    ) throws(StoreError) -> RefusalReason? {
        let operation = push.operations.operations[index]
        // What makes it has not come yet, in an epoch that recovers.
        guard let envelope = operation.creates ?? slot.envelope else { return nil }
        if try rights.isSupervisor(push.account) { return nil }
        // It was taken before the server lost it, or written by somebody who did not know yet that it has lost something.
        let isEarlier = writer.believes && index < push.earlier
        var isFollower = true
        for scope in envelope.scope.identifiers where !made.contains(where: { slots[$0].record == scope }) {
            if case .account = envelope.scope {
                if scope != push.account { return .unknownRecord }
                continue
            }
            switch try rights.sight(push.account, scope) {
            case .sees: continue
            case .left(let sequence):
                isFollower = false
                // What it wrote before it heard of that is delivered.
                let hasHeard = push.sequence.map { $0 >= sequence } ?? true
                if hasHeard, !isEarlier { return .forbidden }
            case .never:
                isFollower = false
                if !isEarlier { return .unknownRecord }
            }
        }
        // A derived identifier may be made again: what is made so is there already.
        let isNew =
            made.contains { slots[$0].record == operation.record }
            || operation.creates != nil && !operation.record.isDerived
        let edits = push.operations.edits[operation.edits]
        let mayAll =
            edits.allSatisfy {
                may(push.account, write: $0, in: envelope.kind, isNew: isNew, isFollower: isFollower || isEarlier)
            }
        let mayCover = operation.covers.isEmpty || isNew || may(push.account, envelope.kind.writer)
        return mayAll && mayCover ? nil : .forbidden
    }

    /// Whether an account that is no supervisor may write what an edit says.
    ///
    /// - Parameter isNew: whether the edit's command makes the record.
    private func may(
        _ account: RecordID, write edit: Operations.Edit, in kind: Kind, isNew: Bool, isFollower: Bool
    ) -> Bool {
        let isOwn = edit.key.elementKind == .id && edit.key.elementID == account
        switch Schema.writer(of: edit.key.field, in: kind) {
        case .follower: return edit.kind == .present ? isFollower : isOwn
        case .element: return isOwn
        case .server, .viewer, .tagEditor, .maker:
            return isNew || may(account, Schema.writer(of: edit.key.field, in: kind))
        }
    }

    /// Whether an account that sees a record may write what is this one's to write.
    private func may(_ account: RecordID, _ writer: FieldWriter) -> Bool {
        switch writer {
        case .viewer: true
        case .tagEditor: self.writer.state.mayEditTags(account)
        case .server, .follower, .element, .maker: false
        }
    }

    /// Notes whom the operations of an accepted command made followers.
    mutating func noteFollowers(
        _ command: Range<Int>, _ push: PreparedPush, _ log: LogPosition
    ) throws(StoreError) {
        for index in command {
            let operation = push.operations.operations[index]
            for edit in push.operations.edits[operation.edits]
            where edit.key.field == .follow && edit.kind == .present && edit.key.elementKind == .id {
                var counts = try isProven(index, of: push)
                if !counts { counts = try isCounted(log.dot(index), edit.key, in: operation.record) }
                if counts {
                    rights.noteFollower(edit.key.elementID, operation.record)
                } else {
                    try writer.doubt(log.dot(index), of: operation.record)
                }
            }
        }
    }

    /// Whether a relay has brought an addition before its author comes: it counts already, and goes on counting.
    private func isCounted(_ dot: Dot, _ cell: CellKey, in id: RecordID) throws(StoreError) -> Bool {
        guard let record = try writer.stored(id) else { return false }
        let places = [dot] + writer.state.earlier.was(of: dot, writer.state.logs).map(\.place)
        return record.entries[record.range(of: cell)].contains { entry in
            entry.kind == .present && places.contains(entry.dot)
                && writer.state.unproven[id]?.contains(entry.dot) != true
        }
    }

    /// Whether whoever adds a follower is one, a supervisor or the server, or makes the customer. Only an epoch that recovers
    /// takes others, since what made their author a follower may come yet.
    private mutating func isProven(_ index: Int, of push: PreparedPush) throws(StoreError) -> Bool {
        if !writer.believes || push.isServer || index >= push.earlier { return true }
        let operation = push.operations.operations[index]
        if operation.creates != nil { return true }
        if try rights.isSupervisor(push.account) { return true }
        return try rights.sight(push.account, operation.record) == .sees
    }
}
