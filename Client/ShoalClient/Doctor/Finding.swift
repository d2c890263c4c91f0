import ShoalCRDT

/// Something that was wrong with a home.
public struct Finding: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// The database file.
        case file
        /// Rows that cannot be read: records as the server had them.
        case rows
        /// The log of this replica's own operations.
        case log
        /// Which operations still wait, or overlay their records.
        case tail
        /// Tables derived from records and log.
        case derived
        /// The text index.
        case text
        /// Rows that differed from the server's records.
        case server
        /// Acknowledged values of this replica's own that the server does not have.
        case missing
    }
    public var kind: Kind
    /// A sentence without a full stop, for people.
    public var text: String
    /// Whether nothing of it is left to do.
    public var isMended: Bool

    public init(_ kind: Kind, _ text: String, isMended: Bool) {
        self.kind = kind
        self.text = text
        self.isMended = isMended
    }
}

/// Numbers and lists in sentences.
enum Wording {
    static func count(_ count: Int, _ one: String, _ several: String) -> String {
        "\(count) \(count == 1 ? one : several)"
    }

    /// The first few of many.
    static func list(_ ids: [RecordID]) -> String {
        let shown = ids.prefix(5).map(\.description).joined(separator: ", ")
        return ids.count > 5 ? "\(shown) and \(ids.count - 5) more" : shown
    }
}
