@testable import ShoalCRDT
@testable import ShoalProtocol

/// The messages that `Protocol/Fixtures/v1` holds, built anew: what the files must say.
enum GoldenMessages {
    static let first = ReplicaID(epoch: 0x00A5, count: 1)
    static let second = ReplicaID(epoch: 0x00A5, count: 2)
    static let start: Int64 = 1_767_225_600_000
    static let account = RecordID(milliseconds: 100, count: 0, sequence: 1)
    static let colleague = RecordID(milliseconds: 100, count: 0, sequence: 2)
    static let known = RecordID(milliseconds: 187_000_000_000, count: 2, sequence: 0)
    static let imported = RecordID(derivedFrom: 0x0123_4567_89AB_CDEF)
    static let oily = RecordID(milliseconds: 186_000_000_000, count: 1, sequence: 4)
    static let dry = RecordID(milliseconds: 186_000_000_000, count: 1, sequence: 5)
    static let epoch: UInt64 = 0x00A5_0000_0000_BEEF

    static func made(_ sequence: UInt8) -> RecordID {
        RecordID(milliseconds: start - RecordID.epoch, count: 1, sequence: sequence)
    }

    static var requests: [(name: String, message: SyncRequest)] {
        [
            ("request", request(day())), ("request-first", request(Operations(), cursor: "", acknowledgement: "")),
            ("request-text", request(texts())), ("request-tail", tail()),
            ("request-push", push()), ("request-refused", refusedBefore()), ("request-tail-next", nextTail()),
            ("request-types", request(types())), ("request-change", request(textChanges())),
        ]
    }

    static var responses: [(name: String, message: SyncResponse)] {
        let taken = PushAnswer.taken(upTo: 21, acknowledgement: "a2.k0Pq", verdicts: [])
        let refused = [Verdict(number: 13, reason: .unknownDot), Verdict(number: 14, reason: .command)]
        let stopped = PushAnswer.identifierTaken(number: 15, upTo: 14, acknowledgement: "a2.k0Pq", verdicts: refused)
        let known = [
            KnownOperation(dot: Dot(first, 11), reason: nil), KnownOperation(dot: Dot(first, 12), reason: .forbidden),
            KnownOperation(dot: Dot(first, 13), reason: nil, record: account),
            KnownOperation(dot: Dot(first, 14), reason: .command, record: account),
        ]
        return [
            ("response-incremental", response(taken, changes())),
            ("response-fill", response(taken, fill(), from: "", more: true, isFill: true, positions: [])),
            ("response-conflict", response(taken, conflict())), ("response-own", response(taken, own())),
            ("response-refused", response(stopped, RecordPage())),
            ("response-fork-ask", answer(.fork(fork(nil, [])))),
            ("response-fork", answer(.fork(fork(ReplicaID(epoch: 0x00A5, count: 9), known)))),
            ("response-rollback", answer(.rollback(rollback))), ("response-recovery", recovery(taken)),
            ("response-begins", beginning(taken)), ("response-moves", moving(taken)),
            ("response-types", response(taken, typedPage())), ("response-change", response(taken, changedText())),
            ("response-lease", leased(taken)), ("response-log", ofLog(taken)),
        ]
    }

    /// To a request that named several logs.
    private static func ofLog(_ push: PushAnswer) -> SyncResponse {
        var response = response(push, RecordPage())
        response.log = first
        return response
    }

    /// With the days for which the replica may go on alone, and a setting.
    private static func leased(_ push: PushAnswer) -> SyncResponse {
        var draft = Draft()
        let id = Setting.tagEditors.id
        draft.page.begin(id, Envelope(kind: .setting, scope: .workspace))
        draft.add(CellKey(.settingKey), Dot(first, 1), start, text: Setting.tagEditors.rawValue)
        draft.add(CellKey(.settingValue), Dot(first, 1), start, text: TagEditors.supervisors.rawValue)
        var response = response(push, draft.page)
        response.lease = 90
        return response
    }

    /// From a server that waits for operations on one of the records, and asks for what replicas held.
    private static func recovery(_ push: PushAnswer) -> SyncResponse {
        var draft = Draft()
        draft.page.begin(known, Envelope(kind: .customer, scope: .customer(known)))
        draft.page.noteOpen()
        draft.add(CellKey(.stage), Dot(first, 4), start + 9_500, text: "new")
        draft.page.begin(account, Envelope(kind: .account, scope: .workspace))
        draft.add(CellKey(.accountName), Dot(second, 1), start, text: "张敏")
        var response = response(push, draft.page)
        response.recovery = true
        return response
    }

    static var relayRequest: RelayRequest {
        RelayRequest(epoch: epoch, vector: VersionVector([first: 12, second: 47]), page: conflict())
    }
    static let relayResponse = RelayResponse(taken: 1, more: true)

    private static let continued = LogPosition(
        replica: first, position: 10, hash: OperationHash(rawValue: 0x99AA_BBCC_DDEE_FF00), end: 14)

    private static func fork(_ replica: ReplicaID?, _ known: [KnownOperation]) -> PushAnswer.Fork {
        PushAnswer.Fork(of: continued, replica: replica, known: known)
    }

    private static let rollback = PushAnswer.Rollback(
        of: epoch, epoch: 0x00A6_0000_0000_CAFE, replica: ReplicaID(epoch: 0x00A7, count: 1),
        acknowledgement: "a3.mN4v",
        logs: [
            PushAnswer.Standing(
                replica: ReplicaID(epoch: 0x00A4, count: 3), position: 7,
                hash: OperationHash(rawValue: 0x1122_3344_5566_7788)),
            PushAnswer.Standing(replica: first, position: 0, hash: .start),
        ])

    static let enrollRequest = EnrollRequest(code: "K7QF-29TM-0V4C", key: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
    static let enrollAgainRequest = EnrollRequest(
        code: "K7QF-29TM-0V4C", key: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", former: account, name: "张敏")
    static let enrollResponse = EnrollResponse(
        replica: first, account: account, name: "张敏", role: .sales, epoch: epoch, time: start + 5)

    static let enrollDeviceRequest = EnrollRequest(
        code: "K7QF-29TM-0V4C", key: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", device: "她的平板")
    static let enrollLeaseResponse = EnrollResponse(
        replica: first, account: account, name: "张敏", role: .sales, epoch: epoch, time: start + 5, lease: 90)

    static var digestRequest: DigestRequest {
        let place = UInt64(known.rawValue)
        let ranges = [
            DigestRange(
                IdentifierRange(0, place + 1),
                .list([RecordPrint(id: oily, print: 0x0123_4567_89AB_CDEF), RecordPrint(id: known, print: 1)])),
            DigestRange(IdentifierRange(place + 1, 1 << 60), .print(0xFEDC_BA98_7654_3210)),
            DigestRange(IdentifierRange(1 << 61, IdentifierRange.end), .list([])),
        ]
        return DigestRequest(epoch: epoch, cursor: "c1.9f2Q", seen: 0, ranges: ranges, wanted: [known, made(0)])
    }

    /// Nothing was compared: the replica syncs first.
    static let digestBehind = DigestResponse(
        isBehind: true, seen: 0, omitted: [], ranges: [], page: RecordPage(), gone: [])

    static var digestResponse: DigestResponse {
        var batch = Operations()
        batch.begin(record: known, time: start, creates: Envelope(kind: .customer, scope: .customer(known)))
        batch.edit(CellKey(.name), text: "王小明")
        var record = Record(id: known)
        record.apply(0, of: batch, dot: Dot(first, 3), time: start)
        var page = RecordPage()
        page.begin(known, record.envelope)
        for entry in record.entries { page.append(entry, from: record.arena) }
        let ranges = [
            DigestRange(IdentifierRange(0, 1 << 59), .print(7)),
            DigestRange(
                IdentifierRange(1 << 60, IdentifierRange.end), .list([RecordPrint(id: imported, print: .max)])),
        ]
        return DigestResponse(
            isBehind: false, seen: 4_711, omitted: [known, made(0)], ranges: ranges, page: page, gone: [oily])
    }

    // MARK: Requests

    private static func request(
        _ operations: Operations, cursor: String = "c1.9f2Q", acknowledgement: String = "a1.77xZ"
    ) -> SyncRequest {
        let old = LogPosition(
            replica: ReplicaID(epoch: 0x00A4, count: 3), position: 7,
            hash: OperationHash(rawValue: 0x1122_3344_5566_7788), end: 7)
        let log = LogPosition(
            replica: first, position: 10, hash: OperationHash(rawValue: 0x99AA_BBCC_DDEE_FF00),
            end: 10 + UInt32(operations.count))
        return SyncRequest(
            epoch: epoch, cursor: cursor, acknowledgement: acknowledgement, logs: [old, log], operations: operations)
    }

    /// A bit of everything that an operator does.
    private static func day() -> Operations {
        var batch = Operations()
        func put(_ text: String) -> Slice { batch.store(text.utf8) }
        batch.begin(
            record: made(0), time: start, creates: Envelope(kind: .customer, scope: .customer(made(0))),
            salt: 0xC0FF_EE01)
        batch.edit(CellKey(.name), text: "王小明")
        batch.edit(CellKey(.phone), text: "13800000000")
        batch.edit(CellKey(.free, text: put("x-宠物")), text: "\"猫\"\n")
        batch.edit(CellKey(.follow, id: account), .present)
        batch.begin(
            record: made(1), time: start + 2, creates: Envelope(kind: .note, scope: .customer(made(0))),
            continuesCommand: true)
        batch.edit(CellKey(.body), text: "首次到店")
        batch.begin(record: known, time: start + 61_000, salt: 7)
        batch.edit(CellKey(.tagged, id: oily), .present)
        batch.edit(CellKey(.tagged, id: dry), .absent, supersedes: [Dot(second, 40)])
        // Settling a conflict supersedes all of it.
        batch.begin(record: known, time: start + 62_000, salt: .max)
        batch.edit(CellKey(.name), text: "王晓明", supersedes: [Dot(first, 3), Dot(second, 41)])
        batch.begin(
            record: imported, time: start + 63_000, creates: Envelope(kind: .customer, scope: .customer(imported)),
            salt: 0)
        batch.edit(CellKey(.birthYear), .integer, integer: 1_990)
        // What a newer version wrote on this replica before it was replaced by this one.
        batch.begin(record: known, time: start + 64_000, salt: 9)
        batch.edit(CellKey(Field(rawValue: 4_000)), .count, integer: -3)
        batch.edit(CellKey(Field(rawValue: 4_001)), .json, slice: put("{\"shade\":[1, 2]}"))
        batch.edit(CellKey(.unknownOperation, id: RecordID(rawValue: 12)), .json, slice: put("[true]"))
        batch.begin(
            record: RecordID(milliseconds: start - RecordID.epoch + 65_000, count: 1, sequence: 0),
            time: start + 65_000,
            creates: Envelope(kind: Kind(rawValue: 300), scope: .pair(known, imported)), salt: 10)
        // A customer is deleted with its note.
        batch.begin(record: made(0), time: start + 66_000, salt: 11)
        batch.cover([Dot(first, 11)])
        batch.begin(record: made(1), time: start + 66_000, continuesCommand: true)
        batch.cover([Dot(first, 12), Dot(second, 44)])
        // Renumbered after a fork.
        batch.begin(
            record: known, time: -1, salt: 12, keptHash: OperationHash(rawValue: 0xFEDC_BA98_7654_3210))
        batch.edit(CellKey(.stage), text: "")
        batch.begin(record: known, time: .max, salt: 13)
        batch.edit(CellKey(.stage), text: "new", supersedes: [Dot(first, 20)])
        return batch
    }

    /// Enough Chinese text for an alphabet.
    private static func texts() -> Operations {
        var batch = Operations()
        let remarks = ["客户反馈良好", "油皮，建议温和洁面", "敏感肌需要回访", "Café 已发货 😀", "Привет"]
        for index in 0..<60 {
            batch.begin(record: known, time: start + Int64(index) * 977, salt: UInt32(index) &* 2_654_435_761)
            batch.edit(
                CellKey(.description, id: account), text: remarks[index % 5] + "，" + remarks[index / 5 % 3],
                supersedes: [Dot(first, UInt32(10 + index))])
        }
        return batch
    }

    /// More frames follow, so that the page can wait.
    private static func push() -> SyncRequest {
        var batch = Operations()
        batch.begin(record: known, time: start + 1, salt: 14)
        batch.edit(CellKey(.phone), text: "13800000001", supersedes: [Dot(second, 42)])
        var request = request(batch)
        request.logs[1].end = 5_011
        request.wantsPage = false
        return request
    }

    /// After a rollback: what an earlier epoch refused keeps its verdict.
    private static func refusedBefore() -> SyncRequest {
        var request = push()
        request.refused = [Verdict(number: 11, reason: .forbidden)]
        request.logs[1].end = 11
        request.wantsPage = true
        return request
    }

    /// The part of a long tail that follows what was asked about.
    private static func nextTail() -> SyncRequest {
        var request = tail()
        request.skipped = 5_000
        request.logs[1].end = 5_013
        return request
    }

    /// Values of types of cell that later versions define.
    private static func types() -> Operations {
        var batch = Operations()
        batch.begin(record: known, time: start + 1, salt: 15)
        batch.edit(CellKey(.stage), .textChange, slice: batch.store(#"{"run":["a", 1]}"#.utf8))
        batch.edit(
            CellKey(Field(rawValue: 4_002), text: batch.store("x".utf8)), .foreign12,
            slice: batch.store("-1.50e3".utf8),
            supersedes: [Dot(second, 42)])
        batch.edit(CellKey(.unknownOperation, id: RecordID(rawValue: 12)), .foreign7, slice: batch.store("null".utf8))
        return batch
    }

    /// A note whose text is changed for the first time, and again.
    private static func textChanges() -> Operations {
        var batch = Operations()
        batch.begin(record: made(3), time: start + 1, salt: 16)
        batch.edit(
            CellKey(.body), .textChange,
            slice: batch.store(
                #"["sJQ2hGbV_2rXbK",[0,0,10813442,1767225500000],-1,0,["ab",2,"c"],[1,0],0,1,"换季"]"#.utf8),
            supersedes: [Dot(second, 42)])
        batch.begin(record: made(3), time: start + 2, salt: 17)
        batch.edit(
            CellKey(.body), .textChange,
            slice: batch.store(#"["0aBcDeFV_2rXbK",1,2,"\n😀",1,0,1]"#.utf8))
        return batch
    }

    private static func tail() -> SyncRequest {
        var request = request(Operations())
        request.tail = [1, 0xFFFF_FFFF_FFFF_FFFF, 0x0123_4567_89AB_CDEF].map { OperationHash(rawValue: $0) }
        request.logs[1].end = 13
        return request
    }

    // MARK: Responses

    private static func response(
        _ push: PushAnswer, _ page: RecordPage, from: String = "c1.9f2Q", more: Bool = false, isFill: Bool = false,
        positions: [Dot] = [Dot(first, 21), Dot(second, 44)]
    ) -> SyncResponse {
        SyncResponse(
            push: push, from: from, page: page, cursor: "c2.Jw07", more: more, isFill: isFill, positions: positions,
            time: start + 70_000)
    }

    private static func answer(_ push: PushAnswer) -> SyncResponse {
        SyncResponse(
            push: push, from: "c1.9f2Q", page: RecordPage(), cursor: "c1.9f2Q", more: false, isFill: false,
            positions: [],
            time: start + 70_000)
    }

    private struct Draft {
        var page = RecordPage()
        private var arena: [UInt8] = []

        mutating func text(_ text: String) -> Slice { Slice(arena.appended(text.utf8)) }

        mutating func add(
            _ key: CellKey, _ dot: Dot, _ time: Int64, kind: ValueKind = .present, integer: Int64 = 0,
            text: String? = nil,
            isCovered: Bool = false, isOwn: Bool = false
        ) {
            var entry = Entry(
                key: key, kind: text == nil ? kind : kind == .json ? .json : .text, isCovered: isCovered, dot: dot,
                time: time,
                sequence: 0, integer: integer)
            if let text { entry.slice = self.text(text) }
            page.append(entry, from: arena, isOwn: isOwn)
        }

        mutating func add(
            _ key: CellKey, _ dot: Dot, _ time: Int64, foreign kind: ValueKind, json: String = "",
            isCovered: Bool = false, isOwn: Bool = false
        ) {
            var entry = Entry(key: key, kind: kind, isCovered: isCovered, dot: dot, time: time, sequence: 0)
            entry.slice = text(json)
            page.append(entry, from: arena, isOwn: isOwn)
        }
    }

    /// The frames of a version ahead: what this one does not know is added to golden ones, which they are read as.
    static func later(_ json: [UInt8], isRequest: Bool) -> [UInt8] {
        var text = String(decoding: json, as: UTF8.self)
        let added = #""later":{"page":[1.5,{"needs":9}],"n":null},"#
        if isRequest {
            text = text.replacing(#"{"protocol":1,"#, with: #"{"protocol":1000,"needs":2,"# + added)
        } else {
            // Some say what they need already.
            text = text.replacing(#"{"needs":3,"#, with: "{")
            text = #"{"protocol":1000,"needs":2,"# + added + text.dropFirst()
            text = text.replacing(#"{"taken":"#, with: "{" + added + #""taken":"#)
            text = text.replacing(#"{"of":"#, with: "{" + added + #""of":"#)
        }
        return Array((text.dropLast() + #","afterwards":true}"#).utf8)
    }

    private static func changes() -> RecordPage {
        var draft = Draft()
        draft.page.begin(known, Envelope(kind: .customer, scope: .customer(known)))
        draft.add(CellKey(.phone), Dot(second, 42), start + 1_000, text: "13900000000")
        draft.add(CellKey(.tagged, id: oily), Dot(second, 43), start + 2_000)
        draft.add(CellKey(.tagged, id: dry), Dot(second, 43), start + 2_000, kind: .absent)
        draft.add(CellKey(Field(rawValue: 4_000)), Dot(second, 40), start + 500, kind: .count, integer: -9)
        draft.page.begin(made(1), Envelope(kind: .note, scope: .customer(known)))
        draft.add(CellKey(.created), Dot(second, 44), start + 3_000, isCovered: true)
        draft.add(CellKey(.body), Dot(rawValue: 0), 0, kind: .emptied)
        draft.page.begin(imported, Envelope(kind: .customer, scope: .customer(imported)))
        draft.add(CellKey(.free, text: draft.text("x-宠物")), Dot(second, 45), start + 4_000, text: "")
        return draft.page
    }

    private static func fill() -> RecordPage {
        var draft = Draft()
        draft.page.begin(account, Envelope(kind: .account, scope: .workspace))
        draft.add(CellKey(.created), Dot(ReplicaID(rawValue: 0), 1), start)
        draft.add(CellKey(.accountName), Dot(ReplicaID(rawValue: 0), 1), start, text: "张敏")
        draft.add(
            CellKey(.accountReplica, id: RecordID(rawValue: Int64(first.rawValue))), Dot(ReplicaID(rawValue: 0), 2),
            start)
        for (place, tag) in [oily, dry].enumerated() {
            draft.page.begin(tag, Envelope(kind: .tag, scope: .workspace))
            let dot = Dot(first, UInt32(1 + place))
            draft.add(CellKey(.created), dot, tag.time)
            draft.add(CellKey(.tagName), dot, tag.time, text: place == 0 ? "油皮" : "干皮")
            draft.add(CellKey(.tagFolded), dot, tag.time, text: place == 0 ? "油皮" : "干皮")
            draft.add(CellKey(.tagGroup), dot, tag.time, kind: .integer, integer: 0)
        }
        // Notes of a customer with a derived identifier and of one without, and a link between the two.
        for (sequence, scope) in [Scope.customer(imported), .customer(known), .customer(known), .pair(known, imported)]
            .enumerated()
        {
            let id = made(UInt8(sequence))
            draft.page.begin(id, Envelope(kind: sequence < 3 ? .note : Kind(rawValue: 300), scope: scope))
            draft.add(CellKey(.created), Dot(second, UInt32(50 + sequence)), id.time)
            if sequence < 3 {
                draft.add(CellKey(.body), Dot(second, UInt32(50 + sequence)), id.time, text: "第\(sequence)次")
            }
        }
        return draft.page
    }

    private static func conflict() -> RecordPage {
        var draft = Draft()
        draft.page.begin(known, Envelope(kind: .customer, scope: .customer(known)))
        draft.add(CellKey(.name), Dot(first, 3), start + 9_000, text: "王小明")
        draft.add(CellKey(.name), Dot(second, 41), start + 8_000, text: "王晓明")
        draft.add(CellKey(.stage), Dot(first, 4), start + 9_500, text: "new", isCovered: true)
        draft.add(CellKey(.stage), Dot(second, 46), start + 9_600, kind: .absent)
        draft.add(
            CellKey(Field(rawValue: 4_001)), Dot(second, 47), start + 9_700, kind: .json, text: "{\"shade\":[1, 2]}")
        return draft.page
    }

    private static func beginning(_ push: PushAnswer) -> SyncResponse {
        var response = response(push, fill(), from: "c1.9f2Q", more: true, isFill: true, positions: [])
        response.beginsFill = true
        return response
    }

    private static func moving(_ push: PushAnswer) -> SyncResponse {
        var response = response(push, fill())
        let ids = [known, RecordID(milliseconds: 187_000_000_500, count: 1, sequence: 3)]
        response.moves = ScopeMoves(left: [ids[0]], entered: [ids[1]])
        return response
    }

    private static func typedPage() -> RecordPage {
        var draft = Draft()
        draft.page.begin(known, Envelope(kind: .customer, scope: .customer(known)))
        draft.add(CellKey(.stage), Dot(first, 4), start + 9_500, text: "new")
        draft.add(CellKey(.stage), Dot(first, 11), start + 1, foreign: .textChange, isOwn: true)
        draft.add(CellKey(.stage), Dot(second, 46), start + 2, foreign: .textChange, json: #"{"run":["b", 2]}"#)
        draft.add(
            CellKey(Field(rawValue: 4_002), text: draft.text("x")), Dot(second, 47), start + 3, foreign: .foreign12,
            json: "[]", isCovered: true)
        return draft.page
    }

    private static func changedText() -> RecordPage {
        var draft = Draft()
        draft.page.begin(made(3), Envelope(kind: .note, scope: .customer(known)))
        draft.add(CellKey(.created), Dot(second, 42), start - 100)
        draft.add(CellKey(.body), Dot(first, 11), start + 2, foreign: .textChange, isOwn: true)
        draft.add(
            CellKey(.body), Dot(second, 46), start + 1, foreign: .textChange,
            json: #"["sJQ2hGbV_2rXbK",[0,0,10813442,1767225500000],-1,0,["ab",2,"c"],[1,0],0,1,[2]]"#)
        draft.add(CellKey(.body), Dot(second, 47), start + 3, text: "写在旁边")
        return draft.page
    }

    private static func own() -> RecordPage {
        var draft = Draft()
        draft.page.begin(made(0), Envelope(kind: .customer, scope: .customer(made(0))))
        draft.add(CellKey(.created), Dot(first, 11), start)
        draft.add(CellKey(.name), Dot(first, 11), start, text: "王小明", isOwn: true)
        draft.add(CellKey(.name), Dot(second, 48), start + 1, text: "王明")
        draft.add(CellKey(.birthYear), Dot(first, 12), start + 60, kind: .integer, integer: 1_990, isOwn: true)
        return draft.page
    }
}
