import Testing

@testable import ShoalCRDT
@testable import ShoalProtocol

/// Range-based reconciliation finds the set difference, exactly, in few messages.
@Suite struct ReconciliationLaws {
    /// Records by identifier; a record is its one text.
    struct Side: DigestRecords {
        var texts: [(id: RecordID, text: UInt64)] = []
        var omitted: Set<RecordID> = []

        init(_ records: [RecordID: UInt64], omitted: Set<RecordID> = []) {
            texts = records.map { ($0.key, $0.value) }.sorted { $0.id < $1.id }
            self.omitted = omitted
        }

        static func record(_ id: RecordID, _ text: UInt64) -> Record {
            var batch = Operations()
            batch.begin(record: id, time: 0, creates: Envelope(kind: .customer, scope: .customer(id)))
            batch.edit(CellKey(.name), text: String(text))
            var record = Record(id: id)
            record.apply(0, of: batch, dot: Dot(ReplicaID(rawValue: 1), 1), time: 0)
            return record
        }

        func forEachFingerprint(
            in range: IdentifierRange, _ body: (RecordID, RecordFingerprint) throws -> Void
        ) throws {
            var low = texts.startIndex
            var high = texts.endIndex
            while low < high {
                let middle = (low + high) / 2
                if UInt64(texts[middle].id.rawValue) < range.lower { low = middle + 1 } else { high = middle }
            }
            while low < texts.endIndex, range.contains(texts[low].id) {
                if !omitted.contains(texts[low].id) {
                    var bytes: [UInt8] = []
                    withUnsafeBytes(of: (texts[low].id.rawValue, texts[low].text)) { bytes += $0 }
                    try body(texts[low].id, bytes.withUnsafeBytes { RecordFingerprint($0) })
                }
                low += 1
            }
        }

        func record(_ id: RecordID) throws -> Record? {
            if omitted.contains(id) { return nil }
            return texts.first { $0.id == id }.map { Self.record(id, $0.text) }
        }

        func isOmitted(_ id: RecordID) -> Bool { omitted.contains(id) }
    }

    struct Case {
        var replica: [RecordID: UInt64]
        var server: [RecordID: UInt64]
        /// What changes on the server before each answer.
        var changes: [[RecordID: UInt64]] = []
        var budget = Limits.page
    }

    struct Outcome {
        var rows: [RecordID: UInt64]
        var messages = 0
        var bytes = 0
        var repaired = 0
        var omitted: Set<RecordID> = []
    }

    /// Runs the session over the bytes of the messages.
    static func run(_ trial: Case) throws -> Outcome {
        var outcome = Outcome(rows: trial.replica)
        var session = DigestSession(epoch: 1, cursor: "cursor")
        var action = try session.start(Side(outcome.rows))
        var omitted: Set<RecordID> = []
        var rounds = trial.changes[...]
        while true {
            switch action {
            case .send(let request):
                let body = try request.encoded()
                outcome.bytes += body.count
                let decoded = try DigestRequest(decoding: body)
                let new = Set(rounds.popFirst()?.keys.map { $0 } ?? []).subtracting(omitted)
                omitted.formUnion(new)
                var response = try DigestResponder.respond(
                    to: decoded, Side(trial.server, omitted: omitted), budget: trial.budget)
                response.seen = Int64(omitted.count)
                response.omitted = new.sorted()
                let answer = try response.encoded()
                outcome.bytes += answer.count
                action = try session.receive(try DigestResponse(decoding: answer), Side(outcome.rows))
            case .commit(let repair):
                for head in repair.page.heads {
                    let text = repair.page.entries[head.entries].first { $0.kind == .text }
                    let slice = try #require(text).slice
                    let value = String(decoding: repair.page.arena[slice.range], as: UTF8.self)
                    outcome.rows[head.id] = UInt64(value)
                    outcome.repaired += 1
                }
                for id in repair.gone {
                    if outcome.rows.removeValue(forKey: id) != nil { outcome.repaired += 1 }
                }
                action = session.committed()
            case .finish(let report):
                outcome.messages = report.messages
                outcome.omitted = omitted
                return outcome
            case .stop(let problem): throw problem
            }
        }
    }

    private static func identifier(_ random: inout SplitMix) -> RecordID {
        if random.below(40) == 0 { return RecordID(derivedFrom: random.next()) }
        return RecordID(
            milliseconds: Int64(random.below(1 << 20)), count: UInt16(random.below(3)),
            sequence: UInt8(random.below(32)))
    }

    private static func draw(_ random: inout SplitMix) -> Case {
        let sizes = [0, 1, 2, 15, 16, 17, 33, 100, 400, 1_500]
        var replica: [RecordID: UInt64] = [:]
        for _ in 0..<random.pick(sizes) { replica[identifier(&random)] = random.next() }
        var server = replica
        let known = replica.keys.sorted()
        // From none to more than there are.
        for _ in 0..<random.pick([0, 1, 2, 10, 100, 2_000]) {
            switch random.below(3) {
            case 0: server[identifier(&random)] = random.next()
            case 1 where !known.isEmpty: server[random.pick(known)] = nil
            default: if !known.isEmpty { server[random.pick(known)] = random.next() }
            }
        }
        if random.below(20) == 0 { swap(&replica, &server) }
        if random.below(20) == 0 { replica = [:] }
        var changes: [[RecordID: UInt64]] = []
        let all = Set(known).union(server.keys).sorted()
        for _ in 0..<random.below(6) where !all.isEmpty {
            var change: [RecordID: UInt64] = [:]
            for _ in 0..<random.pick([0, 1, 5, 40]) { change[random.pick(all)] = random.next() }
            changes.append(change)
        }
        return Case(
            replica: replica, server: server, changes: changes, budget: random.pick([100, 2_000, Limits.page]))
    }

    @Test func afterwardsTheReplicaHasWhatTheServerHasAndNothingElseWasTouched() {
        law(cases: Trial.cases / 10, generate: Self.draw) { trial in
            do {
                let outcome = try Self.run(trial)
                var differing = 0
                for id in Set(trial.replica.keys).union(trial.server.keys) where !outcome.omitted.contains(id) {
                    if trial.replica[id] != trial.server[id] { differing += 1 }
                    if outcome.rows[id] != trial.server[id] { return "\(id) differs from the server's" }
                }
                // What changes meanwhile may have been repaired before it changed, and is never else touched.
                for id in outcome.omitted
                where outcome.rows[id] != trial.replica[id] && outcome.rows[id] != trial.server[id] {
                    return "\(id) is neither the replica's nor the server's"
                }
                if trial.changes.isEmpty, outcome.repaired != differing {
                    return "\(outcome.repaired) repairs for \(differing) differences"
                }
                return nil
            } catch { return "\(error)" }
        }
    }

    @Test func sidesThatAgreeNeedTwoMessagesAndAFewBytesHoweverManyRecords() throws {
        for count in [0, 1, 1_000, 20_000] {
            var random = SplitMix(seed: 3)
            var records: [RecordID: UInt64] = [:]
            for _ in 0..<count { records[Self.identifier(&random)] = random.next() }
            let outcome = try Self.run(Case(replica: records, server: records))
            #expect(outcome.messages == 2)
            #expect(outcome.bytes < 300)
        }
    }

    /// Bytes of one difference and of ten, and messages, while the number of records grows sixteenfold.
    @Test func messagesGrowWithTheLogarithmOfTheRecords() throws {
        var messages: [Int] = []
        for count in [500, 8_000, 128_000] {
            var random = SplitMix(seed: 4)
            var records: [RecordID: UInt64] = [:]
            while records.count < count { records[Self.identifier(&random)] = random.next() }
            var server = records
            let ids = records.keys.sorted()
            for place in 0..<10 { server[ids[place * count / 10 + 7]] = random.next() }
            let outcome = try Self.run(Case(replica: records, server: server))
            #expect(outcome.rows == server)
            #expect(outcome.bytes < 10_000, "\(count): \(outcome.bytes)")
            messages.append(outcome.messages)
            print("\(count): \(outcome.messages) messages, \(outcome.bytes) bytes")
        }
        #expect(messages.max() ?? 0 <= 8)
        #expect((messages.last ?? 0) - (messages.first ?? 0) <= 4)
    }
}
