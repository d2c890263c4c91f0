/// A call that changes a disk, or reads it.
public struct DiskEffect: Sendable, Equatable {
    public enum Kind: UInt8, Sendable, CaseIterable {
        case read, write, truncate, sync
        /// A file is made or removed; what a directory says is durable only after its own sync.
        case create, delete

        /// Whether it changes what is on the disk; only these are numbered.
        public var changes: Bool { self != .read }
    }

    public var kind: Kind
    /// The file's name on its disk.
    public var file: String
    /// Its number among the disk's effects that change something, from 1; of a read, that of the last one before.
    public var number: Int
    public var offset: Int
    /// How many bytes.
    public var count: Int
}

/// What becomes of a call.
public enum DiskDecision: Sendable, Equatable {
    case proceed
    case fail(DiskFailure)
    /// The machine stops before this call: it and all later ones fail until the disk is restarted.
    case halt
}

/// How a call fails.
public enum DiskFailure: Sendable, Equatable {
    /// EIO. A sync that fails so has lost what it should have written, and trying again reports success.
    case inputOutput
    /// ENOSPC; nothing was written.
    case full
    /// ENOSPC after so many bytes.
    case short(Int)
}

/// Calls that fail, by their order from the moment at which the plan is set.
public struct DiskFaultPlan: Sendable {
    public var kinds: Set<DiskEffect.Kind>
    public var failure: DiskFailure
    /// The first call that fails, from 1.
    public var first: Int
    /// How many fail from there on.
    public var count: Int

    public init(_ failure: DiskFailure, of kinds: Set<DiskEffect.Kind>, first: Int, count: Int = 1) {
        self.kinds = kinds
        self.failure = failure
        self.first = first
        self.count = count
    }
}

/// What a disk was asked to do.
public struct DiskCounters: Sendable, Equatable {
    /// By `DiskEffect.Kind`.
    public internal(set) var calls = [Int](repeating: 0, count: DiskEffect.Kind.allCases.count)
    public internal(set) var bytesWritten = 0
    /// Calls that failed because the plan, the hook or the capacity said so.
    public internal(set) var failures = 0

    public func count(_ kind: DiskEffect.Kind) -> Int { calls[Int(kind.rawValue)] }
    public var syncs: Int { count(.sync) }
    /// Calls that change something.
    public internal(set) var effects = 0
}
