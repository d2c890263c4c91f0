import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// The commands of one transaction; handed to the body of `Replica.write` and valid only in it.
///
/// Each call is one command: the server takes or refuses all its operations together.
public final class Commands {
    /// Milliseconds since 1970 that operations carry and new ids are made from; nil for the corrected clock. Importers,
    /// tests and benchmarks set it.
    public var time: Int64?

    let store: ReplicaStore
    private var batch = Operations()
    private var isContinuing = false

    init(_ store: ReplicaStore) { self.store = store }

    // MARK: By number, for importers and benchmarks

    /// Makes a record of any kind with a new id; a customer is its own scope.
    ///
    /// - Parameter scope: nil for a customer.
    public func make(_ kind: Kind, scope: Scope? = nil) throws -> RecordID {
        try command { try makeRecord(kind, scope: scope, []) }
    }

    /// Makes a record with text in some of its registers: one operation.
    public func make(_ kind: Kind, scope: Scope? = nil, _ fields: [(Field, String)]) throws -> RecordID {
        try command { try makeRecord(kind, scope: scope, fields.map { CellEdit($0.0, .none, .text($0.1)) }) }
    }

    /// Writes a register, whether or not it changes. The record must be there.
    public func set(_ id: RecordID, _ field: Field, _ value: String) throws {
        let record = try store.effective(id)
        guard record.isMade else { throw ReplicaError.unknownID(id.description) }
        let key = CellKey(field)
        begin(id)
        batch.edit(key, text: value, supersedes: record.liveDots(in: record.range(of: key)))
        try store.append(batch, to: record)
        isContinuing = false
    }

    /// Adds to a counter of the record. The record must be there.
    public func add(_ amount: Int64, to id: RecordID, _ field: Field) throws {
        let record = try store.effective(id)
        guard record.isMade else { throw ReplicaError.unknownID(id.description) }
        begin(id)
        batch.edit(CellKey(field), .count, integer: amount)
        try store.append(batch, to: record)
        isContinuing = false
    }

    /// Adds or removes an element of an add-wins set (`.tagged`, `.follow`); nothing is written if it is so already.
    public func setElement(_ id: RecordID, _ field: Field, _ element: RecordID, isPresent: Bool) throws {
        let record = try store.effective(id)
        guard record.isMade else { throw ReplicaError.unknownID(id.description) }
        let key = CellKey(field, id: element)
        let cell = record.range(of: key)
        if cell.contains(where: { record.entries[$0].kind == .present }) == isPresent { return }
        begin(id)
        batch.edit(key, isPresent ? .present : .absent, supersedes: record.liveDots(in: cell))
        try store.append(batch, to: record)
        isContinuing = false
    }

    /// Writes one operation cell by cell: how what this version has no command for is written. The record must be there.
    ///
    /// - Parameter edits: adds edits, strictly ascending by cell, or covered dots to the operation begun last; gets the
    ///   effective record.
    /// - Throws: `ReplicaError.unknownID`, and `invalidValue` for edits that are not in order.
    public func edit(_ id: RecordID, _ edits: (inout Operations, Record) -> Void) throws {
        let record = try store.effective(id)
        guard record.isMade else { throw ReplicaError.unknownID(id.description) }
        begin(id)
        edits(&batch, record)
        guard batch.count == 1, batch.firstMisplacedEdit(of: 0) == nil else {
            throw ReplicaError.invalidValue(field: "the operation", reason: "its cells are not in order")
        }
        try store.append(batch, to: record)
        isContinuing = false
    }

    // MARK: Operations

    /// Runs `body` as one command: its operations are taken or refused together.
    func command<T>(_ body: () throws -> T) throws -> T {
        isContinuing = false
        defer { isContinuing = false }
        return try body()
    }

    var now: Int64 { time ?? store.correctedTime }

    private func begin(_ id: RecordID, creates: Envelope? = nil) {
        batch.removeAll()
        batch.begin(
            record: id, time: now, creates: creates, salt: store.nextSalt(), continuesCommand: isContinuing)
        isContinuing = true
    }

    /// - Parameter known: the identifier, when the record was to have it before; else a new one.
    @discardableResult
    func makeRecord(_ kind: Kind, scope: Scope?, _ edits: [CellEdit], as known: RecordID? = nil) throws -> RecordID {
        let id = try known ?? store.newID(time: now)
        let record = Record(id: id)
        begin(id, creates: Envelope(kind: kind, scope: scope ?? .customer(id)))
        for edit in edits.sorted(by: <) { edit.write(to: &batch, seen: record) }
        try store.append(batch, to: record)
        return id
    }

    /// Refuses at once what the server would: to change the tag book without being one of those who may. Cells of other
    /// accounts and of the server have no command that writes them.
    private func requireWriter(_ writers: [FieldWriter]) throws {
        if writers.contains(.tagEditor) { try requireTagEditor() }
    }

    /// Writes the edits as one operation; nothing when there are none.
    func write(_ edits: [CellEdit], to record: Record) throws {
        if edits.isEmpty { return }
        try requireWriter(edits.map { Schema.writer(of: $0.field, in: record.envelope.kind) })
        begin(record.id)
        for edit in edits.sorted(by: <) { edit.write(to: &batch, seen: record) }
        try store.append(batch, to: record)
    }

    /// Writes one operation with the edits that `body` adds.
    func writeEdit(to record: Record, _ body: (inout Operations) -> Void) throws {
        begin(record.id)
        body(&batch)
        try store.append(batch, to: record)
    }

    /// Covers everything that is seen of the record.
    func cover(_ record: Record) throws {
        let seen = record.uncoveredDots()
        if seen.isEmpty { return }
        try requireWriter([record.envelope.kind.writer])
        begin(record.id)
        batch.cover(seen)
        try store.append(batch, to: record)
    }

    // MARK: Records

    /// The effective customer.
    func customer(_ id: RecordID) throws -> Record {
        let record = try present(id, .customer, "customer")
        return record
    }

    func note(_ id: RecordID) throws -> Record { try present(id, .note, "note") }

    private func present(_ id: RecordID, _ kind: Kind, _ wanted: String) throws -> Record {
        let record = try store.effective(id)
        guard try store.isThere(record) else { throw ReplicaError.unknownID(id.description) }
        guard record.envelope.kind == kind else {
            throw ReplicaError.wrongKind(id, is: Schema.name(of: record.envelope.kind), wanted: wanted)
        }
        return record
    }
}
