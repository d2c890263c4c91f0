import Synchronization

/// The true time of a simulation. It stands still while something happens and moves only between events.
public final class WorldClock: Sendable {
    private let time: Mutex<Int64>

    /// - Parameter start: milliseconds since 1970.
    public init(start: Int64) { time = Mutex(start) }

    public var now: Int64 { time.withLock { $0 } }

    /// - Parameter time: not before `now`.
    public func advance(to time: Int64) { self.time.withLock { $0 = max($0, time) } }
}

/// What is wrong with a machine's clock.
public struct ClockFault: Sendable, Equatable {
    /// Milliseconds by which it is ahead.
    public var offset: Int64 = 0
    /// Millionths by which it is too fast.
    public var drift: Int64 = 0
    public var isFrozen = false
    public init(offset: Int64 = 0, drift: Int64 = 0, isFrozen: Bool = false) {
        self.offset = offset
        self.drift = drift
        self.isFrozen = isFrozen
    }

    /// Wrong by minutes to centuries, and perhaps standing still or drifting.
    static func drawn(_ random: inout SplitMix64) -> ClockFault {
        let minute: Int64 = 60_000
        let year: Int64 = 31_557_600_000
        var offset =
            switch random.below(8) {
            case 0, 1, 2: Int64(random.below(10)) * minute
            case 3, 4: Int64(random.below(48)) * 60 * minute
            case 5: Int64(random.below(12)) * 30 * 24 * 60 * minute
            case 6: Int64(random.below(10)) * year
            // Beyond the 41 bits of milliseconds in an identifier, or before them.
            default: Int64(random.below(300)) * year
            }
        if random.below(2) == 0 { offset = -offset }
        return ClockFault(
            offset: offset, drift: random.below(3) == 0 ? Int64(random.below(200_000)) - 100_000 : 0,
            isFrozen: random.below(6) == 0)
    }
}

/// The clock of one machine: the true time, and what is wrong with it.
public final class MachineClock: Sendable {
    private let world: WorldClock
    private let state: Mutex<(fault: ClockFault, since: Int64)>

    public init(_ world: WorldClock) {
        self.world = world
        state = Mutex((ClockFault(), world.now))
    }

    /// Milliseconds since 1970 as this machine believes.
    public var now: Int64 {
        let world = world.now
        return state.withLock { state in
            let elapsed = state.fault.isFrozen ? 0 : world - state.since
            return state.since + state.fault.offset + elapsed + elapsed * state.fault.drift / 1_000_000
        }
    }

    /// Nanoseconds that only grow, whatever happens to the clock.
    public var ticks: UInt64 { UInt64(clamping: world.now) &* 1_000_000 }

    public var fault: ClockFault { state.withLock { $0.fault } }

    /// From now on the clock is wrong so: it steps, stops or drifts.
    public func set(_ fault: ClockFault) {
        let world = world.now
        state.withLock { $0 = (fault, world) }
    }
}

/// Randomness of one machine, by a seed.
public final class SeededSource: Sendable {
    private let state: Mutex<SplitMix64>

    public init(seed: UInt64) { state = Mutex(SplitMix64(seed: seed)) }

    public func next() -> UInt64 { state.withLock { $0.next() } }

    public func bytes(_ count: Int) -> [UInt8] {
        state.withLock { random in
            var bytes: [UInt8] = []
            while bytes.count < count {
                withUnsafeBytes(of: random.next().littleEndian) {
                    bytes.append(contentsOf: $0.prefix(count - bytes.count))
                }
            }
            return bytes
        }
    }
}
