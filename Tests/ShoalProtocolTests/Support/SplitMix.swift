/// Steele, Lea and Flood's SplitMix64 (2014): every seed gives one sequence, on every machine.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

extension SplitMix {
    /// A number in 0..<`limit`; `limit` is small, so the bias of the remainder does not matter.
    mutating func below(_ limit: Int) -> Int { Int(next() >> 1) % max(limit, 1) }

    /// True once in `times`.
    mutating func oneIn(_ times: Int) -> Bool { below(times) == 0 }

    mutating func pick<C: RandomAccessCollection>(_ choices: C) -> C.Element {
        choices[choices.index(choices.startIndex, offsetBy: below(choices.count))]
    }

    /// A number of any magnitude: each count of bits is as likely as any other.
    mutating func magnitude() -> UInt64 {
        let bits = below(66)
        if bits == 65 { return .max - UInt64(below(70)) }
        return bits == 0 ? 0 : next() >> UInt64(64 - min(bits, 64))
    }

    mutating func integer() -> Int64 {
        oneIn(20) ? pick([.min, .max, 0, -1, .min + 1]) : Int64(bitPattern: magnitude()) &* (oneIn(2) ? 1 : -1)
    }
}
