import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// Removes for good what the server says is erased. Called inside a transaction.
struct ErasureStore {
    private let store: ReplicaStore
    private let person: RecordID
    /// What belongs to the person, as far as this home ever heard of it.
    private var records: Set<RecordID>

    private init(_ store: ReplicaStore, _ person: RecordID) throws {
        self.store = store
        self.person = person
        records = Set(try store.scopes.records(in: person))
    }

    /// Removes everything about these persons: rows, own operations, what was set aside, and copies of rows. Only
    /// identifiers stay, and the hashes of own operations.
    ///
    /// The files may hold bytes of it until `ReplicaStore.scrub` has run.
    static func erase(_ erasures: [Erasure], _ store: ReplicaStore) throws {
        if erasures.isEmpty { return }
        for erasure in erasures {
            var run = try ErasureStore(store, erasure.person)
            let unsent = try run.voidLog()
            try run.removeCopies()
            try store.evict(erasure.person)
            try run.note(erasure, unsent: unsent)
        }
        // Postings of the texts would stay until most of the index is dead.
        try store.text.rebuild()
        store.forgetCached()
    }

    // MARK: The log

    /// Voids the own operations about the person: each keeps its place and its hash, and says nothing any more.
    ///
    /// - Returns: how many of them no server had taken.
    private mutating func voidLog() throws -> Int {
        var unsent = 0
        let setAside = try Set(Int64.fetchAll(store.database, sql: "SELECT position FROM aside"))
        for position in try Int64.fetchAll(store.database, sql: "SELECT position FROM log ORDER BY position") {
            var batch = Operations()
            guard try store.log.read(position, into: &batch) else { continue }
            let operation = batch.operations[0]
            if let envelope = operation.creates, envelope.scope.identifiers.contains(person) {
                records.insert(operation.record)
            }
            guard records.contains(operation.record), !batch.saysNothing(0) else { continue }
            if setAside.contains(position) || store.isPending(position) { unsent += 1 }
            if try store.log.tailRecords().contains(operation.record) {
                try store.leaveTail(operation.record, [position])
            }
            try store.log.void(position, operation)
            for table in ["aside", "aside_settled"] {
                try store.database.execute(sql: "DELETE FROM \(table) WHERE position = ?", arguments: [position])
            }
            try removeQuarantine("log", position)
        }
        return unsent
    }

    // MARK: Copies

    /// Removes what is kept of rows elsewhere: stock for a server that lost something, and rows that could not be read.
    private mutating func removeCopies() throws {
        for row in try Row.fetchAll(store.database, sql: "SELECT rowid, record, cells FROM stock") {
            let id = RecordID(rawValue: row["record"])
            let cells = row["cells"] as Data
            guard try belongs(id, cells) else { continue }
            records.insert(id)
            try store.database.execute(sql: "DELETE FROM stock WHERE rowid = ?", arguments: [row["rowid"] as Int64])
        }
        for record in records {
            try removeQuarantine("record", record.rawValue)
            try store.database.execute(sql: "DELETE FROM listed WHERE record = ?", arguments: [record.rawValue])
        }
    }

    private func belongs(_ id: RecordID, _ cells: Data) throws -> Bool {
        if records.contains(id) { return true }
        let envelope = cells.withUnsafeBytes { bytes -> Envelope? in
            do throws(DecodingFailure) {
                return try Record.envelope(of: id, sequence: 0, packed: bytes)
            } catch { return nil }
        }
        return envelope?.scope.identifiers.contains(person) == true
    }

    private func removeQuarantine(_ source: String, _ key: Int64) throws {
        try store.database.execute(
            sql: "DELETE FROM quarantine WHERE source = ? AND key = ?", arguments: [source, key])
    }

    // MARK: What is remembered

    private func note(_ erasure: Erasure, unsent: Int) throws {
        try store.database.execute(
            sql: """
                INSERT INTO erased (person, proof, time, unsent, scrubbed) VALUES (?1, ?2, ?3, ?4, 0)
                ON CONFLICT (person) DO UPDATE SET proof = ?2, unsent = unsent + ?4, scrubbed = 0
                """,
            arguments: [erasure.person.rawValue, erasure.proof, store.correctedTime, unsent])
    }

    /// What this home was told, to be said to a server that was set back.
    static func all(_ database: Database) throws -> [Erasure] {
        try Row.fetchAll(
            database, sql: "SELECT person, proof FROM erased ORDER BY time DESC LIMIT ?", arguments: [Limits.erasures]
        ).map { Erasure(person: RecordID(rawValue: $0[0]), proof: $0[1]) }
    }

    /// How many persons were erased, and how many own operations about them no server had taken.
    static func counts(_ database: Database) throws -> (persons: Int, changes: Int) {
        let row = try Row.fetchOne(database, sql: "SELECT count(*), coalesce(sum(unsent), 0) FROM erased")
        return (row?[0] ?? 0, row?[1] ?? 0)
    }

    /// Whether files of the home may hold bytes of what was erased.
    static func isUnscrubbed(_ database: Database) throws -> Bool {
        try Bool.fetchOne(database, sql: "SELECT EXISTS (SELECT 1 FROM erased WHERE NOT scrubbed)") ?? false
    }
}

extension ReplicaStore {
    /// Whether no server has acknowledged the operation at a position.
    func isPending(_ position: Int64) -> Bool {
        guard let log = log.logs.owner(of: position) else { return true }
        return log.isOwn && position > log.acknowledgedPosition
    }

    /// Moves the write-ahead log into the database, writes that anew without what was deleted, and empties the log.
    ///
    /// - Throws: `ReplicaError.busy` while another process reads.
    func scrub() throws {
        try maintaining {
            try emptyLog()
            try database.execute(sql: "VACUUM")
            try emptyLog()
        }
    }

    /// Moves the write-ahead log into the file and empties it, which a reader in another process may keep it from.
    func emptyLog() throws {
        let isBusy = try Bool.fetchOne(database, sql: "PRAGMA wal_checkpoint(TRUNCATE)") ?? true
        if isBusy { throw ReplicaError.busy(home: home, pid: nil) }
    }
}

extension Replica {
    /// Removes from the home's files what rows that were erased have left there; nothing if nothing was.
    ///
    /// Upkeep: if it cannot be done now, it is when the home is opened again, or with the next answer of the server.
    func scrubIfNeeded() {
        do {
            let erased = try connection.access { store in
                guard !store.isReadOnly, try ErasureStore.isUnscrubbed(store.database) else { return [RecordID]() }
                try store.scrub()
                return try Int64.fetchAll(store.database, sql: "SELECT person FROM erased WHERE scrubbed = 0").map(
                    RecordID.init(rawValue:))
            }
            if erased.isEmpty { return }
            try environment.homes.removeCopies(home, of: Set(erased))
            try connection.access { store in
                try store.transaction(enrolled: false) {
                    try store.database.execute(sql: "UPDATE erased SET scrubbed = 1")
                }
            }
        } catch {}
    }
}
