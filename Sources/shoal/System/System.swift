import Glibc
import ShoalClient

/// The real clock, randomness and environment: only programs read them.
enum System {
    static let environment = ShoalClient.Environment(
        now: {
            let time = clock(CLOCK_REALTIME)
            return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
        },
        ticks: ticks,
        random: {
            var generator = SystemRandomNumberGenerator()
            return generator.next()
        },
        sleep: { try await Task.sleep(for: $0) }, homes: HomeDirectory(drafts: Editor.inMemory))

    /// Monotonic nanoseconds.
    @Sendable static func ticks() -> UInt64 {
        let time = clock(CLOCK_MONOTONIC)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private static func clock(_ id: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(id, &time)
        return time
    }

    /// A variable of the environment; nil if it is unset or empty.
    static func variable(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    /// The name of this machine, if people could read it; nil otherwise.
    static var hostName: String? {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return nil }
        let name = bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        guard (1...64).contains(name.count), name.allSatisfy({ 0x21...0x7E ~= $0 }) else { return nil }
        return String(decoding: name, as: UTF8.self)
    }

    /// What the system says about its last error.
    static func reason(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }
}
