import ShoalCRDT

/// What somebody did, as the audit calls it.
public enum AuditAction: String, Sendable, Codable, CaseIterable {
    /// An operation was taken: `AuditChange` says what it changed of its record.
    case change
    /// A replica relayed a record in recovery.
    case relay
    case accountAdd = "account-add"
    case accountDisable = "account-disable"
    case accountEnable = "account-enable"
    case accountRole = "account-role"
    case accountHandover = "account-handover"
    /// A home said under which identifier its account was known before a loss.
    case accountFormer = "account-former"
    /// Others said that it was another's.
    case accountTakeBack = "account-take-back"
    case code
    case codesCancel = "codes-cancel"
    case enroll
    case deviceName = "device-name"
    case deviceRevoke = "device-revoke"
    /// A revoked device brought what it had not sent, to the end.
    case deviceHandover = "device-handover"
    /// Something of that was refused: what it said, and why.
    case handoverRefuse = "handover-refuse"
    case setting
    /// A supervisor's replica began to fetch the whole workspace.
    case fill
    /// A replica fetched records that it and the server did not hold alike.
    case fetch
    case dump
    /// A supervisor, or the server's operator, read the audit of everything.
    case audit
    case backup
    case recover
    case recoverEnd = "recover-end"
    case mend
    /// What the audit kept of a record's values was erased.
    case erase
}

/// A value before or after a change.
enum AuditValue: Equatable, Sendable {
    /// The entry of an element or flag.
    case present
    case absent
    case text(String)
    case integer(Int64)
    /// How much was added to a counter.
    case count(Int64)
    /// A change of a text, or a value that only later versions know: JSON as it came.
    case json(String)
}

/// What of a record was changed.
enum AuditChange: Equatable, Sendable {
    enum Element: Equatable, Sendable {
        case none
        case id(RecordID)
        case text(String)
    }

    /// The record was made.
    case made(Kind)
    /// The record was deleted, as far as its deleter saw it.
    case deleted
    /// A cell's live values that the author replaced, and the one that came instead. Several that were replaced: a settlement.
    case cell(Field, Element, from: [AuditValue], to: AuditValue)
    /// What is no cell, under a name: an account's standing, a device's name, a path.
    case named(String, from: String?, to: String?)
}

/// One record that somebody changed in one transaction, or one other event.
struct AuditEntry: Equatable, Sendable {
    /// Dense from 1.
    var number: Int64
    /// Milliseconds since 1970 by the server's clock.
    var time: Int64
    /// Whose credential it was; 0 for the server and whoever administers it.
    var account: RecordID
    /// The log, or the device; 0 where there is none.
    var replica: ReplicaID
    var action: AuditAction
    /// What it was about; 0 for nothing in particular.
    var record: RecordID
    /// Nil once they are erased.
    var changes: [AuditChange]?
}
