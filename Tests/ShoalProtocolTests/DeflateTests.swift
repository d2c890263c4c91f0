import Testing

@testable import ShoalProtocol

@Suite struct DeflateTests {
    private let words = Array("replica position epoch cursor operations".utf8)

    private func noise(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SplitMix(seed: seed)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    @Test func whatIsCompressedExpandsToTheSame() throws {
        for count in [0, 1, 100, 1_023, 1_024, 1_025, 70_000, 1_000_000] {
            for bytes in [noise(count, seed: 1), [UInt8](repeating: 0x61, count: count)] {
                for level: Int32 in [0, 1, 6, 9] {
                    let packed = try Deflate.compress(bytes, level: level)
                    #expect(try Deflate.expand(packed, limit: count) == bytes)
                }
                let packed = try Deflate.compress(bytes, dictionary: words)
                #expect(try Deflate.expand(packed, limit: .max, dictionary: words) == bytes)
            }
        }
    }

    @Test func aPresetDictionaryMakesAShortMessageShorter() throws {
        let message = Array("operations cursor epoch".utf8)
        #expect(try Deflate.compress(message, dictionary: words).count < Deflate.compress(message).count)
        let plain = try Deflate.compress(message)
        #expect(try Deflate.expand(plain, limit: 100, dictionary: words) == message)
    }

    @Test func anotherDictionaryOrNoneIsRefused() throws {
        let packed = try Deflate.compress(Array("epoch".utf8), dictionary: words)
        #expect(throws: DeflateError.corrupt("compressed with another preset dictionary")) {
            try Deflate.expand(packed, limit: 100, dictionary: [1, 2, 3])
        }
        #expect(throws: DeflateError.corrupt("a preset dictionary is needed")) {
            try Deflate.expand(packed, limit: 100)
        }
    }

    @Test func outputBeyondTheLimitIsRefused() throws {
        let bytes = noise(5_000, seed: 2)
        let packed = try Deflate.compress(bytes)
        #expect(try Deflate.expand(packed, limit: 5_000) == bytes)
        for limit in [4_999, 1_024, 1, 0, -1, .min] {
            #expect(throws: DeflateError.tooLarge(limit: limit)) { try Deflate.expand(packed, limit: limit) }
        }
        #expect(try Deflate.expand(Deflate.compress([]), limit: 0) == [])
    }

    @Test func aBombCostsNoMoreThanTheLimit() throws {
        let bomb = try Deflate.compress([UInt8](repeating: 0, count: 64 << 20), level: 9)
        #expect(bomb.count < 100_000)
        let taken = ContinuousClock().measure {
            #expect(throws: DeflateError.tooLarge(limit: 1 << 20)) { try Deflate.expand(bomb, limit: 1 << 20) }
        }
        #expect(taken < .seconds(1))
    }

    @Test func everyTruncationIsRefused() throws {
        for dictionary in [[], words] {
            let packed = try Deflate.compress(
                Array("the cursor of the epoch, ".utf8) + noise(50, seed: 3), dictionary: dictionary)
            for length in 0..<packed.count {
                #expect(throws: DeflateError.truncated) {
                    try Deflate.expand(Array(packed[..<length]), limit: 1_000, dictionary: dictionary)
                }
            }
        }
    }

    @Test func whatFollowsTheStreamIsRefused() throws {
        let packed = try Deflate.compress(words)
        #expect(throws: DeflateError.trailingBytes) { try Deflate.expand(packed + [0], limit: 1_000) }
        #expect(throws: DeflateError.trailingBytes) { try Deflate.expand(packed + packed, limit: 1_000) }
    }

    @Test func damageIsRefusedAndNeverTraps() throws {
        let bytes = words + words + noise(200, seed: 4)
        let packed = try Deflate.compress(bytes)
        var damaged = packed
        damaged[damaged.count - 1] ^= 1
        #expect(throws: DeflateError.corrupt("incorrect data check")) { try Deflate.expand(damaged, limit: 1_000) }
        #expect(throws: DeflateError.corrupt("incorrect header check")) {
            try Deflate.expand(Array("{\"plain\":1}".utf8), limit: 1_000)
        }
        // A gzip header is not a zlib header.
        #expect(throws: DeflateError.self) { try Deflate.expand([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3], limit: 1_000) }
        for at in packed.indices {
            for bit in 0..<8 {
                var damaged = packed
                damaged[at] ^= 1 << UInt8(bit)
                // The bits that pad the last block mean nothing, so a few flips change nothing.
                if let result = try? Deflate.expand(damaged, limit: 1_000), result != bytes {
                    Issue.record("bit \(bit) of byte \(at) went unnoticed")
                }
            }
        }
        var random = SplitMix(seed: 5)
        for _ in 0..<20_000 {
            let bytes = [0x78, 0x9C] + (0..<20).map { _ in UInt8.random(in: 0...255, using: &random) }
            _ = try? Deflate.expand(bytes, limit: 1_000)
        }
    }

    @Test func aLevelThatDoesNotExistIsRefused() {
        #expect(throws: DeflateError.unavailable(code: -2)) { try Deflate.compress([1], level: 10) }
    }
}
