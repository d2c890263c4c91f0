import ShoalCRDT

/// What a replica says to compare its rows with the server's records.
public struct DigestRequest: Sendable {
    public var epoch: UInt64
    /// The end of a whole pull: what the replica's rows are as of.
    public var cursor: String
    /// How far the server's changes since the cursor are known; 0 at first.
    public var seen: Int64
    /// What the replica has, in order.
    public var ranges: [DigestRange]
    /// Records that the replica wants whole, ascending.
    public var wanted: [RecordID]

    public init(epoch: UInt64, cursor: String, seen: Int64 = 0, ranges: [DigestRange] = [], wanted: [RecordID] = []) {
        self.epoch = epoch
        self.cursor = cursor
        self.seen = seen
        self.ranges = ranges
        self.wanted = wanted
    }
}

/// The server's answer.
public struct DigestResponse: Sendable {
    /// The cursor is not the end of a whole pull of this server, or too much has changed since: nothing was compared.
    public var isBehind: Bool
    public var seen: Int64
    /// Records that are left out, because they changed after the cursor or because the server's row is damaged: those
    /// not named before. Neither side counts them.
    public var omitted: [RecordID]
    /// What the server has of the ranges about which the sides disagree, in order.
    public var ranges: [DigestRange]
    /// Records as the server has them, whole; they replace the replica's rows.
    public var page: RecordPage
    /// Records that the server does not have, or has only deleted.
    public var gone: [RecordID]

    public init(
        isBehind: Bool = false, seen: Int64 = 0, omitted: [RecordID] = [], ranges: [DigestRange] = [],
        page: RecordPage = RecordPage(), gone: [RecordID] = []
    ) {
        self.isBehind = isBehind
        self.seen = seen
        self.omitted = omitted
        self.ranges = ranges
        self.page = page
        self.gone = gone
    }
}

extension Limits {
    /// Ranges in a request for a digest.
    public static let digestRanges = 1_024
    /// Ranges in its answer.
    public static let digestParts = digestRanges * Reconciliation.mostParts
    /// Records listed in ranges of one message.
    public static let digestRecords = 1 << 16
    /// Records wanted in one request, and records left out of one comparison.
    public static let digestWanted = 5_000
}
