import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

import struct ShoalCRDT.Record

/// What simulators and checks read of a store: what it holds, without asking as an account.
extension ServerStore {
    /// Calls `body` with each record, in id order, those that are deleted too.
    public func forEachRecord(_ body: (Record) throws -> Void) throws {
        try StoreError.mapping(path: path) {
            try pool.read { database in
                try RecordTable(database).scan(after: RecordID(rawValue: 0)) { record, _ in
                    try body(record)
                    return true
                }
            }
        }
    }

    /// The hash of every operation that was taken, by its place; of refused ones too.
    public func takenHashes() throws -> [Dot: OperationHash] {
        try StoreError.mapping(path: path) {
            try pool.read { database in
                var hashes: [Dot: OperationHash] = [:]
                let rows = try Row.fetchCursor(database, sql: "SELECT replica, first, hashes FROM log_hashes")
                while let row = try rows.next() {
                    let replica = ReplicaID(rawValue: UInt32(truncatingIfNeeded: row[0] as Int64))
                    let first: Int64 = row[1]
                    try row.withUnsafeData(atIndex: 2) { data in
                        guard let data else { return }
                        let bytes = Array(data)
                        bytes.withUnsafeBytes { raw in
                            for index in 0..<raw.count / 8 {
                                let word = raw.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
                                hashes[Dot(replica, UInt32(truncatingIfNeeded: first + Int64(index)))] = OperationHash(
                                    rawValue: UInt64(littleEndian: word))
                            }
                        }
                    }
                }
                return hashes
            }
        }
    }

    /// The places of all refused operations.
    public func refusedDots() throws -> Set<Dot> {
        try StoreError.mapping(path: path) {
            try pool.read { database in
                let rows = try Row.fetchAll(database, sql: "SELECT replica, number FROM verdict")
                return Set(
                    rows.map { row in
                        Dot(
                            ReplicaID(rawValue: UInt32(truncatingIfNeeded: row[0] as Int64)),
                            UInt32(truncatingIfNeeded: row[1] as Int64))
                    })
            }
        }
    }

    /// The additions of followers that do not count, because nothing shows that their authors could make them.
    public func unprovenFollows() throws -> [RecordID: Set<Dot>] {
        try withWriter { writer, _ in writer.state.unproven }
    }
}
