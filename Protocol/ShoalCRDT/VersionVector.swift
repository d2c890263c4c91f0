/// The last number known of each log.
public struct VersionVector: Hashable, Sendable {
    public private(set) var positions: [ReplicaID: UInt32]

    public init(_ positions: [ReplicaID: UInt32] = [:]) { self.positions = positions }

    @inlinable public subscript(replica: ReplicaID) -> UInt32 { positions[replica] ?? 0 }

    @inlinable public func contains(_ dot: Dot) -> Bool { dot.number <= self[dot.replica] }

    /// Raises the position of `replica`; a lower number changes nothing.
    public mutating func advance(_ replica: ReplicaID, to number: UInt32) {
        if number > self[replica] { positions[replica] = number }
    }

    public mutating func merge(_ other: VersionVector) {
        for (replica, number) in other.positions { advance(replica, to: number) }
    }
}
