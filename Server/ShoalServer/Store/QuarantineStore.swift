import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has a Record of its own.
import struct ShoalCRDT.Record

/// Setting damaged rows aside, and working on without them.
extension ServerStore {
    /// Moves the rows that cannot be read out of everybody's way, as they are.
    ///
    /// The row stays unread by pulls, folds and digests until it is mended; then it gets a new sequence, so that it reaches
    /// the replicas that passed over it.
    func setAside(_ records: [RecordID]) throws {
        if records.isEmpty { return }
        try withWriter { writer, database in
            for id in records { try setAside(id, writer, database) }
        }
    }

    private func setAside(_ id: RecordID, _ writer: StoreWriter, _ database: Database) throws {
        guard quarantine.reason(id) == nil else { return }
        let reason = try writer.transaction { () -> String? in
            let rows = try Row.fetchAll(database, sql: RecordTable.selectOne, arguments: [id.rawValue])
            for row in rows {
                let cells = row["cells"] as Data
                let sequence = row["sequence"] as Int64
                // What was read wrongly once and is right now stays where it is.
                guard let reason = Self.damage(id, sequence, cells) else { continue }
                try database.execute(
                    sql: "REPLACE INTO quarantine (record, sequence, cells, reason) VALUES (?, ?, ?, ?)",
                    arguments: [id.rawValue, sequence, cells, reason])
                try database.execute(sql: "DELETE FROM record WHERE id = ?", arguments: [id.rawValue])
                try database.execute(sql: "DELETE FROM detail WHERE id = ?", arguments: [id.rawValue])
                return reason
            }
            return nil
        }
        if let reason { quarantine.add(id, reason) }
    }

    /// Why a row cannot be read; nil if it can.
    static func damage(_ id: RecordID, _ sequence: Int64, _ cells: Data) -> String? {
        let result: Result<Void, StoreError> = cells.withUnsafeBytes { bytes in
            do throws(StoreError) {
                _ = try RecordTable.record(id, sequence: sequence, packed: bytes)
                return .success(())
            } catch { return .failure(error) }
        }
        switch result {
        case .success: return nil
        case .failure(.damagedRecord(_, let reason)): return reason
        case .failure(let error): return error.description
        }
    }

    /// Commits a group; a push that writes into a damaged record is refused by itself and the others go on.
    func commitAroundDamage(
        _ group: [PreparedPush], _ writer: StoreWriter, _ database: Database
    ) throws -> [PushOutcome?] {
        var outcomes: [PushOutcome?] = Array(repeating: nil, count: group.count)
        var open = Array(group.indices)
        while true {
            if !quarantine.isEmpty {
                open.removeAll { index in
                    guard let id = damagedRecord(of: group[index]) else { return false }
                    outcomes[index] = .refused(.damagedRecord(id))
                    return true
                }
            }
            do {
                let done = try writer.transaction {
                    var fold = GroupFold(writer, open.map { group[$0] })
                    try fold.run()
                    try writer.nameHandedOut(time: open.map { group[$0].time }.max() ?? 0)
                    return fold.outcomes
                }
                for (index, outcome) in zip(open, done) { outcomes[index] = outcome }
                return outcomes
            } catch StoreError.damagedRecord(let id, let reason) {
                try setAside(id, writer, database)
                // It can be read now: the disk gave back something else a moment ago. No commit goes on such a disk.
                guard quarantine.reason(id) != nil else {
                    throw StoreError.inputOutput(path: path, reason: "the record \(id) was read otherwise: \(reason)")
                }
            }
        }
    }

    private func damagedRecord(of push: PreparedPush) -> RecordID? {
        push.operations.operations.lazy.map(\.record).first { quarantine.reason($0) != nil }
    }
}
