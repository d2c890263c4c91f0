import ShoalCRDT

/// A part of a replica's log as it stands: for whoever checks what a replica did.
public struct LoggedOperations: Sendable {
    /// Where an operation stands, and its identity, which stays when the place changes.
    public struct Place: Hashable, Sendable {
        public var position: Int64
        public var dot: Dot
        public var hash: OperationHash
    }

    /// One for each of `operations`.
    public var places: [Place] = []
    public var operations = Operations()
    public init() {}
}

// What simulators look at. Operators' programs have no use for it: they are shown values, not dots.
extension Replica {
    /// The record with its dots, as the operator sees it; without entries if there is none.
    public func effectiveRecord(_ id: RecordID) throws -> ShoalCRDT.Record { try read { try $0.effective(id) } }

    /// The records that it would give a recovering server if it were found to be one now, rows and stock, each with the
    /// vector that would go with it.
    public func heldRecords() throws -> [(record: ShoalCRDT.Record, vector: VersionVector)] {
        try read { try StockStore($0).held(fill: $0.standing.fill) }
    }

    /// Where own operations stood in earlier epochs, each with its hash, and whether it was acknowledged there.
    public func formerPlaces() throws -> [(dot: Dot, hash: OperationHash, isProven: Bool)] {
        try read { try $0.formerPlaces() }
    }

    /// The own operations after a position of the log, 0 for all.
    public func logged(after position: Int64 = 0) throws -> LoggedOperations {
        try read { try $0.logged(after: position) }
    }
}
