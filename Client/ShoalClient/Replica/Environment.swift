/// What the library takes from the outside: a clock, randomness and sleep. Only programs read the real ones.
public struct Environment: Sendable {
    /// Milliseconds since 1970 by this machine's clock. May be wrong, may jump; nothing's survival depends on it.
    public var now: @Sendable () -> Int64
    /// Monotonic nanoseconds, to measure durations with.
    public var ticks: @Sendable () -> UInt64
    /// 64 bits from the system's secure source: keys, salts and jitter.
    public var random: @Sendable () -> UInt64
    public var sleep: @Sendable (Duration) async throws -> Void
    /// The secret of an encrypted home, kept as its lock says. Asked whenever such a home is opened, in no transaction.
    public var secret: @Sendable (_ home: String, _ lock: KeyFile.Lock) throws -> [UInt8]
    /// Where homes are: the file system, if nothing else is said.
    public var homes: any HomeFiles

    public init(
        now: @escaping @Sendable () -> Int64, ticks: @escaping @Sendable () -> UInt64,
        random: @escaping @Sendable () -> UInt64, sleep: @escaping @Sendable (Duration) async throws -> Void,
        secret: @escaping @Sendable (String, KeyFile.Lock) throws -> [UInt8] = { home, _ in
            throw ReplicaError.noSecret(home: home)
        }, homes: any HomeFiles = HomeDirectory()
    ) {
        self.now = now
        self.ticks = ticks
        self.random = random
        self.sleep = sleep
        self.secret = secret
        self.homes = homes
    }
}
