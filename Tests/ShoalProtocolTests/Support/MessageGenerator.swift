@testable import ShoalCRDT
@testable import ShoalProtocol

/// Draws messages of every form, likely and unlikely ones.
struct MessageGenerator {
    private var random: SplitMix
    private var ids: [RecordID] = []
    private var replicas: [ReplicaID] = []
    private var clock: Int64
    private let isWild: Bool

    init(_ random: inout SplitMix) {
        self.random = SplitMix(seed: random.next())
        clock = self.random.pick([1_770_000_000_000, 1_770_000_000_000, 157_766_400_000, 4_102_444_799_000, 0])
        isWild = self.random.oneIn(3)
        for _ in 0..<3 + self.random.below(8) { ids.append(drawID()) }
        for _ in 0..<1 + self.random.below(4) { replicas.append(drawReplica()) }
    }

    // MARK: Messages

    mutating func request() -> SyncRequest {
        var logs: [LogPosition] = []
        for _ in 0...random.below(3) {
            let position = UInt32(truncatingIfNeeded: random.magnitude())
            logs.append(
                LogPosition(
                    replica: random.pick(replicas), position: position, hash: hash(),
                    end: random.oneIn(4) ? .max : position + min(UInt32(random.below(9)), .max - position)))
        }
        return SyncRequest(
            epoch: random.magnitude(), cursor: opaque(), acknowledgement: opaque(), logs: logs,
            operations: operations(),
            tail: (0..<(random.oneIn(5) ? random.below(6) : 0)).map { _ in hash() },
            wantsPage: !random.oneIn(4))
    }

    mutating func response() -> SyncResponse {
        var page = page()
        if random.oneIn(4) { page.open = Set(page.heads.map(\.id).filter { _ in random.oneIn(3) }) }
        var response = SyncResponse(
            push: answer(), from: opaque(), page: page, cursor: opaque(), more: random.oneIn(2),
            isFill: random.oneIn(2),
            positions: (0..<random.below(4)).map { _ in dot() }, time: random.oneIn(4) ? random.integer() : clock,
            recovery: random.oneIn(4))
        if random.oneIn(3) { response.lease = 1 + random.below(3_650) }
        if random.oneIn(2) { response.checks = response.positions.map { _ in check() } }
        return response
    }

    mutating func check() -> LogCheck { LogCheck(rawValue: UInt32(truncatingIfNeeded: random.magnitude())) }

    private mutating func answer() -> PushAnswer {
        let number = UInt32(truncatingIfNeeded: random.magnitude())
        let verdicts = (0..<random.below(4)).map { _ in
            Verdict(number: UInt32(truncatingIfNeeded: random.magnitude()), reason: random.pick(RefusalReason.allCases))
        }
        let replica = random.oneIn(2) ? random.pick(replicas) : nil
        switch random.below(5) {
        case 0:
            return .fork(.init(of: logPosition(), replica: replica, known: (0..<random.below(4)).map { _ in known() }))
        case 1: return .rollback(rollback())
        case 2: return .identifierTaken(number: number, upTo: number / 2, acknowledgement: opaque(), verdicts: verdicts)
        default: return .taken(upTo: number, acknowledgement: opaque(), verdicts: verdicts)
        }
    }

    private mutating func rollback() -> PushAnswer.Rollback {
        PushAnswer.Rollback(
            of: random.magnitude(), epoch: random.magnitude(), replica: random.pick(replicas),
            acknowledgement: opaque(),
            logs: (0..<random.below(4)).map { _ in
                let log = logPosition()
                return .init(replica: log.replica, position: log.position, hash: log.hash)
            })
    }

    private mutating func logPosition() -> LogPosition {
        let position = UInt32(truncatingIfNeeded: random.magnitude()) / 2
        return LogPosition(
            replica: random.pick(replicas), position: position, hash: OperationHash(rawValue: random.magnitude()),
            end: position + UInt32(random.below(9)))
    }

    private mutating func known() -> KnownOperation {
        KnownOperation(
            dot: dot(), reason: random.oneIn(2) ? random.pick(RefusalReason.allCases) : nil,
            record: random.oneIn(2) ? random.pick(ids) : nil)
    }

    // MARK: Operations

    mutating func operations() -> Operations {
        var batch = Operations()
        for index in 0..<size() {
            let record = random.pick(ids)
            batch.begin(
                record: record, time: time(), creates: random.oneIn(3) ? envelope(of: record) : nil,
                salt: random.oneIn(2) ? UInt32(truncatingIfNeeded: random.magnitude()) : nil,
                continuesCommand: index > 0 && random.oneIn(3), keptHash: random.oneIn(10) ? hash() : nil)
            for key in keys() {
                let kind = random.pick(
                    [
                        .present, .absent, .text, .text, .text, .integer, .count, .json, .textChange, .foreign8,
                        .foreign12,
                    ]
                        as [ValueKind])
                let seen = (0..<random.pick([0, 0, 1, 1, 2, 5])).map { _ in dot() }
                let cell = stored(key, in: &batch)
                if kind.isSlice {
                    batch.edit(cell, kind, slice: batch.store(value(kind)), supersedes: seen)
                } else {
                    let integer = kind == .integer || kind == .count ? random.integer() : 0
                    batch.edit(cell, kind, integer: integer, supersedes: seen)
                }
            }
            if random.oneIn(6) { batch.cover((0...random.below(4)).map { _ in dot() }) }
        }
        return batch
    }

    private func stored(_ key: Key, in batch: inout Operations) -> CellKey {
        switch key.element {
        case .none: CellKey(key.field)
        case .id(let id): CellKey(key.field, id: id)
        case .text(let text): CellKey(key.field, text: batch.store(text))
        }
    }

    // MARK: Pages

    mutating func page() -> RecordPage {
        var page = RecordPage()
        var drawn: Set<RecordID> = []
        for _ in 0..<size() {
            let id = random.oneIn(2) ? random.pick(ids) : drawID()
            guard drawn.insert(id).inserted else { continue }
            page.begin(id, envelope(of: id))
            // The cell of the creation is one of the record's cells like any other.
            let creation = random.oneIn(2) ? [Key(field: .created, element: .none)] : []
            for key in creation + keys() { addCell(key, to: &page) }
        }
        return page
    }

    private mutating func addCell(_ key: Key, to page: inout RecordPage) {
        var arena: [UInt8] = []
        func slice(_ bytes: [UInt8]) -> Slice { Slice(arena.appended(bytes)) }
        let cell: CellKey
        switch key.element {
        case .none: cell = CellKey(key.field)
        case .id(let id): cell = CellKey(key.field, id: id)
        case .text(let text): cell = CellKey(key.field, text: slice(text))
        }
        if random.oneIn(12) {
            page.append(Entry(key: cell, kind: .emptied, dot: Dot(rawValue: 0), time: 0, sequence: 0), from: arena)
            return
        }
        for dot in Set((0..<random.pick([1, 1, 1, 1, 2, 4])).map { _ in dot() }).sorted() {
            let kind = random.pick(
                [.present, .absent, .text, .text, .text, .integer, .count, .json, .textChange, .foreign8, .foreign12]
                    as [ValueKind])
            var entry = Entry(
                key: cell, kind: kind, isCovered: random.oneIn(8), dot: dot, time: time(), sequence: 0,
                integer: kind == .integer || kind == .count ? random.integer() : 0)
            if kind.isSlice { entry.slice = slice(value(kind)) }
            page.append(entry, from: arena, isOwn: random.oneIn(8))
        }
    }

    // MARK: Parts

    private struct Key: Hashable {
        enum Element: Hashable { case none, id(RecordID), text([UInt8]) }
        var field: Field
        var element: Element

        /// By field, kind of element, element.
        var order: (UInt16, Int, Int64) {
            switch element {
            case .none: (field.rawValue, 0, 0)
            case .id(let id): (field.rawValue, 1, id.rawValue)
            case .text: (field.rawValue, 2, 0)
            }
        }
        static func < (a: Key, b: Key) -> Bool {
            if a.order != b.order { return a.order < b.order }
            guard case .text(let x) = a.element, case .text(let y) = b.element else { return false }
            return x.lexicographicallyPrecedes(y)
        }
    }

    private mutating func keys() -> [Key] {
        var keys: Set<Key> = []
        for _ in 0..<random.pick([0, 1, 1, 2, 3, 8]) {
            let field = Field(
                rawValue: random.oneIn(6) ? random.pick([1, 255, 4_000, .max]) : UInt16(20 + random.below(50)))
            switch random.below(6) {
            case 0, 1: keys.insert(Key(field: field, element: .id(random.pick(ids))))
            case 2: keys.insert(Key(field: field, element: .text(text())))
            default: keys.insert(Key(field: field, element: .none))
            }
        }
        return keys.sorted { $0 < $1 }
    }

    private mutating func size() -> Int { random.pick([0, 1, 1, 2, 3, 5, 8, 8, random.oneIn(8) ? 150 : 12]) }

    private mutating func drawID() -> RecordID {
        switch random.below(isWild ? 6 : 12) {
        case 0: return RecordID(derivedFrom: random.next())
        case 1: return RecordID(rawValue: random.pick([1, .max, 31, 1 << 62, 1 << 62 - 1, 32]))
        default:
            return RecordID(
                milliseconds: isWild
                    ? Int64(random.next() >> 23) : clock - RecordID.epoch > 0 ? clock - RecordID.epoch : 1,
                count: isWild ? UInt16(truncatingIfNeeded: random.next()) : UInt16(1 + random.below(3)),
                sequence: UInt8(random.below(32)))
        }
    }

    private mutating func drawReplica() -> ReplicaID {
        ReplicaID(
            rawValue: isWild ? UInt32(truncatingIfNeeded: random.magnitude()) : 0x0001_0000 + UInt32(random.below(9)))
    }

    private mutating func dot() -> Dot {
        let number = isWild ? UInt32(truncatingIfNeeded: random.magnitude()) : UInt32(random.below(900))
        return Dot(random.pick(replicas), max(number, 1))
    }

    private mutating func time() -> Int64 {
        if isWild, random.oneIn(6) { return random.integer() }
        clock &+= Int64(random.below(40_000)) - 1_000
        return clock
    }

    private mutating func hash() -> OperationHash { OperationHash(rawValue: random.magnitude()) }

    private mutating func opaque() -> String { random.pick(["", "c1.AAAA_-9", "\"\\\u{1}中"]) }

    private mutating func envelope(of record: RecordID) -> Envelope {
        let kind = Kind(rawValue: random.oneIn(6) ? random.pick([300, .max]) : UInt16(1 + random.below(5)))
        let (a, b) = (random.pick(ids), random.pick(ids))
        switch random.below(6) {
        case 0: return Envelope(kind: kind, scope: .workspace)
        case 1: return Envelope(kind: kind, scope: .account(a))
        case 2, 3: return Envelope(kind: kind, scope: .customer(a))
        case 4 where a != b: return Envelope(kind: kind, scope: .pair(min(a, b), max(a, b)))
        default: return Envelope(kind: kind, scope: .customer(record))
        }
    }

    private mutating func value(_ kind: ValueKind) -> [UInt8] {
        if kind == .text { return text() }
        return Array(random.pick(["{\"v\":1}", "[1,2,\"\\u0041\"]", "null", "{ \"a\" : -1.5e3 }", "\"油\""]).utf8)
    }

    private static let pools: [[Unicode.Scalar]] = [
        Array("油皮干性敏感肌建议使用温和洁面乳客户反馈良好需要回访护肤套装".unicodeScalars),
        Array("the quick brown fox 0123456789".unicodeScalars),
        Array("éàüñçßøÅ \u{80}\u{9F}\u{7FF}".unicodeScalars),
        Array("Привет мир".unicodeScalars),
        Array("😀🎁👩‍🔬\u{10FFFF}\u{10000}".unicodeScalars),
        Array("\u{800}\u{FFFF}\u{D7FF}\u{E000}\u{FEFF}\u{2028}".unicodeScalars),
        Array("\"\\/\n\t\u{1}\u{1F}\u{7F}".unicodeScalars),
    ]

    private mutating func text() -> [UInt8] {
        var text = ""
        for _ in 0...random.below(2) {
            let pool = random.oneIn(2) ? Self.pools[0] : random.pick(Self.pools)
            for _ in 0..<random.pick([0, 1, 3, 11, random.oneIn(4) ? 400 : 30]) {
                text.unicodeScalars.append(random.pick(pool))
            }
        }
        return Array(text.utf8)
    }
}
