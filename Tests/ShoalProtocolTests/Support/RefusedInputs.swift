@testable import ShoalCRDT
@testable import ShoalProtocol

/// What a server must refuse, by kind: a kind is a folder of `Fixtures/Inputs`, and says how the bytes reach the server.
///
/// - `http`: as they are, over a connection that is then half closed; `{KEY}` stands for a replica's key.
/// - `inflate`: the body of a sync. `enroll`: the body of an enrolment.
/// - `sync`, `spelling`, `relay`, `digest`: the body of such a request before it is compressed.
/// - `operations`: a sync request in form, whose operations are sent in the log of a replica and all refused.
///
/// All are made from the golden frames and from lists; the same program makes the same bytes.
enum RefusedInputs {
    struct Kind {
        var name: String
        var ending: String
        var inputs: [[UInt8]]
    }

    static func all() throws -> [Kind] {
        [
            Kind(name: "http", ending: "http", inputs: distinct(RefusedHTTP.all(), most: 700)),
            Kind(name: "inflate", ending: "bin", inputs: try inflate()),
            Kind(name: "spelling", ending: "json", inputs: try spelling()),
            Kind(name: "sync", ending: "json", inputs: try damaged("request", count: 450, seed: 1)),
            Kind(name: "relay", ending: "json", inputs: try damaged("relay-request", count: 150, seed: 2)),
            Kind(name: "digest", ending: "json", inputs: try damaged("digest-request", count: 150, seed: 3)),
            Kind(name: "enroll", ending: "json", inputs: try damaged("enroll-request", count: 120, seed: 4)),
            Kind(name: "operations", ending: "json", inputs: RefusedOperations.all()),
        ]
    }

    /// In the order in which they come, each once.
    static func distinct(_ inputs: [[UInt8]], most: Int) -> [[UInt8]] {
        var seen: Set<[UInt8]> = []
        return Array(inputs.filter { seen.insert($0).inserted }.prefix(most))
    }

    private static func isRefused(_ name: String, _ bytes: [UInt8]) -> Bool {
        do {
            try RefusedFrame.decode(name, bytes)
            return false
        } catch { return true }
    }

    /// Streams of zlib, cut, lengthened and with bits turned.
    private static func inflate() throws -> [[UInt8]] {
        var random = SplitMix(seed: 5)
        var inputs: [[UInt8]] = [[], [0x78], [0x78, 0x9C], [0x1F, 0x8B, 8, 0], [0xFF, 0xFF, 0xFF, 0xFF]]
        let streams = try ["request-first.bin", "request.bin"].map { try Fixtures.read("v1/\($0)") }
        for stream in streams {
            for length in stride(from: 1, to: stream.count, by: 5) { inputs.append(Array(stream[..<length])) }
            for extra in [[0], [0x78, 0x9C], stream] as [[UInt8]] { inputs.append(stream + extra) }
            for _ in 0..<150 {
                var turned = stream
                turned[random.below(stream.count)] ^= 1 << UInt8(random.below(8))
                inputs.append(turned)
            }
        }
        return distinct(inputs.filter { isRefused("request.bin", $0) }, most: 400)
    }

    /// A frame less one byte or with one too many, at every place.
    private static func spelling() throws -> [[UInt8]] {
        let frame = try Fixtures.read("v1/request-first.json")
        let words = [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "0", "-", "e1", ".5", "null", "\u{0}", "\u{FEFF}", " \t",
        ]
        var inputs: [[UInt8]] = []
        for place in frame.indices {
            inputs.append(Array(frame[..<place]) + frame[(place + 1)...])
            let word = Array(words[place % words.count].utf8)
            inputs.append(Array(frame[..<place]) + word + frame[place...])
            inputs.append(Array(frame[..<place]) + [0xC0 | UInt8(place & 0x3F)] + frame[place...])
        }
        return distinct(inputs.filter { isRefused("request.json", $0) }, most: 250)
    }

    /// Golden frames of a message with up to three faults each.
    private static func damaged(_ message: String, count: Int, seed: UInt64) throws -> [[UInt8]] {
        var random = SplitMix(seed: seed)
        let frames = try Fixtures.names(in: "v1").filter { name in
            name.hasPrefix(message) && name.hasSuffix(".json") && !name.hasPrefix("request-text")
        }.map { try Fixtures.read("v1/\($0)") }
        var inputs: [[UInt8]] = []
        while inputs.count < count {
            var bytes = random.pick(frames)
            for _ in 0...random.below(3) { damage(&bytes, &random) }
            if isRefused("\(message).json", bytes), !inputs.contains(bytes) { inputs.append(bytes) }
        }
        return inputs
    }

    private static func damage(_ bytes: inout [UInt8], _ random: inout SplitMix) {
        guard !bytes.isEmpty else { return }
        let at = random.below(bytes.count)
        let end = min(at + 1 + random.below(16), bytes.count)
        let numbers = [
            "-1", "9223372036854775807", "-9223372036854775808", "18446744073709551616", "4294967296", "1e9",
        ]
        switch random.below(7) {
        case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes[at] = random.pick(Array("0123456789-_ABZ[]{},:\"\\e.".utf8))
        case 2: bytes.removeSubrange(at..<end)
        case 3: bytes.insert(contentsOf: bytes[at..<end], at: random.below(bytes.count))
        case 4: bytes.insert(contentsOf: repeatElement(random.pick(Array("[{\"9".utf8)), count: 40), at: at)
        case 5:
            guard let digit = bytes[at...].firstIndex(where: { (0x30...0x39).contains($0) }) else { return }
            bytes.replaceSubrange(digit...digit, with: Array(random.pick(numbers).utf8))
        default: bytes.removeLast(min(bytes.count, 1 + random.below(bytes.count)))
        }
    }
}
