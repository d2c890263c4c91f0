import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Synchronization

/// The canonical dump of one snapshot, some lines at a time, so that memory is bounded however large the data is.
public final class StoreDump: Sendable {
    private static let budget = 1 << 20
    private let snapshot: DatabaseSnapshot
    /// Whose view it is; nil for everything.
    private let account: RecordID?
    private let path: String
    private let onDamage: @Sendable ([RecordID]) throws -> Void
    /// The record after which the next lines begin; nil at the end.
    private let position = Mutex<RecordID?>(RecordID(rawValue: 0))

    init(
        _ snapshot: DatabaseSnapshot, of account: RecordID?, path: String,
        onDamage: @escaping @Sendable ([RecordID]) throws -> Void
    ) {
        self.account = account
        self.onDamage = onDamage
        self.snapshot = snapshot
        self.path = path
    }

    /// The next lines, each with its line feed; nil at the end.
    ///
    /// - Throws: `StoreError`.
    public func next() throws -> [UInt8]? {
        guard let start = position.withLock({ $0 }) else { return nil }
        var lines: [UInt8] = []
        var next: RecordID?
        var damaged: [RecordID] = []
        try StoreError.mapping(path: path) {
            try snapshot.read { database in
                let view = try account.map { try AccountView($0, database) }
                try RecordTable(database).scan(after: start, onDamage: { id, _ in damaged.append(id) }) { record, _ in
                    if try view?.sees(record.envelope) != false, let line = RecordDump.line(record) {
                        lines += line
                        lines.append(UInt8(ascii: "\n"))
                    }
                    if lines.count < Self.budget { return true }
                    next = record.id
                    return false
                }
            }
        }
        position.withLock { $0 = next }
        try onDamage(damaged)
        return lines.isEmpty ? nil : lines
    }
}

extension ServerStore {
    /// Begins a dump of what an account sees; without one, of everything.
    ///
    /// - Throws: `AccountProblem.unknownAccount`; `StoreError`.
    public func dump(account name: String? = nil) throws -> StoreDump {
        let viewer = try name.map { name in
            guard let account = try account(named: name) else { throw AccountProblem.unknownAccount(name) }
            return account
        }
        let snapshot = try StoreError.mapping(path: path) { try pool.makeSnapshot() }
        return StoreDump(snapshot, of: viewer, path: path) { [self] in try setAside($0) }
    }
}
