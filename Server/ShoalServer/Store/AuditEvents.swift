import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// Something that is no change of a record by a replica, for the audit.
struct AuditEvent {
    /// What of it changed, and how.
    struct Value {
        var name: String
        var from: String?
        var to: String?
        init(_ name: String, from: String? = nil, to: String? = nil) {
            self.name = name
            self.from = from
            self.to = to
        }
    }

    var action: AuditAction
    /// The account or record that it was about; 0 for none.
    var subject = RecordID(rawValue: 0)
    /// Whose credential it was; 0 for whoever administers the server.
    var account = StoreWriter.serverAccount
    /// The device that did it, or that it was done to; 0 for none.
    var replica = ReplicaID(rawValue: 0)
    var values: [Value] = []
    /// Milliseconds since 1970.
    var time: Int64
}

extension StoreWriter {
    /// Appends an event to the audit, in the transaction under way.
    func note(_ event: AuditEvent) throws(StoreError) {
        let author = AuditAuthor(
            time: event.time, account: event.account, replica: event.replica, action: event.action)
        try note(author, about: [event.subject]) { _, changes in
            for value in event.values { changes.append(named: value.name, from: value.from, to: value.to) }
        }
    }

    /// Appends a row with an entry for each of some records, in the transaction under way.
    ///
    /// - Parameter describe: appends the changes of one, by its place among them.
    func note(
        _ author: AuditAuthor, about records: [RecordID], _ describe: (Int, inout AuditChanges) -> Void
    ) throws(StoreError) {
        if records.isEmpty { return }
        state.auditMark &+= 1
        let mark = state.auditMark
        var sections = AuditSections(audit.drawSalt())
        var changes = AuditChanges()
        for (place, record) in records.enumerated() {
            changes.begin(record)
            describe(place, &changes)
            let head = record.rawValue == 0 ? 0 : try audit.head(of: record)
            sections.append(record, link: AuditSection.link(from: mark, to: head), &changes)
            if record.rawValue != 0 { try audit.moveHead(of: record, to: mark) }
        }
        try audit.append(sections, author, mark: mark, to: &state.audit)
    }

    /// Erases the values of all that the audit holds about a record, and notes that, in the transaction under way.
    func eraseAudit(of record: RecordID, time: Int64) throws -> Int {
        let erased = try audit.erase(record)
        try note(AuditEvent(action: .erase, subject: record, time: time))
        return erased
    }
}

extension ServerStore {
    /// Notes, durably, what whoever administers the server does and what changes no record: that everything is read or copied,
    /// or that recovery begins.
    ///
    /// - Parameters:
    ///   - name: the account that it is about, if it is about one.
    ///   - time: milliseconds since 1970.
    /// - Throws: `StoreError`.
    public func note(_ action: AuditAction, account name: String? = nil, time: Int64) throws {
        let subject = try name.flatMap { try account(named: $0) } ?? RecordID(rawValue: 0)
        try withWriter { writer, _ in
            try writer.transaction { try writer.note(AuditEvent(action: action, subject: subject, time: time)) }
        }
    }

    /// Notes that a replica begins to fetch the whole workspace, if its account is a supervisor's.
    func noteFill(by account: RecordID, _ replica: ReplicaID, time: Int64) throws {
        try noteReading(.fill, by: account, replica, time: time)
    }

    /// Notes that a device asks what was done to any record, if its account is a supervisor's.
    func noteAuditRead(by account: RecordID, _ replica: ReplicaID, time: Int64) throws {
        try noteReading(.audit, by: account, replica, time: time)
    }

    private func noteReading(
        _ action: AuditAction, by account: RecordID, _ replica: ReplicaID, time: Int64
    ) throws {
        try withWriter { writer, _ in
            guard writer.state.roles[account] == .supervisor else { return }
            try writer.transaction {
                try writer.note(AuditEvent(action: action, account: account, replica: replica, time: time))
            }
        }
    }

    /// Notes that a replica fetched records one by one.
    func noteFetch(of records: Int, by account: RecordID, _ replica: ReplicaID, time: Int64) throws {
        try withWriter { writer, _ in
            try writer.transaction {
                try writer.note(
                    AuditEvent(
                        action: .fetch, account: account, replica: replica,
                        values: [.init("records", to: String(records))], time: time))
            }
        }
    }

    /// Erases the values of all that the audit holds about a record, and notes that. What belongs to the record is about other
    /// records.
    ///
    /// - Parameter time: milliseconds since 1970.
    /// - Returns: how many entries had any.
    /// - Throws: `StoreError`.
    @discardableResult
    public func eraseAudit(of record: RecordID, time: Int64) throws -> Int {
        try withWriter { writer, _ in
            try writer.transaction { try writer.eraseAudit(of: record, time: time) }
        }
    }
}
