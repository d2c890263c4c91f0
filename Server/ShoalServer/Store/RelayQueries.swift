import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has types of the same names.
import class ShoalStore.Statement
import struct ShoalCRDT.Record

/// The statements of recovery, prepared once on the writer connection and used only on its queue.
final class RelayQueries {
    private let selectSources: Statement
    private let insertSource: Statement
    private let deleteSource: Statement
    private let insertRecord: Statement
    private let selectRecord: Statement
    private let deleteRecords: Statement
    private let updateRecovery: Statement
    private let selectAfter: Statement
    private let database: Database

    init(_ database: Database) throws(StoreError) {
        self.database = database
        selectSources = try Statement(database, "SELECT id, vector, checks FROM relay_source")
        insertSource = try Statement(database, "INSERT INTO relay_source (account, vector, checks) VALUES (?1, ?2, ?3)")
        deleteSource = try Statement(database, "DELETE FROM relay_source WHERE id = ?1")
        insertRecord = try Statement(database, "INSERT OR IGNORE INTO relay_record (record, source) VALUES (?1, ?2)")
        selectRecord = try Statement(database, "SELECT source FROM relay_record WHERE record = ?1")
        deleteRecords = try Statement(database, "DELETE FROM relay_record WHERE source = ?1")
        updateRecovery = try Statement(database, "UPDATE server SET recovery = ?1")
        selectAfter = try Statement(database, RecordTable.selectAfter)
    }

    func isRecovering() throws(StoreError) -> Bool {
        let statement = try Statement(database, "SELECT recovery FROM server")
        return try statement.step() && statement.integer(0) != 0
    }

    func setRecovering(_ isRecovering: Bool) throws(StoreError) {
        try updateRecovery.bind(1, isRecovering ? 1 : 0)
        try updateRecovery.run()
    }

    // MARK: Sources

    func sources() throws(StoreError) -> [Int64: RelaySource] {
        defer { selectSources.reset() }
        var sources: [Int64: RelaySource] = [:]
        while try selectSources.step() {
            var source = RelaySource()
            let vector = Self.words(selectSources.bytes(1))
            let checks = Self.words(selectSources.bytes(2))
            for place in 0..<vector.count / 2 {
                let replica = ReplicaID(rawValue: vector[2 * place])
                source.vector.advance(replica, to: vector[2 * place + 1])
                guard place < checks.count else { continue }
                source.checks[replica] = LogCheck(rawValue: checks[place])
                if checks[place] & Self.strange != 0 { source.strange.insert(replica) }
            }
            sources[selectSources.integer(0)] = source
        }
        return sources
    }

    /// - Returns: the number of the new source.
    func addSource(_ source: RelaySource, account: RecordID) throws(StoreError) -> Int64 {
        try insertSource.bind(1, account.rawValue)
        let positions = source.vector.positions.sorted { $0.key < $1.key }
        try insertSource.bind(2, Self.bytes(positions.flatMap { [$0.key.rawValue, $0.value] }))
        let checks = positions.map { replica, _ in
            (source.checks[replica] ?? .unknown).rawValue | (source.strange.contains(replica) ? Self.strange : 0)
        }
        try insertSource.bind(3, Self.bytes(checks))
        try insertSource.run()
        return database.lastInsertedRowID
    }

    /// Beside the check of a log that is another one here.
    private static let strange: UInt32 = 1 << 31

    private static func words(_ bytes: UnsafeRawBufferPointer) -> [UInt32] {
        stride(from: 0, to: bytes.count - 3, by: 4).map {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt32.self))
        }
    }

    private static func bytes(_ words: [UInt32]) -> [UInt8] {
        words.flatMap { word in withUnsafeBytes(of: word.littleEndian) { Array($0) } }
    }

    /// How many an account has.
    func sourceCount(of account: RecordID) throws -> Int {
        try Int.fetchOne(
            database.cachedStatement(sql: "SELECT count(*) FROM relay_source WHERE account = ?"),
            arguments: [account.rawValue]) ?? 0
    }

    func removeSource(_ source: Int64) throws(StoreError) {
        for statement in [deleteSource, deleteRecords] {
            try statement.bind(1, source)
            try statement.run()
        }
    }

    // MARK: Records

    func addRecord(_ record: RecordID, source: Int64) throws(StoreError) {
        try insertRecord.bind(1, record.rawValue)
        try insertRecord.bind(2, source)
        try insertRecord.run()
    }

    func sources(of record: RecordID) throws(StoreError) -> [Int64] {
        try selectRecord.bind(1, record.rawValue)
        defer { selectRecord.reset() }
        var sources: [Int64] = []
        while try selectRecord.step() { sources.append(selectRecord.integer(0)) }
        return sources
    }

    /// The first record after `id` in which a mark waits, or nil if there is none.
    func openRecord(after id: RecordID) throws(StoreError) -> (record: Record, sequence: Int64)? {
        try selectAfter.bind(1, id.rawValue)
        defer { selectAfter.reset() }
        while try selectAfter.step() {
            let id = RecordID(rawValue: selectAfter.integer(0))
            let record: Record
            do throws(DecodingFailure) {
                record = try Record(id: id, sequence: selectAfter.integer(1), packed: selectAfter.bytes(2))
            } catch { throw .damaged(path: "record \(id)", reason: error.description) }
            if record.isOpen { return (record, selectAfter.integer(1)) }
        }
        return nil
    }
}
