import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// Something that somebody changed: what this replica itself knows of it, or what the server's audit says.
public struct LogEntry: Hashable, Sendable {
    public struct Change: Hashable, Sendable {
        /// A field's name; `made`, `deleted`; or the name of what is no field.
        public var field: String
        /// The tag, account, replica or name that the field is about.
        public var element: String?
        /// The values that were replaced, as far as they are known.
        public var from: [String]
        /// The value that came instead; nil for none.
        public var to: String?
    }

    /// ISO 8601 from the server; of what is known here alone the writer's own time.
    public var at: String
    /// An account's name; empty for the server and whoever administers it.
    public var by: String
    /// The log or device, 8 hexadecimal digits.
    public var replica: String?
    /// The device's name.
    public var device: String?
    public var action: String
    /// 13 characters.
    public var record: String?
    public var changes: [Change]
    /// Whether the server erased the changes.
    public var isErased = false
    /// Whether the server has it.
    public var isSent = true
}

/// What was changed, newest first.
public struct ChangeLog: Hashable, Sendable {
    public var entries: [LogEntry]
    /// Whether the server's audit is in it, and so what others did and replaced.
    public var isWhole: Bool
    public init(entries: [LogEntry], isWhole: Bool) {
        self.entries = entries
        self.isWhole = isWhole
    }
}

extension Replica {
    /// What this replica knows by itself: its own log, and of a record what is live of others.
    ///
    /// - Parameters:
    ///   - record: only about this one; nil for the own log alone.
    ///   - limit: how many entries at most, the newest.
    ///   - formatted: writes a time.
    public func changeLog(
        of record: RecordID? = nil, limit: Int, unsentOnly: Bool = false, _ formatted: @escaping (Int64) -> String
    ) throws -> [LogEntry] {
        try read { store in
            let reading = ChangeReading(store: store, names: try ChangeNames(store), formatted: formatted)
            var found = try reading.own(record, limit: limit, unsentOnly: unsentOnly)
            if let record, !unsentOnly {
                let known = Set(found.map(\.dot))
                found += reading.live(try store.effective(record)).filter { !known.contains($0.dot) }
            }
            found.sort { ($0.time, $0.dot) > ($1.time, $1.dot) }
            return found.prefix(limit).map(\.entry)
        }
    }
}

/// Reads changes from the own log and from live entries.
private struct ChangeReading {
    struct Found {
        var dot: Dot
        var time: Int64
        var entry: LogEntry
    }

    /// So many operations of the own log are read at a time, from its end.
    private static let step: Int64 = 1_000

    let store: ReplicaStore
    let names: ChangeNames
    let formatted: (Int64) -> String

    /// The newest operations of the own log.
    func own(_ record: RecordID?, limit: Int, unsentOnly: Bool) throws -> [Found] {
        var found: [Found] = []
        var end = store.current.endPosition
        while end > 0, found.count < limit {
            let start = max(0, end - Self.step)
            let logged = try store.logged(after: start)
            for index in logged.places.indices.reversed() where logged.places[index].position <= end {
                let operation = logged.operations.operations[index]
                if let record, operation.record != record { continue }
                let place = logged.places[index]
                let isSent = isSent(place.position)
                if unsentOnly, isSent { return found }
                found.append(
                    Found(
                        dot: place.dot, time: operation.time,
                        entry: LogEntry(
                            at: formatted(operation.time), by: names.author(place.dot.replica),
                            replica: place.dot.replica.text, action: "change", record: operation.record.description,
                            changes: changes(index, of: logged.operations), isSent: isSent)))
                if found.count == limit { break }
            }
            end = start
        }
        return found
    }

    private func isSent(_ position: Int64) -> Bool {
        guard let log = store.log.logs.owner(of: position) else { return true }
        return !log.isOwn || position <= log.acknowledgedPosition
    }

    private func changes(_ index: Int, of batch: Operations) -> [LogEntry.Change] {
        let operation = batch.operations[index]
        var changes: [LogEntry.Change] = []
        if let envelope = operation.creates {
            changes.append(.init(field: "made", from: [], to: Schema.name(of: envelope.kind)))
        }
        for edit in batch.edits[operation.edits] {
            let value: String? =
                switch edit.kind {
                case .present: "yes"
                case .integer, .count: String(edit.integer)
                case _ where edit.kind.isSlice: batch.text(edit.slice)
                default: nil
                }
            changes.append(
                .init(
                    field: Schema.name(of: edit.key.field),
                    element: names.element(edit.key) { batch.text($0) }, from: [], to: value))
        }
        if !operation.covers.isEmpty { changes.append(.init(field: "deleted", from: [], to: nil)) }
        return changes
    }

    /// What is live in a record, an entry for each operation that left something.
    func live(_ record: Record) -> [Found] {
        var found: [Dot: Found] = [:]
        for entry in record.entries where !entry.kind.isMarker {
            let change =
                entry.key.field == .created
                ? LogEntry.Change(field: "made", from: [], to: Schema.name(of: record.envelope.kind))
                : LogEntry.Change(
                    field: Schema.name(of: entry.key.field), element: names.element(entry.key) { record.text($0) },
                    from: [], to: entry.kind == .textChange ? record.text(entry.slice) : record.display(entry))
            if found[entry.dot] == nil {
                found[entry.dot] = Found(
                    dot: entry.dot, time: entry.time,
                    entry: LogEntry(
                        at: formatted(entry.time), by: names.author(entry.dot.replica), replica: entry.dot.replica.text,
                        action: "change", record: record.id.description, changes: []))
            }
            let isAbsent = entry.kind == .absent
            found[entry.dot]?.entry.changes.append(
                isAbsent ? .init(field: change.field, element: change.element, from: [], to: nil) : change)
        }
        return Array(found.values)
    }
}

/// What people call the accounts and tags that changes are about.
struct ChangeNames {
    private let authors: Authors
    private let book: TagBook

    init(_ store: ReplicaStore) throws {
        book = try store.readBook()
        authors = Authors(store, book)
    }

    func author(_ replica: ReplicaID) -> String { authors.author(replica) }

    func element(_ key: CellKey, _ text: (Slice) -> String) -> String? {
        switch key.elementKind {
        case .none: nil
        case .text: text(key.elementSlice)
        case .id: name(of: key.elementID, as: Schema.field(key.field)?.element)
        }
    }

    /// - Parameter field: by its name.
    func element(_ text: String, of field: String) -> String {
        guard let id = RecordID(text: text) else { return text }
        return name(of: id, as: Schema.fields.first { $0.name == field && $0.element != .none }?.element)
    }

    private func name(of id: RecordID, as element: FieldSchema.Element?) -> String {
        switch element {
        case .account: authors.account(id)
        case .tag: book.view(of: id).map { $0.group.isEmpty ? $0.name : "\($0.group)/\($0.name)" } ?? id.description
        case .replica: ReplicaID(rawValue: UInt32(truncatingIfNeeded: id.rawValue)).text
        case .name, .some(.none), nil: id.description
        }
    }
}
