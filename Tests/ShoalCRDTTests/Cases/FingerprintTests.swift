import Testing

@testable import ShoalCRDT

/// What a record's fingerprint covers, and what it must not.
@Suite struct FingerprintTests {
    private func record(_ body: (inout Operations) -> Void) -> Record {
        var batch = Operations()
        batch.begin(
            record: .sample, time: 5, creates: Envelope(kind: Kind(rawValue: 1), scope: .customer(.sample)))
        batch.edit(CellKey(.name), text: "Lin")
        body(&batch)
        var record = Record(id: .sample)
        for index in 0..<batch.count {
            record.apply(
                index, of: batch, dot: Dot(ReplicaID(rawValue: 7), UInt32(index + 1)),
                time: batch.operations[index].time, sequence: Int64(index + 1), isKnown: { $0.number < 100 })
        }
        return record
    }

    private func fingerprint(_ record: Record) -> RecordFingerprint {
        var scratch: [UInt8] = []
        return record.fingerprint(scratch: &scratch)
    }

    @Test func itIsTheOneOfVersionOne() {
        #expect(fingerprint(record { _ in }).sum == 79_089_184_167_017_623_430_035_511_731_917_611_097)
    }

    @Test func itCoversWhatLaterVersionsWrite() {
        func typed(_ kind: ValueKind, _ json: String) -> RecordFingerprint {
            fingerprint(
                record { batch in
                    batch.begin(record: .sample, time: 6)
                    batch.edit(CellKey(.name), kind, slice: batch.store(json.utf8))
                })
        }
        #expect(typed(.foreign8, "[1]") == typed(.foreign8, "[1]"))
        #expect(typed(.foreign8, "[1]") != typed(.foreign8, "[2]"))
        #expect(typed(.foreign8, "[1]") != typed(.foreign7, "[1]"))
    }

    @Test func whatSidesThatAgreeDifferInIsLeftOut() {
        let plain = record { _ in }
        var other = plain
        other.renumber(sequence: 99)
        #expect(fingerprint(other) == fingerprint(plain), "sequences")
        for index in other.entries.indices { other.entries[index].time -= 1 }
        #expect(fingerprint(other) == fingerprint(plain), "times, which the server lowers")
        let removed = record { batch in
            batch.begin(record: .sample, time: 6)
            batch.edit(CellKey(.tags, id: RecordID(rawValue: 4)), .absent)
        }
        #expect(fingerprint(removed) == fingerprint(plain), "absences, which collection takes away")
        let marked = record { batch in
            batch.begin(record: .sample, time: 6)
            batch.edit(
                CellKey(.tags, id: RecordID(rawValue: 4)), .absent, supersedes: [Dot(ReplicaID(rawValue: 9), 100)])
        }
        #expect(marked.entries.contains { $0.kind == .deadAhead })
        #expect(fingerprint(marked) == fingerprint(plain), "marks")
    }

    @Test func everythingElseChangesIt() {
        let plain = record { _ in }
        let name = plain.range(of: CellKey(.name)).lowerBound
        var seen = [fingerprint(plain)]
        func differs(_ what: String, _ change: (inout Record) -> Void) {
            var other = plain
            change(&other)
            let new = fingerprint(other)
            #expect(!seen.contains(new), "\(what)")
            seen.append(new)
        }
        differs("a value") { $0.arena[Int($0.entries[name].slice.offset)] ^= 1 }
        differs("a kind of value") { $0.entries[name].kind = .json }
        differs("a covered entry") { $0.entries[name].isCovered = true }
        differs("a dot's number") { $0.entries[name].dot = Dot(ReplicaID(rawValue: 7), 2) }
        differs("a dot's replica") { $0.entries[name].dot = Dot(ReplicaID(rawValue: 8), 1) }
        differs("a key") { $0.entries[name].key = CellKey(.year) }
        differs("an element") { $0.entries[name].key = CellKey(.name, id: RecordID(rawValue: 1)) }
        differs("an entry less") { $0.entries.remove(at: name) }
        differs("a kind") { $0.envelope.kind = Kind(rawValue: 2) }
        differs("a scope") { $0.envelope.scope = .workspace }
    }

    @Test func aSumDoesNotDependOnTheOrderAndTellsWhatIsThereTwice() {
        let one = fingerprint(record { _ in })
        let two = fingerprint(record { $0.edit(CellKey(.year), .integer, integer: 3) })
        var forth = one
        forth.add(two)
        var back = two
        back.add(one)
        #expect(forth == back && forth != one)
        var twice = one
        twice.add(one)
        #expect(twice != RecordFingerprint() && twice != one)
    }
}
