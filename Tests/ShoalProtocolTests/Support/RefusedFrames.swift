@testable import ShoalProtocol

/// Frames that must be refused, made from golden ones by one fault each. The first word of a name is the message, the
/// rest the fault; `.bin` is compressed, `.json` is not.
struct RefusedFrame {
    var name: String
    var bytes: [UInt8]

    /// Decodes the frame as what its name says it is.
    static func decode(_ name: String, _ bytes: [UInt8]) throws(FrameError) {
        let isCompressed = name.hasSuffix(".bin")
        if name.hasPrefix("request") {
            _ = isCompressed ? try SyncRequest(decoding: bytes) : try SyncRequest(json: bytes)
        } else if name.hasPrefix("response") {
            _ = isCompressed ? try SyncResponse(decoding: bytes) : try SyncResponse(json: bytes)
        } else if name.hasPrefix("relay-request") {
            _ = isCompressed ? try RelayRequest(decoding: bytes) : try RelayRequest(json: bytes)
        } else if name.hasPrefix("relay-response") {
            _ = try RelayResponse(decoding: bytes)
        } else if name.hasPrefix("digest-request") {
            _ = isCompressed ? try DigestRequest(decoding: bytes) : try DigestRequest(json: bytes)
        } else if name.hasPrefix("digest-response") {
            _ = isCompressed ? try DigestResponse(decoding: bytes) : try DigestResponse(json: bytes)
        } else if name.hasPrefix("enroll-request") {
            _ = try EnrollRequest(decoding: bytes)
        } else {
            _ = try EnrollResponse(decoding: bytes)
        }
    }

    /// The frames whose bytes are the same with every version of zlib.
    static func plain() throws -> [RefusedFrame] {
        let day = try Base("request"), text = try Base("request-text"), tail = try Base("request-tail")
        let changes = try Base("response-incremental"), fork = try Base("response-fork")
        let refused = try Base("response-refused"), rollback = try Base("response-rollback")
        let enroll = try Base("enroll-request"), enrolled = try Base("enroll-response")
        return spelling(day) + columns(day) + shapes(day) + contents(day, text) + members(day, tail)
            + counts(day, changes)
            + pages(changes) + answers(changes, refused, fork, rollback) + enrolment(enroll, enrolled)
            + recovery(
                try Base("response-recovery"), try Base("relay-request"), try Base("relay-response"),
                try Base("enroll-request-former"))
            + digests(try Base("digest-request"), try Base("digest-response"))
    }

    /// The compressed ones.
    static func compressed() throws -> [RefusedFrame] {
        let json = try Fixtures.read("v1/request.json")
        let packed = try Fixtures.read("v1/request.bin")
        let bomb = try Deflate.compress(
            [UInt8](repeating: 0x20, count: Limits.inflated + 1), level: 9, dictionary: FrameDictionary.bytes)
        var damaged = packed
        damaged[packed.count / 2] ^= 0x10
        return [
            RefusedFrame(name: "request-empty.bin", bytes: []),
            RefusedFrame(name: "request-truncated.bin", bytes: Array(packed.dropLast(7))),
            RefusedFrame(name: "request-trailing-byte.bin", bytes: packed + [0]),
            RefusedFrame(name: "request-wrong-checksum.bin", bytes: packed.dropLast() + [packed[packed.count - 1] ^ 1]),
            RefusedFrame(name: "request-damaged.bin", bytes: damaged),
            RefusedFrame(name: "request-bomb.bin", bytes: bomb),
            RefusedFrame(name: "request-not-zlib.bin", bytes: json),
            RefusedFrame(
                name: "request-gzip.bin", bytes: [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            RefusedFrame(
                name: "request-other-dictionary.bin",
                bytes: try Deflate.compress(json, dictionary: Array("other words".utf8))),
            RefusedFrame(name: "request-trailing-json.bin", bytes: try Deflate.compress(json + [0x7B, 0x7D])),
            RefusedFrame(name: "response-bomb.bin", bytes: bomb),
        ]
    }

    /// A golden frame, to spoil.
    private struct Base {
        var name: String
        var json: [UInt8]
        init(_ name: String) throws {
            let isWhole = ["enroll", "relay", "digest"].contains { name.hasPrefix($0) }
            self.name = isWhole ? name : String(name.prefix { $0 != "-" })
            json = try Fixtures.read("v1/\(name).json")
        }

        /// The frame with one stretch replaced; the fault is missing when the stretch is.
        func with(_ fault: String, _ old: String, _ new: String) -> RefusedFrame { with(fault, old, Array(new.utf8)) }

        /// The frame up to a stretch, and then another end.
        func upTo(_ fault: String, _ stretch: String, _ end: String) -> RefusedFrame {
            let wanted = Array(stretch.utf8)
            let start = json.indices.first { json[$0...].starts(with: wanted) } ?? 0
            return RefusedFrame(name: "\(name)-\(fault).json", bytes: json[..<start] + Array(end.utf8))
        }

        func with(_ fault: String, _ old: String, _ new: [UInt8]) -> RefusedFrame {
            let wanted = Array(old.utf8)
            let start = (0...max(json.count - wanted.count, 0)).first { json[$0...].starts(with: wanted) }
            guard let start else { return RefusedFrame(name: "\(name)-\(fault)-is-not-there", bytes: json) }
            var bytes = json
            bytes.replaceSubrange(start..<start + wanted.count, with: new)
            return RefusedFrame(name: "\(name)-\(fault).json", bytes: bytes)
        }
    }

    private static func spelling(_ day: Base) -> [RefusedFrame] {
        let deep = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        return [
            RefusedFrame(name: "request-empty.json", bytes: []),
            RefusedFrame(name: "request-truncated.json", bytes: Array(day.json.prefix(400))),
            RefusedFrame(name: "request-trailing-bytes.json", bytes: day.json + Array("{}".utf8)),
            RefusedFrame(name: "request-byte-order-mark.json", bytes: [0xEF, 0xBB, 0xBF] + day.json),
            day.with("duplicate-member", #""acknowledgement":"a1.77xZ""#, #""cursor":"a1.77xZ""#),
            day.with("duplicate-member-escaped", #""acknowledgement":"a1.77xZ""#, #""curs\u006fr":"a1.77xZ""#),
            day.with("duplicate-column", #""salt":["_H_AJKLMN",3237998018,4294967232]"#, #""at":[]"#),
            day.with("cut-utf-8", "王", [0xE7, 0x8E]),
            day.with("overlong-utf-8", "王", [0xC1, 0x81]),
            day.with("surrogate-utf-8", "王", [0xED, 0xA0, 0x80]),
            day.with("lone-surrogate", "王", #"\ud83d"#),
            day.with("nul", "王", #"\u0000"#),
            day.with("control-character", "王", [0x07]),
            day.with("invalid-escape", "王", #"\x41"#),
            day.with("too-deep", #"{"shade":[1, 2]}"#, deep),
            day.with("too-deep-in-an-unknown-member", #""logs""#, #""future":\#(deep),"logs""#),
            day.with("fraction", #""n":11"#, #""n":11.0"#),
            day.with("leading-zero", #""n":11"#, #""n":011"#),
            day.with("huge-number", #""n":11"#, #""n":99999999999999999999"#),
            day.with("negative-count", #""n":11"#, #""n":-1"#),
            day.with("wrong-type", #""operations":{"n":11"#, #""operations":[{"n":11"#),
            day.with("null", #""cursor":"c1.9f2Q""#, #""cursor":null"#),
        ]
    }

    private static func columns(_ day: Base) -> [RefusedFrame] {
        let shape = #""shape":["ABCDEFGHIJK"]"#
        return [
            day.with("plane-too-short", shape, #""shape":["ABCDEFGHIJ"]"#),
            day.with("plane-too-long", shape, #""shape":["ABCDEFGHIJKA"]"#),
            day.with("no-digit", shape, #""shape":["ABCDEFGHIJ+"]"#),
            day.with("overflow-missing", shape, #""shape":["ABCDEFGHIJ_"]"#),
            day.with("overflow-superfluous", shape, #""shape":["ABCDEFGHIJK",1]"#),
            day.with("values-too-few", #""at":[3534451200000,"#, #""at":["#),
            day.with("values-too-many", #""at":[3534451200000,"#, #""at":[3534451200000,1,"#),
            day.with("too-many-planes", shape, #""shape":["A","A","A","A","A","A","A"]"#),
            day.with("identifiers-do-not-fit", #""counts":[2,1]"#, #""counts":[]"#),
            day.with("count-out-of-range", #""counts":[2,1]"#, #""counts":[2,65536]"#),
            day.with("maker-outside-its-table", #""counts":[2,1]"#, #""counts":[2]"#),
            day.with("identifier-before-2020", #""ms":[374000000000,"#, #""ms":[1,"#),
            day.with(
                "identifier-of-another-sort", #""derived":[4632182400731509627]"#, #""derived":[463218240073150962]"#),
        ]
    }

    private static func shapes(_ day: Base) -> [RefusedFrame] {
        [
            day.with("shape-outside-the-table", #""shape":["ABCDEFGHIJK"]"#, #""shape":["ABCDEFGHIJL"]"#),
            day.with("shape-empty", "[34,1]", "[]"),
            day.with("shape-flags", "[34,1]", "[98,1]"),
            day.with("shape-derived-but-not-made", "[34,1]", "[50,1]"),
            day.with("shape-cut", "[2,20,8,2]", "[2,20,8]"),
            day.with("shape-kind-0", "[3,300,4]", "[3,0,4]"),
            day.with("shape-scope", "[3,300,4]", "[3,300,5]"),
            day.with("shape-covers-none", "[34,1]", "[34,0]"),
            day.with("shape-element-kind", "[2,20,8,2]", "[2,20,11,2]"),
            day.with("shape-value-kind", "[2,20,8,2]", "[2,20,64,2]"),
            day.with("shape-marker", "[2,20,8,2]", "[2,20,60,2]"),
            day.with("shape-negative", "[2,20,8,2]", "[2,20,8,-2]"),
            day.with("shape-asks-for-more-dots", "[2,20,8,2]", "[2,20,8,3]"),
            day.with("shape-asks-for-fewer-dots", "[2,20,8,2]", "[2,20,8,1]"),
            day.with("shape-asks-for-another-text", "[2,20,8,2]", "[2,21,8,2]"),
            day.with("shape-asks-for-no-text", "[2,20,8,2]", "[2,20,0,2]"),
            day.with("shape-asks-for-a-name", "[2,20,8,2]", "[2,20,10,2]"),
            day.with("shape-asks-for-a-salt", "[5,5,3,100,8,0]", "[7,5,3,100,8,0]"),
            day.with("shape-asks-for-a-hash", "[34,1]", "[42,1]"),
            day.with("shape-asks-for-a-new-record", "[34,1]", "[35,2,0,1]"),
            day.with("shape-asks-for-json", "[2,20,8,2]", "[2,20,20,2]"),
            day.with("edits-descend", "[3,2,2,20,8,0,23,8,0,", "[3,2,2,23,8,0,20,8,0,"),
            day.with("edit-twice", "[3,2,2,20,8,0,23,8,0,", "[3,2,2,20,8,0,20,0,0,23,8,0,"),
            day.with("edit-of-the-creation", "[5,5,3,100,8,0]", "[5,5,3,0,0,0,100,8,0]"),
        ]
    }

    private static func contents(_ day: Base, _ text: Base) -> [RefusedFrame] {
        [
            day.with("target-outside-the-table", #""target":[0,0,0,3,4,0,0]"#, #""target":[0,0,0,3,7,0,0]"#),
            day.with("target-not-made-yet", #""target":[0,0,0,3,4,0,0]"#, #""target":[5,0,0,3,4,0,0]"#),
            day.with("element-outside-the-table", #""element":[1,2,3,0]"#, #""element":[1,2,3,4]"#),
            day.with("scope-outside-the-table", #""scope":[1,0,2]"#, #""scope":[1,0,3]"#),
            day.with("scope-pair-descends", #""scope":[1,0,2]"#, #""scope":[1,2,0]"#),
            day.with(
                "scope-is-the-record-itself", #""counts":[1],"sequence":[0,1,0]"#, #""counts":[1],"sequence":[0,0,0]"#),
            day.with("replica-outside-the-table", #""replica":[0,1,0,1,1,0,1]"#, #""replica":[0,1,0,1,1,0,2]"#),
            day.with("replica-out-of-range", #""replicas":[10813442,10813441]"#, #""replicas":[10813442,4294967296]"#),
            day.with("dot-without-a-number", #""number":["oDpLMsU"]"#, #""number":["oDpLMsA"]"#),
            day.with("salt-out-of-range", "4294967232]", "4294967233]"),
            day.with("salt-missing", #""salt":["_H_AJKLMN",3237998018,4294967232],"#, ""),
            day.with("hash-too-short", #""hashes":["fedcba9876543210"]"#, #""hashes":["fedcba987654321"]"#),
            day.with("hash-in-capitals", #""hashes":["fedcba9876543210"]"#, #""hashes":["FEDCBA9876543210"]"#),
            day.with(
                "hash-too-many", #""hashes":["fedcba9876543210"]"#, #""hashes":["fedcba9876543210","fedcba9876543210"]"#
            ),
            day.with("text-too-few", #""33":["","new"]"#, #""33":[""]"#),
            day.with("text-too-many", #""33":["","new"]"#, #""33":["","new","new"]"#),
            day.with("text-of-an-unused-field", #""33":["","new"]"#, #""33":["","new"],"34":["a"]"#),
            day.with("text-of-a-field-in-another-spelling", #""33":["","new"]"#, #""033":["","new"]"#),
            day.with("name-missing", #""names":["x-宠物"],"#, ""),
            day.with("json-missing", #""json":[{"shade":[1, 2]},[true]]"#, #""json":[[true]]"#),
            text.with("text-outside-the-alphabet", #"],"text":{"56":[""#, #"],"text":{"56":[""# + "\u{7FF}"),
            text.with("alphabet-too-many", #""alphabet":["#, #""alphabet":[1921,[]],"x":["#),
            text.with("alphabet-without-a-column", #""alphabet":["#, #""alphabet":[0],"x":["#),
            text.with("alphabet-of-surrogates", #""alphabet":["#, #""alphabet":[1,[55168]],"x":["#),
        ]
    }

    private static func members(_ day: Base, _ tail: Base) -> [RefusedFrame] {
        [
            day.with("newer-protocol", #""protocol":1"#, #""protocol":1000,"needs":1000"#),
            day.with("no-protocol", #""protocol":1,"#, ""),
            day.with("no-epoch", #""epoch":"00a500000000beef","#, ""),
            day.with("no-cursor", #""cursor":"c1.9f2Q","#, ""),
            day.with("no-acknowledgement", #""acknowledgement":"a1.77xZ","#, ""),
            day.with("no-logs", #""logs":["#, #""books":["#),
            day.with(
                "empty-logs", #""logs":[[10747907,7,"1122334455667788",7],[10813441,10,"99aabbccddeeff00",21]]"#,
                #""logs":[]"#),
            day.with("log-of-three", #"[10747907,7,"1122334455667788",7]"#, #"[10747907,7,"1122334455667788"]"#),
            day.with("log-of-five", #"[10747907,7,"1122334455667788",7]"#, #"[10747907,7,"1122334455667788",7,7]"#),
            day.with(
                "log-beyond-its-end", #"[10747907,7,"1122334455667788",7]"#, #"[10747907,8,"1122334455667788",7]"#),
            day.with("log-number-out-of-range", #"[10747907,7,"#, #"[10747907,4294967296,"#),
            day.with("epoch-too-short", #""epoch":"00a500000000beef""#, #""epoch":"a500000000beef""#),
            tail.with("tail-of-numbers", #""tail":["0000000000000001""#, #""tail":[1"#),
            day.with("unknown-column", #""target":"#, #""years":[],"target":"#),
            day.with("count-after-the-shapes", #""n":11,"shapes":["#, #""shapes":[[0]],"n":11,"x":["#),
            day.with("count-after-a-column", #"{"n":11,"shapes":["#, #"{"shapes":[[0]],"at":[],"n":11,"x":["#),
            day.with(
                "shape-after-a-column",
                #""shape":["ABCDEFGHIJK"],"at":[3534451200000,4,121996,2000,2000,2000,2000,2000,0,3534451332001,-1]"#,
                #""at":[],"shape":["ABCDEFGHIJK"]"#),
            // Read in another order, these would be read beyond the end of a column.
            day.upTo("count-last", #""operations":"#, #""operations":{"shapes":[[0]],"at":[],"n":5}}"#),
            day.with("target-before-its-identifiers", #""ids":{"#, #""target":[],"ids":{"#),
        ]
    }

    /// Small bodies that ask for much: refused before the memory is taken.
    private static func counts(_ day: Base, _ changes: Base) -> [RefusedFrame] {
        [
            day.with("count-of-operations", #""n":11"#, #""n":5001"#),
            day.with("count-of-dots", "[34,1]", "[34,262145]"),
            day.with("count-of-all-dots", "[34,1],[36,2]", "[34,262000],[36,262000]"),
            day.with("count-of-identifiers", #""ids":{"n":2"#, #""ids":{"n":1000000000"#),
            day.with("count-of-elements", #""elements":{"n":4"#, #""elements":{"n":1000000000"#),
            changes.with("count-of-records", #""page":{"n":3"#, #""page":{"n":1048577"#),
            changes.with("count-of-entries", "[2,2,1,49,10,1]", "[2,2,1,49,10,1048577]"),
            changes.with("count-of-all-entries", "[2,2,1,49,10,1]", "[2,2,1,49,10,1048576]"),
            changes.with("count-of-stamps", "[2,2,1,49,10,1]", "[2,2,1048577,49,10,1]"),
            changes.with("count-of-all-stamps", "[2,2,1,49,10,1]", "[2,2,1048576,49,10,1]"),
            changes.with("count-of-identifiers", #""records":{"n":2"#, #""records":{"n":1000000"#),
        ]
    }

    private static func pages(_ changes: Base) -> [RefusedFrame] {
        [
            changes.with("records-descend", #""ms":[374000000000,4777600000]"#, #""ms":[374000000000,4777600001]"#),
            changes.with(
                "record-twice", #""ms":[374000000000,4777600000],"counts":[2,1],"count":[0,1],"sequence":[0,1]"#,
                #""ms":[374000000000,0],"counts":[2]"#),
            changes.with(
                "records-too-few", #""records":{"n":2,"ms":[374000000000,4777600000]"#,
                #""records":{"n":1,"ms":[374000000000]"#),
            changes.with("kind-0", "[2,2,1,49,10,1]", "[0,2,1,49,10,1]"),
            changes.with("scope-tag", "[2,2,1,49,10,1]", "[2,6,1,49,10,1]"),
            changes.with("scope-derived-without-identifier", "[2,2,1,49,10,1]", "[2,10,1,49,10,1]"),
            changes.with("scope-beyond-its-flags", "[2,2,1,49,10,1]", "[2,34,1,49,10,1]"),
            changes.with("scope-of-no-record-before", "[2,2,3,23,8,1,", "[2,5,3,23,8,1,"),
            changes.with("scope-missing", "[5,5,2,0,64,1,", "[5,3,2,0,64,1,"),
            changes.with("run-of-none", "[2,2,1,49,10,1]", "[2,2,1,49,10,0]"),
            changes.with("run-code", "[2,2,1,49,10,1]", "[2,2,1,49,512,1]"),
            changes.with("value-kind", "70,5,1,4000,16,1]", "70,53,1,4000,16,1]"),
            changes.with("marker-of-a-dead-dot", "100,60,1]", "100,52,1]"),
            changes.with("marker-covered", "100,60,1]", "100,124,1]"),
            changes.with("marker-own", "100,60,1]", "100,316,1]"),
            changes.with("count-own", "4000,16,1]", "4000,272,1]"),
            changes.with("no-stamps", "[2,2,1,49,10,1]", "[2,2,0,49,10,1]"),
            changes.with("no-cell-to-continue", "[2,2,3,23,8,1,", "[2,2,3,23,136,1,"),
            changes.with("cells-descend", "70,5,1,4000,16,1]", "70,5,1,22,16,1]"),
            changes.with("cell-twice", #""element":[0,1]"#, #""element":[1,1]"#),
            changes.with("stamp-outside", #""stamp":[0,1,1,2,0,1]"#, #""stamp":[0,1,1,3,0,1]"#),
            changes.with("emptied-with-a-dot", #""stamp":[0,1,1,2,0,1]"#, #""stamp":[0,1,1,2,0,0]"#),
            changes.with("value-without-a-dot", #""stamp":[0,1,1,2,0,1]"#, #""stamp":[0,1,1,2,1,1]"#),
            changes.with("replica-outside-the-table", #""replica":[0,0,0,0,1,0]"#, #""replica":[0,0,0,0,2,0]"#),
            changes.with("number-negative", #""number":[84,2,5,8,0,2]"#, #""number":[83,2,5,8,0,2]"#),
            changes.with("element-outside-the-table", #""element":[0,1]"#, #""element":[0,2]"#),
            changes.with("text-missing", #""49":[""]"#, #""49":[]"#),
            changes.upTo("count-last", #""page":"#, #""page":{"shapes":[[2,0,0]],"replica":[],"n":5}}"#),
            changes.with(
                "members-out-of-order", #""n":3,"shapes":["#, #""shapes":[[2,2,1,49,10,1]],"records":{},"n":3,"x":["#),
        ]
    }

    private static func answers(_ changes: Base, _ refused: Base, _ fork: Base, _ rollback: Base) -> [RefusedFrame] {
        [
            changes.with("no-push", #""push":"#, #""pull":"#),
            changes.with("no-taken", #""taken":21"#, #""took":21"#),
            changes.with("no-from", #""from":"#, #""form":"#),
            changes.with("no-cursor", #""cursor":"#, #""course":"#),
            changes.with("no-more", #""more":"#, #""less":"#),
            changes.with("no-fill", #""fill":"#, #""file":"#),
            changes.with("no-time", #""time":1767225670000,"#, ""),
            changes.with("position-of-one", "[10813442,44]", "[10813442]"),
            changes.with("position-of-three", "[10813442,44]", "[10813442,44,0]"),
            refused.with("verdict-of-one", #"[13,"unknown-dot"]"#, "[13]"),
            refused.with("verdict-of-three", #"[13,"unknown-dot"]"#, #"[13,"unknown-dot","command"]"#),
            fork.with("fork-and-taken", #""push":{"#, #""push":{"taken":4,"#),
            fork.with("fork-and-rollback", #""push":{"#, #""push":{"rollback":{"epoch":"00a500000000beef"},"#),
            fork.with("known-of-one", "[10813441,11]", "[10813441]"),
            fork.with("known-of-five", #"[10813441,12,"forbidden"]"#, #"[10813441,12,"forbidden","0000000000011",""]"#),
            fork.with("known-without-identifier", #"[10813441,12,"forbidden"]"#, #"[10813441,12,"forbidden","U"]"#),
            fork.with("fork-of-nothing", #""of":"#, #""off":"#),
            fork.with("fork-of-half", #",14],"replica""#, #"],"replica""#),
            fork.with("known-zero", "[10813441,11]", "[10813441,0]"),
            rollback.with("rollback-without-epoch", #""epoch":"00a600000000cafe","#, ""),
            rollback.with("rollback-of-nothing", #""of":"#, #""off":"#),
            rollback.with("rollback-without-replica", #""replica":"#, #""replicas":"#),
            rollback.with("rollback-without-acknowledgement", #""acknowledgement":"#, #""acknowledged":"#),
            rollback.with("standing-of-two", #",0,"0000000000000000"]"#, ",0]"),
        ]
    }

    private static func recovery(_ answer: Base, _ relay: Base, _ joined: Base, _ enrol: Base) -> [RefusedFrame] {
        [
            answer.with("open-outside-the-page", #""open":[1]"#, #""open":[2]"#),
            answer.with("open-negative", #""open":[1]"#, #""open":[-1]"#),
            answer.with("open-descends", #""open":[1]"#, #""open":[1,0]"#),
            answer.with("recovery-of-a-number", #""recovery":true"#, #""recovery":1"#),
            relay.with("newer-protocol", #""protocol":1"#, #""protocol":1000,"needs":1000"#),
            relay.with("no-protocol", #""protocol":1,"#, ""),
            relay.with("no-epoch", #""epoch":"#, #""epoche":"#),
            relay.with("no-vector", #""vector":"#, #""victor":"#),
            relay.with("no-page", #""page":"#, #""pages":"#),
            relay.with("vector-descends", "[[10813441,12],[10813442,47]]", "[[10813442,47],[10813441,12]]"),
            relay.with("vector-twice", "[[10813441,12],[10813442,47]]", "[[10813441,12],[10813441,47]]"),
            relay.with("vector-of-nothing", "[10813441,12]", "[10813441,0]"),
            relay.with("value-left-out", "[2,2,5,20,8,1,20,136,1", "[2,2,5,20,264,1,20,136,1"),
            joined.with("no-count", #""taken":"#, #""taking":"#),
            joined.with("negative", #""taken":1"#, #""taken":-1"#),
            joined.with("no-more", #""more":"#, #""less":"#),
            enrol.with("no-identifier", #""former":""#, #""former":"!"#),
            enrol.with("name-of-a-number", #""name":"张敏""#, #""name":7"#),
        ]
    }

    private static func enrolment(_ request: Base, _ response: Base) -> [RefusedFrame] {
        [
            request.with("newer-protocol", #""protocol":1"#, #""protocol":1000,"needs":1000"#),
            request.with("no-protocol", #""protocol":1,"#, ""),
            request.with("no-code", #""code":"#, #""coda":"#),
            request.with("no-key", #""key":"#, #""lock":"#),
            RefusedFrame(name: "enroll-request-trailing-bytes.json", bytes: request.json + [0x30]),
            response.with("account", #""account":"00000"#, #""account":"U0000"#),
            response.with("role", #""role":"sales""#, #""role":7"#),
            response.with("replica-out-of-range", #""replica":"#, #""replica":-"#),
        ]
    }

    private static func digests(_ request: Base, _ response: Base) -> [RefusedFrame] {
        [
            request.with("no-protocol", #""protocol":1,"#, ""),
            request.with("newer-protocol", #""protocol":1"#, #""protocol":1000,"needs":1000"#),
            request.with("no-epoch", #""epoch":"#, #""epic":"#),
            request.with("no-cursor", #""cursor":"#, #""course":"#),
            request.with("no-seen", #""seen":"#, #""scene":"#),
            request.with("seen-negative", #""seen":0"#, #""seen":-1"#),
            request.with("bounds-descend", #""bounds":["","#, #""bounds":["H","#),
            request.with("bound-ends-with-zero", #""bounds":["","#, #""bounds":["AA","#),
            request.with("bound-beyond-the-end", #""g"]"#, #""h"]"#),
            request.with("bound-no-digit", #""g"]"#, #""g="]"#),
            request.with("bound-too-long", #""g"]"#, #""gAAAAAAAAAAB"]"#),
            request.with("bound-beyond-its-bits", #""g"]"#, #""fAAAAAAAAAB"]"#),
            request.with("mode-unknown", #""modes":"lps"#, #""modes":"lpx"#),
            request.with("mode-missing", #""modes":"lps"#, #""modes":"lp"#),
            request.with("count-negative", #""counts":[2,"#, #""counts":[-2,"#),
            request.with("count-too-large", #""counts":[2,"#, #""counts":[65537,"#),
            request.with("count-missing", #""counts":[2,0]"#, #""counts":[2]"#),
            request.with("print-missing", #""prints":"A"#, #""prints":""#),
            request.with("print-beyond-64-bits", #""prints":"A"#, #""prints":"Q"#),
            request.with("print-no-digit", #""prints":"AE"#, #""prints":"A="#),
            request.with("members-out-of-order", #""modes":"#, #""prints":"","modes":"#),
            request.with("member-unknown", #""modes":"#, #""moods":"","modes":"#),
            request.with(
                "wanted-descend", #""wanted":{"n":2,"ms":[374000000000,4777600000]"#,
                #""wanted":{"n":2,"ms":[374000000000,4777600001]"#),
            request.with("wanted-too-many", #""wanted":{"n":2"#, #""wanted":{"n":5001"#),
            RefusedFrame(name: "digest-request-trailing-bytes.json", bytes: request.json + [0x30]),
            response.with("no-behind", #""behind":"#, #""before":"#),
            response.with("no-seen", #""seen":"#, #""scene":"#),
            response.with("own-value", "2,2,1,0,0,1,20,8,1", "2,2,1,0,256,1,20,8,1"),
            response.with(
                "omitted-twice", #""omitted":{"n":2,"ms":[374000000000,4777600000],"counts":[2,1],"count":[0,1]}"#,
                #""omitted":{"n":2,"ms":[374000000000,0],"counts":[2]}"#),
        ]
    }
}
