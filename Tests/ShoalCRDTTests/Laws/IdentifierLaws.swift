import Testing

@testable import ShoalCRDT

@Suite struct IdentifierLaws {
    @Test func recordIdentifiersNeverRepeatAndNeverGoBackWhateverTheClockDoes() {
        law(generate: clocks) { times, random in
            var allocator = RecordIDAllocator()
            let replica = ReplicaID(rawValue: UInt32(truncatingIfNeeded: random.pick([0, random.next()])))
            var last = RecordID(rawValue: 0)
            for time in times {
                // The state is all that survives a restart.
                if random.oneIn(4) { allocator = RecordIDAllocator(state: allocator.state) }
                guard let id = allocator.next(time: time, replica: replica) else {
                    return "refused at \(time) after \(last)"
                }
                if id <= last { return "\(id) follows \(last) at \(time)" }
                if !id.isValid || id.isDerived { return "\(id) is no time identifier" }
                if id.count != replica.count { return "\(id) names another replica" }
                let isClockAhead =
                    time > last.time && time >= RecordID.epoch && time < RecordID.epoch + RecordID.clockLimit
                if isClockAhead, id.time != time { return "\(id) is of \(id.time), made at \(time)" }
                last = id
            }
            return nil
        }
    }

    private func clocks(_ random: inout SplitMix64) -> [Int64] {
        let extremes: [Int64] = [
            .min, .max, -1, 0, 157_766_400_000, RecordID.epoch - 1, RecordID.epoch, RecordID.epoch + 1,
            1_770_000_000_000,
            4_102_444_800_000, RecordID.epoch + RecordID.millisecondLimit - 1,
            RecordID.epoch + RecordID.millisecondLimit,
        ]
        let hasEnd = random.oneIn(4)
        var time = random.pick(extremes.dropFirst(2).dropLast(2))
        return (0..<random.below(120)).map { _ in
            switch random.below(40) {
            case 0: time = hasEnd ? random.pick(extremes) : random.pick(extremes.dropFirst(2).dropLast(2))
            case 1: time &+= Int64(random.below(2000)) &- 1000
            case 2...6: time &+= 1
            default: break
            }
            return time
        }
    }

    /// A clock that stood at the end of time for a moment must not leave a replica without identifiers.
    @Test func noClockUsesUpTheIdentifiersThatALogNeeds() {
        for time in [Int64.max, RecordID.epoch + RecordID.millisecondLimit - 1, 4_102_444_800_000] {
            var allocator = RecordIDAllocator()
            let replica = ReplicaID(epoch: 1, count: 7)
            #expect(allocator.next(time: time, replica: replica) != nil)
            // As if a whole log had been written since.
            allocator = RecordIDAllocator(state: allocator.state + Int64(UInt32.max))
            #expect(allocator.next(time: time, replica: replica) != nil)
            #expect(allocator.next(time: 0, replica: replica) != nil)
        }
    }

    @Test func identifiersOfOneHomeNeverRepeatWhenItsReplicaChanges() {
        law(generate: { $0.next() }) { _, random in
            var allocator = RecordIDAllocator()
            var made: Set<RecordID> = []
            for _ in 0..<100 {
                let replica = ReplicaID(epoch: 1, count: UInt16(random.below(3)))
                guard let id = allocator.next(time: RecordID.epoch + Int64(random.below(3)), replica: replica) else {
                    return "refused"
                }
                if !made.insert(id).inserted { return "\(id) twice" }
            }
            return nil
        }
    }

    @Test func anAllocatorGoesOnFromAnyStateOrRefuses() {
        law(generate: { Int64(bitPattern: $0.next() >> UInt64($0.below(64))) &- Int64($0.below(3)) }) { state, random in
            for state in [state, .max &- Int64(random.below(2)), .min &+ Int64(random.below(2))] {
                var allocator = RecordIDAllocator(state: state)
                let before = max(state, -1)
                guard let id = allocator.next(time: 0, replica: ReplicaID(rawValue: 0)) else {
                    if state < RecordID.millisecondLimit << 5 - 1 { return "refused after \(state)" }
                    continue
                }
                if !id.isValid || allocator.state <= before
                    || id.milliseconds << 5 | Int64(id.sequence) != allocator.state
                {
                    return "\(id) follows \(state)"
                }
            }
            return nil
        }
    }

    @Test func vectorsJoinToTheGreaterOfEachNumber() {
        law(generate: { random in (vector(&random), vector(&random)) }) { pair, _ in
            let (a, b) = pair
            var joined = a
            joined.merge(b)
            var other = b
            other.merge(a)
            for raw in 0..<6 as Range<UInt32> {
                let replica = ReplicaID(rawValue: raw)
                if joined[replica] != max(a[replica], b[replica]) { return "\(joined) of \(a) and \(b)" }
                let last = joined[replica]
                if last > 0, !joined.contains(Dot(replica, last)) || !joined.contains(Dot(replica, 1)) {
                    return "\(joined) lacks \(last)"
                }
                if joined.contains(Dot(replica, last + 1)) { return "\(joined) goes beyond \(last)" }
            }
            return joined == other ? nil : "\(joined) and \(other)"
        }
    }

    private func vector(_ random: inout SplitMix64) -> VersionVector {
        var vector = VersionVector()
        for _ in 0..<random.below(6) {
            vector.advance(ReplicaID(rawValue: UInt32(random.below(6))), to: UInt32(1 + random.below(5)))
        }
        return vector
    }

    @Test func anIdentifiersTextReadsBackAndSortsAsItsNumber() {
        law(generate: { random in (identifier(&random), identifier(&random)) }) { pair, random in
            let (a, b) = pair
            let text = a.description
            if text.utf8.count != 13 || RecordID(text: text) != a { return "\(a.rawValue) is written \(text)" }
            if RecordID(text: text.lowercased()) != a { return "\(text) is not read in small letters" }
            let aliased = String(text.map { $0 == "1" ? random.pick(["I", "l", "L", "i"]) : $0 == "0" ? "o" : $0 })
            if RecordID(text: aliased) != a { return "\(aliased) is not read as \(text)" }
            if (a < b) != (text < b.description) { return "\(text) and \(b) sort otherwise" }
            if RecordID(text: String(text.dropLast())) != nil || RecordID(text: text + "0") != nil {
                return "a wrong length is read"
            }
            var wrong = Array(text)
            wrong[random.below(13)] = random.pick(["U", "u", "-", " ", "@", "é", "["])
            if RecordID(text: String(wrong)) != nil { return "\(String(wrong)) is read" }
            wrong = Array(text)
            wrong[0] = random.pick(Array("89ABCDEFGHJKMNPQRSTVWXYZ"))
            return RecordID(text: String(wrong)) == nil ? nil : "\(String(wrong)) is beyond 63 bits and read"
        }
    }

    @Test func aDerivedIdentifierKeeps62BitsOfItsHashApartFromTimeIdentifiers() {
        law(generate: { $0.next() }) { hash, random in
            let derived = RecordID(derivedFrom: hash)
            if !derived.isValid || !derived.isDerived { return "\(derived) is not derived" }
            if UInt64(bitPattern: derived.rawValue) & 0x3FFF_FFFF_FFFF_FFFF != hash >> 2 {
                return "\(derived) is not of \(hash)"
            }
            if derived.time != RecordID.epoch { return "\(derived) tells a time" }
            let milliseconds = Int64(random.next() >> 23)
            let made = RecordID(
                milliseconds: milliseconds, count: UInt16(truncatingIfNeeded: hash), sequence: UInt8(hash & 31))
            let parts = (made.milliseconds, made.count, made.sequence, made.isDerived)
            if parts != (milliseconds, UInt16(truncatingIfNeeded: hash), UInt8(hash & 31), false) {
                return "\(made) is \(parts)"
            }
            return made.time == RecordID.epoch + milliseconds ? nil : "\(made) is of \(made.time)"
        }
    }

    private func identifier(_ random: inout SplitMix64) -> RecordID {
        let raw = Int64(truncatingIfNeeded: random.next() >> 1) >> Int64(random.below(63))
        return random.oneIn(4) ? RecordID(derivedFrom: random.next()) : RecordID(rawValue: max(1, raw))
    }

    @Test func integersReadBackFromTheirShortestForm() {
        law(generate: { random in random.next() >> UInt64(random.below(64)) }) { value, random in
            let signed = random.oneIn(2) ? Int64(bitPattern: value) : ~Int64(bitPattern: value)
            var bytes: [UInt8] = []
            bytes.appendVarint(value)
            let length = bytes.count
            bytes.appendSigned(signed)
            bytes.appendFixed(UInt32(truncatingIfNeeded: value))
            if length != max(1, (64 - value.leadingZeroBitCount + 6) / 7) { return "\(value) takes \(length) bytes" }
            do {
                let read = try bytes.withUnsafeBytes { buffer in
                    var reader = ByteReader(buffer)
                    return (try reader.varint(), try reader.signed(), try reader.fixed32(), reader.isAtEnd)
                }
                return read == (value, signed, UInt32(truncatingIfNeeded: value), true)
                    ? nil : "\(value) reads as \(read)"
            } catch { return "\(value), \(signed): \(error)" }
        }
    }

    @Test func randomBytesReadAsAnIntegerOnlyInItsShortestForm() {
        law(generate: { random in (0..<12).map { _ in random.pick([0, 1, 0x7F, 0x80, 0xFF, UInt8(random.below(256))]) }
        }) { bytes, _ in
            bytes.withUnsafeBytes { buffer in
                var reader = ByteReader(buffer)
                guard let value = try? reader.varint() else { return nil }
                var again: [UInt8] = []
                again.appendVarint(value)
                return again == Array(bytes[..<reader.offset]) ? nil : "\(bytes) reads as \(value)"
            }
        }
    }
}
