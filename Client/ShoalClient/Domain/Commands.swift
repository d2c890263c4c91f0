import ShoalCRDT
import ShoalProtocol

/// The commands of one transaction; handed to the body of `Replica.write` and valid only in it.
///
/// Each call is one command: the server takes or refuses all its operations together.
public final class Commands {
    /// Milliseconds since 1970 that operations carry and new ids are made from; nil for the corrected clock. Importers,
    /// tests and benchmarks set it.
    public var time: Int64?

    init() {}

    // MARK: Customers

    /// Makes a customer that the own account follows.
    ///
    /// - Parameter fields: as in `setFields`.
    public func addCustomer(name: String, fields: [FieldValue] = []) throws -> RecordID { throw ReplicaError.noMoreIDs }

    /// Sets fields by their names: those of the customer, those of one's own follow relation (`remark`, `description`,
    /// `remark_mobiles`, `add_way`, `state`) and free ones (`x-…`). An empty value clears.
    ///
    /// - Throws: `unknownField` with near names, `invalidValue`, `unknownID`, `wrongKind`.
    public func setFields(of customer: RecordID, _ fields: [FieldValue]) throws { throw ReplicaError.noMoreIDs }

    /// Deletes the customer and its notes: one command.
    public func deleteCustomer(_ id: RecordID) throws { throw ReplicaError.noMoreIDs }

    public func follow(_ customer: RecordID, account: String) throws { throw ReplicaError.noMoreIDs }
    public func unfollow(_ customer: RecordID, account: String? = nil) throws { throw ReplicaError.noMoreIDs }

    // MARK: Tags

    /// Adds and removes tags on all these customers: all or nothing.
    public func editTags(of customers: [RecordID], _ changes: [TagChange]) throws -> [CreatedTag] {
        throw ReplicaError.noMoreIDs
    }

    /// Makes a tag, NAME or GROUP/NAME, and its group; one that is there already (when folded) is returned.
    ///
    /// - Parameter single: makes the group a single-choice one.
    public func addTag(_ name: String, single: Bool = false) throws -> RecordID { throw ReplicaError.noMoreIDs }

    // MARK: Notes

    public func addNote(to customer: RecordID, _ body: String) throws -> RecordID { throw ReplicaError.noMoreIDs }
    public func editNote(_ id: RecordID, _ body: String) throws { throw ReplicaError.noMoreIDs }
    public func deleteNote(_ id: RecordID) throws { throw ReplicaError.noMoreIDs }

    // MARK: Conflicts

    public func settle(_ record: RecordID, field: String?, choice: Int, token: UInt64?) throws {
        throw ReplicaError.noMoreIDs
    }

    // MARK: By number, for importers and benchmarks

    /// Makes a record of any kind with a new id.
    public func make(_ envelope: Envelope) throws -> RecordID { throw ReplicaError.noMoreIDs }
    /// Writes a register.
    public func set(_ record: RecordID, _ field: Field, _ value: String) throws { throw ReplicaError.noMoreIDs }
    /// Adds or removes an element of an add-wins set (`.tagged`, `.follow`); nothing is written if it is so already.
    public func setElement(_ record: RecordID, _ field: Field, _ element: RecordID, isPresent: Bool) throws {
        throw ReplicaError.noMoreIDs
    }
}
