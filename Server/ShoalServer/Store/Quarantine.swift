import GRDB
import ShoalCRDT
import ShoalStore
import Synchronization

/// The records whose rows could not be read: known to readers and the writer without asking the database.
public final class Quarantine: Sendable {
    private struct State {
        var reasons: [RecordID: String] = [:]
        var observer: (@Sendable (RecordID, String) -> Void)?
    }
    private let state = Mutex(State())

    /// Why the record cannot be read; nil if it can.
    func reason(_ id: RecordID) -> String? { state.withLock { $0.reasons.isEmpty ? nil : $0.reasons[id] } }

    public var records: [RecordID] { state.withLock { $0.reasons.keys.sorted() } }

    var isEmpty: Bool { state.withLock { $0.reasons.isEmpty } }

    /// Tells `observer` of each record that is set aside from now on.
    func observe(_ observer: @escaping @Sendable (RecordID, String) -> Void) {
        state.withLock { $0.observer = observer }
    }

    func add(_ id: RecordID, _ reason: String) {
        let observer = state.withLock { state in
            state.reasons[id] = reason
            return state.observer
        }
        observer?(id, reason)
    }

    func remove(_ id: RecordID) { state.withLock { _ = $0.reasons.removeValue(forKey: id) } }

    func load(_ database: Database) throws {
        let rows = try Row.fetchAll(database, sql: "SELECT record, reason FROM quarantine")
        state.withLock { state in
            for row in rows { state.reasons[RecordID(rawValue: row[0])] = row[1] }
        }
    }
}
