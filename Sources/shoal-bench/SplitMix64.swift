/// A generator of numbers that a seed decides (Steele, Lea and Flood 2014).
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z &>> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z &>> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z &>> 31
    }

    /// A number from 0 up to, not including, `limit`.
    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(max(limit, 1))) }

    /// One of `list`, which is not empty.
    mutating func pick<T>(_ list: [T]) -> T { list[below(list.count)] }

    mutating func characters(_ count: Int, of alphabet: [String]) -> String {
        (0..<count).map { _ in pick(alphabet) }.joined()
    }
}
