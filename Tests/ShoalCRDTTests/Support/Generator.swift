import ShoalCRDT

extension History {
    /// A history as it could happen: everything is done upon what its replica has seen.
    static func sensible(_ random: inout SplitMix64) -> History {
        var generator = Generator(&random)
        return generator.history(&random)
    }

    /// A history in which programs err: kinds of values mix in one cell, and operations supersede and cover what they
    /// please, themselves, each other and what is not written yet included.
    static func rough(_ random: inout SplitMix64) -> History {
        var generator = Generator(&random)
        generator.mixesKinds = true
        var history = generator.history(&random)
        for index in history.acts.indices {
            let act = history.acts[index]
            for position in act.changes.indices where random.oneIn(3) {
                let cell = act.changes[position].cell
                let writers = history.acts.filter { other in
                    other.record == act.record && other.changes.contains { $0.cell == cell }
                }
                for _ in 0...random.below(3) {
                    history.acts[index].changes[position].supersedes.append(random.pick(writers).dot)
                }
            }
            if random.oneIn(6) {
                let others = history.acts.filter { $0.record == act.record }
                for _ in 0...random.below(3) { history.acts[index].covers.append(random.pick(others).dot) }
            }
            if random.oneIn(40) { history.acts[index].time = random.pick([.min, .max, 0, -1]) }
        }
        return history
    }
}

private struct Generator {
    struct Made {
        var id: RecordID
        var envelope: Envelope
    }

    static let texts: [Bytes] = [
        "", "a", "b", "油皮", "\u{E9}", "e\u{301}", "a\0", Bytes(String(repeating: "长", count: 70)),
    ]
    static let integers: [Int64] = [0, 1, 2, -1, 31, 1 << 40, .min, .max]
    static let json: [Bytes] = ["{\"v\":1}", "[1,2]", "null"]
    static let elements: [Element] = [
        1, 2, .id(.sample), "a", "b", "a\0", "\u{E9}", "e\u{301}", "", .id(RecordID(rawValue: .max)),
    ]

    var replicas: [ReplicaID] = []
    var records: [Made] = []
    /// Milliseconds since 1970 that each replica's clock shows, and how far it moves at a time.
    var clocks: [Int64] = []
    var pace: Int
    var mixesKinds = false
    /// Few values make equal ones likely.
    var variety: Int

    init(_ random: inout SplitMix64) {
        var taken: Set<UInt32> = []
        let isOneEpoch = !random.oneIn(3)
        for _ in 0..<2 + random.below(4) {
            var raw = UInt32(truncatingIfNeeded: random.next())
            if isOneEpoch { raw = 0x00A5_0000 | raw & 15 }
            if taken.insert(raw).inserted { replicas.append(ReplicaID(rawValue: raw)) }
        }
        while replicas.count < 2 { replicas.append(ReplicaID(rawValue: 0xFFFF_FFF0 + UInt32(replicas.count))) }
        // 1975, 2020, 2026 and 2099.
        let starts: [Int64] = [157_766_400_000, RecordID.epoch, 1_770_000_000_000, 4_102_444_799_000]
        let common = random.pick(starts)
        let isCommon = random.oneIn(2)
        for _ in replicas { clocks.append(isCommon ? common : random.pick(starts)) }
        pace = random.pick([1, 1, 1000])
        variety = random.pick([1, 2, 8])
        let customer = RecordID(milliseconds: 5, count: 9, sequence: 1)
        let choices = [
            Made(id: .sample, envelope: Envelope(kind: Kind(rawValue: 1), scope: .customer(.sample))),
            Made(
                id: RecordID(derivedFrom: 0xDEAD_BEEF_0BAD_F00D),
                envelope: Envelope(kind: Kind(rawValue: 300), scope: .pair(customer, .sample))),
            Made(id: RecordID(rawValue: 33), envelope: Envelope(kind: Kind(rawValue: .max), scope: .workspace)),
            Made(
                id: RecordID(milliseconds: 1 << 40, count: 2, sequence: 31),
                envelope: Envelope(kind: Kind(rawValue: 2), scope: .account(customer))),
            Made(
                id: RecordID(derivedFrom: .max), envelope: Envelope(kind: Kind(rawValue: 3), scope: .customer(customer))
            ),
        ]
        for _ in 0...random.below(2) {
            let record = random.pick(choices)
            if !records.contains(where: { $0.id == record.id }) { records.append(record) }
        }
    }

    mutating func history(_ random: inout SplitMix64) -> History {
        var history = History(replicas)
        for _ in 0..<3 + random.below(random.oneIn(8) ? 40 : 12) {
            let index = random.below(replicas.count)
            if random.oneIn(2) {
                let other = random.below(replicas.count)
                history.show(other, to: index, upTo: UInt32(random.below(Int(history.length(of: other)) + 2)))
            }
            let record = random.pick(records)
            clocks[index] += Int64(random.below(pace + 1))
            let command = meet(record, index, &history) ? self.command(&random) : .create
            history.perform(command, by: index, at: clocks[index], on: record.id, envelope: record.envelope)
            if random.oneIn(2) { history.acts[history.acts.count - 1].salt = UInt32(truncatingIfNeeded: random.next()) }
            history.acts[history.acts.count - 1].continuesCommand = random.oneIn(3)
        }
        return history
    }

    /// Whether the replica sees that the record was made; of a record whose identifier is not derived it is told first.
    private func meet(_ record: Made, _ index: Int, _ history: inout History) -> Bool {
        guard let creation = history.acts.first(where: { $0.record == record.id && $0.creates != nil }) else {
            return false
        }
        if !record.id.isDerived { history.show(creation.log, to: index, upTo: creation.dot.number) }
        return history.visible(to: index).contains { $0.record == record.id && $0.creates != nil }
    }

    private func command(_ random: inout SplitMix64) -> Command {
        if random.oneIn(5) { return .all((0...random.below(4)).map { _ in simple(&random) }) }
        return simple(&random)
    }

    private func simple(_ random: inout SplitMix64) -> Command {
        let field = { (usual: Field, random: inout SplitMix64) in mixesKinds ? random.pick([Field.name, .year]) : usual
        }
        let text = random.pick(Self.texts.prefix(variety))
        let element = random.pick(Self.elements.prefix(variety + 1))
        switch random.below(24) {
        case 0...4: return .write(field(.name, &random), text)
        case 5, 6: return .writeInteger(field(.year, &random), random.pick(Self.integers.prefix(variety)))
        case 7: return .writeUnknown(field(.novelty, &random), random.pick(Self.json))
        case 8, 9: return .add(.tags, element)
        case 10, 11: return .remove(.tags, element)
        case 12: return .raise(field(.starred, &random))
        case 13: return .lower(field(.starred, &random))
        case 14, 15: return .choose(.stage, element)
        case 16...18: return .count(field(.visits, &random), random.pick(Self.integers))
        case 19, 20: return .delete
        case 21: return .create
        case 22: return .unknown(Int64(1 + random.below(3)), random.pick(Self.json))
        default: return .add(.phones, .text(text))
        }
    }
}
