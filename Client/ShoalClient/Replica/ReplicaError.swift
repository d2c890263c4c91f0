import ShoalCRDT
import ShoalProtocol

/// Why a replica refused or failed; `description` is one sentence for a person.
public enum ReplicaError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no replica in the home, or it was not enrolled.
    case notEnrolled(home: String)
    case alreadyEnrolled(home: String, server: String)
    /// A code of another account than the home's; the home is as it was.
    case otherAccount(String, home: String)
    /// Another process holds the replica.
    case busy(home: String, pid: Int32?)
    /// Another process is syncing this replica.
    case syncing(home: String, pid: Int32?)
    /// The home cannot be made or used.
    case home(String, reason: String)
    /// The server has locked this home.
    case locked(home: String, Lockout)
    /// The server must be asked before anything is shown: it was not for longer than its lease.
    case outOfContact(days: Int)

    /// The home is encrypted, and nobody gave its secret.
    case noSecret(home: String)
    /// The passphrase, or what the keyring holds, does not open the home, which is as it was.
    case wrongSecret(home: String)

    case idTooShort(String)
    case unknownID(String)
    case ambiguousID(String, [RecordID])
    /// The record is of another kind than the command asks for.
    case wrongKind(RecordID, is: String, wanted: String)

    case unknownField(String, near: [String])
    case invalidValue(field: String, reason: String)
    case unknownTag(String, near: [String])
    /// The name stands in several groups; name one as GROUP/NAME.
    case ambiguousTag(String, groups: [String])
    /// Several accounts are called so but for case, width and white space.
    case ambiguousAccount(String, names: [String])
    case invalidTag(String, reason: String)
    /// A tag that was deleted is not put on customers.
    case archivedTag(String)
    /// Only a tag that was merged into another can be split from it.
    case notMerged(String)
    case unknownAccount(String, near: [String])
    case invalidQuery(String, reason: String)

    /// Only the account itself or a supervisor removes a follower.
    case mayNotUnfollow(account: String)
    /// An account that does not follow the customer cannot add followers.
    case mayNotFollow(RecordID)
    /// Only some accounts may change what is in the tag book.
    case mayNotEditTags(TagEditors)

    case noConflict(RecordID, field: String?)
    /// Several fields are in conflict and none was named.
    case severalConflicts(RecordID, fields: [String])
    case noSuchChoice(Int, count: Int)
    /// The values changed since they were listed.
    case conflictChanged(RecordID, field: String)
    /// What was refused cannot be written again: the record that it belongs to is not here.
    case cannotWriteAgain(RecordID, kind: String)

    /// More than a request or a record can hold.
    case tooLarge(String)
    /// The identifiers are used up, which takes more operations than a log can have.
    case noMoreIDs
    /// The log's 32 bits of numbers are used up.
    case logFull

    /// Whether the person used the command wrongly (exit status 2) rather than it failing (1).
    public var isUsage: Bool {
        switch self {
        case .unknownField, .invalidValue, .invalidQuery, .severalConflicts, .invalidTag, .tooLarge: true
        default: false
        }
    }

    public var description: String {
        switch self {
        case .notEnrolled(let home): "\(home) is not enrolled yet: run shoal enroll URL CODE first"
        case .alreadyEnrolled(let home, let server): "\(home) is enrolled with \(server) already"
        case .otherAccount(let name, let home):
            "this home is \(home)'s and the code is \(name)'s; ask for a code for \(home), or enroll another home with this one"
        case .busy(let home, let pid): "\(home) is in use by \(Self.process(pid)); try again when it has finished"
        case .syncing(let home, let pid): "\(home) is being synced by \(Self.process(pid)) already"
        case .home(let home, let reason): "\(home) cannot be used: \(reason)"
        case .locked(let home, let lockout): lockout.sentence(home: home)
        case .outOfContact(let days):
            "this home has not been in contact with its server for more than \(days) days and shows nothing; run shoal sync first (nothing is lost)"
        case .noSecret(let home): "\(home) is encrypted, and its passphrase is not known here"
        case .wrongSecret(let home): "that is not the passphrase of \(home): nothing was changed"
        case .idTooShort(let text): "\"\(text)\" is too short for an id: give at least 4 characters of it"
        case .unknownID(let text): "there is nothing with the id \(text)"
        case .ambiguousID(let text, let ids):
            "\(text) stands for several ids: \(ids.prefix(3).map(\.description).joined(separator: ", "))"
                + (ids.count > 3 ? " and \(ids.count - 3) others" : "")
        case .wrongKind(let id, let kind, let wanted): "\(id) is a \(kind), not a \(wanted)"
        case .unknownField(let name, let near): "there is no field \"\(name)\"\(Self.suggestion(near))"
        case .invalidValue(let field, let reason): "the value of \(field) cannot be stored: \(reason)"
        case .unknownTag(let name, let near): "there is no tag \"\(name)\"\(Self.suggestion(near))"
        case .ambiguousTag(let name, let groups):
            "the tag \"\(name)\" is in several groups: write \(groups.map { "\($0)/\(name)" }.joined(separator: " or "))"
        case .ambiguousAccount(let name, let names):
            "several accounts are called like \"\(name)\": write \(names.joined(separator: " or "))"
        case .invalidTag(let name, let reason): "\"\(name)\" cannot be a tag: \(reason)"
        case .archivedTag(let name): "the tag \"\(name)\" was deleted; adding it to the tag book brings it back"
        case .notMerged(let name): "the tag \"\(name)\" was not merged into another"
        case .unknownAccount(let name, let near): "there is no account \"\(name)\"\(Self.suggestion(near))"
        case .invalidQuery(let query, let reason): "the query \"\(query)\" cannot be read: \(reason)"
        case .mayNotUnfollow(let account): "only \(account) or a supervisor removes \(account) from the followers"
        case .mayNotFollow(let id): "only a follower of \(id) or a supervisor adds followers"
        case .mayNotEditTags(let editors):
            "only \(editors.rawValue) may change tags and groups that are there (shoald setting tag-editors)"
        case .noConflict(let id, let field):
            field.map { "\($0) of \(id) is not in conflict" } ?? "\(id) has no conflict"
        case .severalConflicts(let id, let fields):
            "several fields of \(id) are in conflict: choose one with --field \(fields.joined(separator: "|"))"
        case .noSuchChoice(let n, let count): "there is no value \(n): choose from 0 to \(count)"
        case .conflictChanged(let id, let field):
            "\(field) of \(id) has changed since it was listed; list the conflicts again"
        case .cannotWriteAgain(let id, let kind):
            "it cannot be written again because the \(kind) \(id) is not here; --take 0 dismisses it"
        case .tooLarge(let reason): "that is too much: \(reason)"
        case .noMoreIDs: "this replica has used up its ids: enroll a new one"
        case .logFull: "this replica's log is full: enroll a new one"
        }
    }

    /// The same without names that the command was not given, for a home that shows nothing.
    ///
    /// - Parameter days: its lease.
    func withoutNames(days: Int) -> ReplicaError {
        switch self {
        case .unknownTag(let name, _): .unknownTag(name, near: [])
        case .unknownAccount(let name, _): .unknownAccount(name, near: [])
        case .ambiguousTag, .ambiguousAccount, .ambiguousID, .wrongKind, .severalConflicts, .noSuchChoice:
            .outOfContact(days: days)
        default: self
        }
    }

    private static func process(_ pid: Int32?) -> String { pid.map { "process \($0)" } ?? "another process" }

    private static func suggestion(_ near: [String]) -> String {
        near.isEmpty ? "" : "; did you mean \(near.map { "\"\($0)\"" }.joined(separator: " or "))?"
    }
}
