/// What the library may not take from the world by itself: the program hands it in.
public struct ServerEnvironment: Sendable {
    /// Milliseconds since 1970.
    public var now: @Sendable () -> Int64
    /// That many random bytes, fit for keys.
    public var random: @Sendable (Int) -> [UInt8]
    /// Waits for a number of milliseconds, or throws when its task is cancelled.
    public var sleep: @Sendable (Int64) async throws -> Void

    public init(
        now: @escaping @Sendable () -> Int64, random: @escaping @Sendable (Int) -> [UInt8],
        sleep: @escaping @Sendable (Int64) async throws -> Void
    ) {
        self.now = now
        self.random = random
        self.sleep = sleep
    }

    func randomUInt64() -> UInt64 { random(8).reduce(0) { $0 << 8 | UInt64($1) } }
    func randomUInt32() -> UInt32 { random(4).reduce(0) { $0 << 8 | UInt32($1) } }
}
