import ShoalCRDT

/// What a replica held of records that the server may have lost; SPEC.md §3.6.
public struct RelayRequest: Sendable {
    /// The server's epoch, in which the replica has pushed its own logs already.
    public var epoch: UInt64
    /// Up to where the records of the page are the fold of all logs; empty when it is not known.
    public var vector: VersionVector
    /// What tells whose logs the vector speaks of, as far as the replica was told.
    public var checks: [ReplicaID: LogCheck]
    /// Whole records, with every value.
    public var page: RecordPage

    public init(epoch: UInt64, vector: VersionVector, checks: [ReplicaID: LogCheck] = [:], page: RecordPage) {
        self.epoch = epoch
        self.vector = vector
        self.checks = checks
        self.page = page
    }
}

/// The server's answer to a relay. What it answers about is durable.
public struct RelayResponse: Sendable, Equatable {
    /// How many records of the page are joined; those that are not never will be.
    public var taken: Int
    /// Whether the server takes more relays.
    public var more: Bool

    public init(taken: Int, more: Bool) {
        self.taken = taken
        self.more = more
    }
}
