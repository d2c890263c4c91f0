import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalStore

import class ShoalStore.Statement
import struct ShoalCRDT.Record

/// What every store that keeps packed records relies on.
@Suite struct RecordTableTests {
    private static func withDatabase<T>(_ body: (Database, String) throws -> T) throws -> T {
        let path = NSTemporaryDirectory() + "shoal-store-\(UUID().uuidString).db"
        defer { for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) } }
        let queue = try DatabaseQueue(path: path, configuration: StoreFile.configuration(label: "test"))
        return try queue.inDatabase { database in
            try database.execute(sql: "PRAGMA journal_mode = WAL")
            try database.execute(sql: RecordTable.schema)
            return try body(database, path)
        }
    }

    /// A record with a name, made by one operation.
    private static func record(_ id: Int64, _ envelope: Envelope, _ name: String, number: UInt32 = 1) -> Record {
        var batch = Operations()
        let id = RecordID(rawValue: id)
        batch.begin(record: id, time: 1_700_000_000_000, creates: envelope)
        batch.edit(CellKey(.name), text: name)
        var record = Record(id: id)
        record.apply(0, of: batch, dot: Dot(ReplicaID(rawValue: 65_537), number), time: 1_700_000_000_000, sequence: 7)
        return record
    }

    private static func customer(_ id: Int64, _ name: String) -> Record {
        record(id, Envelope(kind: .customer, scope: .customer(RecordID(rawValue: id))), name)
    }

    private static func note(_ id: Int64, of customer: Int64, _ name: String) -> Record {
        record(id, Envelope(kind: .note, scope: .customer(RecordID(rawValue: customer))), name)
    }

    private static func name(_ record: Record?) -> String? {
        guard let record, let shown = record.shown(in: record.range(of: CellKey(.name))) else { return nil }
        return record.text(shown.slice)
    }

    @Test func whatWasWrittenIsReadBackFromWhicheverTableHasIt() throws {
        try Self.withDatabase { (database: Database, _: String) throws in
            let table = try RecordTable(database)
            try table.write(Self.customer(100, "陈晨"), sequence: 7)
            try table.write(Self.note(101, of: 100, "换季泛红"), sequence: 7)
            #expect(Self.name(try table.read(RecordID(rawValue: 100))) == "陈晨")
            let note = try table.read(RecordID(rawValue: 101))
            #expect(Self.name(note) == "换季泛红")
            #expect(note?.envelope == Envelope(kind: .note, scope: .customer(RecordID(rawValue: 100))))
            #expect(note?.sequence == 7)
            #expect(try table.read(RecordID(rawValue: 102)) == nil)
            #expect(try Int.fetchOne(database, sql: "SELECT count(*) FROM record") == 1)
            #expect(try Int.fetchOne(database, sql: "SELECT count(*) FROM detail") == 1)
        }
    }

    @Test func writingAgainReplacesTheRow() throws {
        try Self.withDatabase { (database: Database, _: String) throws in
            let table = try RecordTable(database)
            for name in ["一", "二"] {
                try table.write(Self.customer(100, name), sequence: 7)
                try table.write(Self.note(101, of: 100, name), sequence: 7)
            }
            #expect(Self.name(try table.read(RecordID(rawValue: 100))) == "二")
            #expect(Self.name(try table.read(RecordID(rawValue: 101))) == "二")
            try table.delete(RecordID(rawValue: 100))
            try table.delete(RecordID(rawValue: 101))
            #expect(try table.read(RecordID(rawValue: 100)) == nil)
            #expect(try table.read(RecordID(rawValue: 101)) == nil)
        }
    }

    @Test func aScanGoesThroughBothTablesByIdentifierAndStopsWhenTold() throws {
        try Self.withDatabase { (database: Database, _: String) throws in
            let table = try RecordTable(database)
            for id in [5, 1, 9] { try table.write(Self.customer(Int64(id), "c"), sequence: 7) }
            for id in [4, 8, 2] { try table.write(Self.note(Int64(id), of: 1, "n"), sequence: 7) }
            var seen: [Int64] = []
            try table.scan(after: RecordID(rawValue: 1)) { record, _ in
                seen.append(record.id.rawValue)
                return record.id.rawValue < 8
            }
            #expect(seen == [2, 4, 5, 8])
        }
    }

    @Test func aRowThatIsDamagedIsAnErrorThatNamesTheRecord() throws {
        try Self.withDatabase { (database: Database, _: String) throws in
            let table = try RecordTable(database)
            try table.write(Self.customer(100, "陈晨"), sequence: 7)
            try database.execute(sql: "UPDATE record SET cells = x'0102FF' WHERE id = 100")
            let error = #expect(throws: StoreError.self) { try table.read(RecordID(rawValue: 100)) }
            guard case .damagedRecord(let id, _) = error else {
                Issue.record("not an error about damage: \(String(describing: error))")
                return
            }
            #expect(id == RecordID(rawValue: 100))
        }
    }

    @Test func aCommitIsDurableAndForeignKeysAreOn() throws {
        try Self.withDatabase { (database: Database, _: String) throws in
            #expect(try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2)
            #expect(try Int.fetchOne(database, sql: "PRAGMA foreign_keys") == 1)
            #expect(try Int.fetchOne(database, sql: "PRAGMA secure_delete") == 1)
            #expect(try Int.fetchOne(database, sql: "PRAGMA wal_autocheckpoint") == 0)
            #expect(try Int.fetchOne(database, sql: "PRAGMA mmap_size") ?? 0 == 0)
        }
    }

    @Test func theWriteAheadLogIsMovedIntoTheFileWhenItIsLongAndZerosBehindItAreNoFrames() throws {
        try Self.withDatabase { (database: Database, path: String) throws in
            let log = WriteAheadLog(database)
            defer { log.detach() }
            let table = try RecordTable(database)
            try table.write(Self.customer(1, "先"), sequence: 7)
            log.extendFile(to: 1 << 20)
            #expect(try FileManager.default.attributesOfItem(atPath: path + "-wal")[.size] as? Int == 1 << 20)
            // Another connection reads the log from the file: the zeros end it.
            let other = try DatabaseQueue(path: path, configuration: StoreFile.configuration(label: "other"))
            let count = try other.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM record") }
            #expect(count == 1)
            try other.close()
            for id in 2..<40 { try table.write(Self.customer(Int64(id), "后"), sequence: 7) }
            try log.checkpointIfLong(10)
            // The next write begins the log anew, so it is short.
            try table.write(Self.customer(99, "末"), sequence: 7)
            let frames = try Row.fetchOne(database, sql: "PRAGMA wal_checkpoint(PASSIVE)")
            #expect((frames?[1] as Int? ?? 99) < 10)
            #expect(try table.read(RecordID(rawValue: 39)) != nil)
        }
    }

    @Test func everyResultCodeOfADiskIsToldApart() {
        let cases: [(Int32, StoreError, Bool)] = [
            (13, .full(path: "p"), false), (10 | 19 << 8, .full(path: "p"), false), (8, .readOnly(path: "p"), false),
            (14, .cannotOpen(path: "p", reason: "m"), false),
            (11, .damaged(path: "p", reason: "m"), false), (26, .damaged(path: "p", reason: "m"), false),
            (5, .busy(path: "p"), true), (10 | 4 << 8, .inputOutput(path: "p", reason: "m"), false),
            (1, .other(code: 1, reason: "m"), false),
        ]
        for (code, error, helps) in cases {
            #expect(StoreError(code: code, message: "m", path: "p") == error)
            #expect(error.helpsToRetry == helps)
            #expect(!error.description.isEmpty)
        }
    }
}
