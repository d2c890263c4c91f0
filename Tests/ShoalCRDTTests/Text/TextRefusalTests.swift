import Testing

@testable import ShoalCRDT

/// What comes from outside and is no change of a text.
@Suite struct TextRefusalTests {
    static let valid: [String] = [
        #"["AAAAAAA",-1,0,"a"]"#,
        #"["AAAAAAB"]"#,
        #"["AAAAAAAAAAAAAB",-1,0,"Liebe \"Z\"\n",0,4,"x",[1,7],0,9,["ab",3,"油"],0,1,2,1,0,4294967295]"#,
        #"["zzzzzz-",[0,4294967294],-1,0,"a"]"#, #"["zzzzzz_",0,0,1]"#,
        #"["AAAAAAA",[0,0,4294967295,-9223372036854775808],-1,0,[4294967295]]"#,
        #"["AAAAAAAAAAAAAB",0,8589934591,"\ud83d\ude00\u0001\/",1,0,[5,"a",5]]"#,
        #"[""]"#,
    ]

    @Test(arguments: valid) func aChangeIsReadAndWrittenAgain(_ json: String) throws {
        let delta = try TextDelta(json: json)
        #expect(delta.reread == delta)
    }

    @Test(arguments: valid) func aChangeThatEndsEarlyOrLateIsRefused(_ json: String) {
        let bytes = Array(json.utf8)
        for count in bytes.indices {
            #expect(throws: DecodingFailure.self, "\(count)") { try TextDelta(json: Array(bytes[..<count])) }
        }
        for more in [" ", "]", ",", "\n", "[]", "\0"] {
            #expect(throws: DecodingFailure.self, "\(more)") { try TextDelta(json: bytes + Array(more.utf8)) }
        }
    }

    @Test(arguments: [
        // Numbers.
        #"["AAAAAAA",-1,0,[4294967296]]"#, #"["AAAAAAA",-1,0,[99999999999999999999]]"#,
        #"["AAAAAAA",[0,4294967295],-1,0,"a"]"#, #"["AAAAAAA",[0,4294967296],-1,0,"a"]"#,
        #"["AAAAAAA",[0,1],-1,0,[4294967295]]"#, #"["AAAAAAA",-1,0,[4294967295,1]]"#,
        #"["AAAAAAA",-1,0,["a",4294967295]]"#, #"["AAAAAAA",[0,-1],-1,0,"a"]"#,
        #"["AAAAAAA",0,8589934592,"a"]"#, #"["AAAAAAA",0,-1,"a"]"#, #"["AAAAAAA",0,-2,"a"]"#,
        #"["AAAAAAA",0,1,4294967295]"#, #"["AAAAAAA",0,4294967296,1]"#, #"["AAAAAAA",0,0,4294967296]"#,
        #"["AAAAAAA",0,-1,1]"#, #"["AAAAAAA",-1,0,1]"#, #"["AAAAAAA",0,0,-1]"#,
        #"["AAAAAAA",[0,0,4294967296,0],-1,0,"a"]"#, #"["AAAAAAA",[0,0,-1,0],-1,0,"a"]"#,
        #"["AAAAAAA",[0,0,1,9223372036854775808],-1,0,"a"]"#,
        #"["AAAAAAA",00,0,1]"#, #"["AAAAAAA",0,01,1]"#, #"["AAAAAAA",-0,0,1]"#, #"["AAAAAAA",-01,0,"a"]"#,
        #"["AAAAAAA",-1,00,"a"]"#, #"["AAAAAAA",-1,0,[01]]"#, #"["AAAAAAA",-1,0,[1.0]]"#, #"["AAAAAAA",0,0,1e1]"#,
        #"["AAAAAAA",+1,0,1]"#, #"["AAAAAAA",-,0,1]"#, #"["AAAAAAA",,0,1]"#,
        // Of nothing.
        #"["AAAAAAA",-1,0,""]"#, #"["AAAAAAA",-1,0,[]]"#, #"["AAAAAAA",-1,0,[0]]"#, #"["AAAAAAA",-1,0,["a",""]]"#,
        #"["AAAAAAA",-1,0,["",1]]"#, #"["AAAAAAA",0,0,0]"#, #"["AAAAAAA",-1,0,["a",]]"#, #"["AAAAAAA",-1,0,[,"a"]]"#,
        // Names.
        #"["AAAAAAAAAAAAAA",-1,0,"a"]"#, #"["AAAAAAA",1,0,"a"]"#, #"["AAAAAAA",[1,0],-1,0,"a"]"#,
        #"["AAAAAAA",[-1,0],-1,0,"a"]"#, #"["AAAAAAA",1,0,1]"#, #"["AAAAAAA",-2,0,"a"]"#, #"["",-1,0,"a"]"#,
        #"["",0,0,1]"#, #"["AAAAAA",-1,0,"a"]"#, #"["AAAAAA+",-1,0,"a"]"#, #"["AAAAAA\n",-1,0,"a"]"#,
        #"["AAAAAAA",9223372036854775807,0,1]"#, #"["AAAAAAA",-9223372036854775808,0,1]"#,
        // The root has no left children.
        #"["AAAAAAA",-1,1,"a"]"#, #"["AAAAAAA",-1,2,"a"]"#,
        // Text.
        #"["AAAAAAA",-1,0,"\u0000"]"#, #"["AAAAAAA",-1,0,"\ud800"]"#, #"["AAAAAAA",-1,0,"\udc00"]"#,
        #"["AAAAAAA",-1,0,"\ud800\ud800"]"#, #"["AAAAAAA",-1,0,"\ud800x"]"#, #"["AAAAAAA",-1,0,"\ud83d\u0041"]"#,
        #"["AAAAAAA",-1,0,"\x"]"#, #"["AAAAAAA",-1,0,"\u00g0"]"#, #"["AAAAAAA",-1,0,"\u00"]"#,
        "[\"AAAAAAA\",-1,0,\"\n\"]", "[\"AAAAAAA\",-1,0,\"\0\"]", "[\"AAAAAAA\",-1,0,\"\u{1F}\"]",
        // Form.
        "", "null", "{}", "[]", "[1]", " [\"\"]", "[\"\" ]", #"["AAAAAAA",-1,0]"#, #"["AAAAAAA",-1]"#, #"["AAAAAAA",]"#,
        #"["AAAAAAA",[0]]"#, #"["AAAAAAA",[0,0,1]]"#, #"["AAAAAAA",[0,0,1,2,3]]"#, #"["AAAAAAA",-1,0,{"a":1}]"#,
        #"["AAAAAAA",-1,0,[["a"]]]"#, #"["AAAAAAA",[[0,0]]]"#, #"["AAAAAAA",-1,0,null]"#, #"["AAAAAAA",-1,0,"a","b"]"#,
    ])
    func whatHasNotTheFormIsRefused(_ json: String) {
        #expect(throws: DecodingFailure.self) { try TextDelta(json: json) }
    }

    @Test func bytesThatAreNoUTF8AreRefused() {
        for bytes: [UInt8] in [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xE6, 0xB2], [0xC3, 0x28],
        ] {
            let json = Array(#"["AAAAAAA",-1,0,""#.utf8) + bytes + Array(#""]"#.utf8)
            #expect(throws: DecodingFailure.self, "\(bytes)") { try TextDelta(json: json) }
        }
    }

    @Test func aNameThatStandsTwiceAmongManyIsRefused() {
        for count in [2, 63, 64, 65, 500] {
            var delta = TextDelta()
            for name in 0..<count { _ = delta.place(of: TextName(rawValue: UInt64(name))) }
            #expect(delta.reread == delta)
            for twice in [0, count / 2, count - 1] {
                var json = delta.json
                json.insert(contentsOf: json[2 + 7 * twice..<9 + 7 * twice], at: json.count - 2)
                #expect(throws: DecodingFailure.self, "\(twice) of \(count)") { try TextDelta(json: json) }
            }
        }
    }

    @Test func deepNestingIsRefusedAtOnce() {
        for opening in [#"["AAAAAAA","#, #"["AAAAAAA",-1,0,"#] {
            let json = opening + String(repeating: "[", count: 1_000_000)
            #expect(throws: DecodingFailure.self) { try TextDelta(json: json) }
        }
    }

    /// Whatever the bytes, reading ends and what is read can be merged, whole and in parts, and is written again.
    @Test func noBytesStopTheProgram() {
        let words = [
            "0", "1", "-1", "4294967295", "4294967294", "8589934591", "9223372036854775807", ",", "[", "]", "\"",
            "\\u0000",
            "\\ud83d", "AAAAAAA", "[0,0]", "[1,0]", "-1,0,", "[4294967295]", "\"a\"", ",0,1,1", ",1,3,\"b\"",
        ].map { Array($0.utf8) }
        var random = SplitMix64(seed: 0x7E57)
        var read = 0
        for _ in 0..<20 * Trial.cases {
            var json = Array(random.pick(Self.valid).utf8)
            for _ in 0...random.below(3) {
                let place = random.below(json.count)
                switch random.below(5) {
                case 0: json[place] = UInt8(truncatingIfNeeded: random.next())
                case 1: json.remove(at: place)
                case 2: json.insert(contentsOf: random.pick(words), at: place)
                case 3:
                    json.replaceSubrange(place..<min(json.count, place + 1 + random.below(3)), with: random.pick(words))
                default: json.swapAt(place, random.below(json.count))
                }
                if json.isEmpty { json = [0x5B] }
            }
            guard let delta = try? TextDelta(json: json) else { continue }
            read += 1
            var text = TextSequence()
            _ = text.fits(delta)
            text.merge(delta)
            for part in delta.parts(upTo: 100).reversed() { text.merge(part) }
            text.placeWaiting()
            if delta.reread != delta || text.count != text.content.count || text.waitingRuns > 0 {
                Issue.record("\(delta.spelled)")
                return
            }
        }
        #expect(read > Trial.cases / 2)
    }
}
