import ShoalCRDT
import ShoalProtocol

extension SyncDriver {
    /// Asks the server who changed what, newest first, as far as this account may see it.
    ///
    /// - Parameters:
    ///   - record: only about this one.
    ///   - limit: how many entries at most.
    /// - Throws: `SyncError`, `ReplicaError`.
    public func audit(of record: RecordID? = nil, limit: Int) async throws -> [LogEntry] {
        let credential = try replica.credential()
        let endpoint = Endpoint(server: credential.server, key: credential.key, transport: transport)
        var entries: [LogEntry] = []
        var before: Int64?
        while entries.count < limit {
            let body = try await endpoint.audit(of: record, before: before, limit: min(limit - entries.count, 200))
            let page = try LogEntry.page(body)
            entries += page.entries
            guard let next = page.next, next < before ?? .max else { break }
            before = next
        }
        return try replica.naming(entries)
    }
}

extension Replica {
    /// The same entries with elements as people call them.
    fileprivate func naming(_ entries: [LogEntry]) throws -> [LogEntry] {
        try read { store in
            let names = try ChangeNames(store)
            return entries.map { entry in
                var entry = entry
                for index in entry.changes.indices {
                    let change = entry.changes[index]
                    entry.changes[index].element = change.element.map { names.element($0, of: change.field) }
                }
                return entry
            }
        }
    }
}

extension LogEntry {
    /// Reads the body of the answer to `GET /v1/audit`.
    fileprivate static func page(_ body: [UInt8]) throws -> (entries: [LogEntry], next: Int64?) {
        do {
            return try JSONReader.read(body, depthLimit: Limits.depth) { reader in
                var entries: [LogEntry] = []
                var next: Int64?
                try reader.readObject { reader, member in
                    switch member {
                    case "entries": try reader.readArray { entries.append(try LogEntry(from: &$0)) }
                    case "next": next = try reader.readInteger()
                    default: try reader.skip()
                    }
                }
                return (entries, next)
            }
        } catch { throw SyncError.badAnswer("the audit is not in form") }
    }

    private init(from reader: inout JSONReader) throws {
        self.init(at: "", by: "", action: "", changes: [])
        try reader.readObject { reader, member in
            switch member {
            case "at": at = try reader.readString()
            case "by": by = try reader.readString()
            case "replica": replica = try reader.readString()
            case "device": device = try reader.readString()
            case "action": action = try reader.readString()
            case "record": record = try reader.readString()
            case "erased": isErased = try reader.readBool()
            case "changes": try reader.readArray { changes.append(try Change(from: &$0)) }
            default: try reader.skip()
            }
        }
    }
}

extension LogEntry.Change {
    fileprivate init(from reader: inout JSONReader) throws {
        self.init(field: "", from: [])
        try reader.readObject { reader, member in
            switch member {
            case "field": field = try reader.readString()
            case "element": element = try reader.readString()
            case "from": try reader.readArray { from.append(try $0.readString()) }
            case "to": to = try reader.readString()
            default: try reader.skip()
            }
        }
    }
}
