import Testing

@testable import ShoalProtocol

@Suite struct JSONReaderTests {
    /// The error of reading all of `text` as any value.
    private func refusal(_ text: String, depthLimit: Int = 32) -> JSONError? {
        refusal(Array(text.utf8), depthLimit: depthLimit)
    }

    private func refusal(_ bytes: [UInt8], depthLimit: Int = 32) -> JSONError? {
        #expect(throws: JSONError.self) {
            try JSONReader.read(bytes, depthLimit: depthLimit) { try $0.skip() }
        }
    }

    private func integer(_ text: String) throws -> Int64 {
        try JSONReader.read(Array(text.utf8)) { try $0.readInteger() }
    }

    private func string(_ text: String) throws -> String {
        try JSONReader.read(Array(text.utf8)) { try $0.readString() }
    }

    private func integers(_ text: String, limit: Int = 1_000) throws -> [Int64] {
        try JSONReader.read(Array(text.utf8)) {
            var result: [Int64] = []
            try $0.readIntegers(into: &result, limit: limit)
            return result
        }
    }

    private func expectInteger(_ text: String, _ reason: JSONError.Reason, at offset: Int) {
        #expect(throws: JSONError(offset: offset, reason: reason)) { try integer(text) }
        let padded = "[" + text + ",1,1,1,1,1]"
        if reason != .truncated, reason != .trailingBytes {
            #expect(throws: JSONError(offset: offset + 1, reason: reason)) { try integers(padded) }
        }
    }

    // MARK: What is read

    @Test func aDocumentIsReadMemberByMember() throws {
        let text =
            #" { "at" : 17 , "done":true,"note":null,"list":[1, -2 ,3],"text":"a\n\u00e9\ud83d\ude00中", "n\u0065w":{"x":[1.5e3]} } "#
        let bytes = Array(text.utf8)
        var seen: [String] = []
        try JSONReader.read(bytes) { reader in
            try reader.readObject { reader, key in
                seen.append(key.string)
                switch key {
                case "at": #expect(try reader.readUInt32() == 17)
                case "done": #expect(try reader.readBool())
                case "note":
                    #expect(try reader.peek() == .null)
                    try reader.readNull()
                case "list":
                    var list: [Int64] = [9]
                    try reader.readIntegers(into: &list, limit: 3)
                    #expect(list == [9, 1, -2, 3])
                case "text":
                    var arena: [UInt8] = [1]
                    let range = try reader.readString(appendingTo: &arena)
                    #expect(range.lowerBound == 1)
                    #expect(String(decoding: arena[range], as: UTF8.self) == "a\né😀中")
                case "new":
                    let range = try reader.readRaw()
                    #expect(String(decoding: bytes[range], as: UTF8.self) == #"{"x":[1.5e3]}"#)
                default: Issue.record("unexpected key")
                }
            }
        }
        #expect(seen == ["at", "done", "note", "list", "text", "new"])
    }

    @Test func everyKindIsToldByItsFirstByte() throws {
        let kinds: [(String, JSONReader.Kind)] = [
            ("{}", .object), ("[]", .array), ("\"\"", .string), ("0", .number), ("-1", .number), ("true", .true),
            ("false", .false), ("null", .null),
        ]
        for (text, kind) in kinds {
            try JSONReader.read(Array(text.utf8)) {
                #expect(try $0.peek() == kind)
                try $0.skip()
            }
        }
    }

    @Test func integersOfEveryLengthAreRead() throws {
        var value: Int64 = 0
        var all: [Int64] = [.min, .max, .min + 1, .max - 1]
        for digit in 1...18 {
            value = value * 10 + Int64(digit % 10)
            all += [value, -value]
        }
        for value in all { #expect(try integer("\(value)") == value) }
        let text = "[" + all.map { "\($0)" }.joined(separator: " ,\n") + "]"
        #expect(try integers(text) == all)
        #expect(try integers("[" + all.map { "\($0)" }.joined(separator: ",") + "]") == all)
        #expect(try integers("[]") == [])
        #expect(try integers(" [ ] ") == [])
    }

    @Test func arraysOfStringsShareOneArena() throws {
        let bytes = Array(#"["", "a", "中文中文中文", "long enough for two words \\ and \" more"]"#.utf8)
        var arena: [UInt8] = []
        var ranges: [Range<Int>] = []
        try JSONReader.read(bytes) { try $0.readStrings(into: &arena, ranges: &ranges, limit: 4) }
        #expect(
            ranges.map { String(decoding: arena[$0], as: UTF8.self) }
                == ["", "a", "中文中文中文", "long enough for two words \\ and \" more"])
    }

    @Test func everyEscapeIsRead() throws {
        #expect(try string(#""\"\\\/\b\f\n\r\t""#) == "\"\\/\u{8}\u{c}\n\r\t")
        #expect(try string(#""\u0001\u007f\u00E9\u20aC\uD7FF\uE000\uFFFF""#) == "\u{1}\u{7f}é€\u{D7FF}\u{E000}\u{FFFF}")
        #expect(try string(#""\ud800\udc00\uDBFF\uDFFF""#) == "\u{10000}\u{10FFFF}")
    }

    @Test func numbersOfEveryFormAreSkipped() throws {
        for text in ["0", "-0", "0.0", "1E5", "-1.25e+10", "1e-3", "123456789012345678901234567890.5"] {
            try JSONReader.read(Array(text.utf8)) { try $0.skip() }
        }
    }

    @Test func keysAreComparedByTheirUnescapedBytes() throws {
        try JSONReader.read(Array(#"{"\u0061t":1,"e\u0301":2,"a considerably longer key":3}"#.utf8)) { reader in
            var number: Int64 = 0
            try reader.readObject { reader, key in
                number += 1
                let value = try reader.readInteger()
                #expect(value == number)
                switch number {
                case 1: #expect(key == "at" && !(key == "a") && !(key == "au"))
                case 2: #expect(key == "e\u{301}" && !(key == "é"))
                default: #expect(key == "a considerably longer key" && !(key == "a considerably longer kez"))
                }
            }
        }
    }

    // MARK: What is refused

    @Test func everyErrorCarriesItsReasonAndOffset() {
        let cases: [(String, JSONError.Reason, Int)] = [
            ("", .truncated, 0), ("  ", .truncated, 2), ("[1,]", .unexpectedByte, 3), ("[,1]", .unexpectedByte, 1),
            ("[1 2]", .unexpectedByte, 3), ("{\"a\":}", .unexpectedByte, 5), ("{\"a\" 1}", .unexpectedByte, 5),
            ("{\"a\":1,}", .unexpectedByte, 7), ("{a:1}", .unexpectedByte, 1), ("{1:1}", .unexpectedByte, 1),
            ("[1}", .unexpectedByte, 2), ("tru", .truncated, 3), ("trux", .unexpectedByte, 3), ("nul", .truncated, 3),
            ("\u{FEFF}1", .unexpectedByte, 0), ("1 1", .trailingBytes, 2), ("{}x", .trailingBytes, 2),
            ("1\u{c}", .trailingBytes, 1), ("1\u{a0}", .trailingBytes, 1), ("01", .trailingBytes, 1),
            ("1.", .truncated, 2), ("1.x", .unexpectedByte, 2), ("1e", .truncated, 2), ("-", .truncated, 1),
            ("-x", .unexpectedByte, 1), ("+1", .unexpectedByte, 0), (".5", .unexpectedByte, 0),
            ("NaN", .unexpectedByte, 0),
            ("'a'", .unexpectedByte, 0), ("\"a", .truncated, 2), ("\"a\u{1}\"", .controlCharacter, 2),
            ("\"12345678\n\"", .controlCharacter, 9), (#""\x""#, .invalidEscape, 1), (#""\u12g4""#, .invalidEscape, 5),
            (#""\u0000""#, .nulInText, 1), (#""\ud800""#, .loneSurrogate, 1), (#""\udc00""#, .loneSurrogate, 1),
            (#""\ud800\n""#, .loneSurrogate, 1), (#""\ud800\ud800""#, .loneSurrogate, 1), (#""\"#, .truncated, 2),
            (#"{"a":1,"\u0061":2}"#, .duplicateKey, 15), (#"{"a":{"a":1},"a":2}"#, .duplicateKey, 16),
        ]
        for (text, reason, offset) in cases {
            #expect(refusal(text) == JSONError(offset: offset, reason: reason), "\(text)")
        }
    }

    @Test func integersHaveOneSpelling() {
        expectInteger("01", .notAnInteger, at: 0)
        expectInteger("-0", .notAnInteger, at: 0)
        expectInteger("-01", .notAnInteger, at: 0)
        expectInteger("1.0", .notAnInteger, at: 0)
        expectInteger("1e2", .notAnInteger, at: 0)
        expectInteger("123456789E2", .notAnInteger, at: 0)
        expectInteger("9223372036854775808", .numberOutOfRange, at: 0)
        expectInteger("-9223372036854775809", .numberOutOfRange, at: 0)
        expectInteger("99999999999999999999999999", .numberOutOfRange, at: 0)
        expectInteger("18446744073709551617", .numberOutOfRange, at: 0)
        expectInteger("\"1\"", .wrongType(expected: .number), at: 0)
        expectInteger("-x", .unexpectedByte, at: 1)
        expectInteger("x", .unexpectedByte, at: 0)
        expectInteger("", .truncated, at: 0)
        expectInteger("-", .truncated, at: 1)
        expectInteger("12a", .trailingBytes, at: 2)
    }

    @Test func valuesOfAnotherTypeOrRangeAreRefused() {
        func expect(_ text: String, _ reason: JSONError.Reason, _ body: (inout JSONReader) throws -> Void) {
            #expect(throws: JSONError(offset: 0, reason: reason)) { try JSONReader.read(Array(text.utf8), body) }
        }
        expect("1", .wrongType(expected: .object)) { try $0.readObject { _, _ in } }
        expect("1", .wrongType(expected: .array)) { try $0.readArray { _ in } }
        expect("1", .wrongType(expected: .string)) { _ = try $0.readString() }
        expect("1", .wrongType(expected: .true)) { _ = try $0.readBool() }
        expect("1", .wrongType(expected: .null)) { try $0.readNull() }
        expect("x", .unexpectedByte) { try $0.readNull() }
        expect("-1", .numberOutOfRange) { _ = try $0.readUInt32() }
        expect("4294967296", .numberOutOfRange) { _ = try $0.readUInt32() }
        expect("7", .numberOutOfRange) { _ = try $0.readInteger(in: 0...6) }
        expect("1", .missingKey("at")) { throw $0.error(.missingKey("at")) }
    }

    @Test func arraysLongerThanTheirLimitAreRefused() {
        #expect(throws: JSONError(offset: 6, reason: .tooMany(limit: 2))) { try integers("[1,2,3]", limit: 2) }
        #expect(throws: JSONError(offset: 2, reason: .tooMany(limit: -1))) { try integers("[1]", limit: -1) }
        #expect(throws: JSONError(offset: 8, reason: .tooMany(limit: 1))) {
            var arena: [UInt8] = []
            var ranges: [Range<Int>] = []
            try JSONReader.read(Array(#"["a","b"]"#.utf8)) {
                try $0.readStrings(into: &arena, ranges: &ranges, limit: 1)
            }
        }
    }

    @Test func aValueLeftUnreadIsAnError() {
        func expect(
            _ text: String, _ offset: Int, _ reason: JSONError.Reason, _ body: (inout JSONReader) throws -> Void
        ) {
            #expect(throws: JSONError(offset: offset, reason: reason)) { try JSONReader.read(Array(text.utf8), body) }
        }
        expect("1", 0, .unreadValue) { _ in }
        expect("", 0, .truncated) { _ in }
        expect("[1]", 1, .unreadValue) { try $0.readArray { _ in } }
        expect("[ ,1]", 2, .unexpectedByte) { try $0.readArray { _ in } }
        expect("{\"a\": 1}", 6, .unreadValue) { try $0.readObject { _, _ in } }
        expect("{\"a\":}", 5, .unexpectedByte) { try $0.readObject { _, _ in } }
        expect("[1,2]", 2, .unexpectedByte) {
            try $0.readArray {
                try $0.skip()
                try $0.skip()
            }
        }
    }

    @Test func illFormedUTF8IsRefusedWhereItBegins() {
        let sequences: [[UInt8]] = [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xE4, 0xB8], [0xC3], [0xF0, 0x9F, 0x98],
            [0xE4, 0x5C, 0x6E, 0xB8, 0xAD],
        ]
        for sequence in sequences {
            for padding in [0, 1, 7, 8, 20] {
                let text = [0x22] + [UInt8](repeating: 0x61, count: padding) + sequence + [0x61, 0x22]
                #expect(refusal(text) == JSONError(offset: 1 + padding, reason: .invalidUTF8), "\(sequence)")
            }
        }
    }

    @Test func utf8ValidationAgreesWithTheStandardLibraryOnEveryScalarAndOnNoise() {
        for value in UInt32(1)...0x10FFFF {
            guard let scalar = Unicode.Scalar(value), let bytes = UTF8.encode(scalar).map(Array.init) else { continue }
            if bytes.withUnsafeBytes({ UTF8Validation.firstInvalid(in: $0) }) != nil { Issue.record("\(value)") }
        }
        var random = SplitMix(seed: 7)
        let likely: [UInt8] = [
            0x61, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xE4, 0xED, 0xF0, 0xF1, 0xF4, 0xF5,
        ]
        for _ in 0..<100_000 {
            let bytes = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                likely[Int.random(in: 0..<15, using: &random)]
            }
            let isValid = bytes.withUnsafeBytes { UTF8Validation.firstInvalid(in: $0) } == nil
            if isValid != (String(validating: bytes, as: UTF8.self) != nil) { Issue.record("\(bytes)") }
        }
    }

    @Test func nestingBeyondTheLimitIsRefusedAndUpToItAccepted() throws {
        func nested(_ levels: Int) -> [UInt8] {
            Array((String(repeating: "[", count: levels) + String(repeating: "]", count: levels)).utf8)
        }
        try JSONReader.read(nested(32)) { try $0.skip() }
        #expect(refusal(nested(33)) == JSONError(offset: 32, reason: .tooDeep(limit: 32)))
        #expect(refusal(nested(100_000), depthLimit: .max) == JSONError(offset: 512, reason: .tooDeep(limit: 512)))
        #expect(refusal("[]", depthLimit: -1) == JSONError(offset: 0, reason: .tooDeep(limit: 0)))
        #expect(refusal("{\"a\":{\"a\":{}}}", depthLimit: 2) == JSONError(offset: 10, reason: .tooDeep(limit: 2)))
        try JSONReader.read(Array("[[],[],[{}],{\"a\":[]}]".utf8), depthLimit: 3) { try $0.skip() }
        #expect(throws: JSONError(offset: 1, reason: .tooDeep(limit: 1))) {
            try JSONReader.read(Array("[[1]]".utf8), depthLimit: 1) {
                var result: [Int64] = []
                try $0.readArray { try $0.readIntegers(into: &result, limit: 9) }
            }
        }
    }

    @Test func objectsWithManyKeysAreCheckedForDuplicatesInLinearTime() throws {
        let members = (0..<200_000).map { "\"k\($0)\":{\"k\":0}" }.joined(separator: ",")
        try JSONReader.read(Array("{\(members)}".utf8)) { try $0.skip() }
        for repeated in ["k0", "k15", "k16", #"\u006b17"#, "k199999"] {
            #expect(refusal("{\(members),\"\(repeated)\":0}")?.reason == .duplicateKey)
        }
    }

    @Test func everyTruncationOfADocumentIsRefused() throws {
        let sample = Array(Self.sample.utf8)
        try JSONReader.read(sample) { try $0.skip() }
        for length in 0..<sample.count {
            let error = refusal(Array(sample[..<length]))
            #expect(error?.reason == .truncated || error?.reason == .invalidUTF8)
            #expect((error?.offset ?? .max) <= length)
        }
    }

    @Test func mutatedDocumentsNeverTrapAndWhatIsReadIsWhatSkipAccepts() {
        let sample = Array(Self.sample.utf8)
        let likely = Array(#"{}[]",:\u0019-.eE tfn"#.utf8) + [0x00, 0x1F, 0x80, 0xC0, 0xE4, 0xED, 0xF4, 0xFF]
        var random = SplitMix(seed: 20_260_101)
        var accepted = 0
        for _ in 0..<200_000 {
            var bytes = sample
            for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch UInt32.random(in: 0..<5, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2: bytes[at] = likely[Int.random(in: 0..<likely.count, using: &random)]
                case 3: bytes.remove(at: at)
                default: bytes.removeLast(bytes.count - at)
                }
            }
            let skipped = (try? JSONReader.read(bytes) { try $0.skip() }) != nil
            let built = try? JSONReader.read(bytes) { try JSONValue.read(&$0) }
            if built != nil, !skipped { Issue.record("read, but not skipped: \(bytes)") }
            if skipped { accepted += 1 }
        }
        #expect(accepted > 1_000)
    }

    @Test func errorsSayWhereAndWhatInOneSentence() {
        #expect(
            "\(JSONError(offset: 7, reason: .tooDeep(limit: 32)))"
                == "at byte 7: values are nested deeper than 32 levels.")
        #expect("\(JSONError(offset: 0, reason: .invalid("no dots")))" == "at byte 0: no dots.")
        #expect(
            "\(JSONError(offset: 1, reason: .wrongType(expected: .object)))"
                == "at byte 1: a value of type object is expected.")
    }

    private static let sample =
        #"{"protocol":1,"ids":[1,-22,333,1234567890123,-9223372036854775808],"names":["a","中文 text","\ud83d\ude00\n","#
        + #""😀 emoji and more"],"deep":[[{"x":[true,false,null,1.5e-3]}]],"key \"2\"":{},"e":[],"s":"","n":0}"#
}
