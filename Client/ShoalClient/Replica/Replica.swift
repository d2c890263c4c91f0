import ShoalCRDT
import ShoalProtocol

/// A replica: the operator's own copy of the data in a directory, the *home*.
///
/// Every call works on the local database and returns when its change is durable; only `SyncDriver` and `enroll` use
/// the network. Calls are synchronous and may come from any thread; several processes may share a home. A call waits up
/// to 10 s for another process and then throws `ReplicaError.busy`.
///
/// Errors are `ReplicaError`, and `StoreError` where disk or database fail.
public final class Replica: Sendable {
    /// The directory.
    public let home: String
    public let environment: Environment

    /// Opens the replica in `home`.
    ///
    /// - Throws: `ReplicaError.notEnrolled` if there is none, `StoreError.newerVersion` if a newer version wrote it.
    public init(home: String, environment: Environment) throws {
        self.home = home
        self.environment = environment
        throw ReplicaError.notEnrolled(home: home)
    }

    // MARK: Enrolment

    /// Makes a home (mode 0700) and enrols it, or goes on with an enrolment whose answer was lost: the key is stored
    /// before it is sent, and the same code and key get the same answer. Does not sync.
    ///
    /// - Throws: `ReplicaError.alreadyEnrolled`, `SyncError`.
    public static func enroll(
        home: String, url: String, code: String, transport: any Transport, environment: Environment
    ) async throws -> Replica {
        throw ReplicaError.notEnrolled(home: home)
    }

    /// Makes a home and enrols it with an answer obtained elsewhere: for simulators and benchmarks.
    public static func create(
        home: String, server: String, key: String, enrolment: EnrollResponse, environment: Environment
    ) throws -> Replica {
        throw ReplicaError.notEnrolled(home: home)
    }

    /// Where the server is and with which key to speak to it.
    public func credential() throws -> (server: String, key: String) { throw ReplicaError.notEnrolled(home: home) }

    /// Moves the write-ahead log into the database and closes it. Also happens when the replica goes away.
    public func close() throws {}

    // MARK: Writing

    /// Runs several commands in one durable transaction: all of them happen or, if `body` throws, none.
    ///
    /// The lock is held while `body` runs: do not wait for a network or a person in it.
    @discardableResult
    public func write<T>(_ body: (Commands) throws -> T) throws -> T { throw ReplicaError.notEnrolled(home: home) }

    // MARK: Reading

    /// Finds the record whose 13-character id begins or ends with `text`: at least 4 characters, any case, Crockford's
    /// aliases allowed. Only present records count.
    ///
    /// - Parameter kind: finds only records of this kind, and a record of another kind is `wrongKind`.
    public func resolve(_ text: String, kind: Kind? = nil) throws -> RecordID { throw ReplicaError.notEnrolled(home: home) }

    public func customer(_ id: RecordID) throws -> CustomerView { throw ReplicaError.notEnrolled(home: home) }

    /// The customers that a QUERY names (all for an empty one), in id order.
    ///
    /// QUERY is words (any substring of name, fields or notes), `tag:X`, `-tag:X`, `birth:05`, `source:X`, `account:NAME`,
    /// `stage:X`, `added:>2026-01-01` (also `<`, `>=`, `<=`, `=`), all of which must hold; quotes keep spaces together.
    public func customers(_ query: String = "", limit: Int? = nil) throws -> [CustomerRow] {
        throw ReplicaError.notEnrolled(home: home)
    }

    public func note(_ id: RecordID) throws -> NoteView { throw ReplicaError.notEnrolled(home: home) }

    /// The customer's notes, oldest first.
    public func notes(of customer: RecordID) throws -> [NoteView] { throw ReplicaError.notEnrolled(home: home) }

    /// The tag book, by group and name; archived tags only while in use.
    public func tags() throws -> [TagView] { throw ReplicaError.notEnrolled(home: home) }

    /// Account names, sorted.
    public func accounts() throws -> [String] { throw ReplicaError.notEnrolled(home: home) }

    /// Customers and notes in which every word of `query` occurs; the QUERY terms of `customers` work too.
    public func search(_ query: String, limit: Int? = nil) throws -> [SearchHit] { throw ReplicaError.notEnrolled(home: home) }

    /// All conflicts, or those of one record, in id and field order. What was listed is remembered, so that `settle`
    /// can tell whether the values changed since.
    public func conflicts(of record: RecordID? = nil) throws -> [Conflict] { throw ReplicaError.notEnrolled(home: home) }

    /// What the server refused.
    public func refused() throws -> [Refused] { throw ReplicaError.notEnrolled(home: home) }

    public func status() throws -> Status { throw ReplicaError.notEnrolled(home: home) }

    /// Calls `line` with the canonical line (without a line feed) of each present record, in id order.
    public func dump(_ line: ([UInt8]) throws -> Void) throws { throw ReplicaError.notEnrolled(home: home) }

    /// What each commit of this process changes from now on. A slow reader loses the oldest.
    public func changes() -> AsyncStream<ReplicaChange> { AsyncStream { $0.finish() } }

    // MARK: Text index

    /// Moves up to `limit` records from the queue into the text index. Searching does not need it; it keeps it fast.
    ///
    /// - Returns: how many are left.
    @discardableResult
    public func drainTextIndex(limit: Int = 1_000) throws -> Int { throw ReplicaError.notEnrolled(home: home) }
}

// MARK: - Single commands

/// Each of these is one durable transaction of one command; see `Commands` for what they do.
extension Replica {
    public func addCustomer(name: String, fields: [FieldValue] = []) throws -> RecordID {
        try write { try $0.addCustomer(name: name, fields: fields) }
    }
    public func setFields(of customer: RecordID, _ fields: [FieldValue]) throws {
        try write { try $0.setFields(of: customer, fields) }
    }
    public func deleteCustomer(_ id: RecordID) throws { try write { try $0.deleteCustomer(id) } }
    public func follow(_ customer: RecordID, account: String) throws {
        try write { try $0.follow(customer, account: account) }
    }
    /// - Parameter account: nil for one's own.
    public func unfollow(_ customer: RecordID, account: String? = nil) throws {
        try write { try $0.unfollow(customer, account: account) }
    }
    /// - Returns: the tags that had to be made.
    @discardableResult
    public func editTags(of customers: [RecordID], _ changes: [TagChange]) throws -> [CreatedTag] {
        try write { try $0.editTags(of: customers, changes) }
    }
    public func addTag(_ name: String, single: Bool = false) throws -> RecordID {
        try write { try $0.addTag(name, single: single) }
    }
    public func addNote(to customer: RecordID, _ body: String) throws -> RecordID {
        try write { try $0.addNote(to: customer, body) }
    }
    public func editNote(_ id: RecordID, _ body: String) throws { try write { try $0.editNote(id, body) } }
    public func deleteNote(_ id: RecordID) throws { try write { try $0.deleteNote(id) } }
    /// - Parameters:
    ///   - field: may be nil when one field is in conflict.
    ///   - choice: 0 for the shown value, n for `others[n - 1]`.
    ///   - token: of the `Conflict` that was chosen from; nil for the listing remembered last.
    public func settle(_ record: RecordID, field: String? = nil, choice: Int, token: UInt64? = nil) throws {
        try write { try $0.settle(record, field: field, choice: choice, token: token) }
    }
}
