import Testing

@testable import ShoalProtocol

@Suite struct JSONWriterTests {
    private func text(_ body: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        body(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    @Test func commasAndColonsArePlacedByTheWriter() {
        let result = text {
            $0.reserve(100)
            $0.beginObject()
            $0.key("a")
            $0.integer(-1)
            $0.key(bytes: Array("b\"".utf8)[...])
            $0.beginArray()
            $0.bool(true)
            $0.bool(false)
            $0.null()
            $0.beginObject()
            $0.endObject()
            $0.beginArray()
            $0.endArray()
            $0.string("x")
            $0.endArray()
            $0.key("c")
            $0.raw(Array("[1.5]".utf8)[...])
            $0.key("d")
            $0.integers([1, -2, 3])
            $0.key("e")
            $0.string(bytes: Array("y".utf8)[...])
            $0.endObject()
        }
        #expect(result == #"{"a":-1,"b\"":[true,false,null,{},[],"x"],"c":[1.5],"d":[1,-2,3],"e":"y"}"#)
    }

    @Test func onlyWhatMustBeEscapedIsEscaped() {
        #expect(text { $0.string("\"\\/\u{7f}é中😀\u{2028}") } == "\"\\\"\\\\/\u{7f}é中😀\u{2028}\"")
        #expect(text { $0.string("\u{8}\t\n\u{c}\r\u{1}\u{1f}\u{1b}") } == #""\b\t\n\f\r\u0001\u001f\u001b""#)
        #expect(text { $0.string("exactly eight per word, then \n") } == #""exactly eight per word, then \n""#)
        #expect(text { $0.string("") } == "\"\"")
    }

    @Test func integersOfEveryLengthAreWritten() {
        var all: [Int64] = [0, .min, .max]
        var power: Int64 = 1
        for _ in 0..<18 {
            all += [power - 1, power, power + 1, -power, 1 - power]
            power *= 10
        }
        for value in all { #expect(text { $0.integer(value) } == "\(value)") }
        for count in [0, 1, 2, 127, 128, 129, 256, 257, 1_000] {
            let values = (0..<count).map { all[$0 % all.count] }
            let expected = "[" + values.map { "\($0)" }.joined(separator: ",") + "]"
            #expect(text { $0.integers(values) } == expected)
            #expect(text { $0.integers(values[...]) } == expected)
        }
    }

    @Test func whatIsWrittenIsReadBackTheSame() throws {
        var random = SplitMix(seed: 42)
        for _ in 0..<5_000 {
            let value = JSONValue.random(depth: 4, using: &random)
            var writer = JSONWriter()
            value.write(to: &writer)
            #expect(try JSONReader.read(writer.bytes) { try JSONValue.read(&$0) } == value)
            let raw = try JSONReader.read(writer.bytes) { try $0.readRaw() }
            #expect(raw == 0..<writer.bytes.count)
        }
    }

    @Test func columnsOfIntegersAndStringsAreReadBackTheSame() throws {
        var random = SplitMix(seed: 43)
        for _ in 0..<500 {
            let numbers = (0..<Int.random(in: 0...300, using: &random)).map { _ in JSONValue.randomInteger(&random) }
            let texts = (0..<Int.random(in: 0...50, using: &random)).map { _ in JSONValue.randomText(&random) }
            var writer = JSONWriter()
            writer.beginArray()
            writer.integers(numbers)
            JSONValue.array(texts.map(JSONValue.string)).write(to: &writer)
            writer.endArray()
            var readNumbers: [Int64] = []
            var arena: [UInt8] = []
            var ranges: [Range<Int>] = []
            try JSONReader.read(writer.bytes) {
                try $0.readArray {
                    if $0.offset == 1 {
                        try $0.readIntegers(into: &readNumbers, limit: numbers.count)
                    } else {
                        try $0.readStrings(into: &arena, ranges: &ranges, limit: texts.count)
                    }
                }
            }
            #expect(readNumbers == numbers)
            #expect(ranges.map { Array(arena[$0]) } == texts.map { Array($0.utf8) })
        }
    }
}

/// A whole document in memory: the reader and the writer are tested against it.
indirect enum JSONValue: Equatable {
    case object([(key: [UInt8], value: JSONValue)])
    case array([JSONValue])
    case integers([Int64])
    case string(String)
    case integer(Int64)
    case bool(Bool)
    case null

    /// Compares text by its bytes.
    static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.object(let one), .object(let other)):
            one.count == other.count && zip(one, other).allSatisfy { $0.key == $1.key && $0.value == $1.value }
        case (.array(let one), .array(let other)): one == other
        case (.integers(let one), _): .array(one.map(JSONValue.integer)) == right
        case (_, .integers(let other)): left == .array(other.map(JSONValue.integer))
        case (.string(let one), .string(let other)): one.utf8.elementsEqual(other.utf8)
        case (.integer(let one), .integer(let other)): one == other
        case (.bool(let one), .bool(let other)): one == other
        case (.null, .null): true
        default: false
        }
    }

    static func read(_ reader: inout JSONReader) throws -> JSONValue {
        switch try reader.peek() {
        case .object:
            var members: [(key: [UInt8], value: JSONValue)] = []
            try reader.readObject { members.append((Array($1.string.utf8), try read(&$0))) }
            return .object(members)
        case .array:
            var elements: [JSONValue] = []
            try reader.readArray { elements.append(try read(&$0)) }
            return .array(elements)
        case .string: return .string(try reader.readString())
        case .number: return .integer(try reader.readInteger())
        case .true, .false: return .bool(try reader.readBool())
        case .null:
            try reader.readNull()
            return .null
        }
    }

    func write(to writer: inout JSONWriter) {
        switch self {
        case .object(let members):
            writer.beginObject()
            for (key, value) in members {
                writer.key(bytes: key[...])
                value.write(to: &writer)
            }
            writer.endObject()
        case .array(let elements):
            writer.beginArray()
            for element in elements { element.write(to: &writer) }
            writer.endArray()
        case .integers(let values): writer.integers(values)
        case .string(let text): writer.string(text)
        case .integer(let value): writer.integer(value)
        case .bool(let value): writer.bool(value)
        case .null: writer.null()
        }
    }

    static func random(depth: Int, using random: inout SplitMix) -> JSONValue {
        switch Int.random(in: depth > 0 ? 0..<8 : 3..<8, using: &random) {
        case 0:
            var members: [(key: [UInt8], value: JSONValue)] = []
            var keys: Set<[UInt8]> = []
            for _ in 0..<Int.random(in: 0...24, using: &random) {
                let key = Array(randomText(&random).utf8)
                if keys.insert(key).inserted { members.append((key, .random(depth: depth - 2, using: &random))) }
            }
            return .object(members)
        case 1, 2:
            let count = Int.random(in: 0...8, using: &random)
            return .array((0..<count).map { _ in .random(depth: depth - 1, using: &random) })
        case 3: return .integers((0..<Int.random(in: 0...40, using: &random)).map { _ in randomInteger(&random) })
        case 4: return .integer(randomInteger(&random))
        case 5: return .bool(Bool.random(using: &random))
        case 6: return .null
        default: return .string(randomText(&random))
        }
    }

    /// Integers of every length.
    static func randomInteger(_ random: inout SplitMix) -> Int64 {
        Int64.random(in: .min ... .max, using: &random) >> Int64.random(in: 0..<64, using: &random)
    }

    /// ASCII, Chinese, emoji, combining marks, and what must be escaped.
    static func randomText(_ random: inout SplitMix) -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...30, using: &random) {
            let value: UInt32 =
                switch Int.random(in: 0..<8, using: &random) {
                case 0: UInt32.random(in: 0x01...0x1F, using: &random)
                case 1: Bool.random(using: &random) ? 0x22 : 0x5C
                case 2: UInt32.random(in: 0x4E00...0x9FFF, using: &random)
                case 3: UInt32.random(in: 0x1F300...0x1F6FF, using: &random)
                case 4: UInt32.random(in: 0x80...0x10FFFF, using: &random)
                case 5: 0x301
                default: UInt32.random(in: 0x20...0x7E, using: &random)
                }
            if let scalar = Unicode.Scalar(value) { text.append(scalar) }
        }
        return String(text)
    }
}
