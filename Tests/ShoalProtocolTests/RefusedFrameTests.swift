import Foundation
import Testing

@testable import ShoalCRDT
@testable import ShoalProtocol

/// Bad input is refused with where and why, costs little, and never traps.
@Suite(.serialized) struct RefusedFrameTests {
    /// Kilobytes of memory that this process had at most. The figure of getrusage begins with the parent's.
    private func peak() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return try #require(Int(line.filter(\.isNumber)))
    }

    private func refusal(_ name: String, _ bytes: [UInt8]) -> String? {
        do {
            try RefusedFrame.decode(name, bytes)
            return nil
        } catch { return error.description }
    }

    /// `refusals.txt` says of each file why it is refused: "NAME: at byte N: …".
    @Test func everyStoredFrameIsRefusedWithWhereAndWhy() throws {
        if Trial.isRecording {
            let made = try RefusedFrame.plain() + RefusedFrame.compressed()
            for frame in made { try Fixtures.record("Refused/\(frame.name)", frame.bytes) }
            let lines = made.map { "\($0.name): \(refusal($0.name, $0.bytes) ?? "taken")" }.sorted()
            try Fixtures.record("Refused/refusals.txt", lines: lines)
        }
        let before = try peak()
        var names: [String] = []
        for line in try Fixtures.text("Refused/refusals.txt").split(separator: "\n") {
            let parts = line.split(separator: ": ", maxSplits: 1).map(String.init)
            let name = try #require(parts.first)
            names.append(name)
            #expect(refusal(name, try Fixtures.read("Refused/\(name)")) == parts.last, "\(name)")
        }
        #expect(try peak() - before < 256 << 10)
        #expect(try Fixtures.names(in: "Refused") == (names + ["refusals.txt"]).sorted())
    }

    @Test func theStoredFramesAreTheGoldenOnesWithOneFaultEach() throws {
        for frame in try RefusedFrame.plain() {
            #expect(try Fixtures.read("Refused/\(frame.name)") == frame.bytes, "\(frame.name)")
        }
    }

    @Test func everyTruncationOfAGoldenFrameIsRefused() throws {
        for name in try Fixtures.names(in: "v1") where !name.hasSuffix(".txt") {
            let bytes = try Fixtures.read("v1/\(name)")
            for length in bytes.indices {
                guard let refusal = refusal(name, Array(bytes[..<length])) else {
                    Issue.record("\(name) is taken after \(length) of \(bytes.count) bytes")
                    continue
                }
                let expected = name.hasSuffix(".bin") ? "the compressed data ends too early." : "at byte \(length): "
                #expect(refusal.hasPrefix(expected), "\(name), \(length) bytes")
            }
        }
    }

    @Test func randomDamageNeverTraps() throws {
        var random = SplitMix(seed: 6)
        let names = try Fixtures.names(in: "v1").filter { $0.hasSuffix(".json") }
        let frames = try names.map { ($0, try Fixtures.read("v1/\($0)")) }
        var taken = 0
        let cases = Trial.isNightly ? 5_000_000 : 200_000
        for _ in 0..<cases {
            let (name, whole) = random.pick(frames)
            var bytes = whole
            for _ in 0...random.below(3) { damage(&bytes, &random) }
            if refusal(name, bytes) == nil { taken += 1 }
        }
        // A digit for a digit makes another valid frame; most damage does not.
        #expect(taken > 0 && taken < cases / 2)
    }

    /// One byte changed, a stretch removed or repeated here or elsewhere, or two neighbouring runs of members exchanged.
    private func damage(_ bytes: inout [UInt8], _ random: inout SplitMix) {
        guard !bytes.isEmpty else { return }
        let at = random.below(bytes.count)
        let end = min(at + 1 + random.below(12), bytes.count)
        switch random.below(7) {
        case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes[at] = random.pick(Array("0123456789-_ABZ[]{},:\"\\e.".utf8))
        case 2: bytes[at] ^= 1 << UInt8(random.below(8))
        case 3: bytes.removeSubrange(at..<end)
        case 4: bytes.insert(contentsOf: bytes[at..<end], at: at)
        case 5:
            let members = bytes.indices.dropLast().filter { bytes[$0] == 0x2C && bytes[$0 + 1] == 0x22 }
            guard members.count > 2 else { return }
            let places = [random.pick(members), random.pick(members), random.pick(members)].sorted()
            let moved = Array(bytes[places[0]..<places[1]])
            bytes.insert(contentsOf: moved, at: places[2])
            bytes.removeSubrange(places[0]..<places[1])
        default: bytes.insert(contentsOf: bytes[at..<end], at: random.below(bytes.count))
        }
    }

    /// Edits without a value need no byte of the body: the limits bound what they cost.
    @Test func theMostThatASmallFrameMayAskForIsBounded() throws {
        let fields = (1...52).map { "\($0),0,0" }.joined(separator: ",")
        let body = """
            {"protocol":1,"epoch":"0000000000000000","cursor":"","acknowledgement":"","logs":[[1,0,"0000000000000000",5000]],\
            "operations":{"n":5000,"shapes":[[0,\(fields)]],"ids":{"n":1,"ms":[2],"counts":[1]}}}
            """
        let before = try peak()
        let request = try SyncRequest(decoding: Deflate.compress(Array(body.utf8)))
        #expect(request.operations.edits.count == 260_000)
        #expect(try peak() - before < 256 << 10)
        let more = body.replacing("[[0,", with: "[[0,53,0,0,").replacing("[[0,53,0,0,", with: "[[0,0,0,0,")
        #expect(
            refusal("request.json", Array(more.utf8))?.hasSuffix("the array has more than 262144 elements.") == true)
    }

    @Test func aTextMayBeAsLongAsTheLimitAndNoLonger() throws {
        let day = try #require(GoldenMessages.requests.first).message
        for (length, expected) in [(Limits.text, nil), (Limits.text + 1, "the value is longer than 65536 bytes.")] {
            for makesName in [false, true] {
                var request = day
                let text = String(repeating: "x", count: length)
                let key =
                    makesName
                    ? CellKey(.free, text: request.operations.store(text.utf8)) : CellKey(Field(rawValue: 200))
                request.operations.begin(record: GoldenMessages.known, time: 0)
                request.operations.edit(key, text: makesName ? "" : text)
                let refusal = refusal("request.json", request.json())
                #expect(refusal.map { String($0.suffix(expected?.count ?? 0)) } == expected)
            }
        }
    }

    @Test func aBodyBeyondTheLimitIsNotEvenExpanded() {
        let refusal = refusal("request.bin", [UInt8](repeating: 0, count: Limits.body + 1))
        #expect(refusal == "the body is longer than 1048576 bytes")
    }
}
